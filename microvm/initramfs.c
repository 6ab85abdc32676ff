/* SPDX-License-Identifier: Apache-2.0 */
/* See initramfs.h. */
#include "microvm/initramfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/cpio.h"
#include "microvm/initramfs_cache.h"
#include "microvm/modules.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

/* Part of the name in the cache: a change of what is written below needs another number. */
#define FORMAT_VERSION 1

#define GUEST_MAX ((size_t)64 << 20)
#define MODULE_MAX ((size_t)64 << 20)

const struct initramfs_module initramfs_modules[INITRAMFS_MODULES] = {
	{ "virtio_mmio", true },     { "virtio_console", true }, { "fuse", true },	  { "virtiofs", true }, { "virtio_blk", false },
	{ "virtio_net", false }, { "virtio_rng", false },	 { "virtio_balloon", false }, { "overlay", false },
};

/* What goes in, opened: read now, or only named in the cache's key. */
struct parts {
	const struct initramfs_request *q;
	char *guest;
	size_t guest_size;
	int modules;			/* the folder */
	struct module_files files;
};

static void parts_deinit(struct parts *p)
{
	free(p->guest);
	fd_close(&p->modules);
	module_files_deinit(&p->files);
}

/* From the start, whatever the descriptor's offset is. */
static int read_whole(int fd, size_t max, const char *what, char **ret_data, size_t *ret_size)
{
	struct stat st;
	char *data;
	size_t done = 0;

	if (fstat(fd, &st) < 0)
		return ERR(-errno, "cannot read %s", what);
	if (!S_ISREG(st.st_mode))
		return ERR_PLAIN(-EINVAL, "%s is not a regular file", what);
	if ((uint64_t)st.st_size > max)
		return ERR_PLAIN(-EFBIG, "%s is larger than %zu MiB", what, max >> 20);
	data = malloc((size_t)st.st_size + 1);
	if (data == NULL)
		return ERR_NOMEM();
	while (done < (size_t)st.st_size) {
		ssize_t n = pread(fd, data + done, (size_t)st.st_size - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int r = n < 0 ? -errno : -EIO;

			free(data);
			return ERR(r, "cannot read %s", what);
		}
		done += (size_t)n;
	}
	*ret_data = data;
	*ret_size = done;
	return 0;
}

/* ---- which modules ---- */

/* An optional one that is not there, or lacks something, is left out. */
static int resolve_present(const struct modules_index *index, const struct initramfs_request *q, struct module_files *ret)
{
	const char **names = calloc(q->n_wanted + 1, sizeof(*names));
	size_t k = 0;
	int r;

	if (names == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < q->n_wanted; i++) {
		struct module_files one = { 0 };

		if (q->wanted[i].required || modules_resolve(index, &q->wanted[i].name, 1, &one) != -ENOENT)
			names[k++] = q->wanted[i].name;
		module_files_deinit(&one);
	}
	err_clear();
	r = modules_resolve(index, names, k, ret);
	free(names);
	return r;
}

/* Asks for all at once, which nearly always is the answer. */
static int resolve_wanted(const struct modules_index *index, const struct initramfs_request *q, struct module_files *ret)
{
	const char **names = calloc(q->n_wanted + 1, sizeof(*names));
	int r;

	if (names == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < q->n_wanted; i++)
		names[i] = q->wanted[i].name;
	r = modules_resolve(index, names, q->n_wanted, ret);
	free(names);
	return r == -ENOENT ? resolve_present(index, q, ret) : r;
}

static int find_files(struct parts *p)
{
	const char *folder = p->q->modules;
	_cleanup_free_ char *dep = NULL, *builtin = NULL;
	struct modules_index index = { 0 };
	int r;

	p->modules = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (p->modules < 0)
		return ERR(-errno, "cannot open the kernel's modules \"%s\"", folder);
	r = file_read(p->modules, "modules.dep", MODULES_TEXT_MAX, &dep, &index.dep_size);
	if (r < 0)
		return ERR(r, "cannot read \"%s/modules.dep\"", folder);
	r = file_read(p->modules, "modules.builtin", MODULES_TEXT_MAX, &builtin, &index.builtin_size);
	if (r < 0 && r != -ENOENT)
		return ERR(r, "cannot read \"%s/modules.builtin\"", folder);
	index.dep = dep;
	index.builtin = builtin;
	r = resolve_wanted(&index, p->q, &p->files);
	return r < 0 ? ERR_CONTEXT(r, "\"%s\"", folder) : 0;
}

/* ---- the name in the cache ---- */

/* FNV-1a with 128 bits. Nobody but who owns the cache chooses what is hashed. */
struct hash {
	unsigned __int128 v;
};

static void hash_add(struct hash *h, const void *data, size_t len)
{
	const unsigned __int128 prime = ((unsigned __int128)1 << 88) + 0x13b;
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		h->v = (h->v ^ p[i]) * prime;
}

/* Its length is in it, so that two texts behind each other are not another two. */
static void hash_add_block(struct hash *h, const void *data, size_t len)
{
	hash_add(h, &len, sizeof(len));
	hash_add(h, data, len);
}

