/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A terminal that shows one picture again and again, until a key or a signal ends it. It is drawn on the
 * terminal's second screen, so that what was there before is there again afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct screen {
	int signals;		/* signalfd; readable: call screen_signal() */
	bool on;
	bool has_keys;		/* standard input is a terminal: when it is readable, call screen_key() */
	bool changed;		/* that terminal's mode; saved is what it was */
	struct termios saved;
};

#define SCREEN_NULL { .signals = -1, .on = false, .has_keys = false, .changed = false }

enum screen_wish { SCREEN_NOTHING, SCREEN_REDRAW, SCREEN_END };

/* Is standard output a terminal that can be drawn on? */
bool screen_possible(void);

/* Takes the terminal, and the signals that end or stop a program. -errno with text. */
int screen_enter(struct screen *s);
/* As it was. Idempotent. */
void screen_leave(struct screen *s);
#define _cleanup_screen_ __attribute__((cleanup(screen_leave)))

/* What the signal that came, or the key that was pressed, asks for. Ctrl-Z is dealt with in here. */
enum screen_wish screen_signal(struct screen *s);
enum screen_wish screen_key(struct screen *s);

/* Shows these lines, cut to the terminal's size, in place of what it shows. */
int screen_draw(const struct screen *s, const char *text);
