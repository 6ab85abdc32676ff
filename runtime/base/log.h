/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log: where warnings and the final error go. log_open() is called once by
 * main.c; before that, text on stderr. Engines parse the JSON form with one
 * json.Unmarshal of the whole file, so by default it holds errors only.
 */
#pragma once

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/*
 * where: a file ("PATH" or "file:PATH", opened O_APPEND), "journald:ID", "syslog:ID"; NULL: stderr. ID is the name
 * that entries are found by, and a journal takes each as it is, whatever the format. 0 or -errno with a text.
 */
int log_open(const char *where, enum log_format format, enum log_level level);
void log_close(void);

/*
 * For a process that is about to close descriptors and to give up its standard error, and wants to go on logging: the one
 * descriptor that it has to keep; FD_NONE without text when there can be none.
 */
int log_keep(void);

/* One line; newlines in it become spaces in the text form. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * The error that ends the program (or has ended its container): to the log, and to stderr for the person or engine
 * reading it ("nacre: error: TEXT", and the hint on a terminal).
 */
void log_fatal(const char *text, const char *hint);
