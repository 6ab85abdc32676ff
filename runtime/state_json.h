/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a container as JSON: our own file, versioned, read with the suspicion of a foreign one. */
#pragma once

#include <stdbool.h>

struct arena;
struct state;

#define STATE_VERSION 1

/*
 * Writes dir/state.json; first: it is not there yet (a reader sees it empty, that is as
 * absent, or whole: it is one write of less than a page's length or of nothing yet), else it is
 * replaced atomically. -errno, no text.
 */
int state_save(int dir, const struct state *s, bool first);

/* -ENOENT without a text; -EBADMSG with one when it is damaged or of another version. */
int state_load(struct arena *a, int dir, struct state *ret_state);

/* The same from memory, for the fuzz target. */
int state_parse(struct arena *a, const char *text, unsigned long len, struct state *ret_state);
