/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: who is called, and who is not any more. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "microvm/event_loop.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/* One end of a socket pair in the loop, and what happens when it is called. */
struct end {
	struct event_source source;
	struct event_loop *loop;
	int fds[2];
	unsigned int calls;
	uint32_t events;
	struct end *remove;	/* is removed, closed and freed */
	struct end *silence;	/* is asked for nothing */
	struct end *add;
};

static void end_free(struct end *e)
{
	event_loop_remove(e->loop, &e->source);
	fd_close(&e->fds[0]);
	fd_close(&e->fds[1]);
	free(e);
}

static void end_ready(void *data, uint32_t events)
{
	struct end *e = data;

	e->calls++;
	e->events = events;
	if (e->silence != NULL)
		(void)event_loop_modify(e->loop, &e->silence->source, 0);
	if (e->add != NULL && !e->add->source.added)
		(void)event_loop_add(e->loop, &e->add->source);
	if (e->remove != NULL)
		end_free(e->remove);	/* may be e */
}

static struct end *end_make(struct event_loop *l, uint32_t events)
{
	struct end *e = calloc(1, sizeof(*e));

	if (e == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, e->fds) < 0) {
		free(e);
		return NULL;
	}
	e->loop = l;
	e->source = (struct event_source){ .fd = e->fds[0], .events = events, .ready = end_ready, .data = e };
	return e;
}

/* One over a file, which epoll refuses. */
static struct end *file_make(struct event_loop *l)
{
	struct end *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->loop = l;
	e->fds[0] = memfd_create("file", MFD_CLOEXEC);
	e->fds[1] = FD_NONE;
	e->source = (struct event_source){ .fd = e->fds[0], .events = EPOLLIN, .ready = end_ready, .data = e };
	return e;
}

TEST(ready)
{
	_cleanup_event_loop_ struct event_loop l = EVENT_LOOP_NULL;
	struct end *e;

	if (!CHECK(event_loop_init(&l) == 0))
		return;
	e = end_make(&l, EPOLLIN);
	if (!CHECK(e != NULL))
		return;
	CHECK_INT(event_loop_modify(&l, &e->source, EPOLLOUT), -ENOENT);
	event_loop_remove(&l, &e->source);
	CHECK_INT(event_loop_add(&l, &e->source), 0);
	CHECK_INT(event_loop_add(&l, &e->source), -EEXIST);
	CHECK_INT(event_loop_run(&l, 0), 0);
	CHECK_INT(write(e->fds[1], "x", 1), 1);
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(e->calls, 2);
	CHECK_INT(e->events, EPOLLIN);
	CHECK_INT(event_loop_modify(&l, &e->source, EPOLLIN | EPOLLOUT), 0);
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(e->events, EPOLLIN | EPOLLOUT);
	/* Nothing asked, nothing said, the hang-up included; then it is. */
	CHECK_INT(event_loop_modify(&l, &e->source, 0), 0);
	fd_close(&e->fds[1]);
	CHECK_INT(event_loop_run(&l, 0), 0);
	CHECK_INT(event_loop_modify(&l, &e->source, EPOLLOUT), 0);
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK((e->events & EPOLLHUP) != 0);
	event_loop_remove(&l, &e->source);
	CHECK_INT(event_loop_run(&l, 0), 0);
	CHECK(!e->source.added);
	CHECK_INT(event_loop_add(&l, &e->source), 0);
	CHECK_INT(event_loop_run(&l, 0), 1);
	end_free(e);
	CHECK_INT(event_loop_run(&l, 0), 0);
}

TEST(refused)
{
	_cleanup_event_loop_ struct event_loop l = EVENT_LOOP_NULL;
	struct event_source s = { .fd = FD_NONE, .events = EPOLLIN, .ready = end_ready };

	if (!CHECK(event_loop_init(&l) == 0))
		return;
	CHECK_INT(event_loop_add(&l, &s), -EBADF);
	CHECK(!s.added);
	CHECK(strstr(err_text(), "cannot watch descriptor") != NULL);
	CHECK_INT(event_loop_run(&l, 0), 0);
}

