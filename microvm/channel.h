/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between the host and the program in the guest: one byte stream, frames in it. Here are the codec and the
 * flow control of both ends. No I/O: the caller reads bytes into channel_in(), takes frames with channel_next(), sends
 * with channel_send*(), and writes what channel_out() shows.
 *
 * A frame, all numbers little endian:
 *
 *	u32 size	of the payload
 *	u16 type	enum channel_type
 *	u16 0
 *	u32 session	0 the machine; 1 the container's first process; 2… one exec each, numbers rising, never used again
 *	u32 serial	a request's own number; its REPLY has it, too. 0: no reply is due
 *	payload
 *
 * The guest begins with HELLO (only LOG may come before). Then the host asks, one REPLY answers each request. What comes
 * unasked has serial 0. Payloads:
 *
 *	host to guest
 *	CONFIGURE	JSON: the guest description (microvm/guest/description.h), the first request
 *	CREATE		JSON: config.json as it is. Opens session 1
 *	START		JSON (runtime/net_wire.h): the network that has come since CONFIGURE, for the cards with the MACs of net_mac_spare();
 *			those that get no interface go. Nothing: there is none that waits for one
 *	EXEC		u32 flags, u16 rows, u16 columns, u32 length, that many bytes JSON: the process object; the rest is
 *			the sub-cgroup's path, may be empty. Opens its session; the process waits for EXEC_START
 *	EXEC_START
 *	SIGNAL		u32 signal, u8 all: to every process of the container (session 1 only)
 *	RESIZE		u16 rows, u16 columns. No reply
 *	PAUSE RESUME
 *	PAUSED		reply: u8
 *	UPDATE		JSON: a resources object
 *	STATS		reply: JSON (runtime/stats_wire.h)
 *	PIDS		reply: u32 each
 *	PROCESSES	u32 pid: those above it. reply: as many as fit, ascending, each u32 pid, u32 parent, u32 uid, u32 terminal's
 *			device, u64 age, u64 processor time (milliseconds), u8 state, u8: it is a name only, u16 length, that many
 *			bytes of its command line. None: there are no more
 *	OOM		reply: u64 ooms, u64 kills, u64 limit (cgroups/oom.h)
 *	FREE		the session ends, also after an EXEC that failed; its process is killed, nothing more is said of it
 *	SHUTDOWN	sync, then power off. No reply
 *
 *	guest to host
 *	HELLO		u32 version, then the kernel's release
 *	REPLY		u32 errno (0: it worked), then an error's text or the answer
 *	EXITED		u32 wait status (wait(2)), u8: memory ran out and the kernel killed something of it. After the session's
 *			output is delivered and closed
 *	OOM_EVENT	as OOM's reply: the container has run out of memory
 *	LOG		text
 *
 *	both
 *	DATA		u8 stream, bytes
 *	CLOSE		u8 stream: from who sends its data: there is no more. From who receives: nobody reads it any more; what
 *			is on the way still comes, and is dropped
 *	CREDIT		u8 stream, u32 bytes: so many were delivered
 *
 * Flow control: of each stream of a session at most CHANNEL_WINDOW bytes are under way that were not returned by CREDIT.
 * So data never stand in the way of anything else for long, and a reader that stands still stops its writer only.
 *
 * Nothing that the other end sends allocates more than one frame and CHANNEL_CHUNK here. CREDITs wait while the other end
 * does not read, so they cannot pile up either. A peer that breaks the rules breaks the channel: -EPROTO with a text,
 * from then on always. Frames of a session that was freed are passed over: they may have been under way.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/str.h"

#define CHANNEL_VERSION 1
#define CHANNEL_PORT "nacre.channel"			/* the virtio-console port's name */

#define CHANNEL_HEADER 16
#define CHANNEL_DATA_MAX (64U << 10)			/* bytes in one DATA, without the stream's byte */
#define CHANNEL_TO_HOST_MAX (256U << 10)		/* any other payload from the guest */
#define CHANNEL_TO_GUEST_MAX (16U << 20)		/* … from the host: config.json */
#define CHANNEL_WINDOW (256U << 10)
#define CHANNEL_CHUNK (64U << 10)			/* at least so much can be read at once */
#define CHANNEL_SESSIONS_MAX 1024			/* at a time */
#define CHANNEL_OUT_DATA_MAX (512U << 10)		/* beyond this no data is taken, and CREDITs wait */
#define CHANNEL_OUT_MAX (24U << 20)			/* beyond this nothing is taken */
#define CHANNEL_PIDS_MAX (CHANNEL_TO_HOST_MAX / 4 - 1)
#define CHANNEL_PROCESSES_MAX (64U << 10)		/* bytes of one answer */
#define CHANNEL_COMMAND_MAX 4096			/* bytes of a command line, the rest is cut off */

