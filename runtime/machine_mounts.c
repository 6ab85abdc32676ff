/* SPDX-License-Identifier: Apache-2.0 */
/* See machine_mounts.h. */
#include "runtime/machine_mounts.h"

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define SYS "/sys"

static bool is_bind_word(const char *option)
{
	return str_eq(option, "bind") || str_eq(option, "rbind");
}

static bool is_hosts_sys(const struct spec_mount *m)
{
	bool bind = m->type != NULL && is_bind_word(m->type);

	for (size_t i = 0; i < m->options.n; i++)
		bind = bind || is_bind_word(m->options.v[i]);
	return bind && m->source != NULL && m->destination != NULL && str_eq(m->source, SYS) && str_eq(m->destination, SYS);
}

static int become_sysfs(struct arena *a, struct spec_mount *m)
{
	const char **v = arena_array(a, m->options.n + 1, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < m->options.n; i++)
		if (!is_bind_word(m->options.v[i]))
			v[n++] = m->options.v[i];
	v[n] = NULL;
	m->options = (struct strv){ .v = v, .n = n };
	m->type = m->source = "sysfs";
	m->n_uid_map = m->n_gid_map = 0;
	return 0;
}

int machine_mounts_replace(struct spec *s)
{
	struct spec_mount *v = arena_array(s->arena, s->n_mounts, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < s->n_mounts; i++) {
		int r;

		v[i] = s->mounts[i];
		r = is_hosts_sys(&v[i]) ? become_sysfs(s->arena, &v[i]) : 0;
		if (r < 0)
			return r;
	}
	s->mounts = v;
	return 0;
}
