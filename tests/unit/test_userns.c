/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces/userns: whose user namespace this is. */
#include "namespaces/userns.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "tests/unit/test.h"

enum { INITIAL, OTHER, NO_NAMESPACE, NO_MAP };

/* In a new user namespace whose map says of every id what the host's says, as systemd makes some. */
static int in_identity_namespace(void)
{
	static const char map[] = "0 0 4294967295\n";
	int ready[2], go[2], status = -1;
	char path[64], c = NO_MAP;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		return NO_NAMESPACE;
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0 || write(ready[1], "", 1) != 1 || read(go[0], &c, 1) != 1)
			_exit(NO_NAMESPACE);
		_exit(c != OTHER ? NO_MAP : userns_is_initial() ? INITIAL : OTHER);
	}
	close(ready[1]);
	close(go[0]);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)pid);
	if (read(ready[0], &c, 1) == 1) {
		c = file_write_value(AT_FDCWD, path, map) < 0 ? NO_MAP : OTHER;
		(void)!write(go[1], &c, 1);
	}
	close(ready[0]);
	close(go[1]);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : NO_NAMESPACE;
}

TEST(a_namespace_with_the_hosts_map_is_not_the_hosts)
{
	int r = in_identity_namespace();

	if (r == NO_NAMESPACE || r == NO_MAP)
		test_skip("no user namespace, or no right to map all ids");
	else
		CHECK_INT(r, OTHER);
}

TEST_MAIN(CASE(a_namespace_with_the_hosts_map_is_not_the_hosts))
