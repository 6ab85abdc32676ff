/* SPDX-License-Identifier: Apache-2.0 */
/* Guest physical memory. See guest_memory.h. */
#include "microvm/guest_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/*
 * The memory's file. Sealed: a virtiofsd that was taken over cannot shrink it and have the monitor die of SIGBUS, nor
 * make it larger than the container's limit allows.
 */
static int memory_file(uint64_t size, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("nacre-guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return ERR(-errno, "cannot make a file for the guest's memory");
	if (ftruncate(fd, (off_t)size) < 0)
		return ERR(-errno, "cannot make %" PRIu64 " bytes of guest memory", size);
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return ERR(-errno, "cannot seal the guest's memory");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The part of the file from offset on becomes RAM at addr. */
static int add_part(struct guest_memory *gm, uint64_t addr, uint64_t offset, uint64_t size)
{
	const struct guest_region region = {
		.addr = addr,
		.size = size,
		.host = (uint8_t *)gm->map + offset,
		.fd = gm->fd,
		.offset = offset,
	};

	return guest_memory_add(gm, &region);
}

static int map_all(struct guest_memory *gm, uint64_t size)
{
	uint64_t low = size < GUEST_HOLE_START ? size : GUEST_HOLE_START;
	void *map;
	int r;

	r = memory_file(size, &gm->fd);
	if (r < 0)
		return r;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, gm->fd, 0);
	if (map == MAP_FAILED)
		return ERR(-errno, "cannot map %" PRIu64 " bytes of guest memory", size);
	gm->map = map;
	gm->map_size = size;
	/* A core dump of the monitor would hold all that the guest knows. */
	if (madvise(map, size, MADV_DONTDUMP) < 0)
		return ERR(-errno, "cannot keep the guest's memory out of core dumps");
	r = add_part(gm, 0, 0, low);
	if (r == 0 && size > low)
		r = add_part(gm, GUEST_HOLE_END, low, size - low);
	return r;
}

int guest_memory_init(struct guest_memory *gm, uint64_t size)
{
	int r;

	*gm = (struct guest_memory)GUEST_MEMORY_NULL;
	if (size == 0 || size % GUEST_PAGE_SIZE != 0 || size > GUEST_MEMORY_MAX)
		return ERR_PLAIN(-EINVAL, "guest memory cannot be %" PRIu64 " bytes: it has to be pages of %d, at most %" PRIu64,
				 size, GUEST_PAGE_SIZE, GUEST_MEMORY_MAX);
	r = map_all(gm, size);
	if (r < 0)
		guest_memory_deinit(gm);
	return r;
}

void guest_memory_deinit(struct guest_memory *gm)
{
	if (gm->map != NULL)
		(void)munmap(gm->map, gm->map_size);
	fd_close(&gm->fd);
	*gm = (struct guest_memory)GUEST_MEMORY_NULL;
}

int guest_memory_add(struct guest_memory *gm, const struct guest_region *region)
{
	if (gm->n >= GUEST_REGIONS_MAX)
		return ERR_PLAIN(-ENOSPC, "guest memory has at most %d regions", GUEST_REGIONS_MAX);
	if (region->size == 0 || (region->addr | region->size | (uintptr_t)region->host) % GUEST_PAGE_SIZE != 0)
		return ERR_PLAIN(-EINVAL, "the region at %#" PRIx64 " of guest memory is not whole pages", region->addr);
	if (region->size > UINT64_MAX - region->addr)
		return ERR_PLAIN(-EINVAL, "the region at %#" PRIx64 " of guest memory ends beyond the last address",
				 region->addr);
	for (size_t i = 0; i < gm->n; i++) {
		const struct guest_region *other = &gm->regions[i];

		if (region->addr < other->addr + other->size && other->addr < region->addr + region->size)
			return ERR_PLAIN(-EINVAL, "the regions at %#" PRIx64 " and %#" PRIx64 " of guest memory overlap",
					 region->addr, other->addr);
	}
	gm->regions[gm->n++] = *region;
	return 0;
}

void *guest_memory_at(const struct guest_memory *gm, uint64_t addr, uint64_t len)
{
	if (len == 0)
		return NULL;
	for (size_t i = 0; i < gm->n; i++) {
		const struct guest_region *r = &gm->regions[i];
		uint64_t offset = addr - r->addr;

		/* Only differences are compared: no sum of the guest's numbers can wrap around. */
		if (addr >= r->addr && offset < r->size && len <= r->size - offset)
			return (uint8_t *)r->host + offset;
	}
	return NULL;
}

void guest_copy(void *to, const void *from, size_t len)
{
	memcpy(to, from, len);
	__asm__ volatile("" ::: "memory");
}

int guest_memory_read(const struct guest_memory *gm, uint64_t addr, void *data, size_t len)
{
	const void *from = guest_memory_at(gm, addr, len);

	if (from == NULL)
		return -EFAULT;
	guest_copy(data, from, len);
	return 0;
}

int guest_memory_write(const struct guest_memory *gm, uint64_t addr, const void *data, size_t len)
{
	void *to = guest_memory_at(gm, addr, len);

	if (to == NULL)
		return -EFAULT;
	guest_copy(to, data, len);
	return 0;
}

int guest_memory_discard(const struct guest_memory *gm, void *p, uint64_t len)
{
	if (len == 0 || (len | (uintptr_t)p) % GUEST_PAGE_SIZE != 0)
		return -EINVAL;
	for (size_t i = 0; i < gm->n; i++) {
		const struct guest_region *r = &gm->regions[i];
		uint64_t offset = (uintptr_t)p - (uintptr_t)r->host;
		int failed;

		if ((uintptr_t)p < (uintptr_t)r->host || offset >= r->size || len > r->size - offset)
			continue;
		/* Memory of a file stays the file's when only a mapping lets go of it. */
		if (r->fd >= 0)
			failed = fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(r->offset + offset),
					   (off_t)len);
		else
			failed = madvise(p, len, MADV_DONTNEED);
		return failed < 0 ? -errno : 0;
	}
	return -EINVAL;
}