/* Whichever of the two epoll names first frees the other one, whose event is in the same batch. */
TEST(removed_in_the_same_batch)
{
	_cleanup_event_loop_ struct event_loop l = EVENT_LOOP_NULL;
	struct end *a, *b, *left;

	if (!CHECK(event_loop_init(&l) == 0))
		return;
	a = end_make(&l, EPOLLOUT);
	b = end_make(&l, EPOLLOUT);
	if (!CHECK(a != NULL && b != NULL))
		return;
	a->remove = b;
	b->remove = a;
	CHECK_INT(event_loop_add(&l, &a->source), 0);
	CHECK_INT(event_loop_add(&l, &b->source), 0);
	CHECK_INT(event_loop_run(&l, -1), 1);
	/* Only the one that was called first is still in the loop's batch. */
	left = l.batch[0].data.ptr != NULL ? ((struct event_source *)l.batch[0].data.ptr)->data : NULL;
	if (!CHECK(left != NULL))
		return;
	CHECK_INT(left->calls, 1);
	/* And itself. */
	left->remove = left;
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(event_loop_run(&l, 0), 0);
}

/* The event that was reported before is not delivered to a source that asks for nothing, or was removed and added. */
TEST(silenced_and_added_in_the_same_batch)
{
	_cleanup_event_loop_ struct event_loop l = EVENT_LOOP_NULL;
	struct end *a, *b;

	if (!CHECK(event_loop_init(&l) == 0))
		return;
	a = end_make(&l, EPOLLOUT);
	b = end_make(&l, EPOLLOUT);
	if (!CHECK(a != NULL && b != NULL))
		return;
	a->silence = b;
	b->silence = a;
	CHECK_INT(event_loop_add(&l, &a->source), 0);
	CHECK_INT(event_loop_add(&l, &b->source), 0);
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(a->calls + b->calls, 1);
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(a->calls + b->calls, 2);
	a->silence = b->silence = NULL;
	event_loop_remove(&l, &b->source);
	b->calls = 0;
	b->source.events = EPOLLOUT;
	CHECK_INT(event_loop_modify(&l, &a->source, EPOLLOUT), 0);
	a->add = b;
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(b->calls, 0);
	CHECK_INT(event_loop_run(&l, -1), 2);
	CHECK_INT(b->calls, 1);
	end_free(a);
	end_free(b);
}

TEST(files)
{
	_cleanup_event_loop_ struct event_loop l = EVENT_LOOP_NULL;
	struct end *f[3], *s;

	if (!CHECK(event_loop_init(&l) == 0))
		return;
	s = end_make(&l, EPOLLIN);
	for (size_t i = 0; i < 3; i++) {
		f[i] = file_make(&l);
		if (!CHECK(f[i] != NULL && event_loop_add(&l, &f[i]->source) == 0))
			return;
	}
	if (!CHECK(s != NULL && event_loop_add(&l, &s->source) == 0))
		return;
	/* Ready for ever, and beside the others. */
	CHECK_INT(event_loop_run(&l, -1), 3);
	CHECK_INT(write(s->fds[1], "x", 1), 1);
	CHECK_INT(event_loop_run(&l, -1), 4);
	CHECK_INT(f[0]->calls, 2);
	CHECK_INT(f[0]->events, EPOLLIN);
	CHECK_INT(event_loop_modify(&l, &s->source, 0), 0);
	/* The last one that was added is called first: it removes the next one, or itself. */
	f[2]->remove = f[1];
	CHECK_INT(event_loop_run(&l, -1), 2);
	f[2]->remove = f[2];
	CHECK_INT(event_loop_run(&l, -1), 2);
	CHECK_INT(event_loop_modify(&l, &f[0]->source, 0), 0);
	CHECK_INT(event_loop_run(&l, 0), 0);
	CHECK_INT(event_loop_modify(&l, &f[0]->source, EPOLLOUT), 0);
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(f[0]->events, EPOLLOUT);
	/* One that is added by another is called in the next round. */
	f[1] = file_make(&l);
	if (!CHECK(f[1] != NULL))
		return;
	f[0]->add = f[1];
	CHECK_INT(event_loop_run(&l, -1), 1);
	CHECK_INT(event_loop_run(&l, -1), 2);
	end_free(f[0]);
	end_free(f[1]);
	end_free(s);
	CHECK_INT(event_loop_run(&l, 0), 0);
}

