/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests/lint only: what the analyzer, which reads one file at a time, cannot know. A recorded
 * error returns the negative code it was given; without that, every `return ERR(...)` looks as if
 * it might succeed, with results unset.
 */
#pragma once

#include "runtime/base/err.h"

#undef ERR
#undef ERR_PLAIN
#undef ERR_CONTEXT
#undef ERR_HINT
#undef ERR_NOMEM

#define ERR(code, ...)                                \
	({                                            \
		int code_ = (code);                   \
                                                      \
		(void)err_set(code_, __VA_ARGS__);    \
		if (code_ >= 0)                       \
			__builtin_unreachable();      \
		code_;                                \
	})
#define ERR_PLAIN(code, ...) ERR(code, __VA_ARGS__)
#define ERR_CONTEXT(code, ...) ERR(code, __VA_ARGS__)
#define ERR_HINT(code, ...) ERR(code, __VA_ARGS__)
#define ERR_NOMEM() ERR(-ENOMEM, "out of memory")
