/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the workload is and writes to: a folder of a name of our own in the bundle's root file system. The root file system may be an
 * untrusted image, so the folder is made and emptied by descriptor, and no link of the image's is followed. See compare_run.h.
 */
#include "runtime/compare_run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"
#include "runtime/guest_program.h"

static int read_bundle(struct compare_run *r, const char *bundle)
{
	_cleanup_free_ char *path = NULL;
	int k;

	r->bundle = realpath(bundle, NULL);
	if (r->bundle == NULL)
		return ERR(-errno, "cannot open the bundle \"%s\"", bundle);
	path = str_printf("%s/config.json", r->bundle);
	if (path == NULL)
		return ERR_NOMEM();
	k = file_read(AT_FDCWD, path, SPEC_MAX_BYTES, &r->config, &r->config_len);
	if (k < 0)
		return ERR(k, "cannot read \"%s\"", path);
	k = compare_rootfs(r->config, r->config_len, r->bundle, &r->rootfs);
	if (k < 0)
		return k;
	r->rootfs_fd = open(r->rootfs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return r->rootfs_fd < 0 ? ERR(-errno, "cannot open the root file system \"%s\"", r->rootfs) : 0;
}

/* Everybody may write there: the bundle's user may be anyone. */
static int make_scratch(struct compare_run *r)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return ERR(-errno, "cannot get a random number");
	snprintf(r->scratch, sizeof(r->scratch), ".nacre-compare-%08x", (unsigned int)random);
	if (mkdirat(r->rootfs_fd, r->scratch, 0700) < 0) {
		int k = ERR(-errno, "cannot make a folder for the workload in \"%s\"", r->rootfs);

		r->scratch[0] = '\0';
		return k;
	}
	r->scratch_fd = openat(r->rootfs_fd, r->scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r->scratch_fd < 0 || fchmod(r->scratch_fd, 01777) < 0)
		return ERR(-errno, "cannot open \"%s/%s\"", r->rootfs, r->scratch);
	return 0;
}

static int copy_workload(const struct compare_run *r)
{
	_cleanup_close_ int from = FD_NONE, to = FD_NONE;
	struct stat st;
	off_t at = 0;
	int k = guest_program_open(&from);

	if (k < 0)
		return k;
	to = openat(r->scratch_fd, COMPARE_WORKLOAD, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (to < 0 || fstat(from, &st) < 0 || fchmod(to, 0755) < 0)
		return ERR(-errno, "cannot copy the workload to \"%s/%s\"", r->rootfs, r->scratch);
	while (at < st.st_size) {
		ssize_t n = sendfile(to, from, &at, (size_t)(st.st_size - at));

		if (n <= 0)
			return ERR(n < 0 ? -errno : -EIO, "cannot copy the workload to \"%s/%s\"", r->rootfs, r->scratch);
	}
	return 0;
}

static int make_configs(struct compare_run *r)
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/nacre-compare.XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
	if (mkdtemp(path) == NULL)
		return ERR(-errno, "cannot make a folder for the configurations \"%s\"", path);
	snprintf(r->configs, sizeof(r->configs), "%s", path);
	return 0;
}

int compare_run_prepare(struct compare_run *r, const char *bundle)
{
	int k = read_bundle(r, bundle);

	if (k == 0)
		k = make_scratch(r);
	if (k == 0)
		k = copy_workload(r);
	return k < 0 ? k : make_configs(r);
}

/* What is in a folder, and not in further ones: there are none of ours. */
static int empty(int dir)
{
	_cleanup_close_ int fd = dup(dir);
	const struct dirent *e;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int k = 0;

	if (d == NULL)
		return -errno;
	(void)take_fd(&fd);
	rewinddir(d);
	while (k == 0 && (e = readdir(d)) != NULL)
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, "..") && unlinkat(dir, e->d_name, 0) < 0)
			k = -errno;
	closedir(d);
	return k;
}

static void remove_configs(struct compare_run *r)
{
	_cleanup_close_ int dir = FD_NONE;

	if (r->configs[0] == '\0')
		return;
	dir = open(r->configs, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || empty(dir) < 0 || rmdir(r->configs) < 0)
		log_warning("cannot remove \"%s\"", r->configs);
	r->configs[0] = '\0';
}

void compare_run_deinit(struct compare_run *r)
{
	compare_net_end(&r->net);
	if (r->scratch[0] != '\0') {
		int k = r->scratch_fd >= 0 ? empty(r->scratch_fd) : 0;

		if (k < 0 || unlinkat(r->rootfs_fd, r->scratch, AT_REMOVEDIR) < 0)
			log_warning("cannot remove \"%s/%s\"", r->rootfs, r->scratch);
		r->scratch[0] = '\0';
	}
	remove_configs(r);
	fd_close(&r->scratch_fd);
	fd_close(&r->rootfs_fd);
	fd_close(&r->signals);
	free(r->bundle);
	free(r->rootfs);
	free(r->config);
	r->bundle = r->rootfs = r->config = NULL;
}
