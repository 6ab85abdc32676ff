/* SPDX-License-Identifier: Apache-2.0 */
/* What the workload of nacre compare printed, in a guest that may print anything: lines in, no more than the known metrics out. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/err.h"
#include "runtime/compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct compare_lines *l)
{
	for (int m = 0; m < COMPARE_METRICS; m++) {
		if (l->has[m] && l->failed[m][0] != '\0')
			__builtin_trap();
		if (memchr(l->failed[m], '\0', sizeof(l->failed[m])) == NULL)
			__builtin_trap();
		for (const char *s = l->failed[m]; *s != '\0'; s++)
			if (*s < ' ' || *s == 0x7f)
				__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct compare_lines l = { .begun = false };
	char *text = malloc(size + 1), *save = NULL;

	if (text == NULL)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
		if (compare_line(&l, line) < 0)
			break;
	check(&l);
	err_clear();
	free(text);
	return 0;
}
