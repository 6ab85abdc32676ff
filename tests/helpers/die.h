/* SPDX-License-Identifier: Apache-2.0 */
/* How the helpers fail. */
#pragma once

#include <stdio.h>
#include <stdlib.h>

static inline int die(const char *what)
{
	perror(what);
	exit(2);
}
