/* SPDX-License-Identifier: Apache-2.0 */
/* See kernel_find.h. */
#include "microvm/kernel_find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/le.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

#define PREFIX "vmlinuz-"

/* The setup header of a bzImage (Linux, Documentation/arch/x86/boot.rst). */
#define HEADER_MAGIC 0x202		/* "HdrS" */
#define HEADER_VERSION 0x20e		/* where the version's text is, less 0x200 */
#define HEADER_END 0x210

#define BANNER "Linux version "
#define RELEASE_MAX 127
#define SCAN_STEP ((size_t)1 << 20)
#define SCAN_MAX ((off_t)256 << 20)	/* a vmlinux without debug information has about 60 MiB */

/* ---- the release of a file ---- */

static ssize_t read_at(int fd, void *data, size_t len, off_t offset)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)data + done, len - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* The word at the start of text: letters as they are in releases, nothing that would lead out of a folder. */
static char *take_release(const char *text, size_t len)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+_~";
	size_t n = 0;

	while (n < len && text[n] != '\0' && strchr(allowed, text[n]) != NULL)
		n++;
	return n == 0 || n > RELEASE_MAX || text[0] == '.' ? NULL : strndup(text, n);
}

static int release_of_bzimage(int fd, const uint8_t *header, char **ret)
{
	char text[RELEASE_MAX + 1];
	ssize_t n = read_at(fd, text, sizeof(text), (off_t)le16_get(header + HEADER_VERSION) + 0x200);

	if (n < 0)
		return ERR((int)n, "cannot read the kernel image");
	*ret = le16_get(header + HEADER_VERSION) != 0 ? take_release(text, (size_t)n) : NULL;
	return 0;
}

/* Piece by piece; what may stand across two of them is looked at again with the next. */
static int release_of_vmlinux(int fd, char **ret)
{
	const size_t keep = strlen(BANNER) + RELEASE_MAX;
	_cleanup_free_ char *piece = malloc(SCAN_STEP);
	ssize_t n = (ssize_t)SCAN_STEP;

	if (piece == NULL)
		return ERR_NOMEM();
	for (off_t at = 0; at < SCAN_MAX && n == (ssize_t)SCAN_STEP && *ret == NULL; at += (off_t)(SCAN_STEP - keep)) {
		const char *p = piece, *found;

		n = read_at(fd, piece, SCAN_STEP, at);
		if (n < 0)
			return ERR((int)n, "cannot read the kernel image");
		/* The first is a format ("%s"); a release begins with a digit. */
		while (*ret == NULL && (found = memmem(p, (size_t)(piece + n - p), BANNER, strlen(BANNER))) != NULL) {
			p = found + strlen(BANNER);
			if (n == (ssize_t)SCAN_STEP && (size_t)(piece + n - found) <= keep)
				break;	/* the next piece has all of it */
			if (p < piece + n && *p >= '0' && *p <= '9')
				*ret = take_release(p, (size_t)(piece + n - p));
		}
	}
	return 0;
}

int kernel_release(int fd, char **ret)
{
	uint8_t header[HEADER_END];
	ssize_t n = read_at(fd, header, sizeof(header), 0);

	*ret = NULL;
	if (n < 0)
		return ERR((int)n, "cannot read the kernel image");
	if (n == (ssize_t)sizeof(header) && memcmp(header + HEADER_MAGIC, "HdrS", 4) == 0)
		return release_of_bzimage(fd, header, ret);
	if (n >= 4 && memcmp(header, "\177ELF", 4) == 0)
		return release_of_vmlinux(fd, ret);
	return 0;
}

/* ---- looking ---- */

/* modules/RELEASE, if depmod has been at work there. */
static int find_modules(const char *modules, const char *release, char **ret)
{
	_cleanup_free_ char *dep = str_printf("%s/%s/modules.dep", modules, release);

	*ret = NULL;
	if (dep == NULL)
		return ERR_NOMEM();
	if (access(dep, R_OK) < 0)
		return 0;
	*ret = str_printf("%s/%s", modules, release);
	return *ret == NULL ? ERR_NOMEM() : 0;
}

