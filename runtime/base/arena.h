/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arena: memory that lives and dies together (a parsed config.json, a plan).
 * Nothing inside is freed alone, so parsing code has no clean-up paths.
 */
#pragma once

#include <stddef.h>

struct arena;

/* limit: the most bytes it will ever hand out (0: none). NULL: out of memory. */
struct arena *arena_new(size_t limit);
void arena_free(struct arena *a);
void arena_freep(struct arena **a);
#define _cleanup_arena_ __attribute__((cleanup(arena_freep)))

/* Zeroed, aligned for any type. NULL when out of memory or past the limit. */
void *arena_alloc(struct arena *a, size_t size);
/* n * size with overflow check. n == 0 gives a valid pointer to nothing. */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t len);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
