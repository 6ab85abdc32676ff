/* SPDX-License-Identifier: Apache-2.0 */
/* idmap_option_parse(): crun's "uids=0-1000-10#10-2000-5;gids=@0-0-10". See mount_options.h. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "namespaces/mount_options.h"
#include "namespaces/userns.h"
#include "runtime/base/arena.h"
#include "runtime/base/err.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

/* As many as the kernel takes (user_namespaces(7)). */
#define RANGES_MAX 340

/* The host's id of the container's: the whole range must lie in one of the container's own. */
static int from_container(const struct userns_range *maps, size_t n, struct userns_range *v, const char *word)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t offset = v->host_id - maps[i].container_id;

		if (v->host_id < maps[i].container_id || offset >= maps[i].size)
			continue;
		if (v->size > maps[i].size - offset)
			return ERR_PLAIN(-EINVAL, "%s: reaches over the end of a range of the container's user namespace", word);
		v->host_id = maps[i].host_id + offset;
		return 0;
	}
	return ERR_PLAIN(-EINVAL, "%s: is no id of a user namespace that this container makes", word);
}

/* "FROM-TO-LENGTH", maybe after "@". */
static int parse_range(const char *word, const struct userns_range *maps, size_t n, struct userns_range *ret)
{
	char copy[40], *save = NULL, *part;
	uint64_t v[3];
	size_t k = 0, len = strlen(word);

	if (len >= sizeof(copy))
		return ERR_PLAIN(-EINVAL, "%.40s…: is no FROM-TO-LENGTH", word);
	memcpy(copy, word, len + 1);
	for (part = strtok_r(*copy == '@' ? copy + 1 : copy, "-", &save); part != NULL && k < 3; part = strtok_r(NULL, "-", &save), k++)
		if (parse_u64(part, k == 2 ? 1 : 0, UINT32_MAX, &v[k]) < 0)
			break;
	if (k != 3 || part != NULL || v[0] + v[2] > UINT32_MAX || v[1] + v[2] > UINT32_MAX)
		return ERR_PLAIN(-EINVAL, "%s: is no FROM-TO-LENGTH of ids", word);
	*ret = (struct userns_range){ .container_id = (uint32_t)v[0], .host_id = (uint32_t)v[1], .size = (uint32_t)v[2] };
	return *copy == '@' ? from_container(maps, n, ret, word) : 0;
}

static int parse_list(struct arena *a, char *list, const struct userns_range *maps, size_t n_maps, const struct userns_range **ret,
		      size_t *ret_n)
{
	struct userns_range *v = arena_array(a, RANGES_MAX, sizeof(*v));
	char *save = NULL;
	size_t n = 0;

	if (v == NULL)
		return ERR_NOMEM();
	for (char *word = strtok_r(list, "#", &save); word != NULL; word = strtok_r(NULL, "#", &save)) {
		int r;

		if (n == RANGES_MAX)
			return ERR_PLAIN(-EINVAL, "%s: is the range after %d; the kernel takes no more", word, RANGES_MAX);
		r = parse_range(word, maps, n_maps, &v[n]);
		if (r < 0)
			return r;
		n++;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

int idmap_option_parse(struct arena *a, const char *text, const struct userns_req *container, struct userns_req *ret)
{
	static const struct userns_req none = { 0 };
	char *copy = arena_strdup(a, text), *save = NULL;

	*ret = none;
	if (copy == NULL)
		return ERR_NOMEM();
	container = container != NULL ? container : &none;
	for (char *list = strtok_r(copy, ";", &save); list != NULL; list = strtok_r(NULL, ";", &save)) {
		int r;

		if (str_starts(list, "uids=") && ret->uid == NULL)
			r = parse_list(a, list + strlen("uids="), container->uid, container->n_uid, &ret->uid, &ret->n_uid);
		else if (str_starts(list, "gids=") && ret->gid == NULL)
			r = parse_list(a, list + strlen("gids="), container->gid, container->n_gid, &ret->gid, &ret->n_gid);
		else
			r = ERR_PLAIN(-EINVAL, "%s: is neither uids= nor gids=, or comes twice", list);
		if (r < 0)
			return r;
	}
	if (ret->n_uid == 0 || ret->n_gid == 0)
		return ERR_PLAIN(-EINVAL, "%s: needs both uids= and gids=", text);
	return 0;
}
