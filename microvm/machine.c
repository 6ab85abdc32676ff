/* SPDX-License-Identifier: Apache-2.0 */
/* A machine from its beginning to its end. See machine.h. */
#include "microvm/machine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microvm/machine_parts.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

const char *machine_end_name(enum machine_end end)
{
	static const char *const names[] = {
		[MACHINE_NOT_RUN] = "not-run",
		[MACHINE_POWER_OFF] = "power-off",
		[MACHINE_RESET] = "reset",
		[MACHINE_TRIPLE_FAULT] = "triple-fault",
		[MACHINE_STOPPED] = "stopped",
		[MACHINE_BACKEND_GONE] = "backend-gone",
		[MACHINE_FAILED] = "failed",
	};

	return (size_t)end < ARRAY_SIZE(names) ? names[end] : "unknown";
}

void machine_end(struct machine *m, enum machine_end end, const char *reason)
{
	const uint64_t one = 1;

	if (m->end != MACHINE_NOT_RUN)
		return;
	m->end = end;
	snprintf(m->reason, sizeof(m->reason), "%s", reason);
	(void)!write(m->wake, &one, sizeof(one));
}

/* ---- processors ---- */

/* What the end of one processor means for the machine. */
static void vcpu_ended(struct machine_vcpu *p, enum vcpu_end end)
{
	struct machine *m = p->machine;
	char text[MACHINE_REASON_MAX];

	switch (end) {
	case VCPU_STOPPED:
		break;
	case VCPU_POWER_OFF:
		machine_end(m, MACHINE_POWER_OFF, "the guest switched itself off");
		break;
	case VCPU_RESET:
		machine_end(m, MACHINE_RESET, "the guest asked for a reset");
		break;
	case VCPU_SHUTDOWN:
		snprintf(text, sizeof(text), "triple fault of processor %u", p->vcpu.index);
		machine_end(m, MACHINE_TRIPLE_FAULT, text);
		break;
	default:
		snprintf(text, sizeof(text), "processor %u: %.200s", p->vcpu.index,
			 end == VCPU_FAILED ? p->vcpu.reason : "it halted for ever");
		machine_end(m, MACHINE_FAILED, text);
	}
}

static void *vcpu_thread(void *data)
{
	struct machine_vcpu *p = data;
	struct machine *m = p->machine;
	enum vcpu_end end = VCPU_STOPPED;
	int r;

	/* The error text, which a failure would set, is the machine's one. */
	pthread_mutex_lock(&m->lock);
	r = m->config->vcpu_ready != NULL ? m->config->vcpu_ready(m->config->data) : 0;
	if (r != 0)
		machine_end(m, MACHINE_FAILED, r < 0 ? err_text() : "a processor's thread could not be prepared");
	pthread_mutex_unlock(&m->lock);
	if (r == 0)
		end = vcpu_run(&p->vcpu);
	pthread_mutex_lock(&m->lock);
	vcpu_ended(p, end);
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

/* Signals are for the calling thread. The first processor comes last: the others wait for it. */
static int start_vcpus(struct machine *m)
{
	sigset_t all, before;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = m->config->vcpus; i-- > 0 && r == 0;) {
		r = pthread_create(&m->vcpus[i].thread, NULL, vcpu_thread, &m->vcpus[i]);
		m->vcpus[i].started = r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r == 0 ? 0 : ERR(-r, "cannot make a thread for a processor");
}

static void stop_vcpus(struct machine *m)
{
	for (unsigned int i = 0; i < m->config->vcpus; i++)
		if (m->vcpus[i].started)
			vcpu_stop(&m->vcpus[i].vcpu);
	for (unsigned int i = 0; i < m->config->vcpus; i++)
		if (m->vcpus[i].started)
			pthread_join(m->vcpus[i].thread, NULL);
}

static int make_vcpus(struct machine *m)
{
	int r = 0;

	m->vcpus = calloc(m->config->vcpus, sizeof(*m->vcpus));
	if (m->vcpus == NULL)
		return ERR_NOMEM();
	for (unsigned int i = 0; i < m->config->vcpus && r == 0; i++) {
		m->vcpus[i].machine = m;
		r = vcpu_init(&m->vcpus[i].vcpu, &m->vm, i, &machine_vcpu_ops, m);
		m->vcpus[i].made = r == 0;
	}
	return r;
}

static int set_up_vcpus(struct machine *m, const struct vcpu_start *start)
{
	int r = 0;

	for (unsigned int i = 0; i < m->config->vcpus && r == 0; i++)
		r = vcpu_setup(&m->vcpus[i].vcpu, &m->vm, m->config->vcpus, i == 0 ? start : NULL);
	return r;
}

/* ---- the loop ---- */

static void woken(void *data, uint32_t events)
{
	const struct machine *m = data;
	uint64_t n;

	(void)events;
	(void)!read(m->wake, &n, sizeof(n));
}

static void stop_asked(void *data, uint32_t events)
{
	(void)events;
	machine_end(data, MACHINE_STOPPED, "the machine was told to stop");
}

/* The end is no wish: who has the other end decides about us by other means. */
static void control_ready(void *data, uint32_t events)
{
	struct machine *m = data;
	struct machine_answer answer;
	struct machine_request q;
	ssize_t n = recv(m->config->control, &q, sizeof(q), MSG_DONTWAIT | MSG_TRUNC);

	(void)events;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		event_loop_remove(&m->loop, &m->control_source);
	if (n != (ssize_t)sizeof(q))
		return;
	virtio_balloon_set_target(&m->balloon, (uint32_t)((q.balloon < m->config->ram_size ? q.balloon : m->config->ram_size) /
							   VIRTIO_BALLOON_PAGE_SIZE));
	answer.balloon = (uint64_t)m->balloon.actual * VIRTIO_BALLOON_PAGE_SIZE;
	/* Who does not read what it is told does not want it. */
	(void)!write(m->config->control, &answer, sizeof(answer));
}

static void loop_waits(void *data, bool begins)
{
	struct machine *m = data;

	if (begins)
		pthread_mutex_unlock(&m->lock);
	else
		pthread_mutex_lock(&m->lock);
}

static int make_loop(struct machine *m)
{
	int r = event_loop_init(&m->loop);

	if (r < 0)
		return r;
	m->loop.waiting = loop_waits;
	m->loop.waiting_data = m;
	m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->wake < 0)
		return ERR(-errno, "cannot make an event descriptor");
	m->wake_source = (struct event_source){ .fd = m->wake, .events = EPOLLIN, .ready = woken, .data = m };
	r = event_loop_add(&m->loop, &m->wake_source);
	if (r == 0 && m->config->control >= 0) {
		m->control_source = (struct event_source){ .fd = m->config->control, .events = EPOLLIN, .ready = control_ready, .data = m };
		r = event_loop_add(&m->loop, &m->control_source);
	}
	if (r < 0 || m->config->stop < 0)
		return r;
	m->stop_source = (struct event_source){ .fd = m->config->stop, .events = EPOLLIN, .ready = stop_asked, .data = m };
	return event_loop_add(&m->loop, &m->stop_source);
}

