/* SPDX-License-Identifier: Apache-2.0 */
/* See channel.h. The payloads are in channel_payload.c. */
#include "microvm/channel.h"

#include <errno.h>
#include <stdlib.h>

#include "microvm/le.h"
#include "runtime/base/err.h"

#define BOTH 0U
#define NO_SERIAL 1U		/* never a request */
#define REQUEST 2U		/* always one */
#define OF_SESSION 4U		/* of a session that is open */
#define OF_MACHINE 8U		/* session 0 */

struct rule {
	const char *name;
	bool to_guest, to_host;
	unsigned int flags;
	uint32_t min, max;
};

#define TO_GUEST true, false
#define TO_HOST false, true
#define EITHER true, true

/* [0] and the gaps have no name: no such type. */
static const struct rule rules[] = {
	[CHANNEL_DATA] = { "DATA", EITHER, NO_SERIAL | OF_SESSION, 2, CHANNEL_DATA_MAX + 1 },
	[CHANNEL_CLOSE] = { "CLOSE", EITHER, NO_SERIAL | OF_SESSION, 1, 1 },
	[CHANNEL_CREDIT] = { "CREDIT", EITHER, NO_SERIAL | OF_SESSION, 5, 5 },
	[CHANNEL_CONFIGURE] = { "CONFIGURE", TO_GUEST, REQUEST | OF_MACHINE, 1, CHANNEL_TO_GUEST_MAX },
	[CHANNEL_CREATE] = { "CREATE", TO_GUEST, REQUEST | OF_SESSION, 1, CHANNEL_TO_GUEST_MAX },
	[CHANNEL_START] = { "START", TO_GUEST, REQUEST | OF_SESSION, 0, CHANNEL_TO_GUEST_MAX },
	[CHANNEL_EXEC] = { "EXEC", TO_GUEST, REQUEST | OF_SESSION, 12, CHANNEL_TO_GUEST_MAX },
	[CHANNEL_EXEC_START] = { "EXEC_START", TO_GUEST, REQUEST | OF_SESSION, 0, 0 },
	[CHANNEL_SIGNAL] = { "SIGNAL", TO_GUEST, REQUEST | OF_SESSION, CHANNEL_SIGNAL_SIZE, CHANNEL_SIGNAL_SIZE },
	[CHANNEL_RESIZE] = { "RESIZE", TO_GUEST, NO_SERIAL | OF_SESSION, CHANNEL_RESIZE_SIZE, CHANNEL_RESIZE_SIZE },
	[CHANNEL_PAUSE] = { "PAUSE", TO_GUEST, REQUEST | OF_MACHINE, 0, 0 },
	[CHANNEL_RESUME] = { "RESUME", TO_GUEST, REQUEST | OF_MACHINE, 0, 0 },
	[CHANNEL_PAUSED] = { "PAUSED", TO_GUEST, REQUEST | OF_MACHINE, 0, 0 },
	[CHANNEL_UPDATE] = { "UPDATE", TO_GUEST, REQUEST | OF_MACHINE, 1, CHANNEL_TO_GUEST_MAX },
	[CHANNEL_STATS] = { "STATS", TO_GUEST, REQUEST | OF_MACHINE, 0, 0 },
	[CHANNEL_PIDS] = { "PIDS", TO_GUEST, REQUEST | OF_MACHINE, 0, 0 },
	[CHANNEL_OOM] = { "OOM", TO_GUEST, REQUEST | OF_MACHINE, 0, 0 },
	[CHANNEL_FREE] = { "FREE", TO_GUEST, NO_SERIAL | OF_SESSION, 0, 0 },
	[CHANNEL_SHUTDOWN] = { "SHUTDOWN", TO_GUEST, NO_SERIAL | OF_MACHINE, 0, 0 },
	[CHANNEL_PROCESSES] = { "PROCESSES", TO_GUEST, REQUEST | OF_MACHINE, CHANNEL_PROCESSES_SIZE, CHANNEL_PROCESSES_SIZE },
	[CHANNEL_HELLO] = { "HELLO", TO_HOST, NO_SERIAL | OF_MACHINE, 4, 4 + sizeof(((struct channel_hello *)NULL)->release) - 1 },
	/* Also of a session that was freed meanwhile: the asker waits for it by its serial. */
	[CHANNEL_REPLY] = { "REPLY", TO_HOST, REQUEST, 4, CHANNEL_TO_HOST_MAX },
	[CHANNEL_EXITED] = { "EXITED", TO_HOST, NO_SERIAL | OF_SESSION, CHANNEL_EXITED_SIZE, CHANNEL_EXITED_SIZE },
	[CHANNEL_OOM_EVENT] = { "OOM_EVENT", TO_HOST, NO_SERIAL | OF_MACHINE, CHANNEL_OOM_SIZE, CHANNEL_OOM_SIZE },
	[CHANNEL_LOG] = { "LOG", TO_HOST, NO_SERIAL | OF_MACHINE, 0, CHANNEL_TO_HOST_MAX },
};

