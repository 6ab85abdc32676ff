/* SPDX-License-Identifier: Apache-2.0 */
/* What another process sends: a message, whole and by its parts. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cgroups/dbus_message.h"
#include "runtime/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was parsed and is made anew has to be what it was. */
static void again(const struct dbus_parsed *m)
{
	_cleanup_buf_ struct buf body = BUF_NULL, out = BUF_NULL;
	struct dbus_parsed copy;

	if (m->body.swapped)
		return;
	buf_add(&body, m->body.data, m->body.len);
	if (dbus_message_build(&m->h, &body, &out) < 0)
		return;
	if (dbus_message_parse(out.data, out.len, &copy) < 0 || copy.h.serial != m->h.serial || copy.body.len != m->body.len ||
	    memcmp(copy.body.data, m->body.data, copy.body.len) != 0)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dbus_parsed m;
	struct dbus_reader r;
	size_t len;

	(void)dbus_message_size(data, size, &len);
	if (dbus_message_parse(data, size, &m) == 0) {
		again(&m);
		r = m.body;
		/* As a JobRemoved, whatever it is. */
		(void)dbus_get_u32(&r);
		(void)strlen(dbus_get_string(&r));
		(void)strlen(dbus_get_string(&r));
		(void)strlen(dbus_get_string(&r));
	}
	/* And as a body alone, with a signature of the fuzzer's making. */
	len = size > 0 ? data[0] % 32 : 0;
	if (size > 1 + len) {
		char signature[32];

		memcpy(signature, data + 1, len);
		signature[len] = '\0';
		r = (struct dbus_reader){ .data = data + 1 + len, .len = size - 1 - len };
		dbus_skip(&r, signature);
	}
	return 0;
}