static void note_waiting(void *data, bool begins)
{
	unsigned int *n = data;

	/* Odd: waiting. */
	n[0] += (n[0] % 2 == 0) == begins ? 1 : 100;
}

TEST(waiting)
{
	_cleanup_event_loop_ struct event_loop l = EVENT_LOOP_NULL;
	unsigned int n = 0;

	if (!CHECK(event_loop_init(&l) == 0))
		return;
	l.waiting = note_waiting;
	l.waiting_data = &n;
	CHECK_INT(event_loop_run(&l, 0), 0);
	CHECK_INT(event_loop_run(&l, 1), 0);
	CHECK_INT(n, 4);
}

/* A loop, the mutex of all that uses it, and sources that another thread adds and removes while the loop waits. */
struct shared {
	struct event_loop loop;
	pthread_mutex_t mutex;
	struct end *file, *socket;
	bool added, removed;
};

static void unlock_while_waiting(void *data, bool begins)
{
	struct shared *s = data;

	if (begins)
		(void)pthread_mutex_unlock(&s->mutex);
	else
		(void)pthread_mutex_lock(&s->mutex);
}

static void *add_and_remove(void *data)
{
	struct shared *s = data;

	/* Only a wait lets this in. */
	(void)pthread_mutex_lock(&s->mutex);
	s->added = event_loop_add(&s->loop, &s->file->source) == 0;
	event_loop_remove(&s->loop, &s->socket->source);
	s->removed = true;
	(void)pthread_mutex_unlock(&s->mutex);
	return NULL;
}

TEST(another_thread)
{
	struct shared s = { .loop = EVENT_LOOP_NULL, .mutex = PTHREAD_MUTEX_INITIALIZER };
	pthread_t thread;

	if (!CHECK(event_loop_init(&s.loop) == 0))
		return;
	s.loop.waiting = unlock_while_waiting;
	s.loop.waiting_data = &s;
	s.file = file_make(&s.loop);
	s.socket = end_make(&s.loop, EPOLLIN);
	if (!CHECK(s.file != NULL && s.socket != NULL && event_loop_add(&s.loop, &s.socket->source) == 0))
		return;
	(void)pthread_mutex_lock(&s.mutex);
	CHECK_INT(pthread_create(&thread, NULL, add_and_remove, &s), 0);
	/* The file wakes it, long before this time is over. */
	CHECK_INT(event_loop_run(&s.loop, 60000), 1);
	CHECK(s.added && s.removed);
	CHECK_INT(s.file->calls, 1);
	(void)pthread_mutex_unlock(&s.mutex);
	(void)pthread_join(thread, NULL);
	s.loop.waiting = NULL;
	CHECK_INT(write(s.socket->fds[1], "x", 1), 1);
	event_loop_remove(&s.loop, &s.file->source);
	CHECK_INT(event_loop_run(&s.loop, 0), 0);
	end_free(s.file);
	end_free(s.socket);
	event_loop_deinit(&s.loop);
}

/* More than one batch holds: all of them are called after a few rounds. */
TEST(many)
{
	_cleanup_event_loop_ struct event_loop l = EVENT_LOOP_NULL;
	struct end *e[EVENT_BATCH_MAX + 8] = { NULL };
	const size_t n = sizeof(e) / sizeof(e[0]);
	unsigned int idle = 0;

	if (!CHECK(event_loop_init(&l) == 0))
		return;
	for (size_t i = 0; i < n; i++) {
		e[i] = end_make(&l, EPOLLOUT);
		if (!CHECK(e[i] != NULL && event_loop_add(&l, &e[i]->source) == 0))
			return;
	}
	CHECK_INT(event_loop_run(&l, -1), EVENT_BATCH_MAX);
	CHECK_INT(event_loop_run(&l, -1), EVENT_BATCH_MAX);
	for (size_t i = 0; i < n; i++) {
		idle += e[i]->calls == 0 ? 1 : 0;
		end_free(e[i]);
	}
	CHECK_INT(idle, 0);
}

TEST_MAIN(CASE(ready), CASE(refused), CASE(removed_in_the_same_batch), CASE(silenced_and_added_in_the_same_batch), CASE(files),
	  CASE(waiting), CASE(another_thread), CASE(many))
