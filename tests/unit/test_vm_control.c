/* SPDX-License-Identifier: Apache-2.0 */
/* The socket by which commands speak to a supervisor: what is a message, what is none, and that no descriptor is lost. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/vm_control.h"

static size_t open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n;
}

static bool pair_up(int pair[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0;
}

TEST(there_and_back)
{
	_cleanup_free_ char *text = malloc(VM_TEXT_MAX + 1), *most = malloc(VM_TEXT_MAX);
	const struct vm_message h = { .type = VM_EXEC, .err = -5, .value = -2, .flag = 7, .len = 5 };
	const struct vm_message full = { .type = VM_REPLY, .len = VM_TEXT_MAX };
	int pair[2], fds[VM_FDS_MAX], size = 4 * VM_TEXT_MAX;
	size_t before = open_fds();
	struct vm_message got;

	if (!CHECK(text != NULL && most != NULL && pair_up(pair)))
		return;
	CHECK_INT(vm_message_send(pair[0], &h, "hello", (const int[]){ 0, 1, 2, 0 }, 4, 0), 0);
	CHECK_INT(vm_message_receive(pair[1], &got, text, fds, 0), 0);
	CHECK(got.version == VM_CONTROL_VERSION && got.type == VM_EXEC && got.err == -5 && got.value == -2 && got.flag == 7);
	CHECK_STR(text, "hello");
	for (size_t i = 0; i < VM_FDS_MAX; i++) {
		CHECK(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
		fd_close(&fds[i]);
	}
	/* The longest; and none. */
	memset(most, 'm', VM_TEXT_MAX);
	CHECK_INT(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	CHECK_INT(vm_message_send(pair[0], &full, most, NULL, 0, 0), 0);
	CHECK_INT(vm_message_receive(pair[1], &got, text, fds, 0), 0);
	CHECK(got.len == VM_TEXT_MAX && strlen(text) == VM_TEXT_MAX && fds[0] == FD_NONE);
	CHECK_INT(vm_message_send(pair[0], &(struct vm_message){ .type = VM_STATS }, NULL, NULL, 0, 0), 0);
	CHECK_INT(vm_message_receive(pair[1], &got, text, fds, 0), 0);
	CHECK_STR(text, "");
	CHECK_INT(vm_message_receive(pair[1], &got, text, fds, MSG_DONTWAIT), -EAGAIN);
	fd_close(&pair[0]);
	CHECK_INT(vm_message_receive(pair[1], &got, text, fds, 0), -EPIPE);
	/* No SIGPIPE. */
	CHECK_INT(vm_message_send(pair[1], &h, "hello", NULL, 0, 0), -EPIPE);
	fd_close(&pair[1]);
	CHECK_INT(open_fds(), before);
}

/* Bytes as they come, with n_fds descriptors. */
static void send_raw(int fd, const void *data, size_t len, size_t n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(16 * sizeof(int))] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	const int fds[16] = { 0 };

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	if (n_fds > 0) {
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	(void)sendmsg(fd, &msg, 0);
}

TEST(no_message)
{
	_cleanup_free_ char *text = malloc(VM_TEXT_MAX + 1);
	struct {
		struct vm_message h;
		char text[8];
	} good = { { .version = VM_CONTROL_VERSION, .type = VM_START, .len = 8 }, "1234567" }, m;
	static const struct {
		uint16_t version;
		uint32_t len;
		size_t size;
		size_t n_fds;
		int r;
	} cases[] = {
		{ VM_CONTROL_VERSION, 8, sizeof(good), 4, 0 },
		{ VM_CONTROL_VERSION + 1, 8, sizeof(good), 4, -EPROTO },
		{ 0, 8, sizeof(good), 1, -EPROTO },
		{ VM_CONTROL_VERSION, 7, sizeof(good), 1, -EPROTO },
		{ VM_CONTROL_VERSION, 9, sizeof(good), 1, -EPROTO },
		{ VM_CONTROL_VERSION, UINT32_MAX, sizeof(good), 0, -EPROTO },
		{ VM_CONTROL_VERSION, 8, sizeof(good) - 1, 0, -EPROTO },
		{ VM_CONTROL_VERSION, 0, sizeof(struct vm_message) - 1, 4, -EPROTO },
		{ VM_CONTROL_VERSION, 0, 1, 2, -EPROTO },
		/* More descriptors than any request has. */
		{ VM_CONTROL_VERSION, 8, sizeof(good), 5, -EPROTO },
		{ VM_CONTROL_VERSION, 8, sizeof(good), 16, -EPROTO },
		/* A message of nothing is not the end, but no message either. */
		{ VM_CONTROL_VERSION, 0, 0, 0, -EPIPE },
		{ VM_CONTROL_VERSION, 0, 0, 4, -EPIPE },
	};
	int pair[2], fds[VM_FDS_MAX];
	struct vm_message got;
	size_t before;

	if (!CHECK(text != NULL && pair_up(pair)))
		return;
	before = open_fds();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		m = good;
		m.h.version = cases[i].version;
		m.h.len = cases[i].len;
		send_raw(pair[0], &m, cases[i].size, cases[i].n_fds);
		if (!CHECK_INT(vm_message_receive(pair[1], &got, text, fds, MSG_DONTWAIT), cases[i].r))
			printf("#   case: %zu\n", i);
		for (size_t k = 0; k < VM_FDS_MAX; k++) {
			CHECK(cases[i].r == 0 || fds[k] == FD_NONE);
			fd_close(&fds[k]);
		}
		if (!CHECK_INT(open_fds(), before))
			printf("#   case: %zu\n", i);
	}
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

