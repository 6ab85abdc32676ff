/* SPDX-License-Identifier: Apache-2.0 */
/* See guest_program.h. */
#include "runtime/guest_program.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/self_exe.h"

#define GUEST_PROGRAM "nacre-guest"

int guest_program_open(int *ret_fd)
{
	static const char *const places[] = { GUEST_PROGRAM, "../libexec/nacre/" GUEST_PROGRAM };
	char self[PATH_MAX];
	_cleanup_close_ int dir = FD_NONE;
	char *slash;
	int r = self_exe_path(self);

	if (r < 0)
		return r;
	slash = strrchr(self, '/');
	slash[1] = '\0';
	dir = open(self, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; dir >= 0 && i < ARRAY_SIZE(places); i++) {
		*ret_fd = openat(dir, places[i], O_RDONLY | O_CLOEXEC);
		if (*ret_fd >= 0)
			return 0;
	}
	return ERR_HINT(ERR_PLAIN(-ENOENT, "the program for microVMs, %s, is neither in \"%s\" nor in \"%s../libexec/nacre\"",
				  GUEST_PROGRAM, self, self),
			"`make install` installs both");
}
