/* SPDX-License-Identifier: Apache-2.0 */
/* See description.h. */
#include "microvm/guest/description.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "namespaces/apparmor.h"
#include "namespaces/net_config.h"
#include "oci/json.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/net_wire.h"

#define NAME "the guest description"
#define DEPTH_MAX 8

static int bad(struct arena *a, const struct json *j, const char *what)
{
	return ERR_PLAIN(-EINVAL, NAME ": %s: %s", json_path(a, j), what);
}

static int need(const struct json *root, const char *key, enum json_type type, const struct json **ret)
{
	*ret = json_member(root, key);
	if (*ret == NULL)
		return ERR_PLAIN(-EINVAL, NAME ": %s: is missing", key);
	if ((*ret)->type != type)
		return ERR_PLAIN(-EINVAL, NAME ": %s: must be %s, not %s", key, json_type_name(type),
				 json_type_name((*ret)->type));
	return 0;
}

static int read_text(const struct json *root, const char *key, const char **ret)
{
	const struct json *j;
	int r = need(root, key, JSON_STRING, &j);

	if (r == 0)
		*ret = j->text;
	return r;
}

static int read_number(const struct json *object, const char *key, uint64_t max, uint64_t *ret)
{
	const struct json *j;
	int r = need(object, key, JSON_NUMBER, &j);

	if (r == 0 && parse_u64(j->text, 0, max, ret) < 0)
		r = ERR_PLAIN(-EINVAL, NAME ": time.%s: is out of range", key);
	return r;
}

static int read_time(const struct json *root, struct guest_description *d)
{
	const struct json *j;
	int r = need(root, "time", JSON_OBJECT, &j);

	if (r == 0)
		r = read_number(j, "seconds", INT64_MAX, &d->seconds);
	return r == 0 ? read_number(j, "nanoseconds", 999999999, &d->nanoseconds) : r;
}

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = c != '\0' ? strchr(digits, c) : NULL;

	return p != NULL ? (int)(p - digits) : -1;
}

static int read_bytes(struct arena *a, const struct json *j, size_t max, const unsigned char **ret, size_t *ret_size)
{
	const size_t n = strlen(j->text) / 2;
	unsigned char *out;

	if (strlen(j->text) % 2 != 0 || n > max)
		return bad(a, j, "is too long, or half a byte");
	out = arena_alloc(a, n + 1);
	if (out == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++) {
		int high = digit(j->text[2 * i]), low = digit(j->text[2 * i + 1]);

		if (high < 0 || low < 0)
			return bad(a, j, "is not in hexadecimal digits");
		out[i] = (unsigned char)(high << 4 | low);
	}
	*ret = out;
	*ret_size = n;
	return 0;
}

static int read_entropy(struct arena *a, const struct json *root, struct guest_description *d)
{
	const struct json *j;
	int r = need(root, "entropy", JSON_STRING, &j);

	return r < 0 ? r : read_bytes(a, j, GUEST_ENTROPY_MAX, &d->entropy, &d->entropy_size);
}

static int read_apparmor(struct arena *a, const struct json *root, struct guest_description *d)
{
	const struct json *j = json_member(root, "apparmor");

	if (j == NULL)
		return 0;
	if (j->type != JSON_STRING || *j->text == '\0')
		return bad(a, j, "must be a string, and not empty");
	return read_bytes(a, j, APPARMOR_POLICY_MAX, &d->apparmor, &d->apparmor_size);
}

static int check_keys(struct arena *a, const struct json *root, const char *const *known, size_t n)
{
	for (const struct json *j = root->child; j != NULL; j = j->next)
		if (!str_in(j->key, known, n))
			return bad(a, j, "is not known");
	return 0;
}

/* No other words, whatever the host says: what they do is the mount's, not the file system's. */
static int read_flags(struct arena *a, const struct json *list, struct guest_mount *ret)
{
	static const char *const known[] = GUEST_MOUNT_FLAGS;

	ret->flags = arena_array(a, list->n, sizeof(*ret->flags));
	if (ret->flags == NULL)
		return ERR_NOMEM();
	for (const struct json *j = list->child; j != NULL; j = j->next) {
		if (j->type != JSON_STRING || !str_in(j->text, known, ARRAY_SIZE(known)))
			return bad(a, j, "is no flag of a mount");
		ret->flags[ret->n_flags++] = j->text;
	}
	return 0;
}

