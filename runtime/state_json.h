/* SPDX-License-Identifier: Apache-2.0 */
/* The record of a container as JSON: our own file, versioned, read with the suspicion of a foreign one. */
#pragma once

struct arena;
struct state;

#define STATE_VERSION 1

/* Atomically replaces dir/state.json. -errno, no text. */
int state_save(int dir, const struct state *s);

/* -ENOENT without a text; -EBADMSG with one when it is damaged or of another version. */
int state_load(struct arena *a, int dir, struct state *ret_state);

/* The same from memory, for the fuzz target. */
int state_parse(struct arena *a, const char *text, unsigned long len, struct state *ret_state);
