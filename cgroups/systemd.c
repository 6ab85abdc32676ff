/* SPDX-License-Identifier: Apache-2.0 */
/* Scopes: started, changed and stopped by calls of systemd's manager. See systemd.h. */
#include "cgroups/systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/dbus.h"
#include "cgroups/holder.h"
#include "cgroups/path.h"
#include "cgroups/resources.h"
#include "cgroups/systemd_properties.h"
#include "cgroups/variant.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* As runc waits. */
#define TIMEOUT_MS 30000
#define JOB_REMOVED "JobRemoved"
/* Of the memory that a request is made in: properties come from outside. */
#define ARENA_MAX ((size_t)16 * 1024 * 1024)
#define PROC_CGROUP_MAX ((size_t)64 * 1024)
#define COLLECT_MODE_SINCE 236

#define ERROR_EXISTS "org.freedesktop.systemd1.UnitExists"
#define ERROR_NO_UNIT "org.freedesktop.systemd1.NoSuchUnit"

/* A request in the making. */
struct scope_call {
	struct arena *a;
	struct dbus *d;
	const struct cgroup_scope *scope;
	const struct cgroup_scope_req *req;	/* of a start */
	struct systemd_property *limits;
	size_t n_limits;
	/* Properties that are newer than it are left out. Asked only when systemd refused some: UINT_MAX until then. */
	unsigned int version;
	pid_t holder;
};

/* ---- calls ---- */

static int call_manager(struct dbus *d, const char *member, const char *signature, const struct buf *body,
			struct dbus_message **ret)
{
	const struct dbus_header h = {
		.path = DBUS_SYSTEMD_PATH,
		.interface = DBUS_SYSTEMD_MANAGER,
		.member = member,
		.signature = signature,
	};

	return dbus_call(d, &h, body, ret);
}

/* systemd's error as ours. what: "start". */
static int refused(const struct dbus_message *m, const char *what, const char *unit)
{
	static const struct {
		const char *name;
		int code;
	} codes[] = {
		{ "org.freedesktop.DBus.Error.AccessDenied", -EACCES },
		{ "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", -EACCES },
		{ "org.freedesktop.DBus.Error.NoReply", -ECONNRESET },
		{ ERROR_NO_UNIT, -ENOENT },
		{ ERROR_EXISTS, -EBUSY },
	};
	int code = -EIO;

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (dbus_message_is_error(m, codes[i].name))
			code = codes[i].code;
	ERR_PLAIN(code, "systemd refuses to %s \"%s\": %s", what, unit, dbus_message_error_text(m));
	if (code == -EACCES)
		return ERR_HINT(code, "the system's systemd does this for root only; a user's own does it for the user");
	return code;
}

/* The one value of a reply whose body has to be of this signature ("s", "o"); NULL: it is not. */
static const char *reply_text(const struct dbus_message *m, const char *signature)
{
	const struct dbus_header *h = dbus_message_header(m);
	struct dbus_reader body = dbus_message_body(m);

	if (h->type != DBUS_RETURN || h->signature == NULL || !str_eq(h->signature, signature))
		return NULL;
	return dbus_get_string(&body);
}

/* A property that is a string. malloc'ed; no text: that is the caller's. */
static int get_property(struct dbus *d, const char *path, const char *interface, const char *name, char **ret)
{
	_cleanup_dbus_message_ struct dbus_message *m = NULL;
	_cleanup_buf_ struct buf body = BUF_NULL;
	const struct dbus_header h = {
		.path = path,
		.interface = "org.freedesktop.DBus.Properties",
		.member = "Get",
		.signature = "ss",
	};
	struct dbus_reader b;
	int r;

	dbus_put_string(&body, interface);
	dbus_put_string(&body, name);
	r = dbus_call(d, &h, &body, &m);
	if (r < 0)
		return r;
	b = dbus_message_body(m);
	if (dbus_message_header(m)->type != DBUS_RETURN || dbus_message_header(m)->signature == NULL ||
	    !str_eq(dbus_message_header(m)->signature, "v") || !str_eq(dbus_get_signature(&b), "s"))
		return -ENOENT;
	*ret = strdup(dbus_get_string(&b));
	return *ret != NULL ? 0 : ERR_NOMEM();
}

