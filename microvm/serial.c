/* SPDX-License-Identifier: Apache-2.0 */
/* A serial port for output. The registers are those of the PC16550D; the names of the bits are linux/serial_reg.h's. */
#include "microvm/serial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/serial_reg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"

/* Room that a note about dropped bytes needs. */
#define NOTE_MAX 80
#define FIFOS_ENABLED 0xc0	/* UART_IIR: as a 16550A with its FIFOs on says */

/* ---- the output ---- */

/* One write of what there is. False: the output takes no more now. */
static bool write_some(struct serial *s)
{
	size_t at = s->taken % SERIAL_BUFFER_SIZE, n = s->put - s->taken;
	size_t first = n < SERIAL_BUFFER_SIZE - at ? n : SERIAL_BUFFER_SIZE - at;
	const struct iovec iov[2] = {
		{ .iov_base = s->buffer + at, .iov_len = first },
		{ .iov_base = s->buffer, .iov_len = n - first },
	};
	ssize_t r;

	if (n == 0)
		return false;
	r = writev(s->source.fd, iov, 2);
	if (r >= 0)
		s->taken += (size_t)r;
	else if (errno == EINTR)
		return true;
	else if (errno != EAGAIN)
		s->taken = s->put;	/* nobody reads it any more: as if there were no output */
	return r >= 0 && s->put != s->taken;
}

static void put_byte(struct serial *s, char c)
{
	s->buffer[s->put++ % SERIAL_BUFFER_SIZE] = c;
}

/* The bytes that are missing here are told here, once there is room for both. */
static void note_dropped(struct serial *s)
{
	char note[NOTE_MAX];

	if (s->dropped == 0 || SERIAL_BUFFER_SIZE - (s->put - s->taken) <= NOTE_MAX)
		return;
	snprintf(note, sizeof(note), "\n[%" PRIu64 " bytes of the console were dropped]\n", s->dropped);
	s->dropped = 0;
	for (const char *p = note; *p != '\0'; p++)
		put_byte(s, *p);
}

static void output_ready(void *data, uint32_t events)
{
	struct serial *s = data;

	/* Without a reader (a pipe's EPOLLERR) writing fails and empties the buffer; then this is not called again. */
	(void)events;
	(void)write_some(s);
	note_dropped(s);
	if (s->put == s->taken)
		(void)event_loop_modify(s->loop, &s->source, 0);
}

static void output_byte(struct serial *s, char c)
{
	bool was_empty = s->put == s->taken;

	if (s->source.fd < 0)
		return;
	note_dropped(s);
	if (s->dropped > 0 || s->put - s->taken == SERIAL_BUFFER_SIZE) {
		s->dropped++;
		return;
	}
	put_byte(s, c);
	/* The loop, not the processor, waits for the output. If it cannot be watched, bytes are dropped in the end. */
	if (was_empty)
		(void)event_loop_modify(s->loop, &s->source, EPOLLOUT);
}

/* ---- the interrupt ---- */

/* The only cause is the empty transmitter, once each time it becomes so while the guest wants to know. */
static void raise_empty(struct serial *s)
{
	const uint64_t one = 1;

	if ((s->interrupt_enable & UART_IER_THRI) == 0)
		return;
	s->empty_pending = true;
	/* It cannot fail but for a counter at its end, which is an interrupt that is still to come. */
	(void)!write(s->interrupt, &one, sizeof(one));
}

static uint8_t identify(struct serial *s)
{
	uint8_t fifos = (s->fifo_control & UART_FCR_ENABLE_FIFO) != 0 ? FIFOS_ENABLED : 0;
	bool pending = s->empty_pending && (s->interrupt_enable & UART_IER_THRI) != 0;

	s->empty_pending = false;
	return fifos | (pending ? UART_IIR_THRI : UART_IIR_NO_INT);
}

/* ---- the registers ---- */

/* In loop-back mode, by which a driver looks whether there is a port at all, the outputs come back as inputs. */
static uint8_t modem_status(const struct serial *s)
{
	const uint8_t m = s->modem_control;

	if ((m & UART_MCR_LOOP) == 0)
		return UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS;
	return (uint8_t)((m & UART_MCR_DTR ? UART_MSR_DSR : 0) | (m & UART_MCR_RTS ? UART_MSR_CTS : 0) |
			 (m & UART_MCR_OUT1 ? UART_MSR_RI : 0) | (m & UART_MCR_OUT2 ? UART_MSR_DCD : 0));
}

static bool divisor_selected(const struct serial *s)
{
	return (s->line_control & UART_LCR_DLAB) != 0;
}

uint8_t serial_read(struct serial *s, unsigned int offset)
{
	if (offset < 2 && divisor_selected(s))
		return s->divisor[offset];
	switch (offset) {
	case UART_IER:
		return s->interrupt_enable;
	case UART_IIR:
		return identify(s);
	case UART_LCR:
		return s->line_control;
	case UART_MCR:
		return s->modem_control;
	case UART_LSR:
		return UART_LSR_TEMT | UART_LSR_THRE;
	case UART_MSR:
		return modem_status(s);
	case UART_SCR:
		return s->scratch;
	default:
		return 0;
	}
}

static void write_transmitter(struct serial *s, uint8_t value)
{
	if ((s->modem_control & UART_MCR_LOOP) == 0)
		output_byte(s, (char)value);
	raise_empty(s);
}

static void write_interrupt_enable(struct serial *s, uint8_t value)
{
	bool begins = (value & ~s->interrupt_enable & UART_IER_THRI) != 0;

	s->interrupt_enable = value & (UART_IER_MSI | UART_IER_RLSI | UART_IER_THRI | UART_IER_RDI);
	if (begins)
		raise_empty(s);
}

void serial_write(struct serial *s, unsigned int offset, uint8_t value)
{
	if (offset < 2 && divisor_selected(s)) {
		s->divisor[offset] = value;
		return;
	}
	switch (offset) {
	case UART_TX:
		write_transmitter(s, value);
		break;
	case UART_IER:
		write_interrupt_enable(s, value);
		break;
	case UART_FCR:
		s->fifo_control = value;
		break;
	case UART_LCR:
		s->line_control = value;
		break;
	case UART_MCR:
		s->modem_control = value & (UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_OUT1 | UART_MCR_RTS | UART_MCR_DTR);
		break;
	case UART_SCR:
		s->scratch = value;
		break;
	default:
		break;
	}
}

int serial_init(struct serial *s, const struct serial_options *o, struct event_loop *loop)
{
	int flags;

	memset(s, 0, sizeof(*s));
	s->loop = loop;
	s->interrupt = o->interrupt;
	s->source = (struct event_source){ .fd = o->output < 0 ? FD_NONE : o->output, .ready = output_ready, .data = s };
	if (o->output < 0)
		return 0;
	flags = fcntl(o->output, F_GETFL);
	if (flags < 0 || fcntl(o->output, F_SETFL, flags | O_NONBLOCK) < 0)
		return ERR(-errno, "cannot use descriptor %d for the guest's console", o->output);
	return event_loop_add(loop, &s->source);
}

void serial_deinit(struct serial *s)
{
	if (s->source.fd < 0)
		return;
	event_loop_remove(s->loop, &s->source);
	note_dropped(s);
	while (write_some(s))
		;
}
