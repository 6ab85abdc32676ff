/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json from anyone: must be parsed or refused with a text of one line,
 * within the limits, and what was parsed must hold what spec.h promises.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "oci/host_config.h"
#include "oci/spec.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_strv(const struct strv *s)
{
	assert(s->v != NULL);
	for (size_t i = 0; i < s->n; i++)
		assert(s->v[i] != NULL);
	assert(s->v[s->n] == NULL);
}

static void check_linux(const struct spec_linux *l)
{
	check_strv(&l->masked_paths);
	check_strv(&l->readonly_paths);
	check_strv(&l->seccomp.flags);
	check_strv(&l->seccomp.architectures);
	assert(l->n_namespaces <= 8);
	for (size_t i = 0; i < l->n_namespaces; i++)
		assert(l->namespaces[i].type != NULL);
	for (size_t i = 0; i < l->n_uid_map; i++)
		assert(l->uid_map[i].container_id + l->uid_map[i].size > l->uid_map[i].container_id);
	for (size_t i = 0; i < l->n_devices; i++)
		assert(l->devices[i].path[0] == '/' && strchr("cbp", l->devices[i].type) != NULL);
	for (size_t i = 0; i < l->seccomp.n_rules; i++) {
		check_strv(&l->seccomp.rules[i].names);
		assert(l->seccomp.rules[i].names.n > 0 && l->seccomp.rules[i].action != NULL);
	}
}

static void check_vm(const struct spec_vm *v)
{
	check_strv(&v->hypervisor.parameters);
	check_strv(&v->kernel.parameters);
	if (!v->present)
		return;
	assert(v->kernel.path[0] == '/' && (v->kernel.initrd == NULL || v->kernel.initrd[0] == '/'));
	assert(v->hypervisor.path == NULL || v->hypervisor.path[0] == '/');
	assert((v->image.path == NULL) == (v->image.format == NULL));
	for (size_t i = 0; i < v->kernel.parameters.n; i++)
		assert(strpbrk(v->kernel.parameters.v[i], "\n\r\t") == NULL);
}

static void check_spec(const struct spec *s)
{
	assert(s->oci_version[0] == '1');
	/* With vm.image it may be absent: root.readonly is the image's then. */
	assert(!s->has_root || (s->root.path != NULL ? s->root.path[0] != '\0' : s->vm.image.path != NULL));
	if (s->process != NULL) {
		check_strv(&s->process->args);
		check_strv(&s->process->env);
		check_strv(&s->process->caps.bounding);
		assert(s->process->cwd[0] == '/');
		for (size_t i = 0; i < s->process->env.n; i++)
			assert(strchr(s->process->env.v[i], '=') != NULL);
		assert(s->process->n_rlimits <= 16);
	}
	for (size_t i = 0; i < s->n_mounts; i++) {
		assert(s->mounts[i].destination[0] == '/');
		check_strv(&s->mounts[i].options);
		assert((s->mounts[i].n_uid_map > 0) == (s->mounts[i].n_gid_map > 0));
	}
	for (size_t i = 0; i < s->hooks.poststop.n; i++)
		assert(s->hooks.poststop.v[i].path[0] == '/');
	check_linux(&s->linux_);
	check_vm(&s->vm);
}

/* The host's own file is trusted; what is wrong with it is to be told as well. */
static void read_host_config(const char *text, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new((size_t)64 << 20);
	struct host_config c;

	err_clear();
	if (a == NULL)
		return;
	if (host_config_parse(a, "nacre.json", text, size, &c) < 0)
		assert(strncmp(err_text(), "nacre.json: ", strlen("nacre.json: ")) == 0 || strcmp(err_text(), "out of memory") == 0);
	check_strv(&c.kernel.parameters);
	check_strv(&c.hypervisor.parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec *s = NULL;

	err_clear();
	if (spec_parse("config.json", (const char *)data, size, &s) == 0) {
		check_spec(s);
	} else {
		assert(s == NULL);
		assert(strncmp(err_text(), "config.json: ", strlen("config.json: ")) == 0);
		assert(strchr(err_text(), '\n') == NULL);
	}
	spec_free(s);
	read_host_config((const char *)data, size);
	return 0;
}
