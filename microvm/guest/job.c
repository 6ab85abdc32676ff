/* SPDX-License-Identifier: Apache-2.0 */
/* See job.h. */
#include "microvm/guest/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "microvm/channel.h"
#include "microvm/le.h"
#include "namespaces/process.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"

static void put_u32(struct buf *b, uint32_t v)
{
	unsigned char bytes[4];

	le32_put(bytes, v);
	buf_add(b, bytes, sizeof(bytes));
}

static int set_stdio(const int *stdio)
{
	_cleanup_close_ int none = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (none < 0)
		return ERR(-errno, "cannot open /dev/null");
	for (int fd = 0; fd < 3; fd++)
		if (dup2(stdio != NULL ? stdio[fd] : none, fd) < 0)
			return ERR(-errno, "cannot set the standard streams");
	return 0;
}

static int open_log(int log)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", log);
	return log_open(path, LOG_FORMAT_TEXT, LOG_LEVEL_WARNING);
}

/* What the guest's program keeps for itself, nobody else gets: its descriptors, its protection from the killer. */
static int prepare(const struct job_call *c, const struct job_setup *s)
{
	int keep[] = { c->report, c->go, c->console, s->log };
	int r = set_stdio(s->stdio);

	if (r == 0 && fd_close_except(keep, ARRAY_SIZE(keep)) < 0)
		r = ERR_PLAIN(-EIO, "cannot close descriptors");
	if (r == 0)
		r = process_oom_score(0, 0);
	return r == 0 ? open_log(s->log) : r;
}

static void run(const struct job_call *c, const struct job_setup *s)
{
	struct buf answer = BUF_NULL, out = BUF_NULL;
	int r = prepare(c, s);

	err_clear();
	if (r == 0)
		r = s->work(c, &answer);
	if (r == 0 && answer.failed)
		r = ERR_NOMEM();
	put_u32(&out, (uint32_t)-r);
	if (r < 0)
		buf_puts(&out, err_text());
	else
		buf_add(&out, answer.data, answer.len);
	if (!out.failed)
		(void)fd_write_all(c->report, out.data, out.len);
}

static int fork_job(struct job *j, struct job_call *c, const struct job_setup *s)
{
	int answer[2], go[2];

	if (pipe2(answer, O_CLOEXEC) < 0)
		return ERR(-errno, "cannot make a pipe");
	if (pipe2(go, O_CLOEXEC) < 0) {
		int r = ERR(-errno, "cannot make a pipe");

		close(answer[0]);
		close(answer[1]);
		return r;
	}
	c->report = answer[1];
	c->go = go[0];
	j->pid = fork();
	if (j->pid == 0) {
		run(c, s);
		_exit(0);
	}
	close(answer[1]);
	close(go[0]);
	j->from = answer[0];
	j->go = go[1];
	if (j->pid < 0)
		return ERR(-errno, "cannot make a process in the guest");
	return fcntl(j->from, F_SETFL, O_NONBLOCK) < 0 ? ERR(-errno, "cannot set up a pipe") : 0;
}

int job_start(const struct guest_description *d, const struct channel_frame *f, const struct job_setup *s, struct job **ret_job)
{
	struct job_call c = { .description = d, .frame = f, .console = s->console };
	struct job *j = calloc(1, sizeof(*j));
	int r;

	if (j == NULL)
		return ERR_NOMEM();
	j->from = j->go = FD_NONE;
	j->type = f->type;
	j->session = f->session;
	j->serial = f->serial;
	j->in_max = CHANNEL_TO_HOST_MAX;
	r = fork_job(j, &c, s);
	if (r < 0) {
		job_free(j);
		return r;
	}
	*ret_job = j;
	return 0;
}

int job_read(struct job *j)
{
	char bytes[16384];

	for (;;) {
		ssize_t n = read(j->from, bytes, sizeof(bytes));

		if (n == 0)
			return 1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : ERR(-errno, "cannot read an answer in the guest");
		if (j->in.len + (size_t)n > j->in_max)
			return ERR_PLAIN(-EMSGSIZE, "an answer in the guest is too long");
		buf_add(&j->in, bytes, (size_t)n);
		if (j->in.failed)
			return ERR_NOMEM();
	}
}

int job_result(const struct job *j, size_t from, const char **ret_answer, size_t *ret_size)
{
	int code;

	if (j->in.len < from + 4)
		return ERR_PLAIN(-EIO, "the guest's helper process ended unexpectedly (%s)", channel_type_name(j->type));
	code = -(int)le32_get(j->in.data + from);
	*ret_answer = j->in.data + from + 4;
	*ret_size = j->in.len - from - 4;
	return code < 0 ? ERR_PLAIN(code, "%s", *ret_answer) : 0;
}

void job_free(struct job *j)
{
	fd_close(&j->from);
	fd_close(&j->go);
	buf_deinit(&j->in);
	free(j);
}

int job_report(const struct job_call *c, pid_t pid)
{
	unsigned char bytes[8];
	int r;

	le32_put(bytes, 0);
	le32_put(bytes + 4, (uint32_t)pid);
	r = fd_write_all(c->report, bytes, sizeof(bytes));
	return r < 0 ? ERR(r, "cannot report a process in the guest") : 0;
}

int job_wait(const struct job_call *c)
{
	char byte;
	ssize_t n;

	do
		n = read(c->go, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : ERR_PLAIN(-ECANCELED, "the exec was given up before its start");
}
