/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of nacre doctor. Private to cmd_doctor.c and doctor_*.c. */
#pragma once

#include <stdbool.h>

struct json_writer;

enum doctor_level {
	DOCTOR_OK,
	DOCTOR_LIMITED,		/* containers run, but cannot have all that the specification or nacre offers */
	DOCTOR_MISSING,		/* no container runs */
};

struct doctor {
	struct json_writer *json;	/* NULL: text */
	const char *area;		/* of the next lines */
	const char *printed;		/* of the last one */
	bool colour, missing;
	unsigned int columns;		/* of the terminal; 0: lines are not broken */
	const char *host_config;	/* --host-config; NULL: the usual one */
};

/* One line, or object. fix may be NULL. */
void doctor_tell(struct doctor *d, const char *name, enum doctor_level level, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

void doctor_look_at_rootless(struct doctor *d);
void doctor_look_at_microvms(struct doctor *d);
