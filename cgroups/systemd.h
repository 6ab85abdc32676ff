/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroups by systemd: a transient scope for each container. systemd owns the tree above the scope; inside it
 * (Delegate=yes) everything is done by the file system as with the other manager, the device program included:
 * systemd is told nothing of devices, so a daemon-reload has nothing to put in its place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct arena;
struct cgroup_host;
struct cgroup_resources;

/* A unit property from outside, in GVariant's text form: { "TimeoutStopUSec", "uint64 5000000" }. */
struct cgroup_unit_property {
	const char *name, *value;
};

struct cgroup_scope {
	const char *slice;		/* "machine.slice" */
	const char *unit;		/* "libpod-ID.scope" */
	bool user;			/* the user's systemd, not the system's */
};

/*
 * linux.cgroupsPath "SLICE:PREFIX:NAME" -> the names of the slice and the scope; NULL or "": "" and the
 * defaults (system.slice, or user.slice of a user's systemd; PREFIX nacre, NAME the id). An empty SLICE is the default one. No
 * PREFIX: NAME alone; NAME that ends in ".slice" … see README. -EINVAL with a text. In a.
 */
int cgroup_scope_parse(struct arena *a, const char *cgroups_path, const char *id, bool user, struct cgroup_scope *ret);

/* Are the name and the value of an org.systemd.property.NAME annotation what systemd could take? -EINVAL with a text. */
int cgroup_unit_property_check(const struct cgroup_unit_property *p);

/* What a scope is made of. */
struct cgroup_scope_req {
	struct cgroup_scope scope;
	const char *description;
	const struct cgroup_unit_property *properties;
	size_t n_properties;
	const struct cgroup_resources *resources;	/* those that systemd has properties for become such */
};

/*
 * Starts the scope and waits until systemd says that it is there. A scope cannot be empty: *ret_holder is the pidfd of a
 * child of the caller that does nothing, to be ended by cgroup_scope_release() once the container's first process is in
 * the cgroup, or it was given up. *ret_path: the cgroup below the cgroup2 mount (malloc'ed). A unit of that name which
 * failed earlier is cleared away; one that is active: -EBUSY. -ENOENT, -ECONNREFUSED: no systemd there, with a hint. -ETIMEDOUT.
 */
int cgroup_scope_start(const struct cgroup_scope_req *r, char **ret_path, int *ret_holder);
void cgroup_scope_release(int *holder);

/* Tells systemd the new limits, so that a daemon-reload keeps them; the caller writes the files (cgroup_update()). */
int cgroup_scope_update(const struct cgroup_scope *s, const struct cgroup_resources *r);

/* Stops the unit and waits until it is gone; one that is not there is no error. */
int cgroup_scope_stop(const struct cgroup_scope *s);
