/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel's end against any bytes: the first says whose end it is (bit 0) and in what portions the rest comes. What
 * is kept stays within bounds, data never exceed their window, payloads are decoded or refused.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "microvm/channel.h"
#include "runtime/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PENDING_MAX (CHANNEL_HEADER + CHANNEL_TO_GUEST_MAX + CHANNEL_CHUNK)

static void decode_processes(struct channel_frame *answer)
{
	struct channel_process p = { .pid = 0 };
	uint32_t last = 0;

	while (channel_get_process(answer, last, &p) == 1) {
		assert(p.pid > last && p.command_size <= CHANNEL_COMMAND_MAX);
		assert((const unsigned char *)p.command + p.command_size == answer->data);
		last = p.pid;
	}
}

static void decode_reply(const struct channel_frame *f)
{
	struct channel_frame answer;
	struct channel_oom oom;
	bool paused;
	int code, *pids;
	size_t n;

	if (channel_get_reply(f, &code, &answer) < 0)
		return;
	assert(code <= 0 && code > -4096 && answer.size == f->size - 4);
	(void)channel_get_oom(&answer, &oom);
	(void)channel_get_paused(&answer, &paused);
	if (channel_get_pids(&answer, &pids, &n) == 0)
		for (size_t i = 0; i < n; i++)
			assert(pids[i] > 0);
	free(pids);
	decode_processes(&answer);
}

static void decode(const struct channel_frame *f)
{
	struct channel_resize size;
	struct channel_signal sig;
	struct channel_exited end;
	struct channel_exec exec;
	uint32_t above;

	if (f->type == CHANNEL_REPLY)
		decode_reply(f);
	if (f->type == CHANNEL_RESIZE)
		assert(channel_get_resize(f, &size) == 0);
	if (f->type == CHANNEL_SIGNAL && channel_get_signal(f, &sig) == 0)
		assert(sig.signal >= 1 && sig.signal <= 64);
	if (f->type == CHANNEL_PROCESSES)
		assert(channel_get_processes(f, &above) == 0);
	if (f->type == CHANNEL_EXITED)
		(void)channel_get_exited(f, &end);
	if (f->type == CHANNEL_EXEC && channel_get_exec(f, &exec) == 0)
		assert(exec.process + exec.process_size == exec.cgroup && exec.process_size + exec.cgroup_size == f->size - 12);
}

/* As an owner does: data are delivered, what is asked is answered, and some data go the other way. */
static void serve(struct channel *c, const struct channel_frame *f)
{
	size_t room;

	decode(f);
	if (f->type == CHANNEL_DATA) {
		assert(f->size > 0 && f->size <= CHANNEL_DATA_MAX);
		channel_delivered(c, f->session, f->stream, f->size);
	}
	if (c->side == CHANNEL_GUEST && f->serial != 0)
		assert(channel_send_reply(c, f->session, f->serial, 0, NULL) == 0 || c->out.end > CHANNEL_OUT_DATA_MAX);
	for (int k = 0; k < CHANNEL_STREAMS; k++) {
		room = channel_room(c, f->session, (enum channel_stream)k);
		if (room > 0)
			assert(channel_send_data(c, f->session, (enum channel_stream)k, "x", 1) == 0);
	}
}

static void check(const struct channel *c)
{
	assert(c->in.end - c->in.start <= PENDING_MAX && c->in.cap <= 2 * PENDING_MAX);
	assert(c->n_sessions <= CHANNEL_SESSIONS_MAX);
	for (size_t i = 0; i < c->n_sessions; i++)
		for (int k = 0; k < CHANNEL_STREAMS; k++)
			assert(c->sessions[i].flow[k].credit + c->sessions[i].flow[k].owed <= CHANNEL_WINDOW);
}

/* The host has made two sessions before the guest says anything. */
static void prepare(struct channel *c)
{
	if (c->side == CHANNEL_GUEST)
		return;
	(void)channel_send(c, &(struct channel_frame){ .type = CHANNEL_CREATE, .session = 1, .serial = 1, .data = (const uint8_t *)"{}", .size = 2 });
	(void)channel_send(c, &(struct channel_frame){ .type = CHANNEL_EXEC, .session = 2, .serial = 2, .data = (const uint8_t *)"0123456789ab", .size = 12 });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct channel c = CHANNEL_NULL(size > 0 && (data[0] & 1) ? CHANNEL_HOST : CHANNEL_GUEST);
	size_t portion, at = 1;
	int r = 0;

	if (size == 0)
		return 0;
	portion = (size_t)(data[0] >> 1) + 1;
	prepare(&c);
	while (r == 0 && at < size) {
		struct channel_frame f = { 0 };
		unsigned char *to;
		size_t room, n = size - at < portion ? size - at : portion;

		if (channel_in(&c, &to, &room) < 0)
			break;
		assert(room >= CHANNEL_CHUNK);
		memcpy(to, data + at, n);
		channel_received(&c, n);
		at += n;
		while ((r = channel_next(&c, &f)) == 1)
			serve(&c, &f);
		check(&c);
		(void)channel_out(&c, &room);
		/* Now and then the other end reads. */
		if (room > 64)
			channel_sent(&c, room - 3);
	}
	if (r < 0)
		assert(r == -EPROTO && err_text()[0] != '\0' && channel_next(&c, &(struct channel_frame){ 0 }) == -EPROTO);
	channel_deinit(&c);
	return 0;
}
