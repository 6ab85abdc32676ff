/* SPDX-License-Identifier: Apache-2.0 */
/* A conversation with a bus that is played by a child: authentication, forged messages, broken bytes, silence. */
#include "tests/unit/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroups/dbus.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define OWNER ":1.5"
#define OTHER ":1.66"
#define BUS "org.freedesktop.DBus"

/* ---- the bus ---- */

struct fake {
	int fd;
	uint32_t serial;
};

static void say(struct fake *f, const struct dbus_header *header, const char *text)
{
	_cleanup_buf_ struct buf body = BUF_NULL, out = BUF_NULL;
	struct dbus_header h = *header;

	h.serial = ++f->serial;
	if (text != NULL) {
		h.signature = "s";
		dbus_put_string(&body, text);
	}
	if (dbus_message_build(&h, &body, &out) < 0 || fd_write_all(f->fd, out.data, out.len) < 0)
		_exit(10);
}

static void reply(struct fake *f, const char *sender, uint32_t serial, const char *text)
{
	const struct dbus_header h = { .type = DBUS_RETURN, .reply_serial = serial, .sender = sender };

	say(f, &h, text);
}

static void error(struct fake *f, const char *sender, uint32_t serial, const char *name, const char *text)
{
	const struct dbus_header h = { .type = DBUS_ERROR, .reply_serial = serial, .sender = sender, .error = name };

	say(f, &h, text);
}

static void send_signal(struct fake *f, const char *sender, const char *member, const char *text)
{
	const struct dbus_header h = {
		.type = DBUS_SIGNAL, .sender = sender, .path = DBUS_SYSTEMD_PATH, .interface = DBUS_SYSTEMD_MANAGER, .member = member,
	};

	say(f, &h, text);
}

/* The next call; its member has to be this one. Its serial. */
static uint32_t expect(struct fake *f, const char *member)
{
	char data[4096];
	struct dbus_parsed m;
	size_t size = 0;

	if (recv(f->fd, data, DBUS_HEADER_MIN, MSG_PEEK | MSG_WAITALL) != DBUS_HEADER_MIN ||
	    dbus_message_size(data, DBUS_HEADER_MIN, &size) < 0 || size > sizeof(data) ||
	    recv(f->fd, data, size, MSG_WAITALL) != (ssize_t)size || dbus_message_parse(data, size, &m) < 0 ||
	    m.h.type != DBUS_CALL || !str_eq(m.h.member, member))
		_exit(11);
	return m.h.serial;
}

