/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file form of a program that is kept with its request. Pure: no system call. Private to this folder and its tests.
 *
 *   head      magic, version, the two lengths, a sum over all that follows
 *   key       everything that the program is a function of
 *   program   struct sock_filter[]
 *
 * Host byte order: the files never leave the machine. README.md says what is trusted in them, and what is not.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;
struct seccomp_program;
struct seccomp_req;

/* Longest key; a longer request is compiled each time. */
#define CACHE_KEY_MAX ((size_t)256 * 1024)
#define CACHE_FILE_MAX (CACHE_KEY_MAX + 64 + (size_t)4096 * 8)

/* 16 hexadecimal digits and a NUL. */
#define CACHE_NAME_SIZE 17

/*
 * Appends the key of req (which passed seccomp_policy_check()). writer: the program that asks, its version; what another one
 * compiled is not this key's. Two requests that differ in anything have different keys. A failure sticks in b.
 */
void cache_key(const struct seccomp_req *req, const char *writer, struct buf *b);

/* The file's name: a hash of the key. Two keys may have the same. */
void cache_name(const struct buf *key, char ret[CACHE_NAME_SIZE]);

/* Appends a whole file. A failure sticks in b. */
void cache_file_write(const struct buf *key, const struct seccomp_program *p, struct buf *b);

/*
 * Is this the file of that key, whole and sound? NULL: yes, and *ret_program (inside data) and *ret_len are set. Else what is
 * wrong with it.
 */
const char *cache_file_parse(const char *data, size_t len, const struct buf *key, const char **ret_program, size_t *ret_len);

/* The sum that a file has to have in its head; len: at least its head's length. */
uint64_t cache_file_sum(const char *data, size_t len);

/* Where in the head it is. */
#define CACHE_FILE_SUM_AT 24
#define CACHE_FILE_HEAD 32

/*
 * What the kernel will ask of a program, too, and more: only instructions that libseccomp and newer.c write, loads from the call's
 * data, jumps into the program, a return at its end. So it ends, whatever the call.
 */
const char *cache_program_fault(const void *filter, size_t len);