/* "252.38-1~deb12u1", "v257". */
static int ask_version(struct scope_call *c)
{
	_cleanup_free_ char *text = NULL;
	char *digits;
	uint64_t v;

	if (get_property(c->d, DBUS_SYSTEMD_PATH, DBUS_SYSTEMD_MANAGER, "Version", &text) < 0)
		return -ENOENT;
	digits = text + (text[0] == 'v' ? 1 : 0);
	digits[strspn(digits, "0123456789")] = '\0';
	if (parse_u64(digits, 1, UINT_MAX - 1, &v) < 0)
		return -ENOENT;
	c->version = (unsigned int)v;
	return 0;
}

/*
 * Waits for the end of the job that m, the reply of its making, names. -EIO with a text: it was not "done".
 * The reply comes before the signal, and the signal was asked for before the call, so none is missed.
 */
static int await_job(struct dbus *d, const struct dbus_message *m, const char *what, const char *unit)
{
	const char *job = reply_text(m, "o");

	if (job == NULL)
		return ERR_PLAIN(-EBADMSG, "systemd's answer has no job");
	for (;;) {
		_cleanup_dbus_message_ struct dbus_message *signal = NULL;
		const char *signature, *path, *result;
		struct dbus_reader body;
		int r = dbus_next_signal(d, &signal);

		if (r < 0)
			return ERR_CONTEXT(r, "waiting for systemd to %s \"%s\"", what, unit);
		signature = dbus_message_header(signal)->signature;
		if (signature == NULL || !str_eq(signature, "uoss"))
			continue;
		body = dbus_message_body(signal);
		(void)dbus_get_u32(&body);
		path = dbus_get_string(&body);
		(void)dbus_get_string(&body);
		result = dbus_get_string(&body);
		if (!str_eq(path, job))
			continue;
		if (str_eq(result, "done"))
			return 0;
		return ERR_HINT(ERR_PLAIN(-EIO, "systemd could not %s \"%s\": its job is \"%s\"", what, unit, result),
				"systemctl status %s, or journalctl -u %s, may say why", unit, unit);
	}
}

static int stop_unit(struct dbus *d, const char *unit)
{
	_cleanup_dbus_message_ struct dbus_message *m = NULL;
	_cleanup_buf_ struct buf body = BUF_NULL;
	int r;

	dbus_put_string(&body, unit);
	dbus_put_string(&body, "replace");
	r = call_manager(d, "StopUnit", "ss", &body, &m);
	if (r < 0 || dbus_message_is_error(m, ERROR_NO_UNIT))
		return r;
	if (dbus_message_header(m)->type == DBUS_ERROR)
		return refused(m, "stop", unit);
	return await_job(d, m, "stop", unit);
}

/* ---- properties ---- */

/* Begins an element of the array; the value follows. */
static void put_name(struct buf *b, const char *name, const char *signature)
{
	dbus_put_align(b, 8);
	dbus_put_string(b, name);
	dbus_put_signature(b, signature);
}

static void put_text(struct buf *b, const char *name, const char *value)
{
	put_name(b, name, "s");
	dbus_put_string(b, value);
}

static void put_bool(struct buf *b, const char *name, bool value)
{
	put_name(b, name, "b");
	dbus_put_u32(b, value ? 1 : 0);
}

static void put_limits(struct buf *b, const struct scope_call *c)
{
	for (size_t i = 0; i < c->n_limits; i++)
		if (c->limits[i].since <= c->version)
			systemd_property_put(b, &c->limits[i]);
}

static int put_unit_properties(struct buf *b, const struct scope_call *c)
{
	for (size_t i = 0; i < c->req->n_properties; i++) {
		struct variant v = { 0 };
		const char *name = NULL;
		int r = systemd_unit_property_parse(c->a, &c->req->properties[i], &name, &v);

		if (r < 0)
			return r;
		dbus_put_align(b, 8);
		dbus_put_string(b, name);
		variant_put(b, &v);
	}
	return 0;
}

