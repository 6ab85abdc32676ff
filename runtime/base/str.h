/* SPDX-License-Identifier: Apache-2.0 */
/* Strings: a growing buffer, and the small questions asked of every string. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static inline bool str_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix);
/* Is s one of the n strings of list? */
bool str_in(const char *s, const char *const *list, size_t n);

/*
 * Of strings that are the same (names: up to their first '=') only the last stays, in the order in which they were. work: room for n
 * pointers. Gives how many are left in v.
 */
size_t str_keep_last(const char **v, size_t n, bool names, const char ***work);

/*
 * A growing text. Failures stick: after one, buf_add* do nothing and buf_take()
 * gives NULL, so a caller checks once, at the end.
 */
struct buf {
	char *data;  /* NUL-terminated when not NULL */
	size_t len, cap;
	bool failed;
};

#define BUF_NULL { NULL, 0, 0, false }

void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Ownership of the text to the caller (free()); NULL after a failure. "" if nothing was added. */
char *buf_take(struct buf *b);
void buf_deinit(struct buf *b);
#define _cleanup_buf_ __attribute__((cleanup(buf_deinit)))

/* asprintf with -ENOMEM as NULL. */
char *str_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void str_freep(char **s);
#define _cleanup_free_ __attribute__((cleanup(str_freep)))
