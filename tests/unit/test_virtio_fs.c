/* SPDX-License-Identifier: Apache-2.0 */
/* A shared file system's registers, with a back end beside them that does its work, or does not. */
#include "tests/unit/test.h"

#include <errno.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ring.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "microvm/virtio_fs.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/vhost_backend.h"
#include "tests/unit/virtio_device.h"

struct fixture {
	struct vm vm;
	struct virtio_fs fs;
	struct vhost_backend backend;
	int file, interrupt;
	unsigned int failures;
	char reason[256];
};

static void failed(void *data, const char *reason)
{
	struct fixture *f = data;

	f->failures++;
	snprintf(f->reason, sizeof(f->reason), "%s", reason);
}

static int connect_device(struct fixture *f, const char *tag)
{
	const struct virtio_fs_options o = { .tag = tag, .socket = f->backend.ours, .interrupt = f->interrupt, .memory = &f->vm.g.gm,
					     .failed = failed, .data = f };

	return virtio_fs_init(&f->fs, &o, &f->vm.loop);
}

/* backend: how it behaves. NULL: it could not be made. */
static struct fixture *make(struct test *t, const struct vhost_backend *backend)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!CHECK(f != NULL && vm_make(&f->vm)))
		return NULL;
	f->backend = *backend;
	f->file = memfd_create("memory", MFD_CLOEXEC);
	f->interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	/* The back end gets a descriptor for each region; nobody looks into it here. */
	for (size_t i = 0; i < f->vm.g.gm.n; i++)
		f->vm.g.gm.regions[i].fd = f->file;
	if (!CHECK(f->file >= 0 && f->interrupt >= 0 && vhost_backend_start(&f->backend)))
		return NULL;
	return f;
}

static void drop(struct fixture *f)
{
	virtio_fs_deinit(&f->fs);
	vhost_backend_stop(&f->backend);
	vhost_backend_forget(&f->backend);
	fd_close(&f->file);
	fd_close(&f->interrupt);
	vm_drop(&f->vm);
	free(f);
}

static struct vhost_backend good(void)
{
	return (struct vhost_backend){ .features = VERSION_1 | EVENT_IDX | VU_PROTOCOL_FEATURES | 7, .protocol_features = VU_MQ | VU_REPLY_ACK,
				       .queues = 2 };
}

static size_t count(const struct vhost_backend *b, uint32_t request)
{
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++)
		n += b->records[i].h.request == request;
	return n;
}

TEST(registers)
{
	const struct vhost_backend b = good();
	struct fixture *f = make(t, &b);
	uint8_t config[VIRTIO_FS_TAG_MAX + 8] = { 0 };

	if (f == NULL)
		return;
	if (!CHECK_INT(connect_device(f, "root"), 0) || !CHECK(vm_attach(&f->vm, &virtio_fs_ops, &f->fs)))
		return;
	/* Of the back end's features the guest sees only what this device knows. */
	CHECK(vm_offered(&f->vm) == (VERSION_1 | EVENT_IDX));
	CHECK_INT(vm_read32(&f->vm, VIRTIO_MMIO_DEVICE_ID), 26);
	for (uint32_t i = 0; i < sizeof(config); i += 4)
		virtio_mmio_read(&f->vm.m, VIRTIO_MMIO_CONFIG + i, config + i, 4);
	CHECK_STR((char *)config, "root");
	/* One request queue; behind the config space there is nothing. */
	CHECK(config[36] == 1 && config[37] == 0 && config[40] == 0);
	CHECK_INT(f->vm.m.n_queues, VIRTIO_FS_QUEUES);
	drop(f);
}

