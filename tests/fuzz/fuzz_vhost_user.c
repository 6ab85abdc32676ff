/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a vhost-user back end answers, through a device's whole life: a stream of any bytes, and then its end. virtiofsd serves a guest, which may
 * have taken it over.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microvm/guest_memory.h"
#include "microvm/vhost_user.h"
#include "runtime/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STREAM_MAX 65536
#define MEMORY 0x10000U

/* Again and again, as long as a guest resets its device. */
static int live(struct vhost_user *v, const struct guest_memory *memory, int fd)
{
	int r = 0;

	for (int round = 0; r == 0 && round < 3; round++) {
		r = vhost_user_start(v, UINT64_C(1) << 32, memory);
		for (unsigned int i = 0; r == 0 && i < 2; i++)
			r = vhost_user_start_queue(v, &(struct vhost_user_queue){ .index = i, .size = 64, .desc = 0x1000, .avail = 0x2000, .used = 0x3000, .kick = fd, .call = fd });
		for (unsigned int i = 0; r == 0 && i < 2; i++)
			r = vhost_user_stop_queue(v, i);
	}
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Alignas(GUEST_PAGE_SIZE) uint8_t bytes[MEMORY];
	struct guest_memory memory = GUEST_MEMORY_NULL;
	struct vhost_user v;
	int pair[2], fd, before, after, r;

	if (size > STREAM_MAX)
		return 0;
	err_clear();
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	fd = memfd_create("memory", MFD_CLOEXEC);
	before = dup(fd);
	assert(guest_memory_add(&memory, &(struct guest_region){ .size = MEMORY, .host = bytes, .fd = fd }) == 0);
	assert(size == 0 || send(pair[1], data, size, 0) == (ssize_t)size);
	assert(shutdown(pair[1], SHUT_WR) == 0);
	r = vhost_user_init(&v, pair[0]);
	assert(v.queues <= VHOST_USER_QUEUES_MAX);
	if (r == 0)
		r = live(&v, &memory, fd);
	/* A failure is final, and has a text. */
	assert(r == 0 || (r < 0 && v.failed && err_text()[0] != '\0' && vhost_user_stop_queue(&v, 0) < 0));
	assert(vhost_user_lost(&v) < 0);
	/* It has not kept a descriptor. */
	close(before);
	after = dup(fd);
	assert(after == before);
	close(after);
	close(fd);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
