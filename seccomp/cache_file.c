/* SPDX-License-Identifier: Apache-2.0 */
/* See cache_file.h. */
#include "seccomp/cache_file.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/str.h"
#include "seccomp/compile.h"
#include "seccomp/seccomp.h"

#define FILE_VERSION 1

static const char file_magic[8] = { 'n', 'a', 'c', 'r', 'e', 's', 'c', 'f' };

struct file_head {
	char magic[sizeof(file_magic)];
	uint32_t version, key_len, program_len, zero;
	uint64_t sum;
};

_Static_assert(sizeof(struct file_head) == CACHE_FILE_HEAD && offsetof(struct file_head, sum) == CACHE_FILE_SUM_AT,
	       "no padding: the struct is written as it is");
_Static_assert(CACHE_FILE_MAX >= CACHE_FILE_HEAD + CACHE_KEY_MAX + SECCOMP_PROGRAM_MAX, "the longest file");

/* ---- the key ---- */

static void put_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void put_u64(struct buf *b, uint64_t v)
{
	buf_add(b, &v, sizeof(v));
}

/* With its length before it, so that no two lists look alike. */
static void put_string(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	put_u64(b, len);
	buf_add(b, s, len);
}

static void put_strings(struct buf *b, const char *const *v, size_t n)
{
	put_u64(b, n);
	for (size_t i = 0; i < n; i++)
		put_string(b, v[i] != NULL ? v[i] : "");
}

static void put_action(struct buf *b, const char *action, bool has_errno_ret, uint32_t errno_ret)
{
	put_string(b, action);
	put_u32(b, has_errno_ret);
	put_u32(b, has_errno_ret ? errno_ret : 0);
}

static void put_rule(struct buf *b, const struct seccomp_rule *rule)
{
	put_strings(b, rule->names, rule->n_names);
	put_action(b, rule->action, rule->has_errno_ret, rule->errno_ret);
	put_u64(b, rule->n_args);
	for (size_t i = 0; i < rule->n_args; i++) {
		put_u32(b, rule->args[i].index);
		put_u64(b, rule->args[i].value);
		put_u64(b, rule->args[i].value_two);
		put_string(b, rule->args[i].op);
	}
}

void cache_key(const struct seccomp_req *req, const char *writer, struct buf *b)
{
	put_u32(b, FILE_VERSION);
	put_string(b, writer);
	seccomp_compile_identity(b);
	put_action(b, req->default_action, req->has_default_errno_ret, req->default_errno_ret);
	put_strings(b, req->architectures, req->n_architectures);
	/* No list and an empty one are not the same. */
	put_u32(b, req->flags != NULL);
	put_strings(b, req->flags, req->flags != NULL ? req->n_flags : 0);
	put_u32(b, req->newer_enosys);
	put_u64(b, req->n_rules);
	for (size_t i = 0; i < req->n_rules; i++)
		put_rule(b, &req->rules[i]);
}

/*
 * FNV-1a by eight bytes. Against accidents only: whoever can write the files could put any sum there; and a key that was made to
 * have another one's name is still not that key.
 */
static uint64_t hash(const char *data, size_t len)
{
	uint64_t h = 0xcbf29ce484222325U;

	while (len > 0) {
		size_t n = len < sizeof(uint64_t) ? len : sizeof(uint64_t);
		uint64_t word = 0;

		memcpy(&word, data, n);
		h = (h ^ word) * 0x100000001b3U;
		/* What went up comes down, too: multiplying moves bits to the left only. */
		h ^= h >> 29;
		data += n;
		len -= n;
	}
	return h;
}

void cache_name(const struct buf *key, char ret[CACHE_NAME_SIZE])
{
	snprintf(ret, CACHE_NAME_SIZE, "%016llx", (unsigned long long)hash(key->data, key->len));
}

/* ---- the file ---- */

uint64_t cache_file_sum(const char *data, size_t len)
{
	return hash(data, CACHE_FILE_SUM_AT) ^ hash(data + CACHE_FILE_HEAD, len - CACHE_FILE_HEAD);
}

void cache_file_write(const struct buf *key, const struct seccomp_program *p, struct buf *b)
{
	struct file_head head = { .version = FILE_VERSION, .key_len = (uint32_t)key->len, .program_len = (uint32_t)p->len };
	size_t start = b->len;

	memcpy(head.magic, file_magic, sizeof(file_magic));
	buf_add(b, &head, sizeof(head));
	buf_add(b, key->data, key->len);
	buf_add(b, p->filter, p->len);
	if (b->failed)
		return;
	head.sum = cache_file_sum(b->data + start, b->len - start);
	memcpy(b->data + start + CACHE_FILE_SUM_AT, &head.sum, sizeof(head.sum));
}

const char *cache_file_parse(const char *data, size_t len, const struct buf *key, const char **ret_program, size_t *ret_len)
{
	struct file_head head;
	const char *why;

	if (len < sizeof(head))
		return "too short";
	memcpy(&head, data, sizeof(head));
	if (memcmp(head.magic, file_magic, sizeof(file_magic)) != 0)
		return "wrong magic";
	if (head.version != FILE_VERSION || head.zero != 0)
		return "unknown version";
	if (head.key_len > CACHE_KEY_MAX || head.program_len > SECCOMP_PROGRAM_MAX ||
	    sizeof(head) + head.key_len + head.program_len != len)
		return "wrong length";
	if (head.sum != cache_file_sum(data, len))
		return "damaged";
	if (head.key_len != key->len || memcmp(data + sizeof(head), key->data, key->len) != 0)
		return "of another request";
	why = cache_program_fault(data + sizeof(head) + head.key_len, head.program_len);
	if (why != NULL)
		return why;
	*ret_program = data + sizeof(head) + head.key_len;
	*ret_len = head.program_len;
	return NULL;
}

/* ---- the program ---- */

/* left: how many instructions come after f. */
static const char *instruction_fault(const struct sock_filter *f, size_t left)
{
	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		if (f->k % sizeof(uint32_t) != 0 || f->k >= sizeof(struct seccomp_data))
			return "loads from outside of the call's data";
		return left > 0 ? NULL : "has no end";
	case BPF_ALU | BPF_AND | BPF_K:
		return left > 0 ? NULL : "has no end";
	case BPF_RET | BPF_K:
		return NULL;
	case BPF_JMP | BPF_JA:
		return f->k < left ? NULL : "jumps out of the program";
	case BPF_JMP | BPF_JEQ | BPF_K:
	case BPF_JMP | BPF_JGT | BPF_K:
	case BPF_JMP | BPF_JGE | BPF_K:
		return f->jt < left && f->jf < left ? NULL : "jumps out of the program";
	default:
		return "has an instruction that no filter of ours has";
	}
}

const char *cache_program_fault(const void *filter, size_t len)
{
	size_t n = len / sizeof(struct sock_filter);

	if (len == 0 || len > SECCOMP_PROGRAM_MAX || len % sizeof(struct sock_filter) != 0)
		return "wrong length of the program";
	for (size_t i = 0; i < n; i++) {
		struct sock_filter f;
		const char *why;

		/* In a file it lies after a key of any length: not aligned. */
		memcpy(&f, (const char *)filter + i * sizeof(f), sizeof(f));
		why = instruction_fault(&f, n - i - 1);
		if (why != NULL)
			return why;
	}
	return NULL;
}
