/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing past
 * U+10FFFF. yajl's own check lets all three pass, so both directions use this one.
 */
#pragma once

#include <stddef.h>

/* Bytes of the character that starts at s (1…4), 0 when it is not valid within n bytes. n > 0. */
size_t utf8_char(const char *s, size_t n);

/* How many bytes from the start are valid: len when all are. */
size_t utf8_valid(const char *s, size_t len);
