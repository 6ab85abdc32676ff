/* SPDX-License-Identifier: Apache-2.0 */
/* The front end of vhost-user against a back end that keeps the rules, and against those that do not. */
#include "tests/unit/test.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "microvm/guest_memory.h"
#include "microvm/vhost_user.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/vhost_backend.h"

#define VIRTIO_1 (UINT64_C(1) << 32)

/* As many bytes as it says, all of the record at an offset. */
static uint64_t number(const struct vu_record *r, size_t offset)
{
	uint64_t v;

	memcpy(&v, r->payload + offset, sizeof(v));
	return v;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* Everything that a driver's life brings, until something fails. */
static int live(struct vhost_user *v, int socket, const struct guest_memory *memory, int kick, int call)
{
	const struct vhost_user_queue q = { .index = 1, .size = 64, .base = 3, .desc = 0x1000, .avail = 0x2000, .used = 0x3000,
					    .kick = kick, .call = call };
	/* A back end that is silent would be waited for ten seconds. */
	const struct timeval soon = { .tv_usec = 50000 };
	int r = vhost_user_init(v, socket);

	if (r == 0 && setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)) < 0)
		r = -errno;
	if (r == 0)
		r = vhost_user_start(v, VIRTIO_1, memory);
	if (r == 0)
		r = vhost_user_start_queue(v, &q);
	return r == 0 ? vhost_user_stop_queue(v, 1) : r;
}

struct fixture {
	int file, kick, call;
	void *map;
	struct guest_memory memory;
};

#define MEMORY 0x10000U

