/* SPDX-License-Identifier: Apache-2.0 */
/* The serial port as a driver finds it, and what becomes of its bytes when nobody takes them. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/serial_reg.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "microvm/serial.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

struct port {
	struct event_loop loop;
	struct serial *s;
	int from, to, interrupt;
};

/* output: into a pipe, else none. */
static bool make(struct port *p, bool output)
{
	int pair[2] = { FD_NONE, FD_NONE };

	*p = (struct port){ .loop = EVENT_LOOP_NULL, .s = malloc(sizeof(*p->s)), .interrupt = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	if (output && pipe2(pair, O_CLOEXEC) < 0)
		return false;
	p->from = pair[0];
	p->to = pair[1];
	return p->s != NULL && p->interrupt >= 0 && event_loop_init(&p->loop) == 0 &&
	       serial_init(p->s, &(struct serial_options){ .output = p->to, .interrupt = p->interrupt }, &p->loop) == 0;
}

static void drop(struct port *p)
{
	serial_deinit(p->s);
	event_loop_deinit(&p->loop);
	fd_close(&p->from);
	fd_close(&p->to);
	fd_close(&p->interrupt);
	free(p->s);
}

static uint64_t interrupts(const struct port *p)
{
	uint64_t n = 0;

	return read(p->interrupt, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

static void put(struct port *p, const char *text)
{
	for (; *text != '\0'; text++)
		serial_write(p->s, UART_TX, (uint8_t)*text);
}

/* How Linux's 8250 driver looks for a port, and for its FIFOs. */
TEST(looked_for)
{
	struct port p;

	if (!CHECK(make(&p, false)))
		return;
	/* The interrupt enable register keeps four bits. */
	serial_write(p.s, UART_IER, 0);
	CHECK_INT(serial_read(p.s, UART_IER), 0);
	serial_write(p.s, UART_IER, 0xff);
	CHECK_INT(serial_read(p.s, UART_IER), 0x0f);
	serial_write(p.s, UART_IER, 0);
	/* Loop-back: RTS and OUT2 come back as CTS and DCD. */
	CHECK_INT(serial_read(p.s, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	serial_write(p.s, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	CHECK_INT(serial_read(p.s, UART_MSR), UART_MSR_DCD | UART_MSR_CTS);
	serial_write(p.s, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT1 | UART_MCR_DTR);
	CHECK_INT(serial_read(p.s, UART_MSR), UART_MSR_RI | UART_MSR_DSR);
	serial_write(p.s, UART_MCR, 0xff);
	CHECK_INT(serial_read(p.s, UART_MCR), 0x1f);
	/* A 16550A has FIFOs when it is told to, and says so. */
	CHECK_INT(serial_read(p.s, UART_IIR), UART_IIR_NO_INT);
	serial_write(p.s, UART_FCR, UART_FCR_ENABLE_FIFO);
	CHECK_INT(serial_read(p.s, UART_IIR), 0xc0 | UART_IIR_NO_INT);
	serial_write(p.s, UART_FCR, 0);
	CHECK_INT(serial_read(p.s, UART_IIR), UART_IIR_NO_INT);
	/* The scratch register, the line's, and nothing to receive, ever. */
	serial_write(p.s, UART_SCR, 0xa5);
	CHECK_INT(serial_read(p.s, UART_SCR), 0xa5);
	serial_write(p.s, UART_LCR, UART_LCR_WLEN8);
	CHECK_INT(serial_read(p.s, UART_LCR), UART_LCR_WLEN8);
	CHECK_INT(serial_read(p.s, UART_RX), 0);
	serial_write(p.s, UART_LSR, 0xff);
	CHECK_INT(serial_read(p.s, UART_LSR), UART_LSR_TEMT | UART_LSR_THRE);
	drop(&p);
}

TEST(divisor)
{
	struct port p;
	char byte;

	if (!CHECK(make(&p, true)))
		return;
	serial_write(p.s, UART_IER, 5);
	serial_write(p.s, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	serial_write(p.s, UART_DLL, 'D');
	serial_write(p.s, UART_DLM, 2);
	CHECK_INT(serial_read(p.s, UART_DLL), 'D');
	CHECK_INT(serial_read(p.s, UART_DLM), 2);
	serial_write(p.s, UART_LCR, UART_LCR_WLEN8);
	/* Neither was a byte to be sent, nor an interrupt to be enabled. */
	CHECK_INT(serial_read(p.s, UART_IER), 5);
	CHECK_INT(event_loop_run(&p.loop, 0), 0);
	CHECK(fcntl(p.from, F_SETFL, O_NONBLOCK) == 0 && read(p.from, &byte, 1) < 0 && errno == EAGAIN);
	drop(&p);
}

TEST(bytes_and_interrupts)
{
	char text[64] = "";
	struct port p;

	if (!CHECK(make(&p, true)))
		return;
	put(&p, "one\n");
	CHECK_INT(interrupts(&p), 0);
	CHECK_INT(serial_read(p.s, UART_IIR), UART_IIR_NO_INT);
	/* Whoever begins to ask hears at once that it is empty, once, until it is read. */
	serial_write(p.s, UART_IER, UART_IER_THRI);
	CHECK_INT(interrupts(&p), 1);
	serial_write(p.s, UART_IER, UART_IER_THRI);
	CHECK_INT(interrupts(&p), 0);
	CHECK_INT(serial_read(p.s, UART_IIR), UART_IIR_THRI);
	CHECK_INT(serial_read(p.s, UART_IIR), UART_IIR_NO_INT);
	put(&p, "two\n");
	CHECK_INT(interrupts(&p), 4);
	CHECK_INT(serial_read(p.s, UART_IIR), UART_IIR_THRI);
	/* In loop-back mode nothing leaves. */
	serial_write(p.s, UART_MCR, UART_MCR_LOOP);
	put(&p, "three\n");
	serial_write(p.s, UART_MCR, 0);
	CHECK_INT(event_loop_run(&p.loop, 1000), 1);
	CHECK_INT(read(p.from, text, sizeof(text) - 1), 8);
	CHECK_STR(text, "one\ntwo\n");
	CHECK_INT(event_loop_run(&p.loop, 0), 0);
	drop(&p);
}

/* The guest writes on and on, and nobody reads. */
TEST(dropped_bytes_are_told)
{
	char *text = calloc(1, 4 * SERIAL_BUFFER_SIZE);
	size_t len = 0, gone;
	const char *note;
	struct port p;
	ssize_t n;

	if (!CHECK(text != NULL && make(&p, true) && fcntl(p.from, F_SETFL, O_NONBLOCK) == 0 && fcntl(p.to, F_SETPIPE_SZ, 4096) > 0))
		return;
	for (size_t i = 0; i < 2 * SERIAL_BUFFER_SIZE; i++) {
		serial_write(p.s, UART_TX, 'a');
		if (i % 1000 == 0)
			CHECK(event_loop_run(&p.loop, 0) >= 0);
	}
	CHECK_INT(p.s->put - p.s->taken, SERIAL_BUFFER_SIZE);
	gone = p.s->dropped;
	CHECK(gone > 0);
	/* A reader comes: everything that was kept, then the note, then what is new. */
	do {
		n = read(p.from, text + len, 4096);
		len += n > 0 ? (size_t)n : 0;
	} while (event_loop_run(&p.loop, 0) > 0);
	put(&p, "more\n");
	CHECK_INT(event_loop_run(&p.loop, 0), 1);
	while ((n = read(p.from, text + len, 4096)) > 0)
		len += (size_t)n;
	/* Each byte is there, or counted. */
	CHECK_INT(strspn(text, "a"), 2 * SERIAL_BUFFER_SIZE - gone);
	note = text + strspn(text, "a");
	CHECK(str_starts(note, "\n["));
	CHECK_INT(strtoul(note + 2, NULL, 10), gone);
	CHECK(strstr(note, " bytes of the console were dropped]\nmore\n") != NULL);
	CHECK_INT(p.s->dropped, 0);
	drop(&p);
	free(text);
}

TEST(reader_goes_away)
{
	struct port p;

	if (!CHECK(make(&p, true)))
		return;
	fd_close(&p.from);
	put(&p, "for nobody");
	/* SIGPIPE is not for who writes to a console: it is ignored in the monitor. */
	signal(SIGPIPE, SIG_IGN);
	CHECK(event_loop_run(&p.loop, 0) >= 0);
	CHECK(p.s->put == p.s->taken);
	for (size_t i = 0; i < 3 * SERIAL_BUFFER_SIZE; i++)
		serial_write(p.s, UART_TX, 'b');
	/* Their bytes and the note about them, then the loop is not asked for anything any more. */
	CHECK(event_loop_run(&p.loop, 0) == 1 && event_loop_run(&p.loop, 0) == 1);
	CHECK_INT(event_loop_run(&p.loop, 0), 0);
	drop(&p);
}

TEST(the_end_offers_the_rest)
{
	char text[16] = "";
	struct port p;
	int from;

	if (!CHECK(make(&p, true)))
		return;
	from = p.from;
	p.from = FD_NONE;
	put(&p, "last words");
	drop(&p);
	CHECK_INT(read(from, text, sizeof(text) - 1), 10);
	CHECK_STR(text, "last words");
	close(from);
}

TEST(no_output)
{
	struct port p;

	if (!CHECK(make(&p, false)))
		return;
	for (size_t i = 0; i < 2 * SERIAL_BUFFER_SIZE; i++)
		serial_write(p.s, UART_TX, 'x');
	CHECK(p.s->put == 0 && p.s->dropped == 0);
	CHECK_INT(serial_read(p.s, UART_LSR), UART_LSR_TEMT | UART_LSR_THRE);
	CHECK_INT(event_loop_run(&p.loop, 0), 0);
	drop(&p);
	/* A descriptor that is none. */
	p.s = malloc(sizeof(*p.s));
	if (!CHECK(p.s != NULL && event_loop_init(&p.loop) == 0))
		return;
	CHECK_INT(serial_init(p.s, &(struct serial_options){ .output = 1000 }, &p.loop), -EBADF);
	CHECK(str_starts(err_text(), "cannot use descriptor 1000 for the guest's console"));
	event_loop_deinit(&p.loop);
	free(p.s);
}

TEST_MAIN(CASE(looked_for), CASE(divisor), CASE(bytes_and_interrupts), CASE(dropped_bytes_are_told), CASE(reader_goes_away),
	  CASE(the_end_offers_the_rest), CASE(no_output))
