/* SPDX-License-Identifier: Apache-2.0 */
/* See dbus.h. */
#include "cgroups/dbus.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

#define BUS_NAME "org.freedesktop.DBus"
#define BUS_PATH "/org/freedesktop/DBus"
/* Unique names are short; one that does not fit is none that we would trust. */
#define OWNER_MAX 256
/* Signals kept during a call: those for others' jobs do not add up to more meanwhile. */
#define SIGNALS_MAX 64
#define READ_SIZE 4096

struct dbus_message {
	struct dbus_message *next;
	struct dbus_parsed m;
	uint8_t data[];
};

struct dbus {
	int fd;
	int64_t deadline;		/* ms, CLOCK_MONOTONIC */
	uint32_t serial;
	bool direct;			/* systemd itself at the other end */
	const char *signal;
	char owner[OWNER_MAX];		/* of systemd's name, on a bus */
	struct buf in;
	struct dbus_message *signals;	/* the oldest first */
	size_t n_signals;
};

/* ---- messages ---- */

const struct dbus_header *dbus_message_header(const struct dbus_message *m)
{
	return &m->m.h;
}

struct dbus_reader dbus_message_body(const struct dbus_message *m)
{
	return m->m.body;
}

bool dbus_message_is_error(const struct dbus_message *m, const char *name)
{
	return m->m.h.type == DBUS_ERROR && str_eq(m->m.h.error, name);
}

const char *dbus_message_error_text(const struct dbus_message *m)
{
	struct dbus_reader body = m->m.body;
	const char *text = "";

	if (m->m.h.signature != NULL && m->m.h.signature[0] == 's')
		text = dbus_get_string(&body);
	if (text[0] == '\0' && m->m.h.error != NULL)
		text = m->m.h.error;
	return text;
}

void dbus_message_freep(struct dbus_message **m)
{
	free(*m);
	*m = NULL;
}

/* ---- bytes ---- */

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int wait_for(struct dbus *d, short events)
{
	struct pollfd p = { .fd = d->fd, .events = events };
	int64_t left = d->deadline - now_ms();
	int n;

	if (left <= 0)
		return ERR_PLAIN(-ETIMEDOUT, "timed out waiting for systemd");
	n = poll(&p, 1, (int)left);
	if (n < 0 && errno != EINTR)
		return ERR(-errno, "cannot wait for systemd");
	return 0;
}