/* What every scope has. Accounting: an engine reads the files, and joining a controller later loses what was before. */
static void put_basics(struct buf *b, const struct scope_call *c)
{
	static const char *const accounting[] = { "MemoryAccounting", "CPUAccounting", "IOAccounting", "TasksAccounting" };
	const char *description = c->req->description;
	size_t array;

	if (description == NULL || !variant_is_utf8(description))
		description = c->scope->unit;
	put_text(b, "Description", description);
	put_text(b, "Slice", c->scope->slice);
	put_bool(b, "Delegate", true);
	/* Or the scope would be stopped early at shutdown, before what manages the container. */
	put_bool(b, "DefaultDependencies", false);
	/* A scope that failed goes, too, and does not stand in the way of the next one of its name. */
	if (c->version >= COLLECT_MODE_SINCE)
		put_text(b, "CollectMode", "inactive-or-failed");
	for (size_t i = 0; i < ARRAY_SIZE(accounting); i++)
		put_bool(b, accounting[i], true);
	put_name(b, "PIDs", "au");
	array = dbus_put_array(b, sizeof(uint32_t));
	dbus_put_u32(b, (uint32_t)c->holder);
	dbus_put_array_end(b, array, sizeof(uint32_t));
}

/*
 * True: systemd does not know one of the properties, or its value, and without those newer than it the call
 * is worth another try.
 */
static bool too_new(struct scope_call *c, const struct dbus_message *m)
{
	static const char *const errors[] = {
		"org.freedesktop.DBus.Error.PropertyReadOnly",
		"org.freedesktop.DBus.Error.UnknownProperty",
		"org.freedesktop.DBus.Error.InvalidArgs",
	};
	bool newer = false;

	if (dbus_message_header(m)->type != DBUS_ERROR ||
	    !str_in(dbus_message_header(m)->error, errors, ARRAY_SIZE(errors)) || c->version != UINT_MAX || ask_version(c) < 0)
		return false;
	for (size_t i = 0; i < c->n_limits; i++)
		newer = newer || c->limits[i].since > c->version;
	log_debug("systemd %u: %s", c->version, dbus_message_error_text(m));
	return newer || (c->req != NULL && c->version < COLLECT_MODE_SINCE);
}

/* ---- start ---- */

static int call_start(const struct scope_call *c, struct dbus_message **ret)
{
	_cleanup_buf_ struct buf body = BUF_NULL;
	size_t array;
	int r;

	dbus_put_string(&body, c->scope->unit);
	dbus_put_string(&body, "replace");
	array = dbus_put_array(&body, 8);
	put_basics(&body, c);
	r = put_unit_properties(&body, c);
	if (r < 0)
		return r;
	put_limits(&body, c);
	dbus_put_array_end(&body, array, 8);
	/* Units to be made together with it: none. */
	array = dbus_put_array(&body, 8);
	dbus_put_array_end(&body, array, 8);
	return call_manager(c->d, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body, ret);
}

/* A property of a unit. malloc'ed; NULL: there is no such unit. */
static int unit_property(struct dbus *d, const char *unit, const char *name, char **ret)
{
	_cleanup_dbus_message_ struct dbus_message *m = NULL;
	_cleanup_buf_ struct buf body = BUF_NULL;
	int r;

	*ret = NULL;
	dbus_put_string(&body, unit);
	r = call_manager(d, "GetUnit", "s", &body, &m);
	if (r < 0)
		return r;
	if (reply_text(m, "o") == NULL)
		return 0;
	r = get_property(d, reply_text(m, "o"), "org.freedesktop.systemd1.Unit", name, ret);
	return r == -ENOENT ? 0 : r;
}

