/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: who is waited for, bytes in and out, processes that end. See agent.h; what frames do is in agent_frames.c. */
#include "microvm/guest/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "microvm/guest/job.h"
#include "microvm/guest/session.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/* Frames taken in one round: others have their turn, too. */
#define READS_MAX 4
#define LAST_WORDS_MS 1000

enum { POLL_PORT, POLL_SIGNALS, POLL_LOG, POLL_OOM, POLL_FIXED };

void agent_deinit(struct agent *a)
{
	while (a->sessions != NULL)
		agent_drop_session(a, a->sessions);
	while (a->jobs != NULL) {
		struct job *j = a->jobs;

		a->jobs = j->next;
		job_free(j);
	}
	channel_deinit(&a->channel);
	fd_close(&a->port);
	fd_close(&a->signals);
	fd_close(&a->log_from);
	fd_close(&a->log_to);
	backend_watch_deinit(&a->watch);
	arena_free(a->arena);
	free(a->ends);
	free(a->polls);
}

struct session *agent_session(const struct agent *a, uint32_t number)
{
	for (struct session *s = a->sessions; s != NULL; s = s->next)
		if (s->number == number && !s->freed)
			return s;
	return NULL;
}

void agent_drop_session(struct agent *a, struct session *s)
{
	struct session **at = &a->sessions;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	session_free(s);
}

/* ---- processes ---- */

/* Whose it is may be told later, by a job that is at work now. */
static int keep_end(struct agent *a, pid_t pid, int status)
{
	if (a->jobs == NULL)
		return 0;
	if (a->n_ends == a->cap_ends) {
		size_t cap = a->cap_ends > 0 ? a->cap_ends * 2 : 16;
		struct agent_end *v = reallocarray(a->ends, cap, sizeof(*v));

		if (v == NULL)
			return ERR_NOMEM();
		a->ends = v;
		a->cap_ends = cap;
	}
	a->ends[a->n_ends++] = (struct agent_end){ pid, status };
	return 0;
}

static bool is_job(const struct agent *a, pid_t pid)
{
	for (const struct job *j = a->jobs; j != NULL; j = j->next)
		if (j->pid == pid)
			return true;
	return false;
}

