/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups by systemd: a transient scope for each container. systemd owns the tree above the scope; inside it
 * (Delegate=yes) everything is done by the file system as with the other manager, the device program included:
 * systemd is told nothing of devices, so a daemon-reload has nothing to put in its place.
 *
 * A container's way: cgroup_scope_parse() and cgroup_unit_property_check() while planning; cgroup_scope_start(), then
 * cgroup_open() of its path, all settings written as into any new cgroup, the first process born there, and
 * cgroup_scope_release(); at its end the processes are killed, then cgroup_scope_stop(), which removes the cgroup, too.
 *
 * Each call that speaks with systemd takes 30 s at most, then -ETIMEDOUT (twice that when systemd itself is replaced
 * meanwhile, daemon-reexec: it is asked again). -ENOENT, -ECONNREFUSED: no systemd there, with a hint; -EACCES: it
 * refuses us; -EIO: it refuses the request, with its words; -ECONNRESET: it went twice; -EBADMSG: not D-Bus.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct arena;
struct cgroup_resources;

/* A unit property from outside, in GVariant's text form: { "TimeoutStopUSec", "uint64 5000000" } (variant.h says which). */
struct cgroup_unit_property {
	const char *name, *value;
};

struct cgroup_scope {
	const char *slice;		/* "machine.slice" */
	const char *unit;		/* "libpod-ID.scope" */
	bool user;			/* the user's systemd, not the system's */
};

/*
 * linux.cgroupsPath "SLICE:PREFIX:NAME" -> the slice, and the scope PREFIX-NAME.scope. NULL or "" is ":nacre:ID". An
 * empty SLICE is system.slice, or user.slice of a user's systemd; "-" is the root slice. All as runc and crun have it:
 * so an empty PREFIX gives "-NAME.scope", and nothing is escaped; a name that systemd would not take is -EINVAL
 * with a text, as is a NAME that ends in ".slice" (in a slice no process can be). In a.
 */
int cgroup_scope_parse(struct arena *a, const char *cgroups_path, const char *id, bool user, struct cgroup_scope *ret);

/* Are the name and the value of an org.systemd.property.NAME annotation what systemd could take? -EINVAL with a text. */
int cgroup_unit_property_check(const struct cgroup_unit_property *p);

/* What a scope is made of. */
struct cgroup_scope_req {
	struct cgroup_scope scope;
	const char *description;	/* UTF-8; NULL: the unit's name */
	const struct cgroup_unit_property *properties;
	size_t n_properties;
	const struct cgroup_resources *resources;	/* those that systemd has properties for become such; NULL: none */
};

/*
 * Starts the scope and waits until systemd says that it is there. A scope cannot be empty: *ret_holder is the pidfd of a
 * child of the caller that does nothing, to be ended by cgroup_scope_release() once the container's first process is in
 * the cgroup and nobody needs its counts should it die, or it was given up (then the scope ends by itself). It gets SIGKILL when the calling thread ends.
 * *ret_path: the cgroup below the cgroup2 mount (malloc'ed). A unit of that name which failed earlier is cleared
 * away, one that is ending is waited for; one that is active: -EBUSY. No cgroup v2 in systemd's hands: -EOPNOTSUPP.
 */
int cgroup_scope_start(const struct cgroup_scope_req *r, char **ret_path, int *ret_holder);
/* *holder becomes FD_NONE; one that is that already is passed over. */
void cgroup_scope_release(int *holder);

/*
 * Tells systemd the new limits, so that a daemon-reload keeps them. What r leaves open is taken from cgroup_fd, the
 * scope's cgroup. systemd writes the files of the controllers that it has new values for, all of them, and a
 * quota in whole percents: so the caller's own writing comes after this. To have cgroup_update()'s check and its
 * way back, too: cgroup_update(), this, and cgroup_update() again.
 */
int cgroup_scope_update(const struct cgroup_scope *s, int cgroup_fd, const struct cgroup_resources *r);

/*
 * Stops the unit and waits until it is gone; one that is not there is no error. Its processes should be dead:
 * systemd would ask them (SIGTERM) and wait for its own time limit, which is longer than ours.
 * description: NULL, or what cgroup_scope_req had: a unit with another one is somebody else's, and left alone.
 */
int cgroup_scope_stop(const struct cgroup_scope *s, const char *description);
