/* SPDX-License-Identifier: Apache-2.0 */
/* The pure part of net_move.h; the rest is in netlink_move.c, a door to libmnl. */
#include "namespaces/net_move.h"

#include <linux/if.h>
#include <string.h>

#include "runtime/base/str.h"

bool net_move_name_valid(const char *name, bool template)
{
	const char *percent = strchr(name, '%');
	size_t len = strlen(name);

	if (len == 0 || len >= IFNAMSIZ || str_eq(name, ".") || str_eq(name, ".."))
		return false;
	if (percent != NULL && (!template || percent[1] != 'd' || strchr(percent + 1, '%') != NULL))
		return false;
	for (const char *c = name; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '/' || *c == ':')
			return false;
	return true;
}
