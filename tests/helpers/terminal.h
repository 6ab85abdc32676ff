/* SPDX-License-Identifier: Apache-2.0 */
/* What the helpers that hold a terminal have in common. A header, because each helper is one file. */
#pragma once

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/helpers/die.h"

/* Types s; "\n" and "\xHH" in it are understood. */
static inline void type_text(int fd, const char *s)
{
	while (*s != '\0') {
		char c = *s++, hex[3] = "";

		if (c == '\\' && *s == 'n') {
			c = '\n';
			s++;
		} else if (c == '\\' && *s == 'x') {
			memcpy(hex, s + 1, strnlen(s + 1, 2));
			c = (char)strtoul(hex, NULL, 16);
			s += 1 + strlen(hex);
		}
		if (write(fd, &c, 1) != 1)
			die("write");
	}
}