static int send_all(struct dbus *d, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(d->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r;

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return ERR(-errno, "cannot send to systemd");
		r = wait_for(d, POLLOUT);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Adds to d->in what there is, waiting for it to be something. */
static int receive(struct dbus *d)
{
	char data[READ_SIZE];

	for (;;) {
		ssize_t n = recv(d->fd, data, sizeof(data), MSG_DONTWAIT);
		int r;

		if (n > 0) {
			buf_add(&d->in, data, (size_t)n);
			return d->in.failed ? ERR_NOMEM() : 0;
		}
		if (n == 0 || errno == ECONNRESET)
			return ERR_PLAIN(-ECONNRESET, "systemd closed the connection");
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return ERR(-errno, "cannot receive from systemd");
		r = wait_for(d, POLLIN);
		if (r < 0)
			return r;
	}
}

static void consume(struct dbus *d, size_t n)
{
	memmove(d->in.data, d->in.data + n, d->in.len - n);
	d->in.len -= n;
}

/* ---- connection ---- */

/* To d->fd. No text. */
static int connect_to(struct dbus *d, const char *path, size_t len)
{
	_cleanup_close_ int fd = FD_NONE;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int64_t left = d->deadline - now_ms();
	const struct timeval tv = { .tv_sec = left / 1000, .tv_usec = left % 1000 * 1000 };
	int r;

	if (len > sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	if (left <= 0)
		return -ETIMEDOUT;
	memcpy(sa.sun_path, path, len);
	/* Where many connect at once, the socket's queue is full for a while: that is waited for as long as this says. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) < 0)
		return -errno;
	do {
		r = connect(fd, (const struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	d->fd = take_fd(&fd);
	return 0;
}

/* Whoever made the socket is systemd, or could be: root, and for a user's systemd the user. */
static bool owner_ok(int fd, bool user)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || (user && peer.uid == geteuid()));
}

/* The next line of the authentication, without its CR LF, into line. */
static int auth_line(struct dbus *d, char *line, size_t size)
{
	for (;;) {
		char *end = d->in.len > 0 ? memmem(d->in.data, d->in.len, "\r\n", 2) : NULL;
		size_t len = end != NULL ? (size_t)(end - d->in.data) : d->in.len;
		int r;

		if (len >= size)
			return ERR_PLAIN(-EBADMSG, "systemd's socket does not speak D-Bus");
		if (end != NULL) {
			memcpy(line, d->in.data, len);
			line[len] = '\0';
			consume(d, len + 2);
			return 0;
		}
		r = receive(d);
		if (r < 0)
			return r;
	}
}

/*
 * EXTERNAL without a name: the other end takes the uid from the socket, whatever it is called in our user namespace.
 * All is sent at once, as systemd's own programs do: a round trip less, and no message follows before the answer.
 */
static int authenticate(struct dbus *d)
{
	static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
	char line[256];
	int r = send_all(d, hello, sizeof(hello) - 1);

	/* "DATA" asks for the name that we sent without being asked; old ones take the first line for enough. */
	for (int i = 0; r == 0 && i < 2; i++) {
		r = auth_line(d, line, sizeof(line));
		if (r == 0 && !str_starts(line, "OK ") && !(i == 0 && str_starts(line, "DATA")))
			r = ERR_PLAIN(-EACCES, "systemd or the bus refuses the connection: %s", line);
	}
	return r;
}

/* ---- conversation ---- */

/* The next message, whatever it is. */
static int next_message(struct dbus *d, struct dbus_message **ret)
{
	_cleanup_dbus_message_ struct dbus_message *m = NULL;
	size_t size;
	int r;

	for (;;) {
		r = dbus_message_size(d->in.data, d->in.len, &size);
		if (r == 0 && d->in.len >= size)
			break;
		if (r == 0 || r == -EAGAIN)
			r = receive(d);
		else
			r = ERR_PLAIN(r, "systemd's answer is not D-Bus, or too long");
		if (r < 0)
			return r;
	}
	m = calloc(1, sizeof(*m) + size);
	if (m == NULL)
		return ERR_NOMEM();
	memcpy(m->data, d->in.data, size);
	consume(d, size);
	r = dbus_message_parse(m->data, size, &m->m);
	if (r < 0)
		return ERR_PLAIN(r, "systemd's answer is not D-Bus");
	*ret = m;
	m = NULL;
	return 0;
}

static bool from(const struct dbus *d, const struct dbus_message *m, const char *sender)
{
	/* The bus writes the sender, so it is true; without a bus there is only one who could be it. NULL: anyone. */
	return d->direct || sender == NULL || (m->m.h.sender != NULL && str_eq(m->m.h.sender, sender));
}

static bool is_signal(const struct dbus *d, const struct dbus_message *m)
{
	const struct dbus_header *h = &m->m.h;

	return h->type == DBUS_SIGNAL && d->signal != NULL && str_eq(h->member, d->signal) &&
	       str_eq(h->interface, DBUS_SYSTEMD_MANAGER) && from(d, m, d->owner);
}

static struct dbus_message *first_signal(struct dbus *d)
{
	struct dbus_message *m = d->signals;

	if (m != NULL) {
		d->signals = m->next;
		d->n_signals--;
	}
	return m;
}

/* Takes m. */
static void keep_signal(struct dbus *d, struct dbus_message *m)
{
	struct dbus_message **end = &d->signals;

	if (d->n_signals == SIGNALS_MAX)
		free(first_signal(d));
	while (*end != NULL)
		end = &(*end)->next;
	*end = m;
	d->n_signals++;
}

int dbus_next_signal(struct dbus *d, struct dbus_message **ret)
{
	_cleanup_dbus_message_ struct dbus_message *m = first_signal(d);
	int r;

	while (m == NULL || !is_signal(d, m)) {
		dbus_message_freep(&m);
		r = next_message(d, &m);
		if (r < 0)
			return r;
	}
	*ret = m;
	m = NULL;
	return 0;
}

/* Adds a call to out, which is sent later; *ret_serial is of its reply. */
static int queue_call(struct dbus *d, const struct dbus_header *call, const struct buf *body, struct buf *out, uint32_t *ret_serial)
{
	_cleanup_buf_ struct buf one = BUF_NULL;
	struct dbus_header h = *call;
	int r;

	h.type = DBUS_CALL;
	h.serial = ++d->serial;
	r = dbus_message_build(&h, body, &one);
	if (r < 0)
		return ERR(r, "cannot make the call of %s", h.member);
	buf_add(out, one.data, one.len);
	*ret_serial = h.serial;
	return out->failed ? ERR_NOMEM() : 0;
}

static int await_reply(struct dbus *d, uint32_t serial, const char *sender, struct dbus_message **ret)
{
	for (;;) {
		struct dbus_message *m = NULL;
		int r = next_message(d, &m);
		bool reply;

		if (r < 0)
			return r;
		reply = m->m.h.type == DBUS_RETURN || m->m.h.type == DBUS_ERROR;
		/* The bus itself answers for one who is gone. */
		if (reply && m->m.h.reply_serial == serial && (from(d, m, sender) || from(d, m, BUS_NAME))) {
			*ret = m;
			return 0;
		}
		if (is_signal(d, m))
			keep_signal(d, m);
		else
			free(m);
	}
}

int dbus_call(struct dbus *d, const struct dbus_header *h, const struct buf *body, struct dbus_message **ret)
{
	_cleanup_buf_ struct buf out = BUF_NULL;
	struct dbus_header call = *h;
	uint32_t serial;
	int r;

	if (!d->direct)
		call.destination = DBUS_SYSTEMD_NAME;
	r = queue_call(d, &call, body, &out, &serial);
	if (r == 0)
		r = send_all(d, out.data, out.len);
	return r == 0 ? await_reply(d, serial, d->owner, ret) : r;
}

/* ---- the bus ---- */

static int queue_bus_call(struct dbus *d, const char *member, const char *arg, struct buf *out, uint32_t *ret_serial)
{
	_cleanup_buf_ struct buf body = BUF_NULL;
	const struct dbus_header h = {
		.path = BUS_PATH,
		.interface = BUS_NAME,
		.member = member,
		.destination = BUS_NAME,
		.signature = arg != NULL ? "s" : NULL,
	};

	if (arg != NULL)
		dbus_put_string(&body, arg);
	return queue_call(d, &h, &body, out, ret_serial);
}

/* what: the call. */
static int bus_reply(struct dbus *d, uint32_t serial, const char *what, struct dbus_message **ret)
{
	int r = await_reply(d, serial, BUS_NAME, ret);

	if (r < 0 || (*ret)->m.h.type == DBUS_RETURN)
		return r;
	if (dbus_message_is_error(*ret, BUS_NAME ".Error.NameHasNoOwner"))
		return ERR_PLAIN(-ENOENT, "systemd is not on the bus");
	return ERR_PLAIN(-EIO, "the bus refuses %s: %s", what, dbus_message_error_text(*ret));
}

/* Of the reply to GetNameOwner. */
static int take_owner(struct dbus *d, uint32_t serial)
{
	_cleanup_dbus_message_ struct dbus_message *m = NULL;
	struct dbus_reader body;
	const char *owner;
	int r = bus_reply(d, serial, "GetNameOwner", &m);

	if (r < 0)
		return r;
	body = m->m.body;
	owner = m->m.h.signature != NULL && str_eq(m->m.h.signature, "s") ? dbus_get_string(&body) : "";
	if (owner[0] == '\0' || strlen(owner) >= sizeof(d->owner))
		return ERR_PLAIN(-EBADMSG, "the bus does not say who systemd is");
	memcpy(d->owner, owner, strlen(owner) + 1);
	return 0;
}

/* A bus that has just been started by our connecting to it: a message to systemd is kept there until systemd comes. */
static int await_systemd(struct dbus *d)
{
	static const struct dbus_header ping = {
		.path = DBUS_SYSTEMD_PATH,
		.interface = "org.freedesktop.DBus.Peer",
		.member = "Ping",
		.destination = DBUS_SYSTEMD_NAME,
	};
	_cleanup_dbus_message_ struct dbus_message *m = NULL;
	_cleanup_buf_ struct buf out = BUF_NULL;
	uint32_t first, second = 0;
	int r = queue_call(d, &ping, NULL, &out, &first);

	if (r == 0)
		r = send_all(d, out.data, out.len);
	/* From whom it is cannot be told yet, and is no matter: the bus is asked next. */
	if (r == 0)
		r = await_reply(d, first, NULL, &m);
	buf_deinit(&out);
	if (r == 0)
		r = queue_bus_call(d, "GetNameOwner", DBUS_SYSTEMD_NAME, &out, &second);
	if (r == 0)
		r = send_all(d, out.data, out.len);
	return r == 0 ? take_owner(d, second) : r;
}

static int queue_match(struct dbus *d, struct buf *out, uint32_t *ret_serial)
{
	_cleanup_free_ char *rule = str_printf("type='signal',sender='" DBUS_SYSTEMD_NAME "',path='" DBUS_SYSTEMD_PATH
					       "',interface='" DBUS_SYSTEMD_MANAGER "',member='%s'", d->signal);

	return rule != NULL ? queue_bus_call(d, "AddMatch", rule, out, ret_serial) : ERR_NOMEM();
}

/* Hello, systemd's signals, and who is systemd: one round trip for all three. */
static int join_bus(struct dbus *d)
{
	_cleanup_dbus_message_ struct dbus_message *hello = NULL, *match = NULL;
	_cleanup_buf_ struct buf out = BUF_NULL;
	uint32_t hello_serial, match_serial = 0, owner_serial;
	int r = queue_bus_call(d, "Hello", NULL, &out, &hello_serial);

	if (r == 0 && d->signal != NULL)
		r = queue_match(d, &out, &match_serial);
	if (r == 0)
		r = queue_bus_call(d, "GetNameOwner", DBUS_SYSTEMD_NAME, &out, &owner_serial);
	if (r == 0)
		r = send_all(d, out.data, out.len);
	if (r == 0)
		r = bus_reply(d, hello_serial, "Hello", &hello);
	if (r == 0 && d->signal != NULL)
		r = bus_reply(d, match_serial, "AddMatch", &match);
	if (r == 0)
		r = take_owner(d, owner_serial);
	return r == -ENOENT ? await_systemd(d) : r;
}

/* ---- opening ---- */

static int open_private(struct dbus *d, bool user)
{
	_cleanup_free_ char *path = NULL;
	const char *dir = user ? getenv("XDG_RUNTIME_DIR") : "/run";
	int r;

	if (dir == NULL || dir[0] != '/')
		return -ENOENT;
	path = str_printf("%s/systemd/private", dir);
	if (path == NULL)
		return ERR_NOMEM();
	r = connect_to(d, path, strlen(path) + 1);
	if (r < 0)
		return ERR(r, "cannot connect to systemd at \"%s\"", path);
	if (!owner_ok(d->fd, user))
		return ERR_PLAIN(-EACCES, "\"%s\" belongs to another user", path);
	d->direct = true;
	return authenticate(d);
}

/* The addresses to try: what the environment says, or where a bus usually is. */
static char *bus_address(bool user)
{
	const char *address = getenv(user ? "DBUS_SESSION_BUS_ADDRESS" : "DBUS_SYSTEM_BUS_ADDRESS");
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (address != NULL && address[0] != '\0')
		return strdup(address);
	if (!user)
		return strdup("unix:path=/run/dbus/system_bus_socket");
	return str_printf("unix:path=%s/bus", dir != NULL ? dir : "");
}

static int no_systemd(int r, bool user, const char *address)
{
	ERR(r, "cannot reach %s systemd at \"%s\"", user ? "the user's" : "the system's", address);
	if (user)
		return ERR_HINT(r, "XDG_RUNTIME_DIR has to name the directory of a login session (loginctl enable-linger "
				   "starts a systemd for a user without one); --cgroup-manager=cgroupfs and disabled work without");
	return ERR_HINT(r, "is systemd running here? --cgroup-manager=cgroupfs works without it");
}

static int open_bus(struct dbus *d, bool user)
{
	_cleanup_free_ char *address = bus_address(user);
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	size_t len;
	int r;

	if (address == NULL)
		return ERR_NOMEM();
	r = dbus_address_parse(address, path, sizeof(path), &len);
	if (r < 0)
		return ERR_PLAIN(r, "\"%s\" is not the address of a D-Bus socket", address);
	r = connect_to(d, path, len);
	if (r < 0)
		return no_systemd(r, user, address);
	r = authenticate(d);
	return r == 0 ? join_bus(d) : r;
}

int dbus_open(bool user, const char *signal, int timeout_ms, struct dbus **ret)
{
	_cleanup_dbus_ struct dbus *d = calloc(1, sizeof(*d));
	int r;

	if (d == NULL)
		return ERR_NOMEM();
	d->fd = FD_NONE;
	d->signal = signal;
	d->deadline = now_ms() + timeout_ms;
	r = open_private(d, user);
	if (r < 0) {
		log_debug("systemd's private socket: %s", r == -ENOENT ? "none" : err_text());
		fd_close(&d->fd);
		buf_deinit(&d->in);
		d->direct = false;
		r = open_bus(d, user);
		if (r == 0)
			err_clear();
	}
	if (r < 0)
		return r;
	*ret = d;
	d = NULL;
	return 0;
}

void dbus_close(struct dbus *d)
{
	if (d == NULL)
		return;
	while (d->signals != NULL)
		free(first_signal(d));
	fd_close(&d->fd);
	buf_deinit(&d->in);
	free(d);
}

void dbus_closep(struct dbus **d)
{
	dbus_close(*d);
	*d = NULL;
}