enum channel_side { CHANNEL_HOST, CHANNEL_GUEST };	/* whose end it is */

enum channel_stream { CHANNEL_STDIN, CHANNEL_STDOUT, CHANNEL_STDERR, CHANNEL_STREAMS };

enum channel_type {
	CHANNEL_DATA = 1,
	CHANNEL_CLOSE,
	CHANNEL_CREDIT,
	CHANNEL_CONFIGURE = 16,
	CHANNEL_CREATE,
	CHANNEL_START,
	CHANNEL_EXEC,
	CHANNEL_EXEC_START,
	CHANNEL_SIGNAL,
	CHANNEL_RESIZE,
	CHANNEL_PAUSE,
	CHANNEL_RESUME,
	CHANNEL_PAUSED,
	CHANNEL_UPDATE,
	CHANNEL_STATS,
	CHANNEL_PIDS,
	CHANNEL_OOM,
	CHANNEL_FREE,
	CHANNEL_SHUTDOWN,
	CHANNEL_PROCESSES,
	CHANNEL_HELLO = 48,
	CHANNEL_REPLY,
	CHANNEL_EXITED,
	CHANNEL_OOM_EVENT,
	CHANNEL_LOG,
};

struct channel_frame {
	uint16_t type;
	uint32_t session, serial;
	enum channel_stream stream;	/* of DATA, CLOSE, CREDIT */
	const unsigned char *data;	/* the payload; of DATA without the stream's byte */
	size_t size;
};

/* One stream of a session, as this end sees it. */
struct channel_flow {
	uint32_t credit;		/* sender: may be sent. Receiver: may still come */
	uint32_t owed;			/* receiver: delivered, not yet returned */
	bool ended;			/* the sender's CLOSE was sent or has come */
	bool unread;			/* the receiver's */
};

struct channel_session {
	uint32_t number;
	struct channel_flow flow[CHANNEL_STREAMS];
};

struct channel_bytes {
	unsigned char *data;
	size_t start, end, cap;
};

struct channel {
	enum channel_side side;
	bool broken, greeted;
	struct channel_bytes in, out;
	size_t taken;			/* of `in`: the frame that channel_next() gave last */
	struct channel_session *sessions;
	size_t n_sessions, cap_sessions;
	uint32_t last_session;		/* the highest number ever opened */
	bool any_owed;
};

#define CHANNEL_NULL(whose) { .side = (whose) }

void channel_deinit(struct channel *c);
#define _cleanup_channel_ __attribute__((cleanup(channel_deinit)))

/* "EXEC_START"; "?" for what is no type. */
const char *channel_type_name(uint16_t type);

/* ---- receiving ---- */

/*
 * Where to read(2) into: *ret_room bytes at *ret_at (at least CHANNEL_CHUNK when channel_next() has given 0), then
 * channel_received() with what came. 0 or -ENOMEM with a text; the frame that channel_next() gave last is gone.
 */
int channel_in(struct channel *c, unsigned char **ret_at, size_t *ret_room);
void channel_received(struct channel *c, size_t n);

/*
 * The next frame, checked: 1; 0 when more bytes are needed; -EPROTO or -ENOMEM with a text. Its data are valid until the
 * next call here or of channel_in(). EXEC and CREATE have opened their session, FREE has ended it. CREDIT is given only so
 * that the caller sees that it can send again; HELLO has this version.
 */
int channel_next(struct channel *c, struct channel_frame *ret_frame);

/* n bytes of that stream found their way (or were dropped): the sender may send as many again. */
void channel_delivered(struct channel *c, uint32_t session, enum channel_stream stream, size_t n);

/* ---- sending ---- */

/*
 * Any frame but DATA, CLOSE, CREDIT; `stream` is not used. 0; -EMSGSIZE (payload), -EINVAL (not this side's to send, or no
 * such session), -EMFILE (sessions), -ENOBUFS (the other end does not read), -ENOMEM with a text.
 */
int channel_send(struct channel *c, const struct channel_frame *f);
/* REPLY: code is 0 or a negative errno. A text that is too long is cut, an answer is -EMSGSIZE. */
int channel_send_reply(struct channel *c, uint32_t session, uint32_t serial, int code, const struct channel_frame *answer);