static int read_mount(struct arena *a, const struct json *object, size_t least, struct guest_mount *ret)
{
	static const char *const known[] = { "index", "flags" };
	const struct json *index, *flags;
	uint64_t v = 0;
	int r;

	if (object->type != JSON_OBJECT)
		return bad(a, object, "must be an object");
	r = check_keys(a, object, known, ARRAY_SIZE(known));
	if (r == 0)
		r = need(object, "index", JSON_NUMBER, &index);
	if (r == 0)
		r = need(object, "flags", JSON_ARRAY, &flags);
	if (r == 0 && parse_u64(index->text, least, UINT32_MAX, &v) < 0)
		r = bad(a, index, "is not the number of a mount, in ascending order");
	ret->index = (size_t)v;
	return r == 0 ? read_flags(a, flags, ret) : r;
}

static int read_mounts(struct arena *a, const struct json *root, struct guest_description *d)
{
	const struct json *list;
	struct guest_mount *out;
	size_t n = 0;
	int r = need(root, "mounts", JSON_ARRAY, &list);

	if (r < 0)
		return r;
	if (list->n > GUEST_MOUNTS_MAX)
		return bad(a, list, "is too long");
	out = arena_array(a, list->n, sizeof(*out));
	if (out == NULL)
		return ERR_NOMEM();
	for (const struct json *j = list->child; r == 0 && j != NULL; j = j->next) {
		r = read_mount(a, j, n > 0 ? out[n - 1].index + 1 : 0, &out[n]);
		n++;
	}
	d->mounts = out;
	d->n_mounts = n;
	return r;
}

static int read_network(struct arena *a, const struct json *root, struct guest_description *d)
{
	const struct json *j = json_member(root, "network");
	struct net_config *c;
	int r;

	if (j == NULL)
		return 0;
	c = arena_alloc(a, sizeof(*c));
	if (c == NULL)
		return ERR_NOMEM();
	r = net_wire_read(a, NAME, j, c);
	d->network = c;
	return r;
}

static int read_image(struct arena *a, const struct json *root, struct guest_image *ret)
{
	static const char *const known[] = { "device", "type", "readOnly" };
	const struct json *image, *j;
	int r = need(root, "image", JSON_OBJECT, &image);

	if (r == 0)
		r = check_keys(a, image, known, ARRAY_SIZE(known));
	if (r == 0)
		r = read_text(image, "device", &ret->device);
	if (r == 0 && ret->device[0] != '/')
		r = ERR_PLAIN(-EINVAL, NAME ": image.device: is not an absolute path");
	if (r == 0)
		r = read_text(image, "type", &ret->type);
	if (r == 0)
		r = need(image, "readOnly", JSON_BOOL, &j);
	if (r == 0)
		ret->read_only = j->boolean;
	return r;
}

/* In the share, or on a disk. */
static int read_root(struct arena *a, const struct json *root, struct guest_description *ret)
{
	const struct json *image = json_member(root, "image");
	int r;

	if (image != NULL && json_member(root, "rootfs") != NULL)
		return bad(a, image, "is there beside rootfs");
	if (image != NULL)
		return read_image(a, root, &ret->image);
	r = read_text(root, "rootfs", &ret->rootfs);
	return r == 0 && ret->rootfs[0] != '/' ? ERR_PLAIN(-EINVAL, NAME ": rootfs: is not an absolute path") : r;
}

static int read_ids(const struct json *root, struct guest_description *ret)
{
	const struct json *j;
	int r = need(root, "idsMapped", JSON_BOOL, &j);

	if (r == 0)
		ret->ids_mapped = j->boolean;
	return r;
}

int guest_description_read(struct arena *a, const char *text, size_t len, struct guest_description *ret)
{
	static const char *const known[] = { "id", "bundle", "hostname", "time", "entropy", "share", "rootfs", "image", "mounts", "idsMapped", "apparmor",
					       "network" };

	const struct json *root;
	int r = json_parse(a, NAME, text, len, DEPTH_MAX, &root);

	*ret = (struct guest_description){ 0 };
	if (r == 0 && root->type != JSON_OBJECT)
		r = ERR_PLAIN(-EINVAL, NAME ": must be an object");
	if (r == 0)
		r = check_keys(a, root, known, ARRAY_SIZE(known));
	if (r == 0)
		r = read_text(root, "id", &ret->id);
	if (r == 0)
		r = read_text(root, "bundle", &ret->bundle);
	if (r == 0)
		r = read_text(root, "hostname", &ret->hostname);
	if (r == 0)
		r = read_text(root, "share", &ret->share);
	if (r == 0)
		r = read_root(a, root, ret);
	if (r == 0)
		r = read_time(root, ret);
	if (r == 0)
		r = read_entropy(a, root, ret);
	if (r == 0)
		r = read_mounts(a, root, ret);
	if (r == 0)
		r = read_ids(root, ret);
	if (r == 0)
		r = read_apparmor(a, root, ret);
	return r == 0 ? read_network(a, root, ret) : r;
}
