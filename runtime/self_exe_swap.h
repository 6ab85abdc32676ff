/* SPDX-License-Identifier: Apache-2.0 */
/* Way 1 of self_exe.h, which explains it. */
#pragma once

/*
 * Makes the file of tree (a detached mount of this program's own file) the executable of
 * this process. 0, or -errno: then the process is as usable as before.
 */
int self_exe_swap(int tree);
