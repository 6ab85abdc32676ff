/* SPDX-License-Identifier: Apache-2.0 */
/* linux.cgroupsPath -> the names of units. Pure. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "cgroups/systemd.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* systemd's own limit. */
#define UNIT_NAME_MAX 255

static int check_unit(const char *name, const char *suffix)
{
	if (strlen(name) > UNIT_NAME_MAX)
		return ERR_PLAIN(-EINVAL, "unit name \"%s\" is longer than %d characters", name, UNIT_NAME_MAX);
	if (str_eq(name, suffix))
		return ERR_PLAIN(-EINVAL, "\"%s\" is not the name of a unit", name);
	for (const char *p = name; *p != '\0'; p++)
		if (!isalnum((unsigned char)*p) && strchr(":-_.\\@", *p) == NULL)
			return ERR_PLAIN(-EINVAL, "unit name \"%s\": systemd allows letters, digits and :-_.\\@ only", name);
	return 0;
}

/* Its dashes are a path: no part of it may be empty. */
static int check_slice(const char *slice)
{
	size_t stem = strlen(slice) - strlen(".slice");

	if (!str_ends(slice, ".slice"))
		return ERR_PLAIN(-EINVAL, "\"%s\" is not the name of a slice, which ends in \".slice\"", slice);
	if (str_eq(slice, "-.slice"))
		return 0;
	if (slice[0] == '-' || slice[stem - 1] == '-' || strstr(slice, "--") != NULL)
		return ERR_PLAIN(-EINVAL, "slice \"%s\" has an empty part between dashes", slice);
	return check_unit(slice, ".slice");
}

static int check_scope(const char *name, const char *unit)
{
	if (name[0] == '\0')
		return ERR_PLAIN(-EINVAL, "the scope has no name");
	if (str_ends(name, ".slice"))
		return ERR_PLAIN(-EINVAL, "\"%s\" is a slice, and a container's processes can only be in a scope", name);
	return check_unit(unit, ".scope");
}

static const char *slice_name(struct arena *a, const char *s, size_t len, bool user)
{
	if (len == 0)
		return user ? "user.slice" : "system.slice";
	if (len == 1 && s[0] == '-')
		return "-.slice";
	return arena_strndup(a, s, len);
}

int cgroup_scope_parse(struct arena *a, const char *cgroups_path, const char *id, bool user, struct cgroup_scope *ret)
{
	struct cgroup_scope s = { .user = user };
	const char *path = cgroups_path, *prefix, *name;
	int r;

	if (path == NULL || path[0] == '\0')
		path = arena_printf(a, ":nacre:%s", id);
	if (path == NULL)
		return ERR_NOMEM();
	prefix = strchr(path, ':');
	name = prefix != NULL ? strchr(prefix + 1, ':') : NULL;
	if (name == NULL || strchr(name + 1, ':') != NULL)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "cgroupsPath \"%s\": expected \"slice:prefix:name\" for systemd cgroups", path),
				"a path is for --cgroup-manager=cgroupfs");
	s.slice = slice_name(a, path, (size_t)(prefix - path), user);
	s.unit = arena_printf(a, "%.*s-%s.scope", (int)(name - prefix - 1), prefix + 1, name + 1);
	if (s.slice == NULL || s.unit == NULL)
		return ERR_NOMEM();
	r = check_slice(s.slice);
	if (r == 0)
		r = check_scope(name + 1, s.unit);
	if (r < 0)
		return ERR_CONTEXT(r, "cgroupsPath \"%s\"", path);
	*ret = s;
	return 0;
}
