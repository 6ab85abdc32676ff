/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes: into the buffer, not beyond it, and not without end. */
#include "tests/unit/test.h"

#include "microvm/virtio_rng.h"
#include "tests/unit/virtio_device.h"

static bool zeros(const struct vm *vm, uint64_t addr, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (vm->g.bytes[addr + i] != 0)
			return false;
	return true;
}

TEST(bytes)
{
	struct virtio_rng *rng = malloc(sizeof(*rng));
	struct vm vm;

	if (!CHECK(rng != NULL && vm_make(&vm) && vm_attach(&vm, &virtio_rng_ops, rng)))
		return;
	CHECK(vm_offered(&vm) == (VERSION_1 | EVENT_IDX));
	/* Eight descriptors are offered; sixteen would not be taken. */
	vm_start(&vm, EVENT_IDX);
	CHECK_INT(vm_read32(&vm, VIRTIO_MMIO_QUEUE_READY), 0);
	vm_start_sized(&vm, EVENT_IDX, 8);
	vm_send(&vm, 0, &(struct piece){ BUFFERS, 64, true }, 1);
	CHECK_INT(vm_used(&vm, 0), 64);
	/* 2^-128 that it is not so. */
	CHECK(!zeros(&vm, BUFFERS, 16) && !zeros(&vm, BUFFERS + 48, 16));
	CHECK(memcmp(vm.g.bytes + BUFFERS, vm.g.bytes + BUFFERS + 32, 16) != 0);
	CHECK(zeros(&vm, BUFFERS + 64, 64));
	CHECK_INT(vm.interrupts, 1);
	/* Pieces, one of them of one byte. */
	vm_send(&vm, 0, (const struct piece[]){ { BUFFERS + 0x100, 1, true }, { BUFFERS + 0x200, 40, true } }, 2);
	CHECK_INT(vm_used(&vm, 0), 41);
	CHECK(!zeros(&vm, BUFFERS + 0x200, 40) && zeros(&vm, BUFFERS + 0x101, 0xFF) && zeros(&vm, BUFFERS + 0x228, 40));
	vm_send(&vm, 0, (const struct piece[]){ { BUFFERS, 4000, true }, { BUFFERS + 4000, 4000, true } }, 2);
	CHECK_INT(vm_used(&vm, 0), VIRTIO_RNG_REQUEST_MAX);
	CHECK(zeros(&vm, BUFFERS + VIRTIO_RNG_REQUEST_MAX, 1000));
	CHECK(!vm_needs_reset(&vm));
	vm_drop(&vm);
	free(rng);
}

TEST(broken_rules)
{
	static const struct piece cases[][2] = {
		{ { BUFFERS, 16, false }, { BUFFERS + 16, 16, true } },
		{ { BUFFERS, 16, false }, { BUFFERS + 16, 16, false } },
		{ { BUFFERS, 0, true }, { BUFFERS + 16, 16, true } },
		{ { BUFFERS, 16, true }, { UINT64_MAX - 15, 16, true } },
	};
	struct virtio_rng *rng = malloc(sizeof(*rng));
	struct vm vm;

	if (!CHECK(rng != NULL && vm_make(&vm) && vm_attach(&vm, &virtio_rng_ops, rng)))
		return;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vm_start_sized(&vm, 0, 8);
		CHECK(!vm_needs_reset(&vm));
		vm_send(&vm, 0, cases[i], 2);
		CHECK(vm_needs_reset(&vm));
		CHECK_INT(vm_used(&vm, 0), -1);
		CHECK(zeros(&vm, BUFFERS, 64));
	}
	vm_drop(&vm);
	free(rng);
}

TEST_MAIN(CASE(bytes), CASE(broken_rules))