static bool prepare(struct fixture *f)
{
	*f = (struct fixture){ .file = memfd_create("memory", MFD_CLOEXEC), .kick = eventfd(0, EFD_CLOEXEC), .call = eventfd(1, EFD_CLOEXEC),
			       .memory = GUEST_MEMORY_NULL };
	f->map = mmap(NULL, MEMORY, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return f->file >= 0 && f->kick >= 0 && f->call >= 0 && f->map != MAP_FAILED &&
	       guest_memory_add(&f->memory, &(struct guest_region){ .size = MEMORY, .host = f->map, .fd = f->file }) == 0;
}

static void forget(struct fixture *f)
{
	munmap(f->map, MEMORY);
	fd_close(&f->file);
	fd_close(&f->kick);
	fd_close(&f->call);
}

static const uint32_t with_protocol[] = {
	VU_GET_FEATURES, VU_GET_PROTOCOL_FEATURES, VU_SET_PROTOCOL_FEATURES, VU_GET_QUEUE_NUM, VU_SET_OWNER, VU_SET_FEATURES,
	VU_SET_MEM_TABLE, VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_SET_VRING_ADDR, VU_SET_VRING_CALL, VU_SET_VRING_KICK,
	VU_SET_VRING_ENABLE, VU_GET_VRING_BASE,
};

static const uint32_t without_protocol[] = {
	VU_GET_FEATURES, VU_SET_OWNER, VU_SET_FEATURES, VU_SET_MEM_TABLE, VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_SET_VRING_ADDR,
	VU_SET_VRING_CALL, VU_SET_VRING_KICK, VU_GET_VRING_BASE,
};

static bool asked(const struct vhost_backend *b, const uint32_t *want, size_t n)
{
	for (size_t i = 0; i < n && i < b->n; i++)
		if (b->records[i].h.request != want[i])
			return false;
	return b->n == n;
}

TEST(what_is_said)
{
	static struct vhost_backend b;
	const struct vu_record *r = b.records;
	struct vhost_user v;
	struct fixture f;

	b = (struct vhost_backend){ .features = VIRTIO_1 | VU_PROTOCOL_FEATURES | 7, .protocol_features = ~UINT64_C(0), .queues = 2 };
	if (!CHECK(prepare(&f) && vhost_backend_start(&b)))
		return;
	CHECK_INT(live(&v, b.ours, &f.memory, f.kick, f.call), 0);
	vhost_backend_stop(&b);
	CHECK(v.features == b.features && v.queues == 2 && !v.failed);
	if (!CHECK(asked(&b, with_protocol, ARRAY_SIZE(with_protocol))))
		return;
	/* Of what a back end offers only what is known here is agreed on. */
	CHECK_INT(number(&r[2], 0), VU_MQ | VU_REPLY_ACK);
	CHECK(number(&r[5], 0) == (VIRTIO_1 | VU_PROTOCOL_FEATURES));
	/* One region: how many, then guest address, size, address, offset. */
	CHECK_INT(r[6].h.size, 8 + 32);
	CHECK(number(&r[6], 0) == 1 && number(&r[6], 8) == 0 && number(&r[6], 16) == MEMORY && number(&r[6], 24) == 0 && number(&r[6], 32) == 0);
	CHECK(r[6].n_fds == 1 && same_file(r[6].fds[0], f.file));
	CHECK(number(&r[7], 0) == (1 | UINT64_C(64) << 32) && number(&r[8], 0) == (1 | UINT64_C(3) << 32));
	CHECK(number(&r[9], 8) == 0x1000 && number(&r[9], 16) == 0x3000 && number(&r[9], 24) == 0x2000);
	CHECK(number(&r[10], 0) == 1 && r[10].n_fds == 1 && number(&r[11], 0) == 1 && r[11].n_fds == 1);
	/* Which of them is which: the one for calls counts 1. */
	CHECK(read(r[10].fds[0], &(uint64_t){ 0 }, 8) == 8);
	CHECK(number(&r[12], 0) == (1 | UINT64_C(1) << 32));
	vhost_backend_forget(&b);
	forget(&f);
}

TEST(without_protocol_features)
{
	static struct vhost_backend b;
	struct vhost_user v;
	struct fixture f;

	b = (struct vhost_backend){ .features = VIRTIO_1 };
	if (!CHECK(prepare(&f) && vhost_backend_start(&b)))
		return;
	CHECK_INT(live(&v, b.ours, &f.memory, f.kick, f.call), 0);
	vhost_backend_stop(&b);
	CHECK_INT(v.queues, 0);
	CHECK(asked(&b, without_protocol, ARRAY_SIZE(without_protocol)));
	for (size_t i = 0; i < b.n; i++)
		CHECK_INT(b.records[i].h.flags, VU_VERSION);
	vhost_backend_forget(&b);
	forget(&f);
}

/* Every answer, in every way that it can be wrong. */
static void spoil(struct test *t, const struct fixture *f, uint32_t request, enum vu_spoil how, int want, const char *text)
{
	static struct vhost_backend b;
	struct vhost_user v;
	int r;

	b = (struct vhost_backend){ .features = VIRTIO_1 | VU_PROTOCOL_FEATURES, .protocol_features = VU_MQ | VU_REPLY_ACK, .queues = 2,
				    .spoilt = request, .how = how };
	if (!CHECK(vhost_backend_start(&b)))
		return;
	err_clear();
	r = live(&v, b.ours, &f->memory, f->kick, f->call);
	if (!CHECK_INT(r, want) || (r < 0 && !CHECK(str_starts(err_text(), text))) || !CHECK(v.failed == (r < 0)))
		printf("#   message %u, spoilt as %d: %s\n", request, (int)how, err_text());
	/* Nothing more goes out on it. */
	if (r < 0) {
		CHECK_INT(vhost_user_stop_queue(&v, 1), -EPIPE);
		CHECK_STR(err_text(), "the connection to the back end failed before");
	}
	vhost_backend_stop(&b);
	CHECK(r == 0 || b.records[b.n - 1].h.request == request);
	vhost_backend_forget(&b);
}

TEST(hostile_answers)
{
	static const struct {
		enum vu_spoil how;
		int want;
		const char *text;
	} cases[] = {
		{ VU_HANG_UP, -EPIPE, "the back end closed the connection instead of answering message" },
		{ VU_HALF, -EPIPE, "the back end closed the connection instead of answering message" },
		{ VU_OTHER_REQUEST, -EPROTO, "the back end answers message" },
		{ VU_NO_REPLY_FLAG, -EPROTO, "the back end answers message" },
		{ VU_OTHER_VERSION, -EPROTO, "the back end answers message" },
		{ VU_TOO_LONG, -EPROTO, "the back end answers message" },
		{ VU_TOO_SHORT, -EPROTO, "the back end answers message" },
		{ VU_WITH_FD, -EPROTO, "the back end sends descriptors with its answer to message" },
		{ VU_BYTE_BY_BYTE, 0, "" },
	};
	struct fixture f;

	if (!CHECK(prepare(&f)))
		return;
	for (size_t k = 0; k < ARRAY_SIZE(with_protocol); k++)
		/* The answer to SET_PROTOCOL_FEATURES is not asked for: there is no agreement yet. */
		for (size_t i = 0; i < ARRAY_SIZE(cases) && with_protocol[k] != VU_SET_PROTOCOL_FEATURES; i++)
			spoil(t, &f, with_protocol[k], cases[i].how, cases[i].want, cases[i].text);
	forget(&f);
}

TEST(refusals_and_silence)
{
	struct fixture f;

	if (!CHECK(prepare(&f)))
		return;
	spoil(t, &f, VU_SET_OWNER, VU_REFUSE, -EREMOTEIO, "the back end refuses message 3");
	spoil(t, &f, VU_SET_MEM_TABLE, VU_REFUSE, -EREMOTEIO, "the back end refuses message 5");
	spoil(t, &f, VU_SET_VRING_KICK, VU_REFUSE, -EREMOTEIO, "the back end refuses message 12");
	spoil(t, &f, VU_SET_MEM_TABLE, VU_SILENT, -ETIMEDOUT, "the back end has not answered message 5");
	spoil(t, &f, VU_GET_VRING_BASE, VU_SILENT, -ETIMEDOUT, "the back end has not answered message 11");
	/* The base of another queue. */
	spoil(t, &f, VU_GET_VRING_BASE, VU_REFUSE, -EPROTO, "the back end answers for queue 2 instead of 1");
	forget(&f);
}

/* A number of queues is no size of ours. */
TEST(too_many_queues)
{
	static struct vhost_backend b;
	struct vhost_user v;

	b = (struct vhost_backend){ .features = VU_PROTOCOL_FEATURES, .protocol_features = VU_MQ, .queues = UINT64_MAX };
	if (!CHECK(vhost_backend_start(&b)))
		return;
	CHECK_INT(vhost_user_init(&v, b.ours), 0);
	CHECK_INT(v.queues, VHOST_USER_QUEUES_MAX);
	vhost_backend_stop(&b);
}

TEST(memory_without_a_descriptor)
{
	static struct vhost_backend b;
	struct vhost_user v;
	struct fixture f;

	b = (struct vhost_backend){ .features = VIRTIO_1 };
	if (!CHECK(prepare(&f) && vhost_backend_start(&b)))
		return;
	f.memory.regions[0].fd = FD_NONE;
	CHECK_INT(vhost_user_init(&v, b.ours), 0);
	CHECK_INT(vhost_user_start(&v, VIRTIO_1, &f.memory), -EINVAL);
	CHECK_STR(err_text(), "the guest's memory at 0x0 cannot be given to a back end");
	vhost_backend_stop(&b);
	forget(&f);
}

TEST(lost)
{
	struct vhost_user v = { 0 };
	int pair[2];

	if (!CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0))
		return;
	v.socket = pair[0];
	CHECK(send(pair[1], "x", 1, 0) == 1);
	CHECK_INT(vhost_user_lost(&v), -EPROTO);
	CHECK_STR(err_text(), "the back end sends a message that was not asked for");
	CHECK(v.failed);
	close(pair[1]);
	CHECK_INT(vhost_user_lost(&v), -EPIPE);
	CHECK_STR(err_text(), "the back end closed the connection");
	close(pair[0]);
}

TEST_MAIN(CASE(what_is_said), CASE(without_protocol_features), CASE(hostile_answers), CASE(refusals_and_silence),
	  CASE(too_many_queues), CASE(memory_without_a_descriptor), CASE(lost))
