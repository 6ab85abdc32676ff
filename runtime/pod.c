/* SPDX-License-Identifier: Apache-2.0 */
/* See pod.h. */
#include "runtime/pod.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define SHM "/dev/shm"

static const struct {
	const char *part, *sandbox_id;
} engines[] = {
	{ ANNOTATION_POD_CONTAINERD, "io.kubernetes.cri.sandbox-id" },
	{ ANNOTATION_POD_CRIO, "io.kubernetes.cri-o.SandboxID" },
};

enum pod_part pod_part(const struct spec *s)
{
	bool sandbox = false, other = false;

	for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
		const char *word = spec_annotation(s, engines[i].part);

		if (word == NULL)
			continue;
		if (str_eq(word, "container"))
			return POD_CONTAINER;
		sandbox = sandbox || str_eq(word, "sandbox");
		other = other || !str_eq(word, "sandbox");
	}
	if (other)
		return POD_CONTAINER;
	return sandbox ? POD_SANDBOX : POD_NONE;
}

/* "…/SANDBOX/…/shm": where both engines keep it, below a folder of the sandbox's. */
static bool is_sandboxes(const char *path, const char *sandbox)
{
	const char *p = path;
	size_t len = sandbox != NULL ? strlen(sandbox) : 0;

	if (len == 0 || !str_ends(path, "/shm"))
		return false;
	while ((p = strstr(p, sandbox)) != NULL) {
		if (p > path && p[-1] == '/' && p[len] == '/')
			return true;
		p += len;
	}
	return false;
}

static bool is_pods_shm(const struct spec *s, const struct spec_mount *m)
{
	if (m->destination == NULL || m->source == NULL || !str_eq(m->destination, SHM))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (is_sandboxes(m->source, spec_annotation(s, engines[i].sandbox_id)))
			return true;
	return false;
}

/* As engines mount the sandbox's; read-only when this container was to have it so. */
static int become_tmpfs(struct arena *a, struct spec_mount *m)
{
	static const char *const words[] = { "nosuid", "noexec", "nodev", "mode=1777" };
	const char **v = arena_array(a, ARRAY_SIZE(words) + 2, sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		return ERR_NOMEM();
	for (; n < ARRAY_SIZE(words); n++)
		v[n] = words[n];
	if (str_in("ro", m->options.v, m->options.n))
		v[n++] = "ro";
	m->options = (struct strv){ .v = v, .n = n };
	m->type = "tmpfs";
	m->source = "shm";
	m->n_uid_map = m->n_gid_map = 0;
	return 0;
}

int pod_replace_shm(struct spec *s)
{
	struct spec_mount *v;

	if (pod_part(s) != POD_CONTAINER)
		return 0;
	v = arena_array(s->arena, s->n_mounts, sizeof(*v));
	if (v == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < s->n_mounts; i++) {
		int r;

		v[i] = s->mounts[i];
		r = is_pods_shm(s, &v[i]) ? become_tmpfs(s->arena, &v[i]) : 0;
		if (r < 0)
			return r;
	}
	s->mounts = v;
	return 0;
}