static const struct rule *rule_of(uint16_t type)
{
	return type < ARRAY_SIZE(rules) && rules[type].name != NULL ? &rules[type] : NULL;
}

const char *channel_type_name(uint16_t type)
{
	const struct rule *r = rule_of(type);

	return r != NULL ? r->name : "?";
}

/* ---- bytes ---- */

static int bytes_reserve(struct channel_bytes *b, size_t n)
{
	size_t cap = b->cap > 0 ? b->cap : 4096;
	unsigned char *p;

	if (b->start > 0 && b->cap - b->end < n) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->cap - b->end >= n)
		return 0;
	while (cap - b->end < n)
		cap *= 2;
	p = realloc(b->data, cap);
	if (p == NULL)
		return ERR_NOMEM();
	b->data = p;
	b->cap = cap;
	return 0;
}

static void bytes_add(struct channel_bytes *b, const void *data, size_t n)
{
	if (n > 0)
		memcpy(b->data + b->end, data, n);
	b->end += n;
}

static void bytes_drop(struct channel_bytes *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void channel_deinit(struct channel *c)
{
	free(c->in.data);
	free(c->out.data);
	free(c->sessions);
	*c = (struct channel)CHANNEL_NULL(c->side);
}

/* ---- sessions ---- */

static struct channel_session *session_find(const struct channel *c, uint32_t number)
{
	for (size_t i = 0; i < c->n_sessions; i++)
		if (c->sessions[i].number == number)
			return &c->sessions[i];
	return NULL;
}

static int session_open(struct channel *c, uint32_t number)
{
	struct channel_session *s;

	if (c->n_sessions == CHANNEL_SESSIONS_MAX)
		return ERR_PLAIN(-EMFILE, "more than %d sessions of a virtual machine at a time", CHANNEL_SESSIONS_MAX);
	if (c->n_sessions == c->cap_sessions) {
		size_t cap = c->cap_sessions > 0 ? c->cap_sessions * 2 : 4;

		s = reallocarray(c->sessions, cap, sizeof(*s));
		if (s == NULL)
			return ERR_NOMEM();
		c->sessions = s;
		c->cap_sessions = cap;
	}
	s = &c->sessions[c->n_sessions++];
	*s = (struct channel_session){ .number = number };
	for (size_t i = 0; i < CHANNEL_STREAMS; i++)
		s->flow[i].credit = CHANNEL_WINDOW;
	c->last_session = number;
	return 0;
}

static void session_close(struct channel *c, uint32_t number)
{
	struct channel_session *s = session_find(c, number);

	if (s != NULL)
		*s = c->sessions[--c->n_sessions];
}

static bool opens(uint16_t type)
{
	return type == CHANNEL_CREATE || type == CHANNEL_EXEC;
}

/* CREATE has 1 and is the first; EXEC has a number that was never there. */
static bool may_open(const struct channel *c, uint16_t type, uint32_t session)
{
	return type == CHANNEL_CREATE ? session == 1 && c->last_session == 0 : session > 1 && session > c->last_session;
}

/* Whose data are they? */
static bool is_sender(enum channel_side side, enum channel_stream stream)
{
	return (stream == CHANNEL_STDIN) == (side == CHANNEL_HOST);
}

static struct channel_flow *flow_find(const struct channel *c, uint32_t session, enum channel_stream stream)
{
	struct channel_session *s = session_find(c, session);

	return s != NULL && (unsigned int)stream < CHANNEL_STREAMS ? &s->flow[stream] : NULL;
}

/* ---- receiving ---- */

static size_t payload_max(const struct channel *c)
{
	return c->side == CHANNEL_HOST ? CHANNEL_TO_HOST_MAX : CHANNEL_TO_GUEST_MAX;
}

int channel_in(struct channel *c, unsigned char **ret_at, size_t *ret_room)
{
	size_t have, limit = CHANNEL_HEADER + payload_max(c) + CHANNEL_CHUNK;
	int r;

	bytes_drop(&c->in, c->taken);
	c->taken = 0;
	have = c->in.end - c->in.start;
	*ret_room = limit - have < CHANNEL_CHUNK ? limit - have : CHANNEL_CHUNK;
	r = bytes_reserve(&c->in, *ret_room);
	*ret_at = c->in.data + c->in.end;
	return r;
}

void channel_received(struct channel *c, size_t n)
{
	c->in.end += n;
}

static int broke(struct channel *c, const char *what, uint16_t type)
{
	c->broken = true;
	return ERR_PLAIN(-EPROTO, "the virtual machine's channel: %s (%s, type %u)", what, channel_type_name(type), type);
}

/* The rules that hold for every frame of its type. */
static int check_header(struct channel *c, const unsigned char *h)
{
	uint32_t size = le32_get(h), session = le32_get(h + 8), serial = le32_get(h + 12);
	uint16_t type = le16_get(h + 4);
	const struct rule *rule = rule_of(type);

	if (rule == NULL || !(c->side == CHANNEL_HOST ? rule->to_host : rule->to_guest))
		return broke(c, "a frame of a type that does not come this way", type);
	if (size < rule->min || size > rule->max || size > payload_max(c))
		return broke(c, "a frame of a wrong size", type);
	if (le16_get(h + 6) != 0)
		return broke(c, "a frame with a bad header", type);
	if (((rule->flags & NO_SERIAL) && serial != 0) || ((rule->flags & REQUEST) && serial == 0))
		return broke(c, "a frame with a wrong serial number", type);
	if (((rule->flags & OF_MACHINE) && session != 0) || ((rule->flags & OF_SESSION) && session == 0))
		return broke(c, "a frame of a wrong session", type);
	if (opens(type) ? !may_open(c, type, session) : session > c->last_session)
		return broke(c, "a frame of a session that is not there", type);
	/* A new start is not possible: the guest has lost what it was told. */
	if (c->side == CHANNEL_HOST && type != CHANNEL_LOG && c->greeted == (type == CHANNEL_HELLO))
		return broke(c, c->greeted ? "a second greeting" : "no greeting", type);
	return 0;
}

static int take_data(struct channel *c, struct channel_frame *f, struct channel_flow *flow)
{
	if (is_sender(c->side, f->stream))
		return broke(c, "data of a stream that goes the other way", f->type);
	f->data++;
	f->size--;
	if (flow->ended)
		return broke(c, "data after the end", f->type);
	if (f->size > flow->credit)
		return broke(c, "more data than was allowed", f->type);
	flow->credit -= (uint32_t)f->size;
	return 0;
}

static int take_close(struct channel *c, const struct channel_frame *f, struct channel_flow *flow)
{
	bool *done = is_sender(c->side, f->stream) ? &flow->unread : &flow->ended;

	if (*done)
		return broke(c, "a stream ends twice", f->type);
	*done = true;
	return 0;
}

static int take_credit(struct channel *c, const struct channel_frame *f, struct channel_flow *flow)
{
	uint32_t n = le32_get(f->data + 1);

	if (!is_sender(c->side, f->stream) || n == 0 || n > CHANNEL_WINDOW - flow->credit)
		return broke(c, "credit for what was not sent", f->type);
	flow->credit += n;
	return 0;
}

/* 1; 0: passed over, its session is gone. */
static int take_frame(struct channel *c, struct channel_frame *f)
{
	struct channel_session *s = session_find(c, f->session);
	struct channel_hello hello;
	int r = 0;

	if (f->type == CHANNEL_HELLO) {
		c->greeted = true;
		r = channel_get_hello(f, &hello);
		if (r < 0)
			c->broken = true;
		return r < 0 ? r : 1;
	}
	if (opens(f->type)) {
		r = session_open(c, f->session);
		if (r == -EMFILE)
			return broke(c, "too many sessions", f->type);
		return r < 0 ? r : 1;
	}
	if (f->session == 0 || f->type == CHANNEL_REPLY)
		return 1;
	if (s == NULL)
		return 0;
	if (f->type == CHANNEL_FREE)
		session_close(c, f->session);
	if (f->type >= CHANNEL_CONFIGURE)
		return 1;
	if (f->data[0] >= CHANNEL_STREAMS)
		return broke(c, "a stream that is not there", f->type);
	f->stream = (enum channel_stream)f->data[0];
	if (f->type == CHANNEL_DATA)
		r = take_data(c, f, &s->flow[f->stream]);
	else if (f->type == CHANNEL_CLOSE)
		r = take_close(c, f, &s->flow[f->stream]);
	else
		r = take_credit(c, f, &s->flow[f->stream]);
	return r < 0 ? r : 1;
}

int channel_next(struct channel *c, struct channel_frame *ret_frame)
{
	int r = 0;

	if (c->broken)
		return ERR_PLAIN(-EPROTO, "the virtual machine's channel is broken");
	while (r == 0) {
		const unsigned char *h;
		size_t have, size;

		bytes_drop(&c->in, c->taken);
		c->taken = 0;
		have = c->in.end - c->in.start;
		if (have < CHANNEL_HEADER)
			return 0;
		h = c->in.data + c->in.start;
		r = check_header(c, h);
		if (r < 0)
			return r;
		size = le32_get(h);
		if (have - CHANNEL_HEADER < size)
			return 0;
		c->taken = CHANNEL_HEADER + size;
		*ret_frame = (struct channel_frame){
			.type = le16_get(h + 4), .session = le32_get(h + 8), .serial = le32_get(h + 12),
			.data = h + CHANNEL_HEADER, .size = size,
		};
		r = take_frame(c, ret_frame);
	}
	return r;
}

void channel_delivered(struct channel *c, uint32_t session, enum channel_stream stream, size_t n)
{
	struct channel_flow *flow = flow_find(c, session, stream);

	if (flow == NULL || is_sender(c->side, stream))
		return;
	/* Not more than what was taken and not yet returned: a caller's mistake must not become a window without end. */
	if (n > CHANNEL_WINDOW - flow->credit - flow->owed)
		n = CHANNEL_WINDOW - flow->credit - flow->owed;
	flow->owed += (uint32_t)n;
	c->any_owed = c->any_owed || n > 0;
}

/* ---- sending ---- */

static int put_frame(struct channel *c, const struct channel_frame *f, const void *head, size_t head_size)
{
	unsigned char h[CHANNEL_HEADER] = { 0 };
	size_t size = head_size + f->size;
	int r;

	if (c->out.end - c->out.start + CHANNEL_HEADER + size > CHANNEL_OUT_MAX)
		return ERR_PLAIN(-ENOBUFS, "the other end of the virtual machine's channel does not read");
	r = bytes_reserve(&c->out, CHANNEL_HEADER + size);
	if (r < 0)
		return r;
	le32_put(h, (uint32_t)size);
	le16_put(h + 4, f->type);
	le32_put(h + 8, f->session);
	le32_put(h + 12, f->serial);
	bytes_add(&c->out, h, sizeof(h));
	bytes_add(&c->out, head, head_size);
	bytes_add(&c->out, f->data, f->size);
	return 0;
}

static int not_sent(uint16_t type, const char *why)
{
	return ERR_PLAIN(-EINVAL, "cannot send %s to the other end of the virtual machine's channel: %s",
			 channel_type_name(type), why);
}

/* Our own frames obey the rules that theirs have to; head_size bytes stand before the frame's data. */
static int check_own(const struct channel *c, const struct channel_frame *f, size_t head_size)
{
	const struct rule *rule = rule_of(f->type);
	size_t size = head_size + f->size;

	if (rule == NULL || !(c->side == CHANNEL_HOST ? rule->to_guest : rule->to_host))
		return not_sent(f->type, "it does not go this way");
	if (size < rule->min || size > rule->max)
		return ERR_PLAIN(-EMSGSIZE, "cannot send %s to the other end of the virtual machine's channel: %zu bytes are "
				 "not from %u to %u", rule->name, size, rule->min, rule->max);
	if (((rule->flags & NO_SERIAL) && f->serial != 0) || ((rule->flags & REQUEST) && f->serial == 0))
		return not_sent(f->type, "the serial number");
	if (opens(f->type) ? !may_open(c, f->type, f->session) :
	    (rule->flags & OF_SESSION) ? session_find(c, f->session) == NULL :
	    (rule->flags & OF_MACHINE) ? f->session != 0 : f->session > c->last_session)
		return not_sent(f->type, "no such session");
	return 0;
}

int channel_send(struct channel *c, const struct channel_frame *f)
{
	int r = check_own(c, f, 0);

	if (r == 0 && f->type < CHANNEL_CONFIGURE)
		r = not_sent(f->type, "it has a call of its own");
	if (r == 0 && opens(f->type))
		r = session_open(c, f->session);
	if (r < 0)
		return r;
	r = put_frame(c, f, NULL, 0);
	if ((r < 0 && opens(f->type)) || (r == 0 && f->type == CHANNEL_FREE))
		session_close(c, f->session);
	return r;
}

int channel_send_reply(struct channel *c, uint32_t session, uint32_t serial, int code, const struct channel_frame *answer)
{
	struct channel_frame f = { .type = CHANNEL_REPLY, .session = session, .serial = serial };
	unsigned char head[4];
	int r;

	if (answer != NULL) {
		f.data = answer->data;
		f.size = answer->size;
	}
	if (code < 0 && f.size > CHANNEL_TO_HOST_MAX - sizeof(head))
		f.size = CHANNEL_TO_HOST_MAX - sizeof(head);
	le32_put(head, (uint32_t)-code);
	r = check_own(c, &f, sizeof(head));
	return r < 0 ? r : put_frame(c, &f, head, sizeof(head));
}

size_t channel_room(const struct channel *c, uint32_t session, enum channel_stream stream)
{
	const struct channel_flow *flow = flow_find(c, session, stream);

	if (flow == NULL || !is_sender(c->side, stream) || flow->ended || flow->unread ||
	    c->out.end - c->out.start >= CHANNEL_OUT_DATA_MAX)
		return 0;
	return flow->credit < CHANNEL_DATA_MAX ? flow->credit : CHANNEL_DATA_MAX;
}

bool channel_unread(const struct channel *c, uint32_t session, enum channel_stream stream)
{
	const struct channel_flow *flow = flow_find(c, session, stream);

	return flow == NULL || flow->unread;
}

int channel_send_data(struct channel *c, uint32_t session, enum channel_stream stream, const void *data, size_t size)
{
	const struct channel_frame f = { .type = CHANNEL_DATA, .session = session, .data = data, .size = size };
	struct channel_flow *flow = flow_find(c, session, stream);
	unsigned char head = (unsigned char)stream;
	int r;

	if (size == 0)
		return 0;
	if (flow == NULL || size > channel_room(c, session, stream))
		return not_sent(CHANNEL_DATA, "there is no room");
	r = put_frame(c, &f, &head, 1);
	if (r == 0)
		flow->credit -= (uint32_t)size;
	return r;
}

int channel_send_close(struct channel *c, uint32_t session, enum channel_stream stream)
{
	const struct channel_frame f = { .type = CHANNEL_CLOSE, .session = session };
	struct channel_flow *flow = flow_find(c, session, stream);
	unsigned char head = (unsigned char)stream;
	bool *done;
	int r;

	if (flow == NULL)
		return not_sent(CHANNEL_CLOSE, "no such session");
	done = is_sender(c->side, stream) ? &flow->ended : &flow->unread;
	if (*done)
		return 0;
	r = put_frame(c, &f, &head, 1);
	*done = r == 0;
	return r;
}

/*
 * Small deliveries are returned together. A sender without credit waits for a whole window, whose delivery is more than
 * enough to be returned; so none waits for ever. Nothing is due for a stream that has ended.
 */
static void put_credits(struct channel *c)
{
	unsigned char payload[5];

	c->any_owed = false;
	for (size_t i = 0; i < c->n_sessions; i++)
		for (unsigned int k = 0; k < CHANNEL_STREAMS; k++) {
			struct channel_flow *flow = &c->sessions[i].flow[k];
			const struct channel_frame f = { .type = CHANNEL_CREDIT, .session = c->sessions[i].number };

			if (flow->owed < CHANNEL_WINDOW / 4 || flow->ended)
				continue;
			payload[0] = (unsigned char)k;
			le32_put(payload + 1, flow->owed);
			if (put_frame(c, &f, payload, sizeof(payload)) < 0) {
				err_clear();	/* lack of memory: the next time */
				c->any_owed = true;
				return;
			}
			flow->credit += flow->owed;
			flow->owed = 0;
		}
}

const unsigned char *channel_out(struct channel *c, size_t *ret_size)
{
	if (c->any_owed && c->out.end - c->out.start < CHANNEL_OUT_DATA_MAX)
		put_credits(c);
	*ret_size = c->out.end - c->out.start;
	return *ret_size > 0 ? c->out.data + c->out.start : NULL;
}

void channel_sent(struct channel *c, size_t n)
{
	bytes_drop(&c->out, n);
}
