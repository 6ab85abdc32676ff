/* SPDX-License-Identifier: Apache-2.0 */
/* The program that is PID 1 in a microVM's guest: where it is on this host. */
#pragma once

/*
 * Opens it for reading: beside nacre itself (as in a build directory), or in ../libexec/nacre from there, where `make
 * install` puts it. -ENOENT with text and hint.
 */
int guest_program_open(int *ret_fd);
