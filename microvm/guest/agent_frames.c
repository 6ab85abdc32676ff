/* SPDX-License-Identifier: Apache-2.0 */
/* What the host's frames do, and how jobs' answers get back to it. See agent.h. */
#include "microvm/guest/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/time.h>
#include <unistd.h>

#include "microvm/guest/guest_image.h"
#include "microvm/guest/guest_net.h"
#include "microvm/guest/job.h"
#include "microvm/guest/requests.h"
#include "microvm/guest/session.h"
#include "microvm/le.h"
#include "namespaces/netlink.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/lifecycle.h"

#define DESCRIPTION_MEMORY ((size_t)64 << 20)

int agent_reply(struct agent *a, uint32_t session, uint32_t serial, int code, const void *data, size_t size)
{
	const struct channel_frame answer = { .data = data, .size = size };

	return channel_send_reply(&a->channel, session, serial, code, &answer);
}

/* r and our text, or nothing. */
static int reply_result(struct agent *a, const struct channel_frame *f, int r)
{
	return agent_reply(a, f->session, f->serial, r, err_text(), r < 0 ? strlen(err_text()) : 0);
}

/* ---- CONFIGURE ---- */

static int set_clock(const struct guest_description *d)
{
	const struct timeval now = { .tv_sec = (time_t)d->seconds, .tv_usec = (suseconds_t)(d->nanoseconds / 1000) };

	return settimeofday(&now, NULL) < 0 ? ERR(-errno, "cannot set the guest's clock") : 0;
}

static int add_entropy(const struct guest_description *d)
{
	_cleanup_close_ int fd = open("/dev/random", O_RDWR | O_CLOEXEC);
	struct rand_pool_info *seed = calloc(1, sizeof(*seed) + GUEST_ENTROPY_MAX);
	int r = 0;

	if (seed == NULL)
		return ERR_NOMEM();
	seed->entropy_count = (int)d->entropy_size * 8;
	seed->buf_size = (int)d->entropy_size;
	if (d->entropy_size > 0) {
		memcpy(seed->buf, d->entropy, d->entropy_size);
		if (fd < 0 || ioctl(fd, RNDADDENTROPY, seed) < 0)
			r = ERR(-errno, "cannot seed the guest's random numbers");
	}
	free(seed);
	return r;
}

static int configure(struct agent *a, const struct channel_frame *f)
{
	struct guest_description *d = &a->description;
	int r;

	if (a->configured)
		return ERR_PLAIN(-EEXIST, "the guest is configured already");
	a->arena = arena_new(DESCRIPTION_MEMORY);
	if (a->arena == NULL)
		return ERR_NOMEM();
	r = guest_description_read(a->arena, (const char *)f->data, f->size, d);
	if (r == 0)
		r = set_clock(d);
	if (r == 0)
		r = add_entropy(d);
	if (r == 0 && sethostname(d->hostname, strlen(d->hostname)) < 0)
		r = ERR(-errno, "cannot set the guest's host name");
	if (r == 0 && mount(d->share, SHARE_MOUNT, "virtiofs", 0, NULL) < 0)
		r = ERR(-errno, "cannot mount the share \"%s\" in the guest", d->share);
	if (r == 0 && d->image.device != NULL)
		r = guest_image_mount(&d->image);
	if (r == 0)
		r = d->network != NULL ? guest_net_apply(d->network) : netlink_loopback_up();
	a->configured = r == 0;
	return r;
}

/* ---- jobs ---- */

static int start_job(struct agent *a, const struct channel_frame *f, job_work *work, const struct session_far *far)
{
	const struct job_setup setup = {
		.work = work, .stdio = far != NULL ? far->stdio : NULL, .console = far != NULL ? far->console : 0, .log = a->log_to,
	};
	struct job *j = NULL;
	int r = job_start(&a->description, f, &setup, &j);

	struct channel_exec e;

	if (r < 0)
		return r;
	if (f->type == CHANNEL_EXEC && channel_get_exec(f, &e) == 0) {
		j->rows = e.rows;
		j->columns = e.columns;
	}
	err_clear();
	j->next = a->jobs;
	a->jobs = j;
	return 0;
}

/* CREATE and EXEC: a process that gets streams. */
static int start_process(struct agent *a, const struct channel_frame *f)
{
	struct session_far far;
	int r = 0;
	struct session *s = session_new(f->session, &far, &r);

	if (s == NULL)
		return r;
	s->next = a->sessions;
	a->sessions = s;
	r = start_job(a, f, request_work(f->type), &far);
	session_far_close(&far);
	if (r < 0)
		agent_drop_session(a, s);
	return r;
}

static int exec_start(struct agent *a, const struct channel_frame *f)
{
	for (struct job *j = a->jobs; j != NULL; j = j->next) {
		if (j->type != CHANNEL_EXEC || j->session != f->session || !j->made || j->go < 0)
			continue;
		j->serial = f->serial;
		j->started = true;
		if (write(j->go, "", 1) != 1)
			return ERR(-errno, "cannot let the process go on");
		fd_close(&j->go);
		return 0;
	}
	return ERR_PLAIN(-ESRCH, "no process waits in this session of the guest");
}