TEST(one_that_is_too_long)
{
	_cleanup_free_ char *text = malloc(VM_TEXT_MAX + 1), *m = calloc(1, sizeof(struct vm_message) + VM_TEXT_MAX + 1);
	const struct vm_message h = { .version = VM_CONTROL_VERSION, .type = VM_REPLY, .len = VM_TEXT_MAX + 1 };
	int pair[2], fds[VM_FDS_MAX], size = 4 * VM_TEXT_MAX;
	struct vm_message got;

	if (!CHECK(text != NULL && m != NULL && pair_up(pair)))
		return;
	memcpy(m, &h, sizeof(h));
	CHECK_INT(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	CHECK(send(pair[0], m, sizeof(h) + VM_TEXT_MAX + 1, 0) > 0);
	CHECK_INT(vm_message_receive(pair[1], &got, text, fds, 0), -EPROTO);
	fd_close(&pair[0]);
	fd_close(&pair[1]);
}

TEST(payload_is_sealed)
{
	char got[8] = "";
	int fd;

	if (!CHECK_INT(vm_payload("{\"a\":1}", 7, &fd), 0))
		return;
	CHECK(pread(fd, got, sizeof(got), 0) == 7);
	CHECK_STR(got, "{\"a\":1}");
	CHECK(pwrite(fd, "x", 1, 0) < 0 && errno == EPERM);
	CHECK(ftruncate(fd, 0) < 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0);
	close(fd);
}

/* A supervisor that gives one answer to one question. */
struct supervisor {
	int fd;
	struct vm_message reply;
	const char *text;
	struct vm_message asked;
};

static void *answer(void *arg)
{
	struct supervisor *s = arg;
	char *text = malloc(VM_TEXT_MAX + 1);
	int fds[VM_FDS_MAX];

	if (text != NULL && vm_message_receive(s->fd, &s->asked, text, fds, 0) == 0 && s->reply.type != 0) {
		s->reply.len = (uint32_t)strlen(s->text);
		(void)vm_message_send(s->fd, &s->reply, s->text, (const int[]){ 0 }, 1, 0);
	}
	free(text);
	fd_close(&s->fd);
	return NULL;
}

TEST(calls)
{
	static const struct {
		uint16_t type;
		int32_t err;
		const char *text;
		int r;
		const char *error;
	} cases[] = {
		{ VM_REPLY, 0, "{}", 0, "" },
		{ VM_REPLY, -ESRCH, "the process has ended", -ESRCH, "the process has ended" },
		{ VM_REPLY, -ENOENT, "", -ENOENT, "the microVM refuses: No such file or directory" },
		{ VM_REPLY, -ENOENT, "\0text", -ENOENT, "the microVM refuses: No such file or directory" },
		{ VM_REPLY, 1, "?", -EPROTO, "the supervisor of the microVM speaks another language" },
		{ VM_REPLY, -5000, "?", -EPROTO, "the supervisor of the microVM speaks another language" },
		{ VM_EXITED, 0, "", -EPROTO, "the supervisor of the microVM speaks another language" },
		{ 0, 0, "", -EPIPE, "the microVM ended" },
	};
	size_t before = open_fds();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = NULL;
		struct supervisor s = { .reply = { .type = cases[i].type, .err = cases[i].err }, .text = cases[i].text };
		pthread_t thread;
		size_t len = 99;
		int pair[2];

		if (!CHECK(pair_up(pair)))
			return;
		s.fd = pair[1];
		if (!CHECK(pthread_create(&thread, NULL, answer, &s) == 0))
			return;
		err_clear();
		CHECK_INT(vm_call(pair[0], VM_SIGNAL, 15, 1, &text, &len), cases[i].r);
		pthread_join(thread, NULL);
		CHECK(s.asked.type == VM_SIGNAL && s.asked.value == 15 && s.asked.flag == 1 && s.asked.len == 0);
		CHECK_STR(err_text(), cases[i].error);
		CHECK(cases[i].r < 0 ? text == NULL && len == 99 : len == 2 && str_eq(text, "{}"));
		fd_close(&pair[0]);
	}
	/* A descriptor that came with an answer was closed. */
	CHECK_INT(open_fds(), before);
}

/* Below a directory whose path is longer than a socket's address may be. */
TEST(connects_by_the_directory)
{
	char dir[] = "/tmp/nacre-control-XXXXXX", name[200];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int top, state, listener, sock = FD_NONE;

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	if (!CHECK(mkdtemp(dir) != NULL))
		return;
	top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(mkdirat(top, name, 0700) == 0);
	state = openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK_INT(vm_connect(state, "box", &sock), -ENOENT);
	CHECK(str_starts(err_text(), "cannot reach the supervisor of container \"box\""));
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", state, VM_SOCKET);
	CHECK(bind(listener, (struct sockaddr *)&a, sizeof(a)) == 0);
	CHECK_INT(vm_connect(state, "box", &sock), -ECONNREFUSED);
	CHECK(listen(listener, 1) == 0);
	CHECK_INT(vm_connect(state, "box", &sock), 0);
	CHECK(unlinkat(state, VM_SOCKET, 0) == 0 && unlinkat(top, name, AT_REMOVEDIR) == 0 && rmdir(dir) == 0);
	fd_close(&sock);
	fd_close(&listener);
	fd_close(&state);
	fd_close(&top);
}

TEST_MAIN(CASE(there_and_back), CASE(no_message), CASE(one_that_is_too_long), CASE(payload_is_sealed), CASE(calls),
	  CASE(connects_by_the_directory))