static void auth(struct fake *f)
{
	static const char want[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	char got[sizeof(want) - 1];

	if (recv(f->fd, got, sizeof(got), MSG_WAITALL) != sizeof(got) || memcmp(got, want, sizeof(got)) != 0)
		_exit(12);
	/* In pieces, as a slow one would. */
	(void)fd_write_all(f->fd, "DATA\r", 5);
	(void)fd_write_all(f->fd, "\nOK 0123456789abcdef\r\n", 22);
}

static void welcome(struct fake *f)
{
	uint32_t match, owner;

	auth(f);
	reply(f, BUS, expect(f, "Hello"), ":1.7");
	match = expect(f, "AddMatch");
	owner = expect(f, "GetNameOwner");
	/* Somebody would like to be systemd. */
	reply(f, OTHER, owner, OTHER);
	send_signal(f, BUS, "NameAcquired", ":1.7");
	reply(f, BUS, match, NULL);
	reply(f, BUS, owner, OWNER);
}

static void plays_well(struct fake *f)
{
	uint32_t call;

	welcome(f);
	call = expect(f, "Start");
	send_signal(f, OWNER, "Other", "not asked for");
	send_signal(f, OWNER, "JobRemoved", "early");
	send_signal(f, OTHER, "JobRemoved", "forged");
	reply(f, OTHER, call, "forged");
	error(f, OTHER, call, "a.Forged", "forged");
	reply(f, OWNER, call + 7, "of another call");
	reply(f, OWNER, call, "answer");
	send_signal(f, OTHER, "JobRemoved", "forged");
	send_signal(f, OWNER, "JobRemoved", "late");
	call = expect(f, "Again");
	error(f, OWNER, call, "org.freedesktop.systemd1.NoSuchUnit", "no such unit");
	call = expect(f, "Again");
	error(f, BUS, call, "org.freedesktop.DBus.Error.NoReply", NULL);
}

static void refuses(struct fake *f)
{
	(void)fd_write_all(f->fd, "REJECTED KERBEROS_V4\r\n", 22);
	pause();
}

static void talks_nonsense(struct fake *f)
{
	char line[1000];

	memset(line, 'x', sizeof(line));
	(void)fd_write_all(f->fd, line, sizeof(line));
	pause();
}

static void comes_late(struct fake *f)
{
	uint32_t owner;

	auth(f);
	reply(f, BUS, expect(f, "Hello"), ":1.7");
	reply(f, BUS, expect(f, "AddMatch"), NULL);
	owner = expect(f, "GetNameOwner");
	error(f, BUS, owner, BUS ".Error.NameHasNoOwner", "none");
	reply(f, OWNER, expect(f, "Ping"), NULL);
	reply(f, BUS, expect(f, "GetNameOwner"), OWNER);
	pause();
}

static void never_comes(struct fake *f)
{
	auth(f);
	reply(f, BUS, expect(f, "Hello"), ":1.7");
	reply(f, BUS, expect(f, "AddMatch"), NULL);
	error(f, BUS, expect(f, "GetNameOwner"), BUS ".Error.NameHasNoOwner", "none");
	error(f, BUS, expect(f, "Ping"), BUS ".Error.ServiceUnknown", "none");
	error(f, BUS, expect(f, "GetNameOwner"), BUS ".Error.NameHasNoOwner", "none");
	pause();
}

static void hangs_up(struct fake *f)
{
	welcome(f);
	(void)expect(f, "Start");
}

static void is_silent(struct fake *f)
{
	welcome(f);
	pause();
}

static void sends_garbage(struct fake *f)
{
	welcome(f);
	(void)expect(f, "Start");
	(void)fd_write_all(f->fd, "this is no message at all", 25);
	pause();
}

static void sends_a_huge_one(struct fake *f)
{
	welcome(f);
	(void)expect(f, "Start");
	(void)fd_write_all(f->fd, "l\2\0\1\0\0\0\x7f\1\0\0\0\0\0\0\0", 16);
	pause();
}

/* ---- */

struct fixture {
	char dir[64], path[108];
	int listener;
	pid_t pid;
};

static bool setup(struct fixture *f, void (*play)(struct fake *f))
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char address[160];

	snprintf(f->dir, sizeof(f->dir), "/tmp/nacre-dbus.XXXXXX");
	f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (mkdtemp(f->dir) == NULL || f->listener < 0)
		return false;
	snprintf(f->path, sizeof(f->path), "%s/bus", f->dir);
	memcpy(sa.sun_path, f->path, sizeof(sa.sun_path));
	if (bind(f->listener, (const struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(f->listener, 1) < 0)
		return false;
	snprintf(address, sizeof(address), "unix:path=%s", f->path);
	setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
	setenv("XDG_RUNTIME_DIR", f->dir, 1);
	f->pid = fork();
	if (f->pid == 0) {
		struct fake fake = { .fd = accept(f->listener, NULL, NULL) };

		alarm(20);
		play(&fake);
		_exit(0);
	}
	return f->pid > 0;
}

/* The bus's exit status; killed, if it does not end by itself. */
static int teardown(struct fixture *f, bool kill_it)
{
	int status = -1;

	if (kill_it)
		kill(f->pid, SIGKILL);
	waitpid(f->pid, &status, 0);
	close(f->listener);
	unlink(f->path);
	rmdir(f->dir);
	return kill_it ? 0 : status;
}

static const struct dbus_header start_call = {
	.path = DBUS_SYSTEMD_PATH, .interface = DBUS_SYSTEMD_MANAGER, .member = "Start",
};

static const char *text_of(const struct dbus_message *m)
{
	struct dbus_reader body = dbus_message_body(m);

	return dbus_get_string(&body);
}

TEST(only_systemd_counts)
{
	_cleanup_dbus_message_ struct dbus_message *answer = NULL, *first = NULL, *second = NULL, *none = NULL, *gone = NULL;
	_cleanup_dbus_ struct dbus *d = NULL;
	struct dbus_header again = start_call;
	struct fixture f;

	again.member = "Again";
	if (!CHECK(setup(&f, plays_well)))
		return;
	if (CHECK_INT(dbus_open(true, "JobRemoved", 10000, &d), 0)) {
		if (CHECK_INT(dbus_call(d, &start_call, NULL, &answer), 0))
			CHECK_STR(text_of(answer), "answer");
		if (CHECK_INT(dbus_next_signal(d, &first), 0))
			CHECK_STR(text_of(first), "early");
		if (CHECK_INT(dbus_next_signal(d, &second), 0))
			CHECK_STR(text_of(second), "late");
		if (CHECK_INT(dbus_call(d, &again, NULL, &none), 0)) {
			CHECK(dbus_message_is_error(none, "org.freedesktop.systemd1.NoSuchUnit"));
			CHECK_STR(dbus_message_error_text(none), "no such unit");
		}
		if (CHECK_INT(dbus_call(d, &again, NULL, &gone), 0))
			CHECK_STR(dbus_message_error_text(gone), "org.freedesktop.DBus.Error.NoReply");
	}
	CHECK_INT(teardown(&f, false), 0);
}

TEST(refusals_and_breakage)
{
	static const struct {
		void (*play)(struct fake *f);
		int open, call;
		const char *text;
	} cases[] = {
		{ refuses, -EACCES, 0, "systemd or the bus refuses the connection: REJECTED KERBEROS_V4" },
		{ talks_nonsense, -EBADMSG, 0, "systemd's socket does not speak D-Bus" },
		{ comes_late, 0, 1, NULL },
		{ never_comes, -ENOENT, 0, "systemd is not on the bus" },
		{ hangs_up, 0, -ECONNRESET, "systemd closed the connection" },
		{ is_silent, 0, -ETIMEDOUT, "timed out waiting for systemd" },
		{ sends_garbage, 0, -EBADMSG, NULL },
		{ sends_a_huge_one, 0, -EBADMSG, "systemd's answer is not D-Bus, or too long" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_dbus_message_ struct dbus_message *m = NULL;
		_cleanup_dbus_ struct dbus *d = NULL;
		struct fixture f;
		int r;

		if (!CHECK(setup(&f, cases[i].play)))
			return;
		r = dbus_open(true, "JobRemoved", cases[i].call == -ETIMEDOUT ? 300 : 10000, &d);
		if (!CHECK_INT(r, cases[i].open))
			printf("#   case %zu: %s\n", i, err_text());
		if (r == 0 && cases[i].call <= 0)
			CHECK_INT(dbus_call(d, &start_call, NULL, &m), cases[i].call);
		if (cases[i].text != NULL)
			CHECK_STR(err_text(), cases[i].text);
		teardown(&f, true);
	}
}

TEST(nobody_there)
{
	_cleanup_dbus_ struct dbus *d = NULL;

	setenv("XDG_RUNTIME_DIR", "/nonexistent", 1);
	unsetenv("DBUS_SESSION_BUS_ADDRESS");
	CHECK_INT(dbus_open(true, NULL, 1000, &d), -ENOENT);
	CHECK_STR(err_text(), "cannot reach the user's systemd at \"unix:path=/nonexistent/bus\": No such file or directory");
	CHECK(err_hint_text()[0] != '\0');
	setenv("DBUS_SESSION_BUS_ADDRESS", "tcp:host=localhost", 1);
	CHECK_INT(dbus_open(true, NULL, 1000, &d), -EINVAL);
	CHECK(d == NULL);
}

TEST_MAIN(CASE(only_systemd_counts), CASE(refusals_and_breakage), CASE(nobody_there))