static int signal_exec(struct agent *a, const struct channel_frame *f)
{
	const struct session *s = agent_session(a, f->session);
	struct channel_signal sig;
	int r = channel_get_signal(f, &sig);

	if (r < 0)
		return r;
	/* Not reaped yet, since that is our work: the pid is its own. */
	if (s == NULL || s->pid <= 0 || s->ended)
		return ERR_PLAIN(-ESRCH, "the process has ended, or was not made");
	return kill(s->pid, (int)sig.signal) < 0 ? ERR(-errno, "cannot send signal %u in the guest", sig.signal) : 0;
}

static void give_up(struct agent *a, uint32_t number)
{
	struct session *s = agent_session(a, number);

	for (struct job *j = a->jobs; j != NULL; j = j->next)
		if (j->type == CHANNEL_EXEC && j->session == number)
			fd_close(&j->go);
	if (s == NULL)
		return;
	if (s->pid > 0 && !s->ended)
		(void)kill(s->pid, SIGKILL);
	fd_close(&s->fd[CHANNEL_STDIN]);
	s->freed = true;
}

/* ---- frames ---- */

static int on_stream(struct agent *a, const struct channel_frame *f)
{
	struct session *s = agent_session(a, f->session);
	struct channel_resize size;

	if (f->type == CHANNEL_DATA && s == NULL)
		channel_delivered(&a->channel, f->session, f->stream, f->size);
	if (s == NULL)
		return 0;
	if (f->type == CHANNEL_DATA)
		return session_input(s, &a->channel, f->data, f->size);
	if (f->type == CHANNEL_CLOSE && f->stream == CHANNEL_STDIN)
		session_input_end(s);
	if (f->type == CHANNEL_RESIZE && channel_get_resize(f, &size) == 0)
		session_resize(s, &size);
	return 0;
}

/* 0: the answer comes later. */
static int on_request(struct agent *a, const struct channel_frame *f)
{
	job_work *work = request_work(f->type);

	if (!a->configured)
		return ERR_PLAIN(-EINVAL, "the guest is not configured");
	if (f->type == CHANNEL_CREATE || f->type == CHANNEL_EXEC)
		return start_process(a, f);
	if (f->type == CHANNEL_EXEC_START)
		return exec_start(a, f);
	if (work == NULL)
		return ERR_PLAIN(-ENOSYS, "the guest has no answer to %s", channel_type_name(f->type));
	return start_job(a, f, work, NULL);
}

int agent_frame(struct agent *a, const struct channel_frame *f)
{
	int r;

	err_clear();
	switch (f->type) {
	case CHANNEL_DATA:
	case CHANNEL_CLOSE:
	case CHANNEL_CREDIT:
	case CHANNEL_RESIZE:
		return on_stream(a, f);
	case CHANNEL_FREE:
		give_up(a, f->session);
		return 0;
	case CHANNEL_SHUTDOWN:
		a->shutdown = true;
		return 0;
	case CHANNEL_CONFIGURE:
		return reply_result(a, f, configure(a, f));
	case CHANNEL_SIGNAL:
		if (f->session != 1)
			return reply_result(a, f, signal_exec(a, f));
		break;
	default:
		break;
	}
	r = on_request(a, f);
	return r < 0 ? reply_result(a, f, r) : 0;
}

/* ---- answers ---- */

/* Its end may have come before its name. */
static int name_process(struct agent *a, struct session *s, pid_t pid)
{
	s->pid = pid;
	s->kills_before = a->oom.kills;
	for (size_t i = 0; i < a->n_ends; i++)
		if (a->ends[i].pid == pid) {
			s->ended = true;
			s->status = a->ends[i].status;
			a->ends[i].pid = 0;
			break;
		}
	return session_take_terminal(s);
}

int agent_job_made(struct agent *a, struct job *j)
{
	struct session *s = agent_session(a, j->session);
	int r;

	if (j->type != CHANNEL_EXEC || j->made || j->in.len < 8 || le32_get(j->in.data) != 0)
		return 0;
	j->made = true;
	if (s == NULL)
		return 0;	/* given up; it ends by itself, since its pipe is closed */
	r = name_process(a, s, (pid_t)le32_get(j->in.data + 4));
	if (r < 0) {
		give_up(a, j->session);
		return agent_reply(a, j->session, j->serial, r, err_text(), strlen(err_text()));
	}
	if (j->rows > 0 && j->columns > 0)
		session_resize(s, &(struct channel_resize){ .rows = j->rows, .columns = j->columns });
	return agent_reply(a, j->session, j->serial, 0, NULL, 0);
}

/* In view from now on. No error: it is a help only. */
static void watch_oom(struct agent *a)
{
	struct container c = CONTAINER_NULL;
	struct instance i = INSTANCE_NULL;
	enum container_status status;
	pid_t pid;

	if (a->watch.oom.fd < 0 && lifecycle_status(GUEST_STATE, a->description.id, &c, &i, &status, &pid) == 0)
		(void)backend_container.watch(&i, &a->watch);
	fd_close(&a->watch.end.fd);
	err_clear();
	instance_deinit(&i);
	container_deinit(&c);
}

