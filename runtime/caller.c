/* SPDX-License-Identifier: Apache-2.0 */
/* See caller.h. */
#include "runtime/caller.h"

#include <stdlib.h>
#include <sys/auxv.h>

#include "namespaces/userns.h"
#include "runtime/base/str.h"

bool caller_is_user(void)
{
	const char *dir = getenv("XDG_RUNTIME_DIR"), *user = getenv("USER");

	/* AT_EUID: what the kernel told at execve, without asking again. */
	if (getauxval(AT_EUID) != 0)
		return true;
	return dir != NULL && *dir == '/' && (user == NULL || !str_eq(user, "root")) && !userns_is_initial();
}
