/* SPDX-License-Identifier: Apache-2.0 */
/* See process_table.h. */
#include "runtime/process_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/err.h"

#define CELL 32
#define PTS_FIRST 136U		/* Documentation/admin-guide/devices.txt: 136 to 143 are the slaves of pseudo-terminals */
#define PTS_LAST 143U
#define TTY 4U			/* from minor 64 on serial ports */
#define SERIAL_MINOR 64U

static int grow(struct process_rows *rows)
{
	size_t cap = rows->cap > 0 ? rows->cap * 2 : 16;
	struct process_row *v = reallocarray(rows->v, cap, sizeof(*v));

	if (v == NULL)
		return ERR_NOMEM();
	rows->v = v;
	rows->cap = cap;
	return 0;
}

int process_rows_add(struct process_rows *rows, const struct process_row *row, const char *command)
{
	char *own;

	if (rows->n == rows->cap && grow(rows) < 0)
		return -ENOMEM;
	own = malloc(row->command_size + 1);
	if (own == NULL)
		return ERR_NOMEM();
	memcpy(own, command, row->command_size);
	rows->v[rows->n] = *row;
	rows->v[rows->n++].command = own;
	return 0;
}

void process_rows_deinit(struct process_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->v[i].command);
	free(rows->v);
	*rows = (struct process_rows)PROCESS_ROWS_NULL;
}

/* ---- cells ---- */

/* "14:05" today, "Nov27" this year, else the year. */
static void print_start(char out[CELL], const struct process_row *row, time_t now)
{
	uint64_t age = row->age_ms / 1000;
	time_t started = age < (uint64_t)now ? now - (time_t)age : 0;
	struct tm today, then;

	snprintf(out, CELL, "?");
	if (localtime_r(&now, &today) == NULL || localtime_r(&started, &then) == NULL)
		return;
	if (today.tm_year != then.tm_year)
		(void)strftime(out, CELL, "%Y", &then);
	else if (today.tm_yday != then.tm_yday)
		(void)strftime(out, CELL, "%b%d", &then);
	else
		(void)strftime(out, CELL, "%H:%M", &then);
}

/* minor's upper bits are above major's here (new_encode_dev() of the kernel), unlike in a dev_t. */
static void print_terminal(char out[CELL], uint32_t device)
{
	uint32_t maj = device >> 8 & 0xfff, min = (device & 0xff) | (device >> 12 & 0xfff00);

	if (maj >= PTS_FIRST && maj <= PTS_LAST)
		snprintf(out, CELL, "pts/%" PRIu32, (maj - PTS_FIRST) * 256 + min);
	else if (maj == TTY)
		snprintf(out, CELL, "tty%s%" PRIu32, min < SERIAL_MINOR ? "" : "S", min < SERIAL_MINOR ? min : min - SERIAL_MINOR);
	else
		snprintf(out, CELL, "?");
}

/* Of the time that it has been there, in percent, at most 99. */
static unsigned int processor_share(const struct process_row *row)
{
	uint64_t share = row->age_ms >= 100 ? row->cpu_ms / (row->age_ms / 100) : 0;

	return share < 99 ? (unsigned int)share : 99;
}

static void print_time(char out[CELL], uint64_t ms)
{
	uint64_t s = ms / 1000, days = s / 86400;
	int n = days > 0 ? snprintf(out, CELL, "%02" PRIu64 "-", days) : 0;

	snprintf(out + n, CELL - (size_t)n, "%02u:%02u:%02u", (unsigned int)(s / 3600 % 24), (unsigned int)(s / 60 % 60),
		 (unsigned int)(s % 60));
}

/* The arguments with a blank between them; without any, the name in brackets. */
static void print_command(const struct process_row *row, struct buf *out)
{
	size_t n = row->command_size;

	while (!row->is_name && n > 0 && row->command[n - 1] == '\0')
		n--;
	buf_puts(out, row->is_name ? "[" : "");
	for (size_t i = 0; i < n; i++) {
		char c = row->command[i];

		if (c == '\0')
			c = ' ';
		else if (c < ' ' || c > '~')
			c = '?';
		buf_add(out, &c, 1);
	}
	buf_puts(out, row->is_name ? "]" : "");
	buf_puts(out, row->zombie ? " <defunct>\n" : "\n");
}

void process_rows_print(const struct process_rows *rows, time_t now, struct buf *out)
{
	buf_puts(out, "UID          PID    PPID  C STIME TTY          TIME CMD\n");
	for (size_t i = 0; i < rows->n; i++) {
		const struct process_row *row = &rows->v[i];
		char start[CELL], terminal[CELL], cpu[CELL];

		print_start(start, row, now);
		print_terminal(terminal, row->terminal);
		print_time(cpu, row->cpu_ms);
		buf_printf(out, "%-8" PRIu32 " %7" PRIu32 " %7" PRIu32 " %2u %5s %-8s %8s ", row->uid, row->pid, row->parent,
			   processor_share(row), start, terminal, cpu);
		print_command(row, out);
	}
}
