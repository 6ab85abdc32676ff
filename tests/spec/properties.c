/* SPDX-License-Identifier: Apache-2.0 */
/* The path of every property of config.json that oci/ reads, one a line: what tests/spec/check compares with the table. */
#include <stdio.h>

#include "oci/spec_parse.h"

#define PATH_SIZE 256

static int print_shape(const struct shape *s, const char *path)
{
	for (size_t i = 0; i < s->n_fields; i++) {
		const struct field *f = &s->fields[i];
		char below[PATH_SIZE];
		int n = snprintf(below, sizeof(below), "%s%s%s", path, *path != '\0' ? "." : "", f->name);

		if (n < 0 || (size_t)n >= sizeof(below))
			return -1;
		puts(below);
		if (f->shape != NULL && print_shape(f->shape, below) < 0)
			return -1;
	}
	return 0;
}

int main(void)
{
	return print_shape(&spec_shape_document, "") < 0 || fflush(stdout) != 0;
}