/* Until the end is known. With the lock held. */
static void loop(struct machine *m)
{
	bool more = false;

	while (m->end == MACHINE_NOT_RUN) {
		if (event_loop_run(&m->loop, more ? 0 : -1) < 0)
			machine_end(m, MACHINE_FAILED, err_text());
		more = bus_continue(&m->bus);
	}
}

/* ---- building it ---- */

static int check_config(const struct machine_config *c)
{
	if (c->vcpus < 1 || c->vcpus > MACHINE_VCPUS_MAX)
		return ERR_PLAIN(-EINVAL, "a machine has 1 to %d processors, not %u", MACHINE_VCPUS_MAX, c->vcpus);
	return 0;
}

static int give_memory(struct machine *m)
{
	int r = guest_memory_init(&m->memory, m->config->ram_size);

	for (size_t i = 0; i < m->memory.n && r == 0; i++) {
		const struct guest_region *g = &m->memory.regions[i];

		r = kvm_vm_add_memory(&m->vm, &(struct kvm_slot){ .guest_addr = g->addr, .size = g->size, .host = g->host });
	}
	return r;
}

static int build(struct machine *m)
{
	struct vcpu_start start;
	int r = check_config(m->config);

	if (r == 0)
		r = kvm_vm_init(&m->vm, true);
	if (r == 0)
		r = give_memory(m);
	if (r == 0)
		r = make_loop(m);
	if (r == 0)
		r = make_vcpus(m);
	if (r == 0)
		r = machine_devices_init(m);
	if (r == 0)
		r = machine_load(m, &start);
	return r == 0 ? set_up_vcpus(m, &start) : r;
}

/* The processors first: the VM's memory and eventfds are theirs, too. */
static void take_down(struct machine *m)
{
	for (unsigned int i = 0; m->vcpus != NULL && i < m->config->vcpus; i++)
		if (m->vcpus[i].made)
			vcpu_deinit(&m->vcpus[i].vcpu);
	free(m->vcpus);
	machine_devices_deinit(m);
	event_loop_remove(&m->loop, &m->control_source);
	event_loop_remove(&m->loop, &m->stop_source);
	event_loop_remove(&m->loop, &m->wake_source);
	event_loop_deinit(&m->loop);
	fd_close(&m->wake);
	kvm_vm_deinit(&m->vm);
	guest_memory_deinit(&m->memory);
	pthread_mutex_destroy(&m->lock);
}

static int run(struct machine *m)
{
	int r = m->config->ready != NULL ? m->config->ready(m->config->data) : 0;

	if (r != 0)
		return r < 0 ? r : ERR_PLAIN(-ECANCELED, "the machine's process could not be prepared");
	pthread_mutex_lock(&m->lock);
	if (start_vcpus(m) < 0)
		machine_end(m, MACHINE_FAILED, err_text());
	loop(m);
	pthread_mutex_unlock(&m->lock);
	stop_vcpus(m);
	return 0;
}

int machine_run(const struct machine_config *c, enum machine_end *ret_end, char reason[MACHINE_REASON_MAX])
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct machine *m = calloc(1, sizeof(*m));
	int r;

	*ret_end = MACHINE_NOT_RUN;
	snprintf(reason, MACHINE_REASON_MAX, "out of memory");
	if (m == NULL)
		return ERR_NOMEM();
	m->config = c;
	m->memory = (struct guest_memory)GUEST_MEMORY_NULL;
	m->vm = (struct kvm_vm)KVM_VM_NULL;
	m->loop = (struct event_loop)EVENT_LOOP_NULL;
	m->wake = m->serial_interrupt = FD_NONE;
	pthread_mutex_init(&m->lock, NULL);
	/* A console or a back end whose reader is gone is an error of one write. */
	sigaction(SIGPIPE, &ignore, NULL);
	r = build(m);
	if (r == 0)
		r = run(m);
	if (r < 0)
		snprintf(m->reason, sizeof(m->reason), "%s", err_text());
	*ret_end = m->end;
	memcpy(reason, m->reason, sizeof(m->reason));
	take_down(m);
	free(m);
	return r;
}
