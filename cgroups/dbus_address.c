/* SPDX-License-Identifier: Apache-2.0 */
/* Where a bus listens: the text that environment variables have. */
#include <errno.h>
#include <string.h>

#include "cgroups/dbus.h"
#include "runtime/base/str.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The value of "key=" in one address, with its %XX undone. */
static int address_value(const char *p, const char *end, const char *key, struct buf *ret)
{
	size_t key_len = strlen(key);

	while (p < end) {
		size_t n = strcspn(p, ",;");

		if (strncmp(p, key, key_len) != 0) {
			p += n + (p[n] == ',' ? 1 : 0);
			if (*p == ';' || *p == '\0')
				break;
			continue;
		}
		for (end = p + n, p += key_len; p < end; p++) {
			int high = *p == '%' && end - p > 2 ? hex(p[1]) : -1;
			int low = high >= 0 ? hex(p[2]) : -1;
			char c = *p;

			if (low >= 0)
				c = (char)(high << 4 | low);
			if (c == '\0' || (*p == '%' && low < 0))
				return -EINVAL;
			buf_add(ret, &c, 1);
			p += low >= 0 ? 2 : 0;
		}
		return ret->failed || ret->len == 0 ? -EINVAL : 0;
	}
	return -ENOENT;
}

int dbus_address_parse(const char *address, char *path, size_t size, size_t *ret_len)
{
	for (const char *p = address; *p != '\0'; p += *p == ';' ? 1 : 0) {
		_cleanup_buf_ struct buf b = BUF_NULL;
		const char *end = p + strcspn(p, ";");
		int r = -ENOENT;

		if (str_starts(p, "unix:")) {
			p += strlen("unix:");
			r = address_value(p, end, "path=", &b);
			if (r == -ENOENT) {
				buf_add(&b, "", 1);
				r = address_value(p, end, "abstract=", &b);
			}
		}
		p = end;
		if (r < 0)
			continue;
		/* A path keeps its NUL, an abstract name has none behind it. */
		if (b.len + 1 > size)
			return -EINVAL;
		memcpy(path, b.data, b.len + 1);
		*ret_len = b.len + (path[0] != '\0' ? 1 : 0);
		return 0;
	}
	return -EINVAL;
}
