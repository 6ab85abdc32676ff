/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CVE-2019-5736: a container can open /proc/PID/exe of a runtime's process inside it, or
 * have the runtime execute "#!/proc/self/exe", and later write to the host's binary.
 * So what enters a container is never the host's file itself.
 */
#pragma once

/*
 * Makes sure that this program runs from something that cannot be written through
 * /proc/self/exe: returns 0 when it does already (a read-only mount, a sealed memfd), else
 * executes itself anew from a detached read-only mount of its own file, or, where mounting is
 * not permitted, from a sealed memfd copy. Returns only on success of the first kind or -errno.
 */
int self_exe_protect(char **argv);
