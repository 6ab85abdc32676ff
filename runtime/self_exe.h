/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CVE-2019-5736: a container can open /proc/PID/exe of a runtime's process inside it, or
 * have the runtime execute "#!/proc/self/exe", and later write to the host's binary through
 * what it got. So the file behind /proc/self/exe must be one that cannot be written.
 *
 * Theory of operation. Three ways, the first that the host permits:
 *
 *   0. nothing to do: the program is such a clone or such a copy already, or lies on a read-only mount and there is no right
 *      to mount (another read-only mount may be made writable while a container still has the file open)
 *   1. swap: the program's pages are copied to anonymous memory in their place and
 *      PR_SET_MM_MAP makes a read-only clone of our own mount the process' executable. The
 *      kernel refuses (EBUSY) as long as one page of the old file is mapped, so success is its
 *      proof that nothing is left. A dozen system calls in place of a second start of the
 *      program, which costs four times that and a millisecond
 *   2. execute ourselves anew from that read-only clone (a kernel without
 *      CONFIG_CHECKPOINT_RESTORE, an LSM that forbids executable anonymous memory)
 *   3. execute ourselves anew from a sealed memfd copy (no right to mount)
 */
#pragma once

#include <limits.h>

/* 0 when this process is protected (after way 2 and 3: the new start of it finds itself at 0), or -errno. */
int self_exe_protect(char **argv);

/* The absolute path, without symlinks, that nacre was executed by, before it protected itself. -errno with a text. */
int self_exe_path(char path[PATH_MAX]);