/* How many bytes may be sent on that stream now, at most CHANNEL_DATA_MAX. 0 also when it is closed or not there. */
size_t channel_room(const struct channel *c, uint32_t session, enum channel_stream stream);
/* Nobody reads that stream any more: bytes for it can be dropped. Also true without such a session. */
bool channel_unread(const struct channel *c, uint32_t session, enum channel_stream stream);
/* At most channel_room() bytes (else -EINVAL). 0 or as channel_send(). */
int channel_send_data(struct channel *c, uint32_t session, enum channel_stream stream, const void *data, size_t size);
/* The second time: nothing, 0. */
int channel_send_close(struct channel *c, uint32_t session, enum channel_stream stream);

/* What is to be written, NULL when nothing is; then channel_sent() with what write(2) took. CREDITs that are due are in it. */
const unsigned char *channel_out(struct channel *c, size_t *ret_size);
void channel_sent(struct channel *c, size_t n);

/* ---- payloads of a fixed form. Decoding: 0 or -EPROTO with a text ---- */

struct channel_hello {
	uint32_t version;
	char release[72];	/* printable ASCII */
};

struct channel_resize {
	uint16_t rows, columns;
};

struct channel_signal {
	uint32_t signal;	/* 1…64 */
	bool all;
};

struct channel_exited {
	int status;		/* as of wait(2): it has exited, or a signal has ended it */
	bool oom;
};

struct channel_oom {
	uint64_t ooms, kills, limit;
};

struct channel_process {
	uint32_t pid, parent, uid;
	uint32_t terminal;		/* field 7 of /proc/PID/stat; 0: none */
	uint64_t age_ms, cpu_ms;
	char state;			/* its field 3 */
	bool is_name;			/* it has no command line: command is its name */
	const char *command;		/* not NUL-terminated, at most CHANNEL_COMMAND_MAX; any bytes, NULs between the arguments */
	size_t command_size;
};

#define CHANNEL_EXEC_TTY 1U		/* whatever the process object says */
#define CHANNEL_EXEC_IGNORE_PAUSED 2U
#define CHANNEL_EXEC_FLAGS 3U

struct channel_exec {
	uint32_t flags;
	uint16_t rows, columns;		/* 0: not known */
	const char *process;		/* JSON; not NUL-terminated */
	size_t process_size;
	const char *cgroup;		/* not NUL-terminated, holds none */
	size_t cgroup_size;
};

/* Each gives the size. */
#define CHANNEL_RESIZE_SIZE 4
#define CHANNEL_SIGNAL_SIZE 5
#define CHANNEL_EXITED_SIZE 5
#define CHANNEL_OOM_SIZE 24
#define CHANNEL_PROCESSES_SIZE 4
#define CHANNEL_PROCESS_SIZE 36		/* without the command */
size_t channel_put_resize(unsigned char out[CHANNEL_RESIZE_SIZE], const struct channel_resize *v);
size_t channel_put_signal(unsigned char out[CHANNEL_SIGNAL_SIZE], const struct channel_signal *v);
size_t channel_put_exited(unsigned char out[CHANNEL_EXITED_SIZE], const struct channel_exited *v);
size_t channel_put_oom(unsigned char out[CHANNEL_OOM_SIZE], const struct channel_oom *v);
size_t channel_put_processes(unsigned char out[CHANNEL_PROCESSES_SIZE], uint32_t above);
/* Into a growing text, whose failures stick. */
void channel_put_hello(struct buf *out, const char *release);
void channel_put_exec(struct buf *out, const struct channel_exec *v);
void channel_put_pids(struct buf *out, const int *pids, size_t n);
/* false, and nothing is added: the answer would be too long. */
bool channel_put_process(struct buf *out, const struct channel_process *v);

int channel_get_hello(const struct channel_frame *f, struct channel_hello *ret);
int channel_get_resize(const struct channel_frame *f, struct channel_resize *ret);
int channel_get_signal(const struct channel_frame *f, struct channel_signal *ret);
int channel_get_exited(const struct channel_frame *f, struct channel_exited *ret);
/* Of OOM_EVENT, and of a REPLY's answer. */
int channel_get_oom(const struct channel_frame *f, struct channel_oom *ret);
int channel_get_exec(const struct channel_frame *f, struct channel_exec *ret);
/* *ret_code: 0 or a negative errno; *ret_answer is f with what follows: the answer or the text. */
int channel_get_reply(const struct channel_frame *f, int *ret_code, struct channel_frame *ret_answer);
int channel_get_paused(const struct channel_frame *answer, bool *ret);
/* malloc'ed; each is a positive pid_t. */
int channel_get_pids(const struct channel_frame *answer, int **ret_pids, size_t *ret_n);
int channel_get_processes(const struct channel_frame *f, uint32_t *ret_above);
/* The answer's next one, which is taken off it: 1, or 0 when there is none. Each is a positive pid_t, above the one before: last. */
int channel_get_process(struct channel_frame *answer, uint32_t last, struct channel_process *ret);
