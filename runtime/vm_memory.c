/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of its memory the guest is to do without: a wish that goes to whichever monitor runs it, our own by a packet,
 * QEMU by its protocol; and how far it is, which comes back in the same way.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "microvm/machine.h"
#include "runtime/base/err.h"
#include "runtime/vm_parts.h"

/* What is said now to QEMU. A command that it does not take whole would be cut in the middle: it ends the talk. */
static void flush_qmp(struct vm_supervisor *vm)
{
	char command[VM_QMP_COMMAND_MAX];
	size_t len;

	while ((len = vm_qmp_next(&vm->qmp, command)) > 0)
		if (send(vm->control, command, len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)len)
			vm->qmp.broken = true;
}

/* Its end is told by its process. */
static void stop_listening(struct vm_supervisor *vm, ssize_t n)
{
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		event_loop_remove(&vm->loop, &vm->control_source);
}

static void qmp_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;
	char bytes[1024];
	ssize_t n = recv(vm->control, bytes, sizeof(bytes), MSG_DONTWAIT);

	(void)events;
	if (n > 0 && vm_qmp_receive(&vm->qmp, bytes, (size_t)n) < 0) {
		/* The guest goes on; who wants its memory changed is told. */
		err_clear();
		event_loop_remove(&vm->loop, &vm->control_source);
		return;
	}
	stop_listening(vm, n);
	if (n > 0)
		flush_qmp(vm);
	vm->balloon = vm->qmp.balloon;
}

static void packet_ready(void *data, uint32_t events)
{
	struct vm_supervisor *vm = data;
	struct machine_answer answer;
	ssize_t n = recv(vm->control, &answer, sizeof(answer), MSG_DONTWAIT);

	(void)events;
	if (n == (ssize_t)sizeof(answer))
		vm->balloon = answer.balloon;
	stop_listening(vm, n);
}

int vm_memory_open(struct vm_supervisor *vm)
{
	int r;

	vm->qmp.ram = vm->start->machine.ram_size;
	vm->control_source = (struct event_source){
		.fd = vm->control, .events = EPOLLIN, .ready = vm->start->qemu != NULL ? qmp_ready : packet_ready, .data = vm };
	r = event_loop_add(&vm->loop, &vm->control_source);
	return r < 0 ? ERR(r, "cannot watch the monitor") : 0;
}

static int ask_qemu(struct vm_supervisor *vm, uint64_t less)
{
	vm->qmp.less = less;
	vm->qmp.ask = true;
	flush_qmp(vm);
	return vm->qmp.broken ? ERR_PLAIN(-EPROTO, "QEMU does not keep to its monitor's protocol") : 0;
}

int vm_memory_ask(struct vm_supervisor *vm, uint64_t less, uint64_t *ret_missing)
{
	const struct machine_request q = { .balloon = less };
	int r = 0;

	if (vm->start->qemu != NULL)
		r = ask_qemu(vm, less);
	else if (send(vm->control, &q, sizeof(q), MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)sizeof(q))
		r = ERR(-errno, "cannot reach the monitor");
	*ret_missing = less > vm->balloon ? less - vm->balloon : 0;
	return r;
}
