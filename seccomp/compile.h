/* SPDX-License-Identifier: Apache-2.0 */
/* The two forms of a filter (README.md has the figures). Private to this folder and its tests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct seccomp_program;
struct seccomp_req;

/*
 * As seccomp_compile(), in a form that the caller chooses: tree, a binary tree of the system calls' numbers (libseccomp
 * before 2.5.4 forgets the default action in one without rules); else a chain of comparisons. Both say the same;
 * -E2BIG for a tree that is too long does not mean that a chain, a fifth shorter, were, too.
 */
int seccomp_compile_as(const struct seccomp_req *req, bool tree, struct seccomp_program *ret_prog, size_t *ret_unknown);

/* Appends what else decides about a program, besides the request: the library that nacre was built with and runs with, this machine. */
void seccomp_compile_identity(struct buf *b);
