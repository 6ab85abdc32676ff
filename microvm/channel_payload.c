/* SPDX-License-Identifier: Apache-2.0 */
/* The payloads of a fixed form. See channel.h. */
#include "microvm/channel.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "microvm/le.h"
#include "runtime/base/err.h"

#define SIGNAL_MAX 64
/* MAX_ERRNO of the kernel. */
#define ERRNO_MAX 4095

static int bad(const char *what)
{
	return ERR_PLAIN(-EPROTO, "the virtual machine's channel: %s", what);
}

/* ---- encoding ---- */

size_t channel_put_resize(unsigned char out[CHANNEL_RESIZE_SIZE], const struct channel_resize *v)
{
	le16_put(out, v->rows);
	le16_put(out + 2, v->columns);
	return CHANNEL_RESIZE_SIZE;
}

size_t channel_put_signal(unsigned char out[CHANNEL_SIGNAL_SIZE], const struct channel_signal *v)
{
	le32_put(out, v->signal);
	out[4] = v->all;
	return CHANNEL_SIGNAL_SIZE;
}

size_t channel_put_exited(unsigned char out[CHANNEL_EXITED_SIZE], const struct channel_exited *v)
{
	le32_put(out, (uint32_t)v->status);
	out[4] = v->oom;
	return CHANNEL_EXITED_SIZE;
}

size_t channel_put_oom(unsigned char out[CHANNEL_OOM_SIZE], const struct channel_oom *v)
{
	le64_put(out, v->ooms);
	le64_put(out + 8, v->kills);
	le64_put(out + 16, v->limit);
	return CHANNEL_OOM_SIZE;
}

static void put_u32(struct buf *out, uint32_t v)
{
	unsigned char b[4];

	le32_put(b, v);
	buf_add(out, b, sizeof(b));
}

void channel_put_hello(struct buf *out, const char *release)
{
	size_t n = strlen(release), max = sizeof(((struct channel_hello *)NULL)->release) - 1;

	put_u32(out, CHANNEL_VERSION);
	buf_add(out, release, n < max ? n : max);
}

void channel_put_exec(struct buf *out, const struct channel_exec *v)
{
	unsigned char size[CHANNEL_RESIZE_SIZE];

	put_u32(out, v->flags);
	channel_put_resize(size, &(struct channel_resize){ .rows = v->rows, .columns = v->columns });
	buf_add(out, size, sizeof(size));
	put_u32(out, (uint32_t)v->process_size);
	buf_add(out, v->process, v->process_size);
	buf_add(out, v->cgroup, v->cgroup_size);
}

void channel_put_pids(struct buf *out, const int *pids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_u32(out, (uint32_t)pids[i]);
}

size_t channel_put_processes(unsigned char out[CHANNEL_PROCESSES_SIZE], uint32_t above)
{
	le32_put(out, above);
	return CHANNEL_PROCESSES_SIZE;
}

bool channel_put_process(struct buf *out, const struct channel_process *v)
{
	size_t n = v->command_size < CHANNEL_COMMAND_MAX ? v->command_size : CHANNEL_COMMAND_MAX;
	unsigned char b[CHANNEL_PROCESS_SIZE];

	if (out->len + sizeof(b) + n > CHANNEL_PROCESSES_MAX)
		return false;
	le32_put(b, v->pid);
	le32_put(b + 4, v->parent);
	le32_put(b + 8, v->uid);
	le32_put(b + 12, v->terminal);
	le64_put(b + 16, v->age_ms);
	le64_put(b + 24, v->cpu_ms);
	b[32] = (unsigned char)v->state;
	b[33] = v->is_name;
	le16_put(b + 34, (uint16_t)n);
	buf_add(out, b, sizeof(b));
	buf_add(out, v->command, n);
	return true;
}

/* ---- decoding ---- */

int channel_get_hello(const struct channel_frame *f, struct channel_hello *ret)
{
	*ret = (struct channel_hello){ 0 };
	if (f->size < 4 || f->size - 4 >= sizeof(ret->release))
		return bad("a greeting of a wrong size");
	ret->version = le32_get(f->data);
	if (ret->version != CHANNEL_VERSION)
		return ERR_PLAIN(-EPROTO, "the virtual machine's channel: the guest speaks version %u, we %d: nacre and "
				 "nacre-guest are not of the same build", ret->version, CHANNEL_VERSION);
	for (size_t i = 4; i < f->size; i++)
		if (f->data[i] <= ' ' || f->data[i] > '~')
			return bad("a kernel's release that is no text");
	memcpy(ret->release, f->data + 4, f->size - 4);
	return 0;
}

int channel_get_resize(const struct channel_frame *f, struct channel_resize *ret)
{
	if (f->size != CHANNEL_RESIZE_SIZE)
		return bad("a terminal's size of a wrong size");
	*ret = (struct channel_resize){ .rows = le16_get(f->data), .columns = le16_get(f->data + 2) };
	return 0;
}

static int get_bool(unsigned char c, bool *ret)
{
	*ret = c == 1;
	return c <= 1 ? 0 : bad("a yes or no that is neither");
}

