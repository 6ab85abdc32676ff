/* SPDX-License-Identifier: Apache-2.0 */
/* A disk. See virtio_blk.h. */
#include "microvm/virtio_blk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"

#define BIT(n) (UINT64_C(1) << (n))

#define SECTOR 512
#define QUEUE_SIZE 128
/* A request of this many pieces, its header and its status fit the queue; all of SIZE_MAX, they fit REQUEST_MAX. */
#define SEGMENTS_MAX 126
#define SEGMENT_BYTES (UINT32_C(128) << 10)
/* Ranges of one DISCARD or WRITE_ZEROES, and sectors of a range: 64 MiB, which some disks have to write. */
#define RANGES_MAX 16
#define RANGE_SECTORS (UINT32_C(1) << 17)

/* What a turn may move; the other devices wait meanwhile. What takes a time that we do not know counts for all of it. */
#define TURN_BYTES (UINT32_C(4) << 20)

_Static_assert(SEGMENTS_MAX * SEGMENT_BYTES <= VIRTIO_BLK_REQUEST_MAX, "the largest request that is offered is one that is done");

static uint64_t features(void *device)
{
	const struct virtio_blk *b = device;
	uint64_t f = BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_RING_F_EVENT_IDX);

	return f | (b->read_only ? BIT(VIRTIO_BLK_F_RO) : BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES));
}

static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	return index == 0 ? QUEUE_SIZE : 0;
}

