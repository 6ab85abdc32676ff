/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics from a guest that may be hostile: refused, or figures that can be written again and then are the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/stats.h"
#include "runtime/base/err.h"
#include "runtime/stats_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cgroup_stats s, again;

	err_clear();
	if (stats_wire_read((const char *)data, size, &s) == 0) {
		char *text = NULL, *text2 = NULL;
		size_t len = 0, len2 = 0;

		assert(stats_wire_write(&s, &text, &len) == 0);
		assert(stats_wire_read(text, len, &again) == 0);
		assert(stats_wire_write(&again, &text2, &len2) == 0);
		assert(len == len2 && memcmp(text, text2, len) == 0);
		free(text);
		free(text2);
		cgroup_stats_deinit(&again);
	} else {
		assert(err_text()[0] != '\0' && strchr(err_text(), '\n') == NULL);
	}
	cgroup_stats_deinit(&s);
	return 0;
}
