/* SPDX-License-Identifier: Apache-2.0 */
#include "microvm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

/* ---- making ---- */

static void interrupt_only(int sig)
{
	(void)sig;
}

/* Without SA_RESTART. The same for every processor, so it may be done again. */
static int catch_signal(void)
{
	struct sigaction act = { .sa_handler = interrupt_only };

	sigemptyset(&act.sa_mask);
	return sigaction(VCPU_SIGNAL, &act, NULL) < 0 ? ERR(-errno, "cannot catch signal %d", VCPU_SIGNAL) : 0;
}

int vcpu_init(struct vcpu *v, const struct kvm_vm *vm, unsigned int index, const struct vcpu_ops *ops, void *owner)
{
	_cleanup_close_ int fd = FD_NONE;
	void *run;
	int r = catch_signal();

	if (r < 0)
		return r;
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)index);
	if (fd < 0)
		return ERR(-errno, "cannot make processor %u", index);
	run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		return ERR(-errno, "cannot map what processor %u shares with KVM", index);
	*v = (struct vcpu){
		.fd = take_fd(&fd),
		.index = index,
		.irqchip = vm->irqchip,
		.run = run,
		.run_size = vm->run_size,
		.ops = ops,
		.owner = owner,
	};
	return 0;
}

void vcpu_deinit(struct vcpu *v)
{
	if (v->run != NULL)
		munmap(v->run, v->run_size);
	v->run = NULL;
	fd_close(&v->fd);
}

/* ---- exits ---- */

__attribute__((format(printf, 2, 3))) static enum vcpu_end fail(struct vcpu *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
	return VCPU_FAILED;
}

/*
 * What a read of a port gives when nothing answers. Zeros are what kernels take best ("no such device, no bit set"),
 * except where they look for ones: the keyboard controller (0x60, 0x64: a status of ones is "none there") and PCI
 * configuration (0xcf8 to 0xcff: a vendor of ones is "no device").
 */
static int unclaimed_port(uint16_t port)
{
	return port == 0x60 || port == 0x64 || (port >= 0xcf8 && port <= 0xcff) ? 0xff : 0;
}

static enum vcpu_end port_access(const struct vcpu *v, bool in, uint16_t port, uint8_t *data, uint32_t size)
{
	if (!in)
		return v->ops->pio_write != NULL ? v->ops->pio_write(v->owner, port, data, size) : VCPU_GOES_ON;
	/* The bytes are whatever the last exit left there; a device that fills too few must not tell the guest. */
	memset(data, 0, size);
	if (v->ops->pio_read == NULL || !v->ops->pio_read(v->owner, port, data, size))
		memset(data, unclaimed_port(port), size);
	return VCPU_GOES_ON;
}

/* A string instruction (rep outsb) comes as count accesses to one port, their data one after the other. */
static enum vcpu_end handle_io(struct vcpu *v)
{
	const uint32_t size = v->run->io.size, count = v->run->io.count;
	const uint64_t offset = v->run->io.data_offset;
	const uint16_t port = v->run->io.port;
	const bool in = v->run->io.direction == KVM_EXIT_IO_IN;
	uint8_t *data;

	if ((size != 1 && size != 2 && size != 4) || offset > v->run_size || (uint64_t)size * count > v->run_size - offset)
		return fail(v, "KVM tells of an access to port 0x%x (%" PRIu32 " times %" PRIu32 " bytes) outside of its pages", port, count,
			    size);
	data = (uint8_t *)v->run + offset;
	for (uint32_t i = 0; i < count; i++, data += size) {
		enum vcpu_end end = port_access(v, in, port, data, size);

		if (end != VCPU_GOES_ON)
			return end;
	}
	return VCPU_GOES_ON;
}

static enum vcpu_end handle_mmio(struct vcpu *v)
{
	const uint64_t addr = v->run->mmio.phys_addr;
	const uint32_t size = v->run->mmio.len;
	uint8_t *data = v->run->mmio.data;

	if (size == 0 || size > sizeof(v->run->mmio.data))
		return fail(v, "KVM tells of an access of %" PRIu32 " bytes to address 0x%" PRIx64, size, addr);
	if (v->run->mmio.is_write)
		return v->ops->mmio_write != NULL ? v->ops->mmio_write(v->owner, addr, data, size) : VCPU_GOES_ON;
	memset(data, 0, sizeof(v->run->mmio.data));
	/* A bus without an answer floats high. */
	if (v->ops->mmio_read == NULL || !v->ops->mmio_read(v->owner, addr, data, size))
		memset(data, 0xff, size);
	return VCPU_GOES_ON;
}

static enum vcpu_end handle_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		return VCPU_POWER_OFF;
	case KVM_SYSTEM_EVENT_RESET:
		return VCPU_RESET;
	case KVM_SYSTEM_EVENT_CRASH:
		return fail(v, "the guest's kernel reports that it crashed");
	default:
		return fail(v, "KVM tells of system event %" PRIu32 ", which nacre does not know", v->run->system_event.type);
	}
}

