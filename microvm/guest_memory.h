/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest physical memory, behind one door.
 *
 * Every address that comes from a guest is a number until guest_memory_at() has made a pointer of it; nothing else
 * in the monitor may. The regions are made once, before the first vCPU runs, and stay until the monitor ends: a
 * pointer from the door stays good. What is behind it does not stay the same: the guest's other vCPUs, and a
 * virtiofsd that shares the memory, write there at any moment. So a value is loaded once, into a variable of ours, and
 * only then looked at; the loads below are such, and the copies.
 */
#pragma once

#include <endian.h>
#include <errno.h>
#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

/* Of x86-64: below it RAM, in it the devices' registers, the interrupt controllers and the firmware's place. */
#define GUEST_HOLE_START UINT64_C(0xC0000000)
#define GUEST_HOLE_END UINT64_C(0x100000000)

/* Regions begin and end on pages, in the guest and here: what is aligned there is so here. */
#define GUEST_PAGE_SIZE 4096
/* The most memory of a guest: what every x86-64 CPU can address. */
#define GUEST_MEMORY_MAX (UINT64_C(1) << 39)
#define GUEST_REGIONS_MAX 4

struct guest_region {
	uint64_t addr, size;	/* in the guest, in bytes */
	void *host;		/* here */
	/* The same bytes for another process, to be mapped MAP_SHARED; fd is FD_NONE over a plain buffer, and borrowed. */
	int fd;
	uint64_t offset;
};

struct guest_memory {
	struct guest_region regions[GUEST_REGIONS_MAX];
	size_t n;
	/* What guest_memory_init() made, and guest_memory_deinit() gives back. */
	int fd;
	void *map;
	uint64_t map_size;
};

#define GUEST_MEMORY_NULL { .n = 0, .fd = -EBADF, .map = NULL }

/*
 * size bytes of RAM, whole pages: up to GUEST_HOLE_START in one region, the rest in one from GUEST_HOLE_END on. All of
 * it is one memfd, sealed at its size; pages are taken when they are first touched. -errno with text.
 */
int guest_memory_init(struct guest_memory *gm, uint64_t size);
/* Unmaps and closes. Nothing may use a pointer from the door any more. */
void guest_memory_deinit(struct guest_memory *gm);
#define _cleanup_guest_memory_ __attribute__((cleanup(guest_memory_deinit)))

/*
 * One more region, over memory that the caller owns and keeps: a shared memory window, or a test's buffer. -EINVAL (not
 * whole pages, beyond the last address, over another region) or -ENOSPC, with text.
 */
int guest_memory_add(struct guest_memory *gm, const struct guest_region *region);

/*
 * The door: len bytes at addr, or NULL when len is 0, a byte is outside, or not all are in one region. Any number is
 * allowed as argument. The pointer is as aligned as addr, up to a page.
 */
void *guest_memory_at(const struct guest_memory *gm, uint64_t addr, uint64_t len);

/* Copies through the door: all of it, or -EFAULT and nothing. len 0 is -EFAULT, too. No text. */
int guest_memory_read(const struct guest_memory *gm, uint64_t addr, void *data, size_t len);
int guest_memory_write(const struct guest_memory *gm, uint64_t addr, const void *data, size_t len);

/*
 * The guest does not need these bytes: whole pages at a pointer from the door are given back, and read as zeros when they
 * are touched again. -EINVAL (not whole pages, or not from the door) or -errno. No text.
 */
int guest_memory_discard(const struct guest_memory *gm, void *p, uint64_t len);

/*
 * A copy that the compiler may not undo: without the barrier it may drop the copy and look at the guest's bytes again
 * where their copy is used, after the check (XSA-155).
 */
void guest_copy(void *to, const void *from, size_t len);

/*
 * ---- single values behind pointers from the door, aligned to their size; exactly one access each ----
 * (__u64 is the type of the kernel's headers; where it is not that of uint64_t, a pointer cannot be both.)
 */

static inline uint16_t guest_load16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline uint32_t guest_load32(const uint32_t *p)
{
	return le32toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline uint64_t guest_load64(const __u64 *p)
{
	return le64toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline void guest_store16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

static inline void guest_store32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, htole32(v), __ATOMIC_RELAXED);
}

/* What the guest wrote before it stored this value is seen by loads after this one. */
static inline uint16_t guest_load16_acquire(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

/* A guest that sees this value sees what was stored before it. */
static inline void guest_store16_release(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELEASE);
}

/* Between a store of ours and a load of what the guest may be storing just now; nothing weaker orders these two. */
static inline void guest_fence(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}
