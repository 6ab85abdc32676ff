/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that the host's ps(1) cannot see, in the columns of `ps -ef`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "runtime/base/str.h"

struct process_row {
	uint32_t pid, parent, uid;
	uint32_t terminal;		/* its device, as the kernel tells it in /proc/PID/stat; 0: none */
	uint64_t age_ms, cpu_ms;
	bool zombie;
	bool is_name;			/* there is no command line, command is its name */
	char *command;			/* any bytes, NULs between the arguments */
	size_t command_size;
};

struct process_rows {
	struct process_row *v;
	size_t n, cap;
};

#define PROCESS_ROWS_NULL { .v = NULL }

/* One more, with a copy of row->command_size bytes of command (row's own is not looked at). -ENOMEM with text. */
int process_rows_add(struct process_rows *rows, const struct process_row *row, const char *command);
void process_rows_deinit(struct process_rows *rows);
#define _cleanup_process_rows_ __attribute__((cleanup(process_rows_deinit)))

/*
 * The table, with its head. now: when the rows were taken. Users are numbers: their names are another system's. What is not
 * printable ASCII in a command is a question mark, as ps has it: it is written by who runs there.
 */
void process_rows_print(const struct process_rows *rows, time_t now, struct buf *out);