static int hash_add_file(struct hash *h, int dir, const char *path, int flags)
{
	struct stat st;
	int64_t id[8];

	if (fstatat(dir, path, &st, flags) < 0)
		return ERR(-errno, "cannot read the file \"%s\"", path);
	id[0] = (int64_t)st.st_dev;
	id[1] = (int64_t)st.st_ino;
	id[2] = (int64_t)st.st_size;
	id[3] = (int64_t)st.st_mtim.tv_sec;
	id[4] = (int64_t)st.st_mtim.tv_nsec;
	id[5] = (int64_t)st.st_ctim.tv_sec;
	id[6] = (int64_t)st.st_ctim.tv_nsec;
	id[7] = FORMAT_VERSION;
	hash_add_block(h, path, strlen(path));
	hash_add(h, id, sizeof(id));
	return 0;
}

static int make_name(const struct parts *p, char **ret)
{
	struct hash h = { ((unsigned __int128)0x6c62272e07bb0142 << 64) + 0x62b821756295c58d };
	int r = 0;

	hash_add_block(&h, p->guest, p->guest_size);
	for (size_t i = 0; r == 0 && i < p->files.n; i++)
		r = hash_add_file(&h, p->modules, p->files.paths[i], 0);
	if (r == 0 && p->q->before >= 0)
		r = hash_add_file(&h, p->q->before, "", AT_EMPTY_PATH);
	if (r < 0)
		return r;
	*ret = str_printf("initramfs-%d-%016" PRIx64 "%016" PRIx64, FORMAT_VERSION, (uint64_t)(h.v >> 64), (uint64_t)h.v);
	return *ret == NULL ? ERR_NOMEM() : 0;
}

/* ---- making it ---- */

static int add_module(struct cpio *c, const struct parts *p, size_t i)
{
	const char *path = p->files.paths[i], *slash = strrchr(path, '/');
	_cleanup_free_ char *name = str_printf("modules/%03zu-%s", i, slash != NULL ? slash + 1 : path);
	_cleanup_close_ int fd = openat(p->modules, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *data = NULL;
	size_t size = 0;
	int r;

	if (name == NULL)
		return ERR_NOMEM();
	if (fd < 0)
		return ERR(-errno, "cannot open the module \"%s\" in \"%s\"", path, p->q->modules);
	r = read_whole(fd, MODULE_MAX, "the module", &data, &size);
	if (r < 0)
		return ERR_CONTEXT(r, "\"%s/%s\"", p->q->modules, path);
	return cpio_add_file(c, name, 0400, data, size);
}

static int make(const struct parts *p, struct buf *out)
{
	struct cpio c;
	int r = 0;

	if (p->q->before >= 0) {
		_cleanup_free_ char *data = NULL;
		size_t size = 0;

		r = read_whole(p->q->before, INITRAMFS_BEFORE_MAX, "the initrd", &data, &size);
		if (r < 0)
			return r;
		buf_add(out, data, size);
	}
	cpio_init(&c, out);
	r = cpio_add_directory(&c, "dev", 0755);
	if (r == 0)
		r = cpio_add_char_device(&c, "dev/console", 0600, 5, 1);
	if (r == 0)
		r = cpio_add_file(&c, "init", 0500, p->guest, p->guest_size);
	if (r == 0)
		r = cpio_add_directory(&c, "modules", 0700);
	for (size_t i = 0; r == 0 && i < p->files.n; i++)
		r = add_module(&c, p, i);
	return r < 0 ? r : cpio_finish(&c);
}

static int make_memfd(const struct buf *b, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("nacre-initramfs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0)
		return ERR(-errno, "cannot make a memfd for the initramfs");
	r = fd_write_all(fd, b->data, b->len);
	if (r == 0 && (lseek(fd, 0, SEEK_SET) < 0 ||
		       fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0))
		r = -errno;
	if (r < 0)
		return ERR(r, "cannot write the initramfs");
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_cached(const struct parts *p, int cache, int *ret_fd)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	_cleanup_free_ char *name = NULL;
	int r = make_name(p, &name);

	if (r < 0)
		return r;
	*ret_fd = initramfs_cache_find(cache, name);
	if (*ret_fd >= 0)
		return 0;
	r = make(p, &b);
	if (r < 0)
		return r;
	if (initramfs_cache_add(cache, name, b.data, b.len) == 0)
		*ret_fd = initramfs_cache_find(cache, name);
	return *ret_fd >= 0 ? 0 : make_memfd(&b, ret_fd);
}

int initramfs_open(const struct initramfs_request *q, int *ret_fd)
{
	__attribute__((cleanup(parts_deinit))) struct parts p = { .q = q, .modules = FD_NONE };
	_cleanup_buf_ struct buf b = BUF_NULL;
	_cleanup_close_ int cache = FD_NONE;
	int r = read_whole(q->guest, GUEST_MAX, "the guest program", &p.guest, &p.guest_size);

	if (r == 0 && q->modules != NULL)
		r = find_files(&p);
	if (r < 0)
		return r;
	if (q->cache != NULL && initramfs_cache_open(q->cache, &cache) < 0) {
		log_warning("%s: not used", err_text());
		err_clear();
	}
	if (cache >= 0)
		return open_cached(&p, cache, ret_fd);
	r = make(&p, &b);
	return r < 0 ? r : make_memfd(&b, ret_fd);
}
