/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines by table: a struct that receives the values, and one row an option. The
 * same rows make --help. Long options as "--xx v" and "--xx=v", or after one dash as with
 * runc ("-xx v"), short ones as "-x v" and "-xv"; parsing stops at the first operand
 * (`kill ID -9` is a signal) or after "--".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum option_type {
	OPTION_BOOL,	/* bool; "--x" or "--x=true|false" */
	OPTION_STRING,	/* const char * */
	OPTION_UINT,	/* unsigned int */
	OPTION_LIST,	/* struct option_list, may be repeated */
	OPTION_IGNORED,	/* accepted for callers of other runtimes, no effect; with a value if arg is set */
};

struct option_list {
	const char **v;		/* grows as needed; freed with the process' command */
	size_t n;
};

struct option_row {
	char letter;		/* 0: none */
	const char *name;
	const char *arg;	/* name of its value in help, NULL: a switch */
	const char *help;	/* NULL: not shown */
	enum option_type type;
	size_t offset;		/* in the receiving struct */
};

/*
 * Parses argv[*at…]; *at is then the index of the first operand. dest receives. A text
 * names the option. *ret_help: --help or -h was there.
 */
int options_parse(const struct option_row *rows, size_t n, void *dest, int argc, char **argv, int *at, bool *ret_help);

/* Is word ("--xx", "--xx=v", "-xx") one of these, by its long name? */
bool options_have(const struct option_row *rows, size_t n, const char *word);

/* The rows as help text on stdout. */
void options_print(const struct option_row *rows, size_t n);
