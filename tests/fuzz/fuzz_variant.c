/* SPDX-License-Identifier: Apache-2.0 */
/* An annotation's value: what is accepted has to be what D-Bus accepts, or systemd would hang up. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cgroups/dbus_message.h"
#include "cgroups/systemd.h"
#include "cgroups/systemd_properties.h"
#include "cgroups/variant.h"
#include "runtime/base/arena.h"
#include "runtime/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct arena *a, const char *text)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct dbus_reader r;
	struct variant v;

	if (variant_parse(a, text, &v) < 0)
		return;
	variant_put(&b, &v);
	r = (struct dbus_reader){ .data = (const uint8_t *)b.data, .len = b.len };
	dbus_skip(&r, "v");
	if (r.failed || r.pos != r.len)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new((size_t)64 * 1024 * 1024);
	char *text = malloc(size + 1);

	if (a != NULL && text != NULL) {
		memcpy(text, data, size);
		text[size] = '\0';
		check(a, text);
		(void)cgroup_unit_property_check(&(struct cgroup_unit_property){ .name = "TimeoutStopSec", .value = text });
	}
	free(text);
	arena_free(a);
	return 0;
}
