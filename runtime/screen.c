/* SPDX-License-Identifier: Apache-2.0 */
/* See screen.h. The sequences are ECMA-48's and xterm's, which every terminal of today understands. */
#include "runtime/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

/* Second screen, no cursor, long lines are cut off; and back. */
#define TAKE "\033[?1049h\033[?25l\033[?7l"
#define GIVE_BACK "\033[?7h\033[?25h\033[?1049l"
#define TOP_LEFT "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"

#define CTRL_C 3
#define CTRL_D 4

bool screen_possible(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && term != NULL && !str_eq(term, "dumb");
}

static int put(const char *text)
{
	int r = fd_write_all(STDOUT_FILENO, text, strlen(text));

	return r < 0 ? ERR(r, "cannot write to the terminal") : 0;
}

/* Keys come one by one and are not shown; Ctrl-C is still a signal. */
static int take_terminal(struct screen *s)
{
	struct termios t;

	s->has_keys = tcgetattr(STDIN_FILENO, &s->saved) == 0;
	if (s->has_keys) {
		t = s->saved;
		t.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		t.c_cc[VMIN] = 1;
		t.c_cc[VTIME] = 0;
		if (tcsetattr(STDIN_FILENO, TCSADRAIN, &t) < 0)
			return ERR(-errno, "cannot set the terminal's mode");
		s->changed = true;
	}
	s->on = true;
	return put(TAKE);
}

static void give_back(struct screen *s)
{
	if (!s->on)
		return;
	s->on = false;
	(void)fd_write_all(STDOUT_FILENO, GIVE_BACK, strlen(GIVE_BACK));
	if (s->changed)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &s->saved);
	s->changed = false;
}

int screen_enter(struct screen *s)
{
	/* Not TTOU: whoever is in the background is stopped when it takes the terminal, until it is in front. */
	static const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		sigaddset(&set, taken[i]);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return ERR(-errno, "cannot block signals");
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return ERR(-errno, "cannot make a signalfd");
	return take_terminal(s);
}

void screen_leave(struct screen *s)
{
	give_back(s);
	fd_close(&s->signals);
}

enum screen_wish screen_signal(struct screen *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return SCREEN_NOTHING;
	switch (info.ssi_signo) {
	case SIGTSTP:
		/* The shell gets its terminal as it was; until SIGCONT we do not get further than kill(). */
		give_back(s);
		(void)kill(getpid(), SIGSTOP);
		return take_terminal(s) < 0 ? SCREEN_END : SCREEN_REDRAW;
	case SIGWINCH:
	case SIGCONT:
		return SCREEN_REDRAW;
	default:
		return SCREEN_END;
	}
}

enum screen_wish screen_key(struct screen *s)
{
	char key = 0;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	/* A terminal that hung up, or that belongs to somebody else now: there are no keys any more. */
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		s->has_keys = false;
		return n == 0 ? SCREEN_END : SCREEN_NOTHING;
	}
	return key == 'q' || key == 'Q' || key == CTRL_C || key == CTRL_D ? SCREEN_END : SCREEN_NOTHING;
}

int screen_draw(const struct screen *s, const char *text)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct winsize size = { .ws_row = 0 };
	unsigned int lines = 0;

	if (!s->on)
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
		size.ws_row = 24;
	buf_puts(&b, TOP_LEFT);
	/* No line end after the last one, which would scroll. */
	while (*text != '\0' && lines < size.ws_row) {
		size_t len = strcspn(text, "\n");

		buf_puts(&b, lines++ > 0 ? "\n" : "");
		buf_add(&b, text, len);
		buf_puts(&b, CLEAR_LINE);
		text += len + (text[len] == '\n' ? 1 : 0);
	}
	buf_puts(&b, CLEAR_BELOW);
	return b.failed ? ERR_NOMEM() : put(b.data);
}
