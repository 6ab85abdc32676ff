/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.json -> struct spec, see spec.h; how the files share the work is in spec_parse.h.
 *
 * The properties of other platforms (windows, solaris, zos, freebsd) are no
 * business of a Linux runtime and ignored like unknown ones.
 */
#include "oci/spec_parse.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* About 1,000 times what engines write; a text of SPEC_MAX_BYTES made of empty arrays would take 250 MiB. */
#define MEMORY_MAX ((size_t)64 * 1024 * 1024)

static const struct field root_fields[] = {
	{ F_STRING(struct spec_root, "path", path) },	/* required, but for a vm.image: spec_check() */
	{ F_BOOL(struct spec_root, "readonly", readonly) },
};

static const struct shape root = SHAPE(struct spec_root, root_fields, NULL);

/* Mounts */

/* The specification tolerates a relative destination, as one below "/". */
static int read_destination(const struct spec_reader *r, const struct json *j, const struct field *f, void *object)
{
	struct spec_mount *m = object;
	int ret = read_string(r, j, f, object);

	if (ret < 0 || m->destination[0] == '/')
		return ret;
	m->destination = arena_printf(r->arena, "/%s", m->destination);
	return m->destination != NULL ? 0 : ERR_NOMEM();
}

static const struct field mount_fields[] = {
	{ .name = "destination", .read = read_destination, F_REQUIRED,
	  .at = FIELD_AT(struct spec_mount, destination, const char *) },
	{ F_STRING(struct spec_mount, "type", type) },
	{ F_STRING(struct spec_mount, "source", source) },
	{ F_STRV(struct spec_mount, "options", options, read_strings) },
	{ F_LIST(struct spec_mount, "uidMappings", struct spec_id_map, uid_map, n_uid_map, &spec_shape_id_map) },
	{ F_LIST(struct spec_mount, "gidMappings", struct spec_id_map, gid_map, n_gid_map, &spec_shape_id_map) },
};

static int finish_mount(const struct spec_reader *r, const struct json *j, void *object)
{
	const struct spec_mount *m = object;

	if ((m->n_uid_map > 0) == (m->n_gid_map > 0))
		return 0;
	return spec_bad(r, j, "%s without %s", m->n_uid_map > 0 ? "uidMappings" : "gidMappings",
			m->n_uid_map > 0 ? "gidMappings" : "uidMappings");
}

static const struct shape mount_shape = SHAPE(struct spec_mount, mount_fields, finish_mount);

/* Hooks */

static const struct field hook_fields[] = {
	{ F_PATH(struct spec_hook, "path", path), F_REQUIRED },
	{ F_STRV(struct spec_hook, "args", args, read_strings) },
	{ F_STRV(struct spec_hook, "env", env, read_env), F_HAS(struct spec_hook, has_env) },
	{ F_U32(struct spec_hook, "timeout", timeout, 1, INT32_MAX) },
};

static const struct shape hook = SHAPE(struct spec_hook, hook_fields, NULL);

#define F_HOOKS(name, m) F_LIST(struct spec_hooks, name, struct spec_hook, m.v, m.n, &hook)

static const struct field hooks_fields[] = {
	{ F_HOOKS("prestart", prestart) },
	{ F_HOOKS("createRuntime", create_runtime) },
	{ F_HOOKS("createContainer", create_container) },
	{ F_HOOKS("startContainer", start_container) },
	{ F_HOOKS("poststart", poststart) },
	{ F_HOOKS("poststop", poststop) },
};

static const struct shape hooks = SHAPE(struct spec_hooks, hooks_fields, NULL);

/* The document */

static const struct field spec_fields[] = {
	{ F_STRING(struct spec, "ociVersion", oci_version), F_REQUIRED },
	{ F_EMBEDDED(struct spec, "root", struct spec_root, root, &root), F_HAS(struct spec, has_root) },
	{ .name = "process", .read = read_pointed, .shape = &spec_shape_process,
	  .at = FIELD_AT(struct spec, process, const struct spec_process *) },
	{ F_STRING(struct spec, "hostname", hostname) },
	{ F_STRING(struct spec, "domainname", domainname) },
	{ F_LIST(struct spec, "mounts", struct spec_mount, mounts, n_mounts, &mount_shape) },
	{ F_EMBEDDED(struct spec, "hooks", struct spec_hooks, hooks, &hooks) },
	{ F_MAP(struct spec, "annotations", annotations, n_annotations) },
	{ F_EMBEDDED(struct spec, "linux", struct spec_linux, linux_, &spec_shape_linux) },
	{ F_EMBEDDED(struct spec, "vm", struct spec_vm, vm, &spec_shape_vm), F_IF_SAID },
};

const struct shape spec_shape_document = SHAPE(struct spec, spec_fields, NULL);

static int too_large(const char *name)
{
	return ERR_PLAIN(-EFBIG, "%s: larger than %zu MiB", name, SPEC_MAX_BYTES / (1024 * 1024));
}

/* What a text is: reads the tree into the empty spec and checks it. */
typedef int text_reader(const struct spec_reader *r, const struct json *tree, struct spec *s);

/* Written for a version of the specification before 1.minor; spec_check() has seen that it is of 1. */
static bool is_before(const struct spec *s, char minor)
{
	const char *at = s->oci_version + strlen("1.");

	return strspn(at, "0123456789") == 1 && *at < minor;
}

/*
 * What a value meant when it was written. Before 1.3 pids could not be without its limit: 0 is how engines said that there is none
 * (CRI-O 1.24 does in each config.json), and runtimes took it so. Since 1.3 it is a limit as others.
 */