/* A unit of this name is in the way. 0: no longer. */
static int clear_away(struct dbus *d, const char *unit)
{
	_cleanup_dbus_message_ struct dbus_message *m = NULL;
	_cleanup_buf_ struct buf body = BUF_NULL;
	_cleanup_free_ char *state = NULL;
	int r = unit_property(d, unit, "ActiveState", &state);

	if (r < 0 || state == NULL)
		return r;
	log_debug("systemd has a unit \"%s\" already, which is %s", unit, state);
	/* Inactive, but there: a job waits to start it, and is replaced so. */
	if (str_eq(state, "deactivating") || str_eq(state, "inactive"))
		return stop_unit(d, unit);
	if (!str_eq(state, "failed"))
		return ERR_HINT(ERR_PLAIN(-EBUSY, "systemd has a unit \"%s\" already, and it is %s", unit, state),
				"systemctl status %s says what it is", unit);
	dbus_put_string(&body, unit);
	/* Its answer is no matter: the next start tells. */
	return call_manager(d, "ResetFailedUnit", "s", &body, &m);
}

/*
 * The scope's cgroup, by its first process. -EAGAIN without a text: that is not in it. systemd puts a '_' before a
 * name that the kernel has another use for ("cpu.scope").
 */
static int holder_cgroup(const struct scope_call *c, char **ret)
{
	_cleanup_free_ char *text = NULL;
	char file[64], *path, *name;
	size_t len;
	int r;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)c->holder);
	r = file_read(AT_FDCWD, file, PROC_CGROUP_MAX, &text, &len);
	if (r < 0)
		return ERR(r, "cannot read \"%s\"", file);
	path = str_starts(text, "0::/") ? text + strlen("0::") : strstr(text, "\n0::/");
	if (path == NULL)
		return ERR_PLAIN(-EOPNOTSUPP, "systemd does not use cgroup v2 here");
	path += *path == '\n' ? strlen("\n0::") : 0;
	path[strcspn(path, "\n")] = '\0';
	name = strrchr(path, '/') + 1;
	name += *name == '_' && c->scope->unit[0] != '_' ? 1 : 0;
	if (!str_eq(name, c->scope->unit))
		return -EAGAIN;
	*ret = strdup(path);
	return *ret != NULL ? 0 : ERR_NOMEM();
}

/* 0: systemd took the request; *ret_reply has the job. Each reason to try again is one once. */
static int request(struct scope_call *c, struct dbus_message **ret_reply)
{
	bool cleared = false;

	for (;;) {
		_cleanup_dbus_message_ struct dbus_message *m = NULL;
		int r = call_start(c, &m);

		if (r < 0)
			return r;
		if (dbus_message_header(m)->type == DBUS_RETURN) {
			*ret_reply = m;
			m = NULL;
			return 0;
		}
		if (dbus_message_is_error(m, ERROR_EXISTS) && !cleared) {
			cleared = true;
			r = clear_away(c->d, c->scope->unit);
			if (r < 0)
				return r;
		} else if (!too_new(c, m))
			return refused(m, "start", c->scope->unit);
	}
}

static int start(struct scope_call *c, char **ret_path)
{
	_cleanup_dbus_message_ struct dbus_message *reply = NULL;
	int r = request(c, &reply), k;

	if (r == 0)
		r = await_job(c->d, reply, "start", c->scope->unit);
	if (r < 0 && r != -ECONNRESET && r != -ETIMEDOUT && r != -EBUSY)
		return r;
	/*
	 * systemd that was replaced meanwhile (daemon-reexec) says nothing more, but what it did can be seen; and
	 * then, at the second attempt, the unit in the way is the one that we asked for.
	 */
	k = holder_cgroup(c, ret_path);
	if (k == 0 && r < 0)
		err_clear();
	if (k != -EAGAIN)
		return k;
	if (r < 0)
		return r;
	return ERR_PLAIN(-EIO, "systemd started \"%s\" without its process", c->scope->unit);
}

int cgroup_scope_start(const struct cgroup_scope_req *req, char **ret_path, int *ret_holder)
{
	static const struct cgroup_resources nothing;
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	struct scope_call c = { .a = a, .scope = &req->scope, .req = req, .version = UINT_MAX };
	int holder = FD_NONE, r;

	if (a == NULL)
		return ERR_NOMEM();
	r = systemd_properties(a, req->resources != NULL ? req->resources : &nothing, CGROUP_CPU_PERIOD, &c.limits, &c.n_limits);
	if (r == 0)
		r = holder_start(&c.holder, &holder);
	if (r < 0)
		return r;
	/* Once more for one whose connection ended with systemd's old program (daemon-reexec). */
	for (int i = 0; i < 2; i++) {
		_cleanup_dbus_ struct dbus *d = NULL;

		r = dbus_open(req->scope.user, JOB_REMOVED, TIMEOUT_MS, &d);
		c.d = d;
		if (r == 0)
			r = start(&c, ret_path);
		if (r != -ECONNRESET)
			break;
	}
	if (r < 0)
		holder_end(&holder);
	else
		*ret_holder = take_fd(&holder);
	return r;
}