/* "KVM cannot emulate the guest's instruction 0f c7 08", with as many bytes as KVM gave (since Linux 5.13). */
static enum vcpu_end cannot_emulate(struct vcpu *v)
{
	const uint64_t flags = v->run->emulation_failure.flags;
	char bytes[3 * sizeof(v->run->emulation_failure.insn_bytes) + 1] = "";
	size_t n = v->run->emulation_failure.insn_size;

	if (v->run->emulation_failure.ndata < 3 || !(flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return fail(v, "KVM cannot emulate an instruction of the guest");
	if (n > sizeof(v->run->emulation_failure.insn_bytes))
		n = sizeof(v->run->emulation_failure.insn_bytes);
	for (size_t i = 0; i < n; i++)
		snprintf(bytes + 3 * i, 4, " %02x", v->run->emulation_failure.insn_bytes[i]);
	return fail(v, "KVM cannot emulate an instruction of the guest:%s", bytes);
}

static enum vcpu_end handle_internal_error(struct vcpu *v)
{
	static const char *const texts[] = {
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "several exceptions at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "an interrupt or exception that cannot be delivered",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit of the hardware that it does not know",
	};
	const uint32_t sub = v->run->internal.suberror;

	if (sub == KVM_INTERNAL_ERROR_EMULATION)
		return cannot_emulate(v);
	if (sub < ARRAY_SIZE(texts) && texts[sub] != NULL)
		return fail(v, "KVM cannot run the guest: %s", texts[sub]);
	return fail(v, "KVM cannot run the guest: internal error %" PRIu32, sub);
}

enum vcpu_end vcpu_dispatch(struct vcpu *v)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_IO:
		return handle_io(v);
	case KVM_EXIT_MMIO:
		return handle_mmio(v);
	case KVM_EXIT_HLT:
		return VCPU_HALT;
	case KVM_EXIT_SHUTDOWN:
		return VCPU_SHUTDOWN;
	case KVM_EXIT_SYSTEM_EVENT:
		return handle_system_event(v);
	case KVM_EXIT_INTR:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
		return VCPU_GOES_ON;
	case KVM_EXIT_FAIL_ENTRY:
		return fail(v, "the processor refuses the guest's state (hardware reason 0x%" PRIx64 ")",
			    (uint64_t)v->run->fail_entry.hardware_entry_failure_reason);
	case KVM_EXIT_INTERNAL_ERROR:
		return handle_internal_error(v);
	default:
		return fail(v, "KVM gave the guest back for reason %" PRIu32 ", which nacre does not know", v->run->exit_reason);
	}
}

/* ---- running ---- */

/*
 * KVM_RUN was interrupted: is it for a stop request? immediate_exit is cleared before the flag is looked at, and
 * vcpu_stop() sets the flag before it: so a request that this clearing takes away is one that is seen here.
 */
static bool stop_requested(struct vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	return __atomic_exchange_n(&v->stop, false, __ATOMIC_SEQ_CST);
}

static enum vcpu_end run_to_end(struct vcpu *v)
{
	for (;;) {
		enum vcpu_end end;

		if (ioctl(v->fd, KVM_RUN, 0UL) == 0) {
			end = vcpu_dispatch(v);
			if (end != VCPU_GOES_ON)
				return end;
		} else if (errno != EINTR && errno != EAGAIN) {
			return fail(v, "KVM cannot run the guest: %s", strerrordesc_np(errno));
		} else if (stop_requested(v)) {
			/* EAGAIN: a processor that waited for its startup message has it now. */
			return VCPU_STOPPED;
		}
	}
}

enum vcpu_end vcpu_run(struct vcpu *v)
{
	enum vcpu_end end;
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, VCPU_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, &old);
	v->reason[0] = '\0';
	/* From here on vcpu_stop() sends the signal; before, KVM_RUN below sees its immediate_exit. */
	__atomic_store_n(&v->tid, gettid(), __ATOMIC_SEQ_CST);
	end = run_to_end(v);
	__atomic_store_n(&v->tid, 0, __ATOMIC_SEQ_CST);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (end == VCPU_FAILED) {
		log_debug("processor %u: %s", v->index, v->reason);
		vcpu_log_registers(v);
	}
	return end;
}

void vcpu_stop(struct vcpu *v)
{
	pid_t tid;

	__atomic_store_n(&v->stop, true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	tid = __atomic_load_n(&v->tid, __ATOMIC_SEQ_CST);
	/* Should the thread end meanwhile and its number be another thread's of ours: that one is interrupted for nothing. */
	if (tid > 0)
		tgkill(getpid(), tid, VCPU_SIGNAL);
}