/* All orphans of the machine come to us. */
static int reap(struct agent *a)
{
	struct signalfd_siginfo info;
	int status, r = 0;
	pid_t pid;

	while (read(a->signals, &info, sizeof(info)) > 0)
		;
	while (r == 0 && (pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct session *s = a->sessions;

		while (s != NULL && (s->pid != pid || s->ended))
			s = s->next;
		if (s != NULL) {
			s->ended = true;
			s->status = status;
		} else if (!is_job(a, pid)) {
			r = keep_end(a, pid, status);
		}
	}
	return r;
}

static int serve_job(struct agent *a, struct job **at, bool *ret_ended)
{
	struct job *j = *at;
	int r = job_read(j);

	*ret_ended = r != 0;
	if (r == 0)
		return agent_job_made(a, j);
	if (r < 0)
		j->in.len = 0;	/* what it says is no answer */
	*at = j->next;
	r = agent_job_ended(a, j);
	job_free(j);
	return r;
}

static int serve_jobs(struct agent *a)
{
	struct job **at = &a->jobs;
	int r = 0;

	while (r == 0 && *at != NULL) {
		bool ended = false;

		r = serve_job(a, at, &ended);
		if (!ended)
			at = &(*at)->next;
	}
	if (a->jobs == NULL)
		a->n_ends = 0;
	return r;
}

static int tell_end(struct agent *a, struct session *s)
{
	unsigned char payload[CHANNEL_EXITED_SIZE];
	struct channel_exited e = { .status = s->status };
	int r = channel_send_close(&a->channel, s->number, CHANNEL_STDOUT);

	if (r == 0)
		r = channel_send_close(&a->channel, s->number, CHANNEL_STDERR);
	s->told = true;
	agent_look_oom(a);
	e.oom = WIFSIGNALED(s->status) && WTERMSIG(s->status) == SIGKILL && a->oom.kills > s->kills_before;
	channel_put_exited(payload, &e);
	return r < 0 ? r : channel_send(&a->channel, &(struct channel_frame){
		.type = CHANNEL_EXITED, .session = s->number, .data = payload, .size = sizeof(payload) });
}

static bool is_over(const struct session *s)
{
	return (s->told || (s->freed && (s->ended || s->pid == 0))) && s->fd[CHANNEL_STDOUT] < 0 && s->fd[CHANNEL_STDERR] < 0;
}

static int serve_sessions(struct agent *a)
{
	struct session *next;
	int r = 0;

	for (struct session *s = a->sessions; r == 0 && s != NULL; s = next) {
		next = s->next;
		r = session_relay(s, &a->channel);
		if (r == 0 && s->quiet && !s->told && !s->freed && s->number != 1)
			r = tell_end(a, s);
		if (r == 0 && s->number != 1 && is_over(s))
			agent_drop_session(a, s);
	}
	return r == 0 ? agent_finish(a) : r;
}

/* ---- bytes ---- */

static int serve_log(struct agent *a)
{
	unsigned char text[4096];
	ssize_t n = read(a->log_from, text, sizeof(text));

	while (n > 0 && text[n - 1] == '\n')
		n--;
	return n <= 0 ? 0 : channel_send(&a->channel, &(struct channel_frame){ .type = CHANNEL_LOG, .data = text, .size = (size_t)n });
}

/* 1: the host is gone. */
static int receive(struct agent *a)
{
	for (int i = 0; i < READS_MAX; i++) {
		struct channel_frame f;
		unsigned char *at;
		size_t room;
		ssize_t n;
		int r = channel_in(&a->channel, &at, &room);

		if (r < 0)
			return r;
		n = read(a->port, at, room);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return 1;
		channel_received(&a->channel, (size_t)n);
		while ((r = channel_next(&a->channel, &f)) == 1) {
			r = agent_frame(a, &f);
			if (r < 0)
				return r;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int transmit(struct agent *a)
{
	const unsigned char *out;
	size_t size;

	while ((out = channel_out(&a->channel, &size)) != NULL) {
		ssize_t n = write(a->port, out, size);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0)
			return ERR(-errno, "cannot write to the host");
		channel_sent(&a->channel, (size_t)n);
	}
	return 0;
}

/* ---- the loop ---- */

static int collect(struct agent *a, size_t *ret_n)
{
	size_t n = POLL_FIXED, need = POLL_FIXED, out;
	struct pollfd *p;

	for (const struct session *s = a->sessions; s != NULL; s = s->next)
		need += CHANNEL_STREAMS;
	for (const struct job *j = a->jobs; j != NULL; j = j->next)
		need++;
	if (need > a->cap_polls) {
		p = reallocarray(a->polls, need * 2, sizeof(*p));
		if (p == NULL)
			return ERR_NOMEM();
		a->polls = p;
		a->cap_polls = need * 2;
	}
	p = a->polls;
	(void)channel_out(&a->channel, &out);
	p[POLL_PORT] = (struct pollfd){ .fd = a->port, .events = (short)(POLLIN | (out > 0 ? POLLOUT : 0)) };
	p[POLL_SIGNALS] = (struct pollfd){ .fd = a->signals, .events = POLLIN };
	p[POLL_LOG] = (struct pollfd){ .fd = a->log_from, .events = POLLIN };
	p[POLL_OOM] = a->watch.oom;
	for (const struct session *s = a->sessions; s != NULL; s = s->next)
		n += session_wait(s, &a->channel, p + n);
	for (const struct job *j = a->jobs; j != NULL; j = j->next)
		p[n++] = (struct pollfd){ .fd = j->from, .events = POLLIN };
	*ret_n = n;
	return 0;
}

static int one_round(struct agent *a)
{
	size_t n = 0;
	int r = collect(a, &n);

	if (r < 0)
		return r;
	if (poll(a->polls, n, -1) < 0 && errno != EINTR)
		return ERR(-errno, "cannot wait in the guest");
	if (a->polls[POLL_OOM].revents != 0)
		agent_look_oom(a);
	r = receive(a);
	if (r != 0)
		return r;
	r = reap(a);
	if (r == 0)
		r = serve_jobs(a);
	if (r == 0)
		r = serve_sessions(a);
	if (r == 0)
		r = serve_log(a);
	return r == 0 ? transmit(a) : r;
}

static int set_up(struct agent *a)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	int log[2];
	sigset_t set;

	/* One that writes to who has gone learns it from write(2). */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (sigaction(SIGPIPE, &ignore, NULL) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return ERR(-errno, "cannot set up signals");
	a->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (a->signals < 0)
		return ERR(-errno, "cannot set up signals");
	if (pipe2(log, O_CLOEXEC | O_NONBLOCK) < 0)
		return ERR(-errno, "cannot make a pipe");
	a->log_from = log[0];
	a->log_to = log[1];
	/* Whoever else has to go when memory runs out, without us all would be over. */
	return file_write_value(AT_FDCWD, "/proc/self/oom_score_adj", "-1000") < 0 ?
		       ERR_PLAIN(-EIO, "cannot protect the guest's program from the out-of-memory killer") : 0;
}

static int greet(struct agent *a)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct utsname u;

	if (uname(&u) < 0)
		return ERR(-errno, "cannot read the kernel's release");
	channel_put_hello(&b, u.release);
	if (b.failed)
		return ERR_NOMEM();
	return channel_send(&a->channel, &(struct channel_frame){
		.type = CHANNEL_HELLO, .data = (const unsigned char *)b.data, .size = b.len });
}

int agent_run(struct agent *a, int port)
{
	int r;

	a->port = port;
	r = set_up(a);
	if (r == 0)
		r = greet(a);
	if (r == 0)
		r = transmit(a);
	while (r == 0 && !a->shutdown)
		r = one_round(a);
	return r < 0 ? r : 0;
}

void agent_log(struct agent *a, const char *text)
{
	size_t size, n = strlen(text);

	if (a->port < 0 || channel_send(&a->channel, &(struct channel_frame){
		.type = CHANNEL_LOG, .data = (const unsigned char *)text, .size = n }) < 0)
		return;
	while (transmit(a) == 0 && channel_out(&a->channel, &size) != NULL) {
		struct pollfd p = { .fd = a->port, .events = POLLOUT };

		if (poll(&p, 1, LAST_WORDS_MS) <= 0)
			return;
	}
}
