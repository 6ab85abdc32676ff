/* SPDX-License-Identifier: Apache-2.0 */
/* The list of `mounts add` from anyone: refused with the file's name in one line, or mounts that can be looked at. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "namespaces/mount_options.h"
#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/path_at.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct spec *s)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct spec_mount *m = &s->mounts[i];
		struct mount_req req = { .target = NULL };
		char clean[4096];

		assert(m->destination[0] == '/');
		assert((m->n_uid_map > 0) == (m->n_gid_map > 0));
		if (path_clean(m->destination, clean) == 0)
			assert(clean[0] == '/' && strstr(clean, "/../") == NULL && strstr(clean, "//") == NULL);
		if (mount_options_parse(s->arena, m->options.v, m->options.n, &req) < 0)
			assert(err_text()[0] != '\0');
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec *s = NULL;

	err_clear();
	if (spec_parse_mounts("mounts.json", (const char *)data, size, &s) == 0) {
		look(s);
	} else {
		assert(s == NULL);
		assert(strncmp(err_text(), "mounts.json: ", strlen("mounts.json: ")) == 0);
		assert(strchr(err_text(), '\n') == NULL);
	}
	spec_free(s);
	return 0;
}