static void read_as_of_then(struct spec *s)
{
	struct spec_resources *r = &s->linux_.resources;

	if (r->has_pids && r->pids_limit == 0 && is_before(s, '3'))
		r->has_pids = false;
}

static int read_document(const struct spec_reader *r, const struct json *tree, struct spec *s)
{
	int ret = spec_read_object(r, tree, &spec_shape_document, s);

	if (ret == 0)
		ret = spec_check(r, s);
	if (ret == 0)
		read_as_of_then(s);
	return ret;
}

static int read_process(const struct spec_reader *r, const struct json *tree, struct spec *s)
{
	/* The process as the only property of a document, so that one reader serves both. */
	static const struct field field = {
		.shape = &spec_shape_process, .at = FIELD_AT(struct spec, process, const struct spec_process *),
	};
	int ret = read_pointed(r, tree, &field, s);

	return ret < 0 ? ret : spec_check_process(r, s->process, "");
}

static int read_resources(const struct spec_reader *r, const struct json *tree, struct spec *s)
{
	return spec_read_object(r, tree, &spec_shape_resources, &s->linux_.resources);
}

/* crun's form, the list alone, or an object that has it by its name. */
static int read_mounts(const struct spec_reader *r, const struct json *tree, struct spec *s)
{
	static const struct field field = { F_LIST(struct spec, "mounts", struct spec_mount, mounts, n_mounts, &mount_shape) };
	const struct json *list = tree->type == JSON_OBJECT ? json_member(tree, "mounts") : tree;
	int ret;

	if (list == NULL)
		return spec_missing(r, tree, "mounts");
	ret = read_list(r, list, &field, s);
	return ret < 0 ? ret : spec_check_mounts(r, s, list == tree ? "" : "mounts");
}

static int parse(const char *name, const char *text, size_t len, text_reader *read, struct spec **ret_spec)
{
	_cleanup_spec_ struct spec *s = NULL;
	struct spec_reader reader = { .name = name, .arena = arena_new(MEMORY_MAX) };
	const struct json *tree;
	int r;

	if (reader.arena == NULL)
		return ERR_NOMEM();
	s = arena_alloc(reader.arena, sizeof(*s));
	if (s == NULL) {
		arena_free(reader.arena);
		return ERR_NOMEM();
	}
	s->arena = reader.arena;
	spec_shape_init(&spec_shape_document, s);
	r = len > SPEC_MAX_BYTES ? too_large(name) : json_parse(s->arena, name, text, len, SPEC_MAX_DEPTH, &tree);
	if (r == 0)
		r = read(&reader, tree, s);
	if (r < 0)
		return r;
	*ret_spec = s;
	s = NULL;
	return 0;
}

int spec_parse(const char *name, const char *text, size_t len, struct spec **ret_spec)
{
	return parse(name, text, len, read_document, ret_spec);
}

int spec_parse_process(const char *name, const char *text, size_t len, struct spec **ret_spec)
{
	return parse(name, text, len, read_process, ret_spec);
}

int spec_parse_resources(const char *name, const char *text, size_t len, struct spec **ret_spec)
{
	return parse(name, text, len, read_resources, ret_spec);
}

int spec_parse_mounts(const char *name, const char *text, size_t len, struct spec **ret_spec)
{
	return parse(name, text, len, read_mounts, ret_spec);
}

/* Opens a regular file only: a FIFO in its place must not make the runtime wait. */
static int open_regular(int dirfd, const char *path, const char *name, size_t *ret_size)
{
	_cleanup_close_ int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return ERR(-errno, "cannot open \"%s\"", name);
	if (fstat(fd, &st) < 0)
		return ERR(-errno, "cannot stat \"%s\"", name);
	if (!S_ISREG(st.st_mode))
		return ERR_PLAIN(-EINVAL, "%s: not a regular file", name);
	*ret_size = (size_t)st.st_size;
	return take_fd(&fd);
}

/* name: for error texts. */
static int load(int dirfd, const char *path, const char *name, struct spec **ret_spec, char **ret_text, size_t *ret_len)
{
	size_t size = 0, len;
	_cleanup_close_ int fd = open_regular(dirfd, path, name, &size);
	_cleanup_free_ char *text = NULL;
	int r;

	if (fd < 0)
		return fd;
	r = fd_read_regular(fd, size, SPEC_MAX_BYTES, &text, &len);
	if (r == -EFBIG)
		return too_large(name);
	if (r < 0)
		return ERR(r, "cannot read \"%s\"", name);
	r = spec_parse(name, text, len, ret_spec);
	if (r < 0 || ret_text == NULL)
		return r;
	*ret_text = text;
	text = NULL;
	if (ret_len != NULL)
		*ret_len = len;
	return 0;
}

int spec_load(int dirfd, const char *name, struct spec **ret_spec, char **ret_text, size_t *ret_len)
{
	return load(dirfd, name, name, ret_spec, ret_text, ret_len);
}

int spec_load_as(const char *path, const char *name, struct spec **ret_spec, char **ret_text, size_t *ret_len)
{
	return load(AT_FDCWD, path, name, ret_spec, ret_text, ret_len);
}

void spec_free(struct spec *s)
{
	if (s != NULL)
		arena_free(s->arena); /* s itself is in it */
}

void spec_freep(struct spec **s)
{
	spec_free(*s);
	*s = NULL;
}

const char *spec_annotation(const struct spec *s, const char *key)
{
	for (size_t i = 0; i < s->n_annotations; i++)
		if (str_eq(s->annotations[i].key, key))
			return s->annotations[i].value;
	return NULL;
}