void agent_look_oom(struct agent *a)
{
	struct cgroup_oom now = { .kills = 0 };
	unsigned char payload[CHANNEL_OOM_SIZE];

	if (a->watch.oom.fd < 0)
		return;
	if (backend_container.watch_oom(&a->watch, &now) < 0) {
		err_clear();
		backend_watch_deinit(&a->watch);
		return;
	}
	if (now.ooms == a->oom.ooms && now.kills == a->oom.kills)
		return;
	a->oom = now;
	channel_put_oom(payload, &(struct channel_oom){ .ooms = now.ooms, .kills = now.kills, .limit = UINT64_MAX });
	if (channel_send(&a->channel, &(struct channel_frame){ .type = CHANNEL_OOM_EVENT, .data = payload, .size = sizeof(payload) }) < 0)
		err_clear();
}

static int created(struct agent *a, const struct job *j, int r, const char *answer, size_t size)
{
	struct session *s = agent_session(a, j->session);

	if (r == 0 && s != NULL)
		r = size == 4 ? name_process(a, s, (pid_t)le32_get(answer)) : ERR_PLAIN(-EIO, "the guest has lost the process");
	if (r < 0 && s != NULL)
		agent_drop_session(a, s);
	if (r == 0)
		watch_oom(a);
	return agent_reply(a, j->session, j->serial, r, err_text(), r < 0 ? strlen(err_text()) : 0);
}

static int finished(struct agent *a, int r, const char *answer, size_t size)
{
	struct session *s = agent_session(a, 1);
	struct channel_oom oom = { .kills = 0 };
	struct channel_exited e;
	unsigned char payload[CHANNEL_EXITED_SIZE];

	if (s == NULL)
		return 0;	/* the host has freed it meanwhile */
	e = (struct channel_exited){ .status = s->status };
	/* Not knowing why it ended is no reason not to say that it did. */
	if (r == 0 && channel_get_oom(&(struct channel_frame){ .data = (const unsigned char *)answer, .size = size }, &oom) == 0)
		e.oom = oom.kills > 0;
	err_clear();
	s->told = true;
	channel_put_exited(payload, &e);
	return channel_send(&a->channel, &(struct channel_frame){
		.type = CHANNEL_EXITED, .session = 1, .data = payload, .size = sizeof(payload) });
}

/* An exec that failed at any point: the job has ended its process, unless it was itself killed. */
static void drop_failed(struct agent *a, uint32_t number)
{
	struct session *s = a->sessions;

	while (s != NULL && s->number != number)
		s = s->next;
	if (s == NULL)
		return;
	if (s->pid > 0 && !s->ended)
		(void)kill(s->pid, SIGKILL);
	agent_drop_session(a, s);
}

int agent_job_ended(struct agent *a, struct job *j)
{
	const char *answer = NULL;
	size_t size = 0;
	int r = agent_job_made(a, j);

	if (r < 0)
		return r;
	err_clear();
	r = job_result(j, j->made ? 8 : 0, &answer, &size);
	if (j->type == CHANNEL_EXITED)
		return finished(a, r, answer, size);
	if (j->type == CHANNEL_CREATE)
		return created(a, j, r, answer, size);
	if (j->type == CHANNEL_EXEC && r < 0)
		drop_failed(a, j->session);
	/* Made, and given up before EXEC_START (or ended without it): there is nobody to tell. */
	if (j->made && !j->started)
		return 0;
	return r < 0 ? agent_reply(a, j->session, j->serial, r, err_text(), strlen(err_text())) :
		       agent_reply(a, j->session, j->serial, 0, answer, size);
}

/*
 * A start whose hook fails ends the process, and says why when it has undone the container: after the end, which must not overtake it,
 * since the host leaves then.
 */
static bool start_under_way(const struct agent *a)
{
	for (const struct job *j = a->jobs; j != NULL; j = j->next)
		if (j->type == CHANNEL_START)
			return true;
	return false;
}

int agent_finish(struct agent *a)
{
	const struct session *first = agent_session(a, 1);
	const struct channel_frame f = { .type = CHANNEL_EXITED, .session = 1 };
	int r;

	if (a->finishing || first == NULL || !first->quiet || start_under_way(a))
		return 0;
	/* All that has run in the container ended with its first process; what it wrote is told first. */
	for (const struct session *s = a->sessions; s != NULL; s = s->next)
		if (s != first && !s->told && !s->freed && s->pid > 0 && !session_stuck(s, &a->channel))
			return 0;
	r = channel_send_close(&a->channel, 1, CHANNEL_STDOUT);
	if (r == 0)
		r = channel_send_close(&a->channel, 1, CHANNEL_STDERR);
	a->finishing = true;
	return r == 0 ? start_job(a, &f, request_finish, NULL) : r;
}