int channel_get_signal(const struct channel_frame *f, struct channel_signal *ret)
{
	*ret = (struct channel_signal){ 0 };
	if (f->size != CHANNEL_SIGNAL_SIZE)
		return bad("a signal of a wrong size");
	ret->signal = le32_get(f->data);
	if (ret->signal < 1 || ret->signal > SIGNAL_MAX)
		return bad("a signal that does not exist");
	return get_bool(f->data[4], &ret->all);
}

int channel_get_exited(const struct channel_frame *f, struct channel_exited *ret)
{
	uint32_t status;

	*ret = (struct channel_exited){ 0 };
	if (f->size != CHANNEL_EXITED_SIZE)
		return bad("an exit status of a wrong size");
	status = le32_get(f->data);
	if (status > 0xffff || !(WIFEXITED((int)status) || (WIFSIGNALED((int)status) && WTERMSIG((int)status) <= SIGNAL_MAX)))
		return bad("an exit status that is none");
	ret->status = (int)status;
	return get_bool(f->data[4], &ret->oom);
}

int channel_get_oom(const struct channel_frame *f, struct channel_oom *ret)
{
	*ret = (struct channel_oom){ 0 };
	if (f->size != CHANNEL_OOM_SIZE)
		return bad("a count of a wrong size");
	*ret = (struct channel_oom){
		.ooms = le64_get(f->data), .kills = le64_get(f->data + 8), .limit = le64_get(f->data + 16),
	};
	return 0;
}

int channel_get_exec(const struct channel_frame *f, struct channel_exec *ret)
{
	size_t process;

	*ret = (struct channel_exec){ 0 };
	if (f->size < 12)
		return bad("an exec of a wrong size");
	process = le32_get(f->data + 8);
	if (process > f->size - 12)
		return bad("an exec of a wrong size");
	*ret = (struct channel_exec){
		.flags = le32_get(f->data),
		.rows = le16_get(f->data + 4), .columns = le16_get(f->data + 6),
		.process = (const char *)f->data + 12, .process_size = process,
		.cgroup = (const char *)f->data + 12 + process, .cgroup_size = f->size - 12 - process,
	};
	if (ret->flags & ~CHANNEL_EXEC_FLAGS)
		return bad("an exec with flags that do not exist");
	if (ret->cgroup_size >= PATH_MAX || memchr(ret->cgroup, '\0', ret->cgroup_size) != NULL)
		return bad("an exec with a cgroup that is no path");
	return 0;
}

int channel_get_reply(const struct channel_frame *f, int *ret_code, struct channel_frame *ret_answer)
{
	uint32_t code;

	*ret_code = 0;
	if (f->size < 4)
		return bad("a reply of a wrong size");
	code = le32_get(f->data);
	if (code > ERRNO_MAX)
		return bad("a reply with an error that does not exist");
	*ret_code = -(int)code;
	*ret_answer = *f;
	ret_answer->data += 4;
	ret_answer->size -= 4;
	return 0;
}

int channel_get_paused(const struct channel_frame *answer, bool *ret)
{
	*ret = false;
	return answer->size == 1 ? get_bool(answer->data[0], ret) : bad("an answer of a wrong size");
}

int channel_get_pids(const struct channel_frame *answer, int **ret_pids, size_t *ret_n)
{
	size_t n = answer->size / 4;
	int *pids;

	*ret_pids = NULL;
	*ret_n = 0;
	if (answer->size % 4 != 0 || n > CHANNEL_PIDS_MAX)
		return bad("a list of processes of a wrong size");
	pids = calloc(n + 1, sizeof(*pids));
	if (pids == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < n; i++) {
		uint32_t v = le32_get(answer->data + i * 4);

		if (v == 0 || v > INT_MAX) {
			free(pids);
			return bad("a process that cannot be");
		}
		pids[i] = (int)v;
	}
	*ret_pids = pids;
	*ret_n = n;
	return 0;
}

int channel_get_processes(const struct channel_frame *f, uint32_t *ret_above)
{
	*ret_above = 0;
	if (f->size != CHANNEL_PROCESSES_SIZE)
		return bad("a question after processes of a wrong size");
	*ret_above = le32_get(f->data);
	return 0;
}

int channel_get_process(struct channel_frame *answer, uint32_t last, struct channel_process *ret)
{
	const unsigned char *b = answer->data;

	*ret = (struct channel_process){ .pid = 0 };
	if (answer->size == 0)
		return 0;
	if (answer->size < CHANNEL_PROCESS_SIZE || le16_get(b + 34) > CHANNEL_COMMAND_MAX ||
	    answer->size - CHANNEL_PROCESS_SIZE < le16_get(b + 34))
		return bad("a process of a wrong size");
	*ret = (struct channel_process){
		.pid = le32_get(b), .parent = le32_get(b + 4), .uid = le32_get(b + 8), .terminal = le32_get(b + 12),
		.age_ms = le64_get(b + 16), .cpu_ms = le64_get(b + 24), .state = (char)b[32],
		.command = (const char *)b + CHANNEL_PROCESS_SIZE, .command_size = le16_get(b + 34),
	};
	if (ret->pid <= last || ret->pid > INT_MAX || ret->parent > INT_MAX)
		return bad("a process that cannot be");
	answer->data += CHANNEL_PROCESS_SIZE + ret->command_size;
	answer->size -= CHANNEL_PROCESS_SIZE + ret->command_size;
	return get_bool(b[33], &ret->is_name) < 0 ? -EPROTO : 1;
}