static void config_read(void *device, uint32_t offset, void *buf, uint32_t len)
{
	const struct virtio_blk *b = device;
	const struct virtio_blk_config config = {
		.capacity = htole64(b->sectors),
		.size_max = htole32(SEGMENT_BYTES),
		.seg_max = htole32(SEGMENTS_MAX),
		.max_discard_sectors = htole32(RANGE_SECTORS),
		.max_discard_seg = htole32(RANGES_MAX),
		.discard_sector_alignment = htole32(4096 / SECTOR),
		.max_write_zeroes_sectors = htole32(RANGE_SECTORS),
		.max_write_zeroes_seg = htole32(RANGES_MAX),
		.write_zeroes_may_unmap = 1,
	};

	if (offset < sizeof(config))
		memcpy(buf, (const uint8_t *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

/* ---- requests; each gives its status, and how much it wrote into the chain ---- */

/* len bytes from this sector on are on the disk. No sum of the guest's numbers is made. */
static bool on_disk(const struct virtio_blk *b, uint64_t sector, uint64_t len)
{
	return len % SECTOR == 0 && sector <= b->sectors && len / SECTOR <= b->sectors - sector;
}

/* Between the image and len bytes of the chain, from offset on of its writable (a read) or readable part. */
static uint8_t transfer(struct virtio_blk *b, uint64_t sector, uint64_t offset, uint32_t len)
{
	bool reading = offset == 0;
	uint32_t done = 0;

	while (done < len) {
		size_t n = virtqueue_chain_iov(&b->chain, reading, offset + done, len - done, b->iov);
		off_t at = (off_t)(sector * SECTOR + done);
		ssize_t r = reading ? preadv(b->image, b->iov, (int)n, at) : pwritev(b->image, b->iov, (int)n, at);

		if (r < 0 && errno == EINTR)
			continue;
		/* 0: the image has become shorter. */
		if (r <= 0)
			return VIRTIO_BLK_S_IOERR;
		done += (uint32_t)r;
	}
	b->done += done;	/* at most TURN_BYTES and a request: no overflow */
	return VIRTIO_BLK_S_OK;
}

static uint8_t flush(struct virtio_blk *b)
{
	b->done = TURN_BYTES;
	return fdatasync(b->image) == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static uint8_t do_read(struct virtio_blk *b, uint64_t sector, uint32_t *ret_written)
{
	uint32_t len = b->chain.writable_len - 1;
	uint8_t status;

	if (len == 0 || len > VIRTIO_BLK_REQUEST_MAX || !on_disk(b, sector, len))
		return VIRTIO_BLK_S_IOERR;
	status = transfer(b, sector, 0, len);
	*ret_written = status == VIRTIO_BLK_S_OK ? len : 0;
	return status;
}

static uint8_t do_write(struct virtio_blk *b, uint64_t sector)
{
	uint32_t len = b->chain.readable_len - (uint32_t)sizeof(struct virtio_blk_outhdr);
	uint8_t status;

	if (b->read_only || len == 0 || len > VIRTIO_BLK_REQUEST_MAX || !on_disk(b, sector, len))
		return VIRTIO_BLK_S_IOERR;
	status = transfer(b, sector, sizeof(struct virtio_blk_outhdr), len);
	return status == VIRTIO_BLK_S_OK && b->write_through ? flush(b) : status;
}

static uint8_t do_get_id(struct virtio_blk *b, uint32_t *ret_written)
{
	uint32_t room = b->chain.writable_len - 1, len = room < sizeof(b->serial) ? room : (uint32_t)sizeof(b->serial);

	*ret_written = (uint32_t)virtqueue_chain_write(&b->chain, 0, b->serial, len);
	return VIRTIO_BLK_S_OK;
}

/* One range of DISCARD or WRITE_ZEROES, which is on the disk. */
static uint8_t clear_range(struct virtio_blk *b, bool zero, bool unmap, const struct virtio_blk_discard_write_zeroes *range)
{
	off_t at = (off_t)(le64toh(range->sector) * SECTOR), len = (off_t)le32toh(range->num_sectors) * SECTOR;
	int r = -1;

	if (len == 0)
		return VIRTIO_BLK_S_OK;
	if (zero && !unmap)
		r = fallocate(b->image, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, at, len);
	/* A hole reads as zeros as well; some file systems can do only that. */
	if (r < 0 && (!zero || unmap || errno == EOPNOTSUPP))
		r = fallocate(b->image, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, len);
	if (r == 0)
		return VIRTIO_BLK_S_OK;
	return errno == EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

/* 5.2.6.2: flags that are not known are UNSUPP, and a discard has none. */
static uint8_t check_range(const struct virtio_blk *b, bool zero, const struct virtio_blk_discard_write_zeroes *range)
{
	uint32_t known = zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0, n = le32toh(range->num_sectors);

	if ((le32toh(range->flags) & ~known) != 0)
		return VIRTIO_BLK_S_UNSUPP;
	if (n > RANGE_SECTORS || !on_disk(b, le64toh(range->sector), (uint64_t)n * SECTOR))
		return VIRTIO_BLK_S_IOERR;
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_clear(struct virtio_blk *b, bool zero)
{
	struct virtio_blk_discard_write_zeroes ranges[RANGES_MAX];
	uint32_t len = b->chain.readable_len - (uint32_t)sizeof(struct virtio_blk_outhdr);
	uint8_t status = VIRTIO_BLK_S_OK;
	size_t n = len / sizeof(ranges[0]);

	if (b->read_only || len == 0 || len > sizeof(ranges) || len % sizeof(ranges[0]) != 0)
		return VIRTIO_BLK_S_IOERR;
	(void)virtqueue_chain_read(&b->chain, sizeof(struct virtio_blk_outhdr), ranges, sizeof(ranges));
	b->done = TURN_BYTES;
	for (size_t i = 0; i < n && status == VIRTIO_BLK_S_OK; i++)
		status = check_range(b, zero, &ranges[i]);
	for (size_t i = 0; i < n && status == VIRTIO_BLK_S_OK; i++) {
		bool unmap = (le32toh(ranges[i].flags) & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP) != 0;

		status = clear_range(b, zero, unmap, &ranges[i]);
	}
	return status == VIRTIO_BLK_S_OK && b->write_through ? flush(b) : status;
}

static uint8_t do_request(struct virtio_blk *b, uint32_t *ret_written)
{
	struct virtio_blk_outhdr header;

	*ret_written = 0;
	if (virtqueue_chain_read(&b->chain, 0, &header, sizeof(header)) < sizeof(header))
		return VIRTIO_BLK_S_IOERR;
	switch (le32toh(header.type)) {
	case VIRTIO_BLK_T_IN:
		return do_read(b, le64toh(header.sector), ret_written);
	case VIRTIO_BLK_T_OUT:
		return do_write(b, le64toh(header.sector));
	case VIRTIO_BLK_T_FLUSH:
		return flush(b);
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(b, ret_written);
	case VIRTIO_BLK_T_DISCARD:
		return do_clear(b, false);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return do_clear(b, true);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

static void notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct virtio_blk *b = device;
	struct virtqueue *q = virtio_mmio_queue(m, index);

	b->done = 0;
	while (q != NULL && virtqueue_pop(q, &b->chain) == 1) {
		uint32_t written;
		uint8_t status;

		if (b->chain.writable_len == 0) {
			virtio_mmio_needs_reset(m);
			break;
		}
		status = do_request(b, &written);
		/* The status is the last byte, wherever the data ends; the used length counts from the beginning. */
		(void)virtqueue_chain_write(&b->chain, b->chain.writable_len - 1, &status, 1);
		if (written == b->chain.writable_len - 1)
			written++;
		(void)virtqueue_push(q, b->chain.head, written);
		if (b->done >= TURN_BYTES)
			virtqueue_end_turn(q);
	}
	virtio_mmio_signal(m, index);
}

/* ---- life ---- */

static int activate(void *device, struct virtio_mmio *m)
{
	struct virtio_blk *b = device;

	b->write_through = (virtio_mmio_features(m) & BIT(VIRTIO_BLK_F_FLUSH)) == 0;
	return 0;
}

const struct virtio_device_ops virtio_blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.features = features,
	.queue_size = queue_size,
	.config_read = config_read,
	.activate = activate,
	.notify = notify,
};

int virtio_blk_init(struct virtio_blk *b, const struct virtio_blk_options *o)
{
	size_t len = o->serial != NULL ? strlen(o->serial) : 0;
	int flags = fcntl(o->image, F_GETFL);
	struct stat st;
	off_t size;

	if (flags < 0 || fstat(o->image, &st) < 0)
		return ERR(-errno, "cannot examine a disk's image");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return ERR_PLAIN(-EINVAL, "a disk's image has to be a regular file or a block device");
	/* With O_APPEND, writes go to the end whatever their place. */
	if ((flags & O_ACCMODE) == O_WRONLY || (flags & O_APPEND) != 0 || (!o->read_only && (flags & O_ACCMODE) != O_RDWR))
		return ERR_PLAIN(-EINVAL, "a disk's image is not opened for what the guest may do with it");
	if (len > VIRTIO_BLK_SERIAL_MAX)
		return ERR_PLAIN(-EINVAL, "the serial \"%s\" of a disk has more than %d bytes", o->serial, VIRTIO_BLK_SERIAL_MAX);
	/* Of a block device, too. */
	size = lseek(o->image, 0, SEEK_END);
	if (size < 0)
		return ERR(-errno, "cannot find the size of a disk's image");
	*b = (struct virtio_blk){ .image = o->image, .read_only = o->read_only, .sectors = (uint64_t)size / SECTOR };
	if (len > 0)
		memcpy(b->serial, o->serial, len);
	return 0;
}
