/* SPDX-License-Identifier: Apache-2.0 */
#include "microvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/* Making a VM waits for RCU (20 ms and more where cgroups are busy), and any signal ends the wait. */
static int create_vm(int kvm)
{
	int fd;

	do
		fd = ioctl(kvm, KVM_CREATE_VM, 0UL);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? ERR(-errno, "cannot make a virtual machine") : fd;
}

/* What must stand before the first processor: KVM gives a processor its local APIC when it is made. */
static int set_platform(const struct kvm_vm *vm)
{
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, (unsigned long)KVM_TSS_ADDR) < 0)
		return ERR(-errno, "cannot give KVM its pages at 0x%x of the guest", KVM_TSS_ADDR);
	if (vm->irqchip && ioctl(vm->fd, KVM_CREATE_IRQCHIP, 0UL) < 0)
		return ERR(-errno, "cannot make the virtual machine's interrupt controllers");
	return 0;
}

static int fill(struct kvm_vm *vm)
{
	int version, run_size, slots, r;

	vm->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm < 0)
		return ERR(-errno, "cannot open /dev/kvm");
	version = ioctl(vm->kvm, KVM_GET_API_VERSION, 0UL);
	if (version != KVM_API_VERSION)
		return ERR_PLAIN(-EPROTO, "/dev/kvm speaks version %d of its interface, not %d", version, KVM_API_VERSION);
	run_size = ioctl(vm->kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	if (run_size < (int)sizeof(struct kvm_run))
		return ERR_PLAIN(-EPROTO, "/dev/kvm says that a processor's shared pages have %d bytes", run_size);
	vm->run_size = (size_t)run_size;
	slots = ioctl(vm->kvm, KVM_CHECK_EXTENSION, (unsigned long)KVM_CAP_NR_MEMSLOTS);
	vm->max_slots = slots > 0 ? (uint32_t)slots : 32;	/* what there always was */
	r = create_vm(vm->kvm);
	if (r < 0)
		return r;
	vm->fd = r;
	return set_platform(vm);
}

int kvm_vm_init(struct kvm_vm *ret_vm, bool irqchip)
{
	_cleanup_kvm_vm_ struct kvm_vm vm = KVM_VM_NULL;
	int r;

	vm.irqchip = irqchip;
	r = fill(&vm);
	if (r < 0)
		return r;
	*ret_vm = vm;
	vm = (struct kvm_vm)KVM_VM_NULL;
	return 0;
}

void kvm_vm_deinit(struct kvm_vm *vm)
{
	fd_close(&vm->fd);
	fd_close(&vm->kvm);
}

int kvm_vm_add_memory(struct kvm_vm *vm, const struct kvm_slot *slot)
{
	const struct kvm_userspace_memory_region region = {
		.slot = vm->slots,
		.flags = slot->read_only ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = slot->guest_addr,
		.memory_size = slot->size,
		.userspace_addr = (uint64_t)(uintptr_t)slot->host,
	};
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	/* KVM takes size 0 for "remove this slot". */
	if (slot->size == 0 || (slot->guest_addr | slot->size | region.userspace_addr) % page != 0 ||
	    slot->guest_addr + slot->size < slot->guest_addr)
		return ERR_PLAIN(-EINVAL, "guest memory at 0x%" PRIx64 " with 0x%" PRIx64 " bytes is not whole pages", slot->guest_addr,
				 slot->size);
	if (vm->slots >= vm->max_slots)
		return ERR_PLAIN(-ENOSPC, "KVM takes at most %" PRIu32 " pieces of guest memory", vm->max_slots);
	if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
		return ERR(-errno, "cannot give the guest 0x%" PRIx64 " bytes of memory at 0x%" PRIx64, slot->size, slot->guest_addr);
	vm->slots++;
	return 0;
}

static int set_irqfd(const struct kvm_vm *vm, struct kvm_irqfd *req)
{
	if (ioctl(vm->fd, KVM_IRQFD, req) < 0)
		return ERR(-errno, "cannot tie interrupt %" PRIu32 " to an eventfd", req->gsi);
	return 0;
}

int kvm_vm_irqfd(const struct kvm_vm *vm, int eventfd, uint32_t gsi, int resample_fd)
{
	struct kvm_irqfd req = { .fd = (uint32_t)eventfd, .gsi = gsi };

	if (resample_fd >= 0) {
		req.flags = KVM_IRQFD_FLAG_RESAMPLE;
		req.resamplefd = (uint32_t)resample_fd;
	}
	return set_irqfd(vm, &req);
}

int kvm_vm_irqfd_remove(const struct kvm_vm *vm, int eventfd, uint32_t gsi)
{
	struct kvm_irqfd req = { .fd = (uint32_t)eventfd, .gsi = gsi, .flags = KVM_IRQFD_FLAG_DEASSIGN };

	return set_irqfd(vm, &req);
}

static int set_ioeventfd(const struct kvm_vm *vm, int eventfd, const struct kvm_doorbell *d, uint32_t flags)
{
	const struct kvm_ioeventfd req = {
		.fd = eventfd,
		.addr = d->addr,
		.len = d->size,
		.datamatch = d->value,
		.flags = flags | (d->pio ? KVM_IOEVENTFD_FLAG_PIO : 0) | (d->match ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0),
	};

	if (ioctl(vm->fd, KVM_IOEVENTFD, &req) < 0)
		return ERR(-errno, "cannot tie writes to %s 0x%" PRIx64 " to an eventfd", d->pio ? "port" : "address", d->addr);
	return 0;
}

int kvm_vm_ioeventfd(const struct kvm_vm *vm, int eventfd, const struct kvm_doorbell *d)
{
	return set_ioeventfd(vm, eventfd, d, 0);
}

int kvm_vm_ioeventfd_remove(const struct kvm_vm *vm, int eventfd, const struct kvm_doorbell *d)
{
	return set_ioeventfd(vm, eventfd, d, KVM_IOEVENTFD_FLAG_DEASSIGN);
}