static int open_kernel(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return ERR(-errno, "cannot open the kernel \"%s\"", path);
	if (!S_ISREG(st.st_mode))
		return ERR_PLAIN(-EINVAL, "the kernel \"%s\" is not a regular file", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* A package that was unpacked somewhere has its modules beside its /boot. */
static int find_modules_of(const struct kernel_search *s, const char *path, const char *release, char **ret)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *beside = NULL;
	int r = find_modules(s->modules, release, ret);

	if (r < 0 || *ret != NULL || slash == NULL)
		return r;
	beside = str_printf("%.*s/../lib/modules", (int)(slash - path), path);
	return beside == NULL ? ERR_NOMEM() : find_modules(beside, release, ret);
}

/* One that has to be there. */
static int take_file(const struct kernel_search *s, const char *path, enum kernel_source source, struct kernel_found *ret)
{
	_cleanup_close_ int fd = FD_NONE;
	int r = open_kernel(path, &fd);

	if (r == 0)
		r = kernel_release(fd, &ret->release);
	if (r == 0 && ret->release != NULL)
		r = find_modules_of(s, path, ret->release, &ret->modules);
	ret->source = source;
	ret->path = r == 0 ? strdup(path) : NULL;
	return r == 0 && ret->path == NULL ? ERR_NOMEM() : r;
}

/* What the folder /boot came to: the newest release with modules, and the newest of all. */
struct boot {
	char *release, *without;
};

static void boot_deinit(struct boot *b)
{
	free(b->release);
	free(b->without);
}

static int keep_newer(char **best, const char *release)
{
	char *copy;

	if (*best != NULL && strverscmp(*best, release) >= 0)
		return 0;
	copy = strdup(release);
	if (copy == NULL)
		return ERR_NOMEM();
	free(*best);
	*best = copy;
	return 0;
}

static int look_in_boot(const struct kernel_search *s, struct boot *b)
{
	DIR *d = opendir(s->boot);
	int r = 0;

	if (d == NULL)
		return 0;
	for (struct dirent *e = readdir(d); r == 0 && e != NULL; e = readdir(d)) {
		const char *release = e->d_name + strlen(PREFIX);
		_cleanup_free_ char *modules = NULL;

		if (!str_starts(e->d_name, PREFIX) || *release == '\0' || *release == '.')
			continue;
		r = find_modules(s->modules, release, &modules);
		if (r == 0)
			r = keep_newer(modules != NULL ? &b->release : &b->without, release);
	}
	closedir(d);
	return r;
}

static int not_found(const struct kernel_search *s, const struct boot *b)
{
	_cleanup_buf_ struct buf where = BUF_NULL;

	for (size_t i = 0; i < s->n_installed; i++)
		buf_printf(&where, "%s, ", s->installed[i]);
	buf_printf(&where, "%s/" PREFIX "* with its modules in %s", s->boot, s->modules);
	if (b->without != NULL)
		buf_printf(&where, " (%s/" PREFIX "%s has none there)", s->boot, b->without);
	return ERR_HINT(ERR_PLAIN(-ENOENT, "no kernel for a microVM was found: there is no %s", where.data != NULL ? where.data : ""),
			"install one (Debian: apt-get install linux-image-cloud-amd64), or name one as vm.kernel.path in config.json or in "
			"/etc/nacre/nacre.json");
}

static int take_boot(const struct kernel_search *s, struct kernel_found *ret)
{
	__attribute__((cleanup(boot_deinit))) struct boot b = { NULL, NULL };
	int r = look_in_boot(s, &b);

	if (r < 0)
		return r;
	if (b.release == NULL)
		return not_found(s, &b);
	r = find_modules(s->modules, b.release, &ret->modules);
	ret->source = KERNEL_OF_BOOT;
	ret->path = str_printf("%s/" PREFIX "%s", s->boot, b.release);
	ret->release = b.release;
	b.release = NULL;
	return r == 0 && ret->path == NULL ? ERR_NOMEM() : r;
}

int kernel_find(const struct kernel_search *s, struct kernel_found *ret)
{
	_cleanup_kernel_found_ struct kernel_found k = KERNEL_FOUND_NULL;
	const char *installed = NULL;
	int r;

	for (size_t i = 0; i < s->n_installed && installed == NULL; i++)
		if (access(s->installed[i], F_OK) == 0)
			installed = s->installed[i];
	if (s->path != NULL)
		r = take_file(s, s->path, KERNEL_NAMED, &k);
	else if (installed != NULL)
		r = take_file(s, installed, KERNEL_OF_NACRE, &k);
	else
		r = take_boot(s, &k);
	if (r < 0)
		return r;
	*ret = k;
	k = (struct kernel_found)KERNEL_FOUND_NULL;
	return 0;
}

void kernel_found_deinit(struct kernel_found *k)
{
	free(k->path);
	free(k->release);
	free(k->modules);
	*k = (struct kernel_found)KERNEL_FOUND_NULL;
}
