/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kept filter: our own file, but whoever owns the state directory can write it. What is accepted is the program of that key,
 * and one that ends for every call. The bytes are tried as they are, with the sum that they should have, and as the key and
 * program of a file that is whole.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/str.h"
#include "seccomp/cache_file.h"
#include "seccomp/seccomp.h"
#include "tests/unit/bpf_eval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Run where an access beyond it is noticed. */
static void run(const char *program, size_t len)
{
	static const struct seccomp_data calls[] = {
		{ .arch = 0 }, { .nr = 1, .arch = 0xc000003e, .args = { 1, 2, 3 } }, { .nr = -1, .arch = 0xffffffff, .args = { UINT64_MAX } },
	};
	struct seccomp_program p = { malloc(len), len, 0, false };

	assert(p.filter != NULL && len > 0 && len <= SECCOMP_PROGRAM_MAX && len % sizeof(struct sock_filter) == 0);
	memcpy(p.filter, program, len);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		bool returns = false;
		uint32_t answer = bpf_eval(&p, &calls[i]);

		/* UINT32_MAX is no end, or an end of this value. */
		for (size_t k = 0; k < len / sizeof(struct sock_filter); k++) {
			const struct sock_filter *f = (const struct sock_filter *)p.filter + k;

			returns = returns || (f->code == (BPF_RET | BPF_K) && f->k == answer);
		}
		assert(returns);
	}
	free(p.filter);
}

static void parse(const char *data, size_t size, const struct buf *key)
{
	const char *program = NULL;
	size_t len = 0;

	if (cache_file_parse(data, size, key, &program, &len) != NULL)
		return;
	assert(program == data + CACHE_FILE_HEAD + key->len && program + len == data + size);
	assert(memcmp(data + CACHE_FILE_HEAD, key->data, key->len) == 0);
	run(program, len);
}

/* The key that the bytes claim to be of, if they are long enough. */
static void parse_as_claimed(const char *data, size_t size)
{
	struct buf key = BUF_NULL;
	uint32_t key_len;

	if (size < CACHE_FILE_HEAD)
		return;
	memcpy(&key_len, data + 12, sizeof(key_len));
	if (key_len > size - CACHE_FILE_HEAD)
		key_len = 0;
	buf_add(&key, data + CACHE_FILE_HEAD, key_len);
	parse(data, size, &key);
	buf_deinit(&key);
}

static void write_and_parse(const char *data, size_t size)
{
	struct buf key = BUF_NULL, file = BUF_NULL;
	const char *program;
	size_t len, key_len = size > 0 ? (size_t)(unsigned char)data[0] % size : 0;
	struct seccomp_program p = { (void *)(uintptr_t)(data + key_len), size - key_len, 0, false };

	if (p.len > SECCOMP_PROGRAM_MAX)
		return;
	buf_add(&key, data, key_len);
	cache_file_write(&key, &p, &file);
	/* Its program is all that can be wrong with it. */
	assert((cache_file_parse(file.data, file.len, &key, &program, &len) == NULL) == (cache_program_fault(p.filter, p.len) == NULL));
	parse(file.data, file.len, &key);
	buf_deinit(&key);
	buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *repaired;

	if (size > CACHE_FILE_MAX)
		return 0;
	parse_as_claimed((const char *)data, size);
	write_and_parse((const char *)data, size);
	if (size < CACHE_FILE_HEAD)
		return 0;
	repaired = malloc(size);
	assert(repaired != NULL);
	memcpy(repaired, data, size);
	memcpy(repaired + CACHE_FILE_SUM_AT, &(uint64_t){ cache_file_sum(repaired, size) }, sizeof(uint64_t));
	parse_as_claimed(repaired, size);
	free(repaired);
	return 0;
}
