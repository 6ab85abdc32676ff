/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's first serial port, for output only: as much of a 16550 as Linux's driver looks for, and no wire behind
 * it, so a byte is sent the moment it is written, and nothing is ever received.
 *
 * The guest is never held up. Bytes go into a buffer, and from there to the output when that takes them; what does not
 * fit is dropped and counted, and a line in the output says how much as soon as there is room.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "microvm/event_loop.h"

#define SERIAL_PORT 0x3f8	/* COM1 */
#define SERIAL_PORTS 8
#define SERIAL_BUFFER_SIZE 65536	/* a power of two */

struct serial_options {
	int output;		/* -1: all is dropped. Becomes O_NONBLOCK; borrowed */
	int interrupt;		/* an eventfd: each write of 1 is an edge of the port's interrupt; borrowed */
};

struct serial {
	struct event_loop *loop;
	struct event_source source;	/* of the output */
	int interrupt;

	/* The registers that keep what is written. */
	uint8_t interrupt_enable, fifo_control, line_control, modem_control, scratch;
	uint8_t divisor[2];
	bool empty_pending;	/* "transmitter empty" was raised, and not read yet */

	/* Free-running: what was put in, and taken out; modulo the size, where. */
	size_t put, taken;
	uint64_t dropped;
	char buffer[SERIAL_BUFFER_SIZE];
};

/* -errno with text. s stays where it is until serial_deinit(). */
int serial_init(struct serial *s, const struct serial_options *o, struct event_loop *loop);
/* What is in the buffer is offered to the output once more. */
void serial_deinit(struct serial *s);

/* A byte of the register at SERIAL_PORT + offset, offset below SERIAL_PORTS. */
uint8_t serial_read(struct serial *s, unsigned int offset);
void serial_write(struct serial *s, unsigned int offset, uint8_t value);
