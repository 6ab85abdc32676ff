/* SPDX-License-Identifier: Apache-2.0 */
/* A shared file system. See virtio_fs.h. */
#include "microvm/virtio_fs.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define BIT(n) (UINT64_C(1) << (n))

_Static_assert(sizeof(((struct virtio_fs_config *)NULL)->tag) == VIRTIO_FS_TAG_MAX, "a tag of the config space");

/* What is common to the back end and to this device; of the type's own features, none. */
static uint64_t features(void *device)
{
	const struct virtio_fs *fs = device;

	return fs->backend.features & BIT(VIRTIO_RING_F_EVENT_IDX);
}

/* A request of n pages needs n descriptors: so one of 256, as many as Linux asks for at once, fits. */
static uint16_t queue_size(void *device, unsigned int index)
{
	(void)device;
	return index < VIRTIO_FS_QUEUES ? VIRTQUEUE_SIZE_MAX : 0;
}

static void config_read(void *device, uint32_t offset, void *buf, uint32_t len)
{
	const struct virtio_fs *fs = device;
	struct virtio_fs_config config = { .num_request_queues = htole32(VIRTIO_FS_QUEUES - 1) };

	memcpy(config.tag, fs->tag, sizeof(config.tag));
	if (offset < sizeof(config))
		memcpy(buf, (const uint8_t *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

/* The recorded text is the reason. */
static void fail(struct virtio_fs *fs)
{
	event_loop_remove(fs->loop, &fs->source);
	if (fs->mmio != NULL)
		virtio_mmio_needs_reset(fs->mmio);
	if (fs->failed != NULL)
		fs->failed(fs->data, err_text());
	fs->failed = NULL;
}

static int start_queue(struct virtio_fs *fs, unsigned int index)
{
	const struct virtqueue *q = virtio_mmio_queue(fs->mmio, index);
	int r;

	if (q == NULL)
		return 0;
	r = vhost_user_start_queue(&fs->backend, &(struct vhost_user_queue){
							 .index = index,
							 .size = q->size,
							 .desc = q->config.desc,
							 .avail = q->config.avail,
							 .used = q->config.used,
							 .kick = fs->doorbells[index],
							 .call = fs->interrupt,
						 });
	fs->started[index] = r == 0;
	return r;
}

static int activate(void *device, struct virtio_mmio *m)
{
	struct virtio_fs *fs = device;
	int r;

	fs->mmio = m;
	r = vhost_user_start(&fs->backend, virtio_mmio_features(m), fs->memory);
	for (unsigned int i = 0; i < VIRTIO_FS_QUEUES && r == 0; i++)
		r = start_queue(fs, i);
	if (r == 0)
		return 0;
	fail(fs);
	fs->mmio = NULL;
	return r;
}

/* A back end that does not stop may still write to the guest's buffers; `failed` has to see to it. */
static void reset(void *device)
{
	struct virtio_fs *fs = device;
	int r = 0;

	fs->mmio = NULL;
	for (unsigned int i = 0; i < VIRTIO_FS_QUEUES; i++) {
		if (fs->started[i] && r == 0)
			r = vhost_user_stop_queue(&fs->backend, i);
		fs->started[i] = false;
	}
	if (r < 0)
		fail(fs);
}

/* A notification that did not go the short way. */
static void notify(void *device, struct virtio_mmio *m, unsigned int index)
{
	struct virtio_fs *fs = device;
	const uint64_t one = 1;

	(void)m;
	/* It fails only when the counter is full: then the back end is to be woken anyway. */
	(void)!write(fs->doorbells[index], &one, sizeof(one));
}

const struct virtio_device_ops virtio_fs_ops = {
	.id = VIRTIO_ID_FS,
	.queues_elsewhere = true,
	.features = features,
	.queue_size = queue_size,
	.config_read = config_read,
	.activate = activate,
	.reset = reset,
	.notify = notify,
};

/* Nothing comes from the back end but answers, and for those we wait where we ask. */
static void socket_ready(void *data, uint32_t events)
{
	struct virtio_fs *fs = data;

	(void)events;
	(void)vhost_user_lost(&fs->backend);
	fail(fs);
}

static int check_backend(const struct virtio_fs *fs)
{
	if ((fs->backend.features & BIT(VIRTIO_F_VERSION_1)) == 0)
		return ERR_PLAIN(-EOPNOTSUPP, "the back end does not speak virtio 1");
	if (fs->backend.queues != 0 && fs->backend.queues < VIRTIO_FS_QUEUES)
		return ERR_PLAIN(-EOPNOTSUPP, "the back end has %u queues, not %d", fs->backend.queues, VIRTIO_FS_QUEUES);
	return 0;
}

static int connect_backend(struct virtio_fs *fs)
{
	int r = vhost_user_init(&fs->backend, fs->source.fd);

	if (r == 0)
		r = check_backend(fs);
	for (size_t i = 0; i < VIRTIO_FS_QUEUES && r == 0; i++) {
		fs->doorbells[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (fs->doorbells[i] < 0)
			r = ERR(-errno, "cannot make an event descriptor");
	}
	return r == 0 ? event_loop_add(fs->loop, &fs->source) : r;
}

int virtio_fs_init(struct virtio_fs *fs, const struct virtio_fs_options *o, struct event_loop *loop)
{
	size_t len = strlen(o->tag);
	int r;

	if (len == 0 || len > VIRTIO_FS_TAG_MAX)
		return ERR_PLAIN(-EINVAL, "the tag of a shared file system has 1 to %d bytes", VIRTIO_FS_TAG_MAX);
	*fs = (struct virtio_fs){
		.interrupt = o->interrupt, .memory = o->memory, .failed = o->failed, .data = o->data, .loop = loop,
		.doorbells = { FD_NONE, FD_NONE },
		.source = { .fd = o->socket, .events = EPOLLIN | EPOLLRDHUP, .ready = socket_ready, .data = fs },
	};
	memcpy(fs->tag, o->tag, len);
	r = connect_backend(fs);
	if (r < 0)
		virtio_fs_deinit(fs);
	return r;
}

void virtio_fs_deinit(struct virtio_fs *fs)
{
	event_loop_remove(fs->loop, &fs->source);
	for (size_t i = 0; i < ARRAY_SIZE(fs->doorbells); i++)
		fd_close(&fs->doorbells[i]);
}
