/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a container: our own file, but whoever owns the state directory can write it. */
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/arena.h"
#include "runtime/state.h"
#include "runtime/state_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new((size_t)64 * 1024 * 1024);
	struct state s;

	if (a != NULL)
		(void)state_parse(a, (const char *)data, size, &s);
	arena_free(a);
	return 0;
}
