/* SPDX-License-Identifier: Apache-2.0 */
/* resources.json of update -r from anyone: refused, or settings that name files of the cgroup itself. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/plan_resources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void convert(struct spec *s)
{
	struct cgroup_resources r;
	struct cgroup_setting *v = NULL;
	size_t n = 0;

	if (plan_resources(s->arena, &s->linux_.resources, &r) < 0 || cgroup_settings(s->arena, &r, &v, &n) < 0) {
		assert(err_text()[0] != '\0');
		return;
	}
	for (size_t i = 0; i < n; i++) {
		assert(strchr(v[i].file, '/') == NULL && v[i].file[0] != '.' && v[i].file[0] != '\0');
		assert(v[i].value != NULL && strchr(v[i].value, '\n') == NULL);
		assert((v[i].or_file == NULL) == (v[i].or_value == NULL));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spec *s = NULL;

	err_clear();
	if (spec_parse_resources("resources.json", (const char *)data, size, &s) == 0) {
		convert(s);
	} else {
		assert(s == NULL);
		assert(strncmp(err_text(), "resources.json: ", strlen("resources.json: ")) == 0);
		assert(strchr(err_text(), '\n') == NULL);
	}
	spec_free(s);
	return 0;
}
