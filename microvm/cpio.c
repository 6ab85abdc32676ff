/* SPDX-License-Identifier: Apache-2.0 */
#include "microvm/cpio.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/err.h"

#define TRAILER "TRAILER!!!"
#define ALIGNMENT 4U

struct entry {
	const char *name;
	mode_t mode;
	const void *data;
	size_t size;
	unsigned int major, minor;
};

static void pad(struct cpio *c)
{
	static const char zeros[ALIGNMENT];
	size_t over = (c->out->len - c->start) % ALIGNMENT;

	if (over != 0)
		buf_add(c->out, zeros, ALIGNMENT - over);
}

static bool bad_component(const char *s, size_t len)
{
	return len == 0 || len > NAME_MAX || (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.');
}

static int check_name(const char *name)
{
	const char *s = name;

	if (strlen(name) > CPIO_NAME_MAX)
		return ERR_PLAIN(-ENAMETOOLONG, "a name in an initramfs has at most %d characters: \"%.64s...\"", CPIO_NAME_MAX, name);
	for (;;) {
		size_t len = strcspn(s, "/");

		if (bad_component(s, len))
			return ERR_PLAIN(-EINVAL, "\"%s\" cannot be a name in an initramfs", name);
		if (s[len] == '\0')
			break;
		s += len + 1;
	}
	/* The kernel would take it for the end. */
	if (str_eq(name, TRAILER))
		return ERR_PLAIN(-EINVAL, "\"%s\" cannot be a name in an initramfs", name);
	return 0;
}

/* "070701" and 13 numbers of 8 hexadecimal digits, the name, the data; name and data are padded. */
static void write_entry(struct cpio *c, const struct entry *e, uint32_t inode)
{
	unsigned int links = S_ISDIR(e->mode) ? 2 : 1;
	size_t name_size = strlen(e->name) + 1;

	buf_printf(c->out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		   inode, (unsigned int)e->mode, 0U, 0U, links, 0U, (unsigned int)e->size,
		   0U, 0U, e->major, e->minor, (unsigned int)name_size, 0U);
	buf_add(c->out, e->name, name_size);
	pad(c);
	buf_add(c->out, e->data, e->size);
	pad(c);
}

static int add_entry(struct cpio *c, mode_t type, struct entry *e)
{
	int r = check_name(e->name);

	if (r < 0)
		return r;
	if (e->mode > 07777)
		return ERR_PLAIN(-EINVAL, "\"%s\" cannot have the mode 0%o in an initramfs", e->name, (unsigned int)e->mode);
	if (e->size > UINT32_MAX)
		return ERR_PLAIN(-EFBIG, "\"%s\" has %zu bytes; a file in an initramfs has less than 4 GiB", e->name, e->size);
	e->mode |= type;
	/* Numbers from 1: files with one number would be links of each other, had they more than one name. */
	write_entry(c, e, ++c->entries);
	return 0;
}

void cpio_init(struct cpio *c, struct buf *out)
{
	*c = (struct cpio){ .out = out };
	pad(c);
	c->start = out->len;
}

int cpio_add_directory(struct cpio *c, const char *name, mode_t mode)
{
	struct entry e = { .name = name, .mode = mode };

	return add_entry(c, S_IFDIR, &e);
}

int cpio_add_file(struct cpio *c, const char *name, mode_t mode, const void *data, size_t size)
{
	struct entry e = { .name = name, .mode = mode, .data = data, .size = size };

	return add_entry(c, S_IFREG, &e);
}

int cpio_add_symlink(struct cpio *c, const char *name, const char *target)
{
	struct entry e = { .name = name, .mode = 0777, .data = target, .size = strlen(target) };

	if (e.size == 0 || e.size > CPIO_NAME_MAX)
		return ERR_PLAIN(-EINVAL, "the symlink \"%s\" in an initramfs has a target of %zu characters, not 1 to %d", name, e.size,
				 CPIO_NAME_MAX);
	return add_entry(c, S_IFLNK, &e);
}

int cpio_add_char_device(struct cpio *c, const char *name, mode_t mode, unsigned int major, unsigned int minor)
{
	struct entry e = { .name = name, .mode = mode, .major = major, .minor = minor };

	return add_entry(c, S_IFCHR, &e);
}

int cpio_finish(struct cpio *c)
{
	const struct entry trailer = { .name = TRAILER };

	write_entry(c, &trailer, 0);
	return c->out->failed ? ERR_NOMEM() : 0;
}
