/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled program as a file of the state directory, for `exec`. Host byte
 * order: the file never leaves the machine, and a reboot removes it.
 */
#include <errno.h>
#include <linux/filter.h>
#include <string.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "seccomp/seccomp.h"

#define FILE_VERSION 1
#define PROGRAM_MAX (BPF_MAXINSNS * sizeof(struct sock_filter))

static const char file_magic[8] = { 'n', 'a', 'c', 'r', 'e', 'b', 'p', 'f' };

struct file_head {
	char magic[sizeof(file_magic)];
	uint32_t version;
	uint32_t flags;
	uint32_t uses_notify;	/* 0 or 1 */
	uint32_t len;		/* bytes that follow, to the end of the file */
};

_Static_assert(sizeof(struct file_head) == 24, "no padding: the struct is written as it is");

static bool len_ok(size_t len)
{
	return len > 0 && len <= PROGRAM_MAX && len % sizeof(struct sock_filter) == 0;
}

int seccomp_program_save(int dirfd, const char *name, const struct seccomp_program *p)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	struct file_head head = {
		.version = FILE_VERSION,
		.flags = p->flags,
		.uses_notify = p->uses_notify,
		.len = (uint32_t)p->len,
	};
	int r;

	if (!len_ok(p->len))
		return ERR_PLAIN(-EINVAL, "cannot save a seccomp program of %zu bytes", p->len);
	memcpy(head.magic, file_magic, sizeof(file_magic));
	buf_add(&b, &head, sizeof(head));
	buf_add(&b, p->filter, p->len);
	if (b.failed)
		return ERR_NOMEM();
	r = file_replace(dirfd, name, b.data, b.len, 0600);
	if (r < 0)
		return ERR(r, "cannot save the seccomp program \"%s\"", name);
	return 0;
}

/* What is wrong with the file's len bytes; NULL: nothing. */
static const char *fault(const char *data, size_t len, struct file_head *ret_head)
{
	if (len < sizeof(*ret_head))
		return "too short";
	memcpy(ret_head, data, sizeof(*ret_head));
	if (memcmp(ret_head->magic, file_magic, sizeof(file_magic)) != 0)
		return "wrong magic";
	if (ret_head->version != FILE_VERSION)
		return "unknown version";
	if (!len_ok(ret_head->len) || ret_head->len != len - sizeof(*ret_head))
		return "wrong length";
	if (ret_head->uses_notify > 1)
		return "bad flags";
	return NULL;
}

int seccomp_program_read(int dirfd, const char *name, struct seccomp_program *ret_prog)
{
	_cleanup_free_ char *data = NULL;
	struct file_head head;
	const char *why;
	size_t len;
	int r;

	r = file_read(dirfd, name, sizeof(head) + PROGRAM_MAX, &data, &len);
	if (r == -EFBIG)
		return ERR_PLAIN(-EBADMSG, "\"%s\" is not a saved seccomp program: too long", name);
	if (r < 0)
		return ERR(r, "cannot read the seccomp program \"%s\"", name);
	why = fault(data, len, &head);
	if (why != NULL)
		return ERR_PLAIN(-EBADMSG, "\"%s\" is not a saved seccomp program: %s", name, why);
	/* The head goes, the program stays where it is. */
	memmove(data, data + sizeof(head), head.len);
	ret_prog->filter = data;
	ret_prog->len = head.len;
	ret_prog->flags = head.flags;
	ret_prog->uses_notify = head.uses_notify == 1;
	data = NULL;
	return 0;
}