TEST(tags)
{
	static const char longest[] = "123456789012345678901234567890123456";
	const struct vhost_backend b = good();
	struct fixture *f = make(t, &b);

	if (f == NULL)
		return;
	CHECK_INT(connect_device(f, ""), -EINVAL);
	CHECK_INT(connect_device(f, "1234567890123456789012345678901234567"), -EINVAL);
	CHECK_STR(err_text(), "the tag of a shared file system has 1 to 36 bytes");
	/* Without an end. */
	CHECK_INT(connect_device(f, longest), 0);
	CHECK(memcmp(f->fs.tag, longest, VIRTIO_FS_TAG_MAX) == 0);
	drop(f);
}

/* A driver comes, notifies, goes, and comes again. */
TEST(life)
{
	const struct vhost_backend b = good();
	struct fixture *f = make(t, &b);
	uint64_t rings = 0;

	if (f == NULL)
		return;
	if (!CHECK_INT(connect_device(f, "root"), 0) || !CHECK(vm_attach(&f->vm, &virtio_fs_ops, &f->fs)))
		return;
	/* A used buffer that nobody here sees: the bit is set as long as the driver is there. */
	CHECK_INT(vm_read32(&f->vm, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	vm_start(&f->vm, EVENT_IDX);
	CHECK(!vm_needs_reset(&f->vm));
	CHECK_INT(vm_read32(&f->vm, VIRTIO_MMIO_INTERRUPT_STATUS) & 1, 1);
	/* One that comes here is handed on, to the queue's own doorbell. */
	vm_write32(&f->vm, VIRTIO_MMIO_QUEUE_NOTIFY, 1);
	CHECK(read(f->fs.doorbells[1], &rings, sizeof(rings)) == 8 && rings == 1);
	CHECK(read(f->fs.doorbells[0], &rings, sizeof(rings)) < 0 && errno == EAGAIN);
	vm_write32(&f->vm, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(vm_read32(&f->vm, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	vm_start(&f->vm, 0);
	CHECK(!vm_needs_reset(&f->vm) && vm_settle(&f->vm));
	CHECK_INT(f->failures, 0);
	(void)shutdown(f->backend.ours, SHUT_RDWR);
	pthread_join(f->backend.thread, NULL);
	CHECK_INT(count(&f->backend, VU_SET_VRING_KICK), 4);
	CHECK_INT(count(&f->backend, VU_GET_VRING_BASE), 2);
	CHECK_INT(count(&f->backend, VU_SET_MEM_TABLE), 2);
	pthread_create(&f->backend.thread, NULL, vu_thread, &f->backend);
	drop(f);
}

TEST(a_queue_is_not_ready)
{
	const struct vhost_backend b = good();
	struct fixture *f = make(t, &b);
	const uint32_t steps = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	if (f == NULL)
		return;
	if (!CHECK_INT(connect_device(f, "root"), 0) || !CHECK(vm_attach(&f->vm, &virtio_fs_ops, &f->fs)))
		return;
	vm_write32(&f->vm, VIRTIO_MMIO_STATUS, steps);
	vm_write32(&f->vm, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	vm_write32(&f->vm, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	vm_write32(&f->vm, VIRTIO_MMIO_STATUS, steps | VIRTIO_CONFIG_S_FEATURES_OK);
	vm_start_queue(&f->vm, 1, 16, false);
	vm_write32(&f->vm, VIRTIO_MMIO_STATUS, steps | VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
	CHECK(!f->fs.started[0] && f->fs.started[1] && !vm_needs_reset(&f->vm));
	vm_write32(&f->vm, VIRTIO_MMIO_STATUS, 0);
	CHECK(!f->fs.started[0] && !f->fs.started[1]);
	CHECK_INT(f->failures, 0);
	drop(f);
}

TEST(backends_that_cannot_serve)
{
	static const struct {
		struct vhost_backend b;
		int r;
		const char *text;
	} cases[] = {
		{ { .features = EVENT_IDX }, -EOPNOTSUPP, "the back end does not speak virtio 1" },
		{ { .features = VERSION_1 | VU_PROTOCOL_FEATURES, .protocol_features = VU_MQ, .queues = 1 }, -EOPNOTSUPP,
		  "the back end has 1 queues, not 2" },
		{ { .features = VERSION_1, .spoilt = VU_GET_FEATURES, .how = VU_HANG_UP }, -EPIPE, "the back end closed the connection" },
		{ { .features = VERSION_1, .spoilt = VU_GET_FEATURES, .how = VU_TOO_LONG }, -EPROTO, "the back end answers message 1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f = make(t, &cases[i].b);

		if (f == NULL)
			return;
		CHECK_INT(connect_device(f, "root"), cases[i].r);
		CHECK(str_starts(err_text(), cases[i].text));
		/* Who made the device hears of it by the result alone. */
		CHECK_INT(f->failures, 0);
		CHECK(f->fs.doorbells[0] == FD_NONE && f->fs.doorbells[1] == FD_NONE);
		drop(f);
	}
}

/* It fails when the driver comes, when it goes, or in between. */
TEST(backends_that_fail_later)
{
	struct vhost_backend b = good();
	struct fixture *f;

	b.spoilt = VU_SET_MEM_TABLE;
	b.how = VU_REFUSE;
	f = make(t, &b);
	if (f == NULL)
		return;
	if (!CHECK_INT(connect_device(f, "root"), 0) || !CHECK(vm_attach(&f->vm, &virtio_fs_ops, &f->fs)))
		return;
	vm_start(&f->vm, 0);
	CHECK(vm_needs_reset(&f->vm));
	CHECK_INT(f->failures, 1);
	CHECK_STR(f->reason, "the back end refuses message 5");
	/* Another try cannot help, and is not told again. */
	vm_start(&f->vm, 0);
	CHECK(vm_needs_reset(&f->vm));
	CHECK_INT(f->failures, 1);
	drop(f);

	b.spoilt = VU_GET_VRING_BASE;
	b.how = VU_HANG_UP;
	f = make(t, &b);
	if (f == NULL)
		return;
	if (!CHECK_INT(connect_device(f, "root"), 0) || !CHECK(vm_attach(&f->vm, &virtio_fs_ops, &f->fs)))
		return;
	vm_start(&f->vm, 0);
	CHECK_INT(f->failures, 0);
	vm_write32(&f->vm, VIRTIO_MMIO_STATUS, 0);
	CHECK_INT(f->failures, 1);
	CHECK(str_starts(f->reason, "the back end closed the connection"));
	drop(f);
}

TEST(speaks_without_being_asked)
{
	static const bool hang_up[] = { false, true };

	for (size_t i = 0; i < ARRAY_SIZE(hang_up); i++) {
		const struct vhost_backend b = good();
		struct fixture *f = make(t, &b);

		if (f == NULL)
			return;
		if (!CHECK_INT(connect_device(f, "root"), 0) || !CHECK(vm_attach(&f->vm, &virtio_fs_ops, &f->fs)))
			return;
		vm_start(&f->vm, 0);
		if (hang_up[i])
			(void)shutdown(f->backend.theirs, SHUT_RDWR);
		else
			CHECK(send(f->backend.theirs, "surprise", 8, 0) == 8);
		CHECK(vm_settle(&f->vm));
		CHECK_INT(f->failures, 1);
		CHECK_STR(f->reason, hang_up[i] ? "the back end closed the connection" : "the back end sends a message that was not asked for");
		CHECK(vm_needs_reset(&f->vm));
		/* The driver resets it, as it should; nothing waits for a back end that is gone. */
		vm_write32(&f->vm, VIRTIO_MMIO_STATUS, 0);
		CHECK_INT(f->failures, 1);
		drop(f);
	}
}

TEST_MAIN(CASE(registers), CASE(tags), CASE(life), CASE(a_queue_is_not_ready), CASE(backends_that_cannot_serve),
	  CASE(backends_that_fail_later), CASE(speaks_without_being_asked))
