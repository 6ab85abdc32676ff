/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error channel: the return value decides, a text explains.
 *
 * A function that can fail returns 0 (or a count) or a negative errno. Where
 * the failure starts, ERR() records a sentence; callers return the code
 * unchanged, or add one line in front with ERR_CONTEXT(). The text is process
 * wide, like errno: one thread of nacre reports errors. It is this folder's
 * only mutable state besides the log destination.
 */
#pragma once

#include <errno.h>
#include <stddef.h>

/* Longest text kept; longer ones are cut, never overrun. */
#define ERR_TEXT_MAX 2048

/*
 * Records "TEXT: strerror(-code)" and returns code (negative errno). The usual
 * way out: `return ERR(-errno, "cannot open \"%s\"", path);`
 */
int err_set(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same without the ": strerror" tail, for rules that are not errno's. */
int err_set_plain(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "TEXT: " before what is recorded (or records TEXT) and returns code. */
int err_context(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Adds a hint, shown on a line of its own to a person, never in the JSON log. */
int err_hint(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The recorded text ("" if none) and hint ("" if none). */
const char *err_text(void);
const char *err_hint_text(void);
void err_clear(void);

/* An error's text and hint, put aside while something else that may fail is done. */
struct err_kept {
	char text[ERR_TEXT_MAX], hint[ERR_TEXT_MAX];
};
void err_keep(struct err_kept *ret);
void err_restore(const struct err_kept *k);

#define ERR(code, ...) err_set((code), __VA_ARGS__)
#define ERR_PLAIN(code, ...) err_set_plain((code), __VA_ARGS__)
#define ERR_CONTEXT(code, ...) err_context((code), __VA_ARGS__)
#define ERR_HINT(code, ...) err_hint((code), __VA_ARGS__)
#define ERR_NOMEM() err_set_plain(-ENOMEM, "out of memory")
