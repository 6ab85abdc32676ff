/* SPDX-License-Identifier: Apache-2.0 */
/* One loop over file descriptors. See event_loop.h. */
#include "microvm/event_loop.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"

int event_loop_init(struct event_loop *l)
{
	*l = (struct event_loop)EVENT_LOOP_NULL;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return ERR(-errno, "cannot make an epoll instance");
	l->awake = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->awake < 0) {
		int r = ERR(-errno, "cannot make an event descriptor");

		event_loop_deinit(l);
		return r;
	}
	return 0;
}

void event_loop_deinit(struct event_loop *l)
{
	fd_close(&l->awake);
	fd_close(&l->epoll);
	*l = (struct event_loop)EVENT_LOOP_NULL;
}

/* ---- files that are always ready ---- */

/*
 * The loop wakes up for them by a descriptor of its own instead of a time limit of 0: so it also does when another
 * thread adds one while the loop waits. It has no source.
 */
static int update_awake(struct event_loop *l)
{
	struct epoll_event e = { .events = EPOLLIN, .data = { .ptr = NULL } };
	bool wanted = false;

	for (const struct event_source *s = l->always; s != NULL && !wanted; s = s->next)
		wanted = s->events != 0;
	if (wanted == l->awake_watched)
		return 0;
	if (epoll_ctl(l->epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, l->awake, &e) < 0)
		return ERR(-errno, "cannot watch a file");
	l->awake_watched = wanted;
	return 0;
}

/* In front: a round that is under way does not reach it. */
static void link_always(struct event_loop *l, struct event_source *s)
{
	s->previous = NULL;
	s->next = l->always;
	if (s->next != NULL)
		s->next->previous = s;
	l->always = s;
}

static void unlink_always(struct event_loop *l, struct event_source *s)
{
	if (l->next_always == s)
		l->next_always = s->next;
	if (s->previous != NULL)
		s->previous->next = s->next;
	else
		l->always = s->next;
	if (s->next != NULL)
		s->next->previous = s->previous;
	s->next = s->previous = NULL;
}

/* ---- sources ---- */

/* Has epoll watch what the source asks for. One that asks for nothing is not there: epoll would report its hang-up. */
static int watch(struct event_loop *l, struct event_source *s)
{
	struct epoll_event e = { .events = s->events, .data = { .ptr = s } };
	int op;

	if (s->always)
		return update_awake(l);
	if (s->events == 0 && !s->watched)
		return 0;
	op = s->events == 0 ? EPOLL_CTL_DEL : s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(l->epoll, op, s->fd, &e) == 0) {
		s->watched = s->events != 0;
		return 0;
	}
	if (errno != EPERM || op != EPOLL_CTL_ADD)
		return ERR(-errno, "cannot watch descriptor %d", s->fd);
	s->always = true;
	link_always(l, s);
	return update_awake(l);
}

int event_loop_add(struct event_loop *l, struct event_source *s)
{
	int r;

	if (s->added)
		return ERR_PLAIN(-EEXIST, "descriptor %d is watched already", s->fd);
	s->watched = s->always = false;
	s->next = s->previous = NULL;
	s->added = true;
	r = watch(l, s);
	if (r < 0)
		event_loop_remove(l, s);
	return r;
}

int event_loop_modify(struct event_loop *l, struct event_source *s, uint32_t events)
{
	uint32_t before = s->events;
	int r;

	if (!s->added)
		return ERR_PLAIN(-ENOENT, "descriptor %d is not watched", s->fd);
	if (events == before)
		return 0;
	s->events = events;
	r = watch(l, s);
	if (r < 0)
		s->events = before;
	return r;
}

void event_loop_remove(struct event_loop *l, struct event_source *s)
{
	if (!s->added)
		return;
	s->added = false;
	for (int i = 0; i < l->n_batch; i++)
		if (l->batch[i].data.ptr == s)
			l->batch[i].data.ptr = NULL;
	if (s->always) {
		unlink_always(l, s);
		(void)update_awake(l);
	}
	/* It fails when the descriptor is closed; then epoll does not have it any more. */
	if (s->watched)
		(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	s->always = s->watched = false;
}

/* ---- a round ---- */

/*
 * poll(2) first: epoll_wait(2) would write the batch while another thread removes a source from it.
 */
static int wait_ready(struct event_loop *l, int timeout_ms)
{
	struct pollfd p = { .fd = l->epoll, .events = POLLIN };
	int r;

	if (l->waiting != NULL)
		l->waiting(l->waiting_data, true);
	r = poll(&p, 1, timeout_ms) < 0 ? -errno : 0;
	if (l->waiting != NULL)
		l->waiting(l->waiting_data, false);
	return r == -EINTR ? 0 : r;
}

static int call_batch(struct event_loop *l)
{
	int called = 0;

	for (int i = 0; i < l->n_batch; i++) {
		struct event_source *s = l->batch[i].data.ptr;
		uint32_t events;

		if (s == NULL || s->events == 0)
			continue;
		events = l->batch[i].events & (s->events | EPOLLERR | EPOLLHUP);
		if (events == 0)
			continue;
		s->ready(s->data, events);
		called++;
	}
	l->n_batch = 0;
	return called;
}

static int call_always(struct event_loop *l)
{
	int called = 0;

	for (struct event_source *s = l->always; s != NULL; s = l->next_always) {
		l->next_always = s->next;
		if ((s->events & (EPOLLIN | EPOLLOUT)) == 0)
			continue;
		s->ready(s->data, s->events & (EPOLLIN | EPOLLOUT));
		called++;
	}
	return called;
}

int event_loop_run(struct event_loop *l, int timeout_ms)
{
	int r, called;

	r = wait_ready(l, timeout_ms);
	if (r < 0)
		return ERR(r, "cannot wait for events");
	r = epoll_wait(l->epoll, l->batch, EVENT_BATCH_MAX, 0);
	if (r < 0)
		return errno == EINTR ? 0 : ERR(-errno, "cannot wait for events");
	l->n_batch = r;
	called = call_batch(l);
	return called + call_always(l);
}