void cgroup_scope_release(int *holder)
{
	holder_end(holder);
}

/* ---- update ---- */

/* The period of cpu.max, which a quota given alone is for. */
static uint64_t present_period(int cgroup_fd)
{
	uint64_t period = CGROUP_CPU_PERIOD;
	char text[64], *space;

	if (cgroup_read_value(cgroup_fd, "cpu.max", text, sizeof(text)) < 0)
		return period;
	space = strchr(text, ' ');
	if (space != NULL)
		(void)parse_u64(space + 1, 1, UINT32_MAX, &period);
	return period;
}

/* -ECONNRESET: nothing was done, or all of it. */
static int try_update(struct scope_call *c)
{
	for (;;) {
		_cleanup_dbus_message_ struct dbus_message *m = NULL;
		_cleanup_buf_ struct buf body = BUF_NULL;
		size_t array;
		int r;

		dbus_put_string(&body, c->scope->unit);
		/* Until the next boot, which is longer than the scope can live. */
		dbus_put_u32(&body, 1);
		array = dbus_put_array(&body, 8);
		put_limits(&body, c);
		dbus_put_array_end(&body, array, 8);
		r = call_manager(c->d, "SetUnitProperties", "sba(sv)", &body, &m);
		if (r < 0 || dbus_message_header(m)->type == DBUS_RETURN)
			return r;
		if (!too_new(c, m))
			return refused(m, "change", c->scope->unit);
	}
}

int cgroup_scope_update(const struct cgroup_scope *s, int cgroup_fd, const struct cgroup_resources *resources)
{
	_cleanup_arena_ struct arena *a = arena_new(ARENA_MAX);
	struct cgroup_resources full = *resources;
	struct scope_call c = { .a = a, .scope = s, .version = UINT_MAX };
	size_t n = 0;
	int r;

	if (a == NULL)
		return ERR_NOMEM();
	r = cgroup_resources_complete(cgroup_fd, &full);
	if (r < 0)
		return ERR(r, "cannot read the present limits");
	r = systemd_properties(a, &full, present_period(cgroup_fd), &c.limits, &c.n_limits);
	for (size_t i = 0; r == 0 && i < c.n_limits; i++)
		if (!c.limits[i].start_only)
			c.limits[n++] = c.limits[i];
	c.n_limits = n;
	if (r < 0 || n == 0)
		return r;
	/* Twice, as in a start. */
	for (int i = 0; i < 2; i++) {
		_cleanup_dbus_ struct dbus *d = NULL;

		r = dbus_open(s->user, NULL, TIMEOUT_MS, &d);
		c.d = d;
		if (r == 0)
			r = try_update(&c);
		if (r != -ECONNRESET)
			break;
	}
	return r;
}

/* ---- stop ---- */

/* description: NULL, or the only one that may be stopped. */
static int stop_if(struct dbus *d, const char *unit, const char *description)
{
	_cleanup_free_ char *present = NULL;
	int r = description != NULL ? unit_property(d, unit, "Description", &present) : 0;

	if (r < 0 || (description != NULL && (present == NULL || !str_eq(present, description))))
		return r;
	return stop_unit(d, unit);
}

int cgroup_scope_stop(const struct cgroup_scope *s, const char *description)
{
	int r = -ECONNRESET;

	/* Twice, as in a start. */
	for (int i = 0; r == -ECONNRESET && i < 2; i++) {
		_cleanup_dbus_ struct dbus *d = NULL;

		r = dbus_open(s->user, JOB_REMOVED, TIMEOUT_MS, &d);
		if (r == 0)
			r = stop_if(d, s->unit, description);
	}
	return r;
}
