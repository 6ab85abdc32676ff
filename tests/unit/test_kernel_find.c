/* SPDX-License-Identifier: Apache-2.0 */
/* microvm/kernel_find: which kernel is taken, on trees made here. */
#include "microvm/kernel_find.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "microvm/le.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

struct tree {
	char top[32];
	char *boot, *modules;
	char *installed[2];
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void tree_deinit(struct tree *d)
{
	nftw(d->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(d->boot);
	free(d->modules);
	free(d->installed[0]);
	free(d->installed[1]);
}

/* PATH below the top, with its folders. */
static void put(const struct tree *d, const char *path, const void *data, size_t len)
{
	_cleanup_free_ char *whole = str_printf("%s/%s", d->top, path);

	for (char *p = whole + strlen(d->top) + 1; (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		(void)mkdir(whole, 0755);
		*p = '/';
	}
	if (file_create(AT_FDCWD, whole, data, len, 0644) < 0)
		abort();
}

static void tree_init(struct tree *d)
{
	strcpy(d->top, "/tmp/nacre-test-XXXXXX");
	if (mkdtemp(d->top) == NULL)
		abort();
	d->boot = str_printf("%s/boot", d->top);
	d->modules = str_printf("%s/lib/modules", d->top);
	d->installed[0] = str_printf("%s/local/kernel", d->top);
	d->installed[1] = str_printf("%s/usr/kernel", d->top);
}

#define TREE(d) __attribute__((cleanup(tree_deinit))) struct tree d; tree_init(&(d))

static int find(const struct tree *d, const char *path, struct kernel_found *ret)
{
	const struct kernel_search s = { path, (const char *const *)d->installed, 2, d->boot, d->modules };

	err_clear();
	return kernel_find(&s, ret);
}

/* A bzImage as far as its version goes. */
static size_t make_bzimage(const char *version, char out[4096])
{
	memset(out, 0, 4096);
	memcpy(out + 0x202, "HdrS", 4);
	le16_put(out + 0x20e, 0x800 - 0x200);
	strcpy(out + 0x800, version);
	return 0x800 + strlen(version) + 1;
}

/* What of k is below the top of d. */
static void check_path(struct test *t, const struct tree *d, const char *got, const char *want)
{
	_cleanup_free_ char *whole = want != NULL ? str_printf("%s/%s", d->top, want) : NULL;

	CHECK_STR(got, whole);
}

TEST(newest_of_boot)
{
	static const char *const releases[] = { "6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-56-cloud-amd64", "5.10.0-30-amd64" };
	_cleanup_kernel_found_ struct kernel_found k = KERNEL_FOUND_NULL;
	TREE(d);

	for (size_t i = 0; i < ARRAY_SIZE(releases); i++) {
		_cleanup_free_ char *kernel = str_printf("boot/vmlinuz-%s", releases[i]);
		_cleanup_free_ char *dep = str_printf("lib/modules/%s/modules.dep", releases[i]);

		put(&d, kernel, "", 0);
		put(&d, dep, "", 0);
	}
	put(&d, "boot/vmlinuz-6.12.0-1-amd64", "", 0);		/* the newest, but without modules */
	put(&d, "boot/vmlinuz-", "", 0);
	put(&d, "boot/vmlinuz-..", "", 0);
	put(&d, "boot/System.map-7.0", "", 0);
	put(&d, "lib/modules/7.0/modules.dep", "", 0);
	if (!CHECK_INT(find(&d, NULL, &k), 0))
		return;
	CHECK_INT(k.source, KERNEL_OF_BOOT);
	CHECK_STR(k.release, "6.1.0-56-cloud-amd64");
	check_path(t, &d, k.path, "boot/vmlinuz-6.1.0-56-cloud-amd64");
	check_path(t, &d, k.modules, "lib/modules/6.1.0-56-cloud-amd64");
}

TEST(versions_as_numbers)
{
	_cleanup_kernel_found_ struct kernel_found k = KERNEL_FOUND_NULL;
	TREE(d);

	put(&d, "boot/vmlinuz-6.9.0", "", 0);
	put(&d, "boot/vmlinuz-6.10.0", "", 0);
	put(&d, "lib/modules/6.9.0/modules.dep", "", 0);
	put(&d, "lib/modules/6.10.0/modules.dep", "", 0);
	CHECK_INT(find(&d, NULL, &k), 0);
	CHECK_STR(k.release, "6.10.0");
}

TEST(nothing)
{
	struct kernel_found k = KERNEL_FOUND_NULL;
	TREE(d);

	CHECK_INT(find(&d, NULL, &k), -ENOENT);
	CHECK(strstr(err_text(), "/local/kernel, ") != NULL && strstr(err_text(), "/boot/vmlinuz-* with its modules in ") != NULL);
	CHECK(strstr(err_hint_text(), "apt-get install linux-image-cloud-amd64") != NULL);
	CHECK(k.path == NULL);
	put(&d, "boot/vmlinuz-6.1", "", 0);
	CHECK_INT(find(&d, NULL, &k), -ENOENT);
	CHECK(strstr(err_text(), "/boot/vmlinuz-6.1 has none there)") != NULL);
}

TEST(installed_and_named)
{
	_cleanup_kernel_found_ struct kernel_found a = KERNEL_FOUND_NULL, b = KERNEL_FOUND_NULL, c = KERNEL_FOUND_NULL;
	char image[4096];
	size_t len = make_bzimage("6.1.99-nacre (x@y) #1 SMP", image);
	_cleanup_free_ char *named = NULL;
	TREE(d);

	put(&d, "boot/vmlinuz-6.1", "", 0);
	put(&d, "lib/modules/6.1/modules.dep", "", 0);
	put(&d, "usr/kernel", image, len);
	if (!CHECK_INT(find(&d, NULL, &a), 0))
		return;
	CHECK_INT(a.source, KERNEL_OF_NACRE);
	check_path(t, &d, a.path, "usr/kernel");
	CHECK_STR(a.release, "6.1.99-nacre");
	CHECK(a.modules == NULL);
	put(&d, "local/kernel", "\177ELF", 4);
	CHECK_INT(find(&d, NULL, &b), 0);
	check_path(t, &d, b.path, "local/kernel");
	CHECK(b.release == NULL && b.modules == NULL);
	/* A package, unpacked: modules beside its boot. */
	len = make_bzimage("6.5.0-cloud (x@y) #1 SMP", image);
	put(&d, "pkg/boot/vmlinuz-6.5.0-cloud", image, len);
	put(&d, "pkg/lib/modules/6.5.0-cloud/modules.dep", "", 0);
	named = str_printf("%s/pkg/boot/vmlinuz-6.5.0-cloud", d.top);
	if (!CHECK_INT(find(&d, named, &c), 0))
		return;
	CHECK_INT(c.source, KERNEL_NAMED);
	CHECK_STR(c.path, named);
	CHECK_STR(c.release, "6.5.0-cloud");
	check_path(t, &d, c.modules, "pkg/boot/../lib/modules/6.5.0-cloud");
	kernel_found_deinit(&c);
	put(&d, "lib/modules/6.5.0-cloud/modules.dep", "", 0);
	CHECK_INT(find(&d, named, &c), 0);
	check_path(t, &d, c.modules, "lib/modules/6.5.0-cloud");
}

TEST(named_and_not_there)
{
	struct kernel_found k = KERNEL_FOUND_NULL;
	TREE(d);

	CHECK_INT(find(&d, "/nonexistent/vmlinuz", &k), -ENOENT);
	CHECK(strstr(err_text(), "cannot open the kernel \"/nonexistent/vmlinuz\"") != NULL);
	CHECK_INT(find(&d, d.top, &k), -EINVAL);
	CHECK(k.path == NULL && k.release == NULL);
}

/* The release of a file with this content; the caller frees it. */
static char *release_of(struct test *t, const void *data, size_t len)
{
	_cleanup_close_ int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char *release = NULL;

	if (CHECK(fd >= 0 && fd_write_all(fd, data, len) == 0))
		CHECK_INT(kernel_release(fd, &release), 0);
	return release;
}

static void check_release(struct test *t, const void *data, size_t len, const char *want)
{
	_cleanup_free_ char *got = release_of(t, data, len);

	CHECK_STR(got, want);
}

TEST(releases)
{
	char image[4096];
	size_t big = (size_t)3 << 20;
	_cleanup_free_ char *vmlinux = calloc(1, big);

	check_release(t, image, make_bzimage("6.1.0-56-cloud-amd64 (debian-kernel@lists.debian.org) #1", image), "6.1.0-56-cloud-amd64");
	check_release(t, image, make_bzimage("../../etc x", image), NULL);	/* no name of a folder */
	check_release(t, image, make_bzimage("6/../x", image), "6");
	check_release(t, image, make_bzimage("", image), NULL);
	make_bzimage("6.1", image);
	check_release(t, image, 0x400, NULL);	/* cut off before the text */
	check_release(t, "", 0, NULL);
	check_release(t, "#!/bin/sh", 9, NULL);
	if (!CHECK(vmlinux != NULL))
		return;
	memcpy(vmlinux, "\177ELF", 4);
	check_release(t, vmlinux, big, NULL);
	strcpy(vmlinux + 5000, "Linux version %s (%s)");
	/* Across the border of two pieces. */
	strcpy(vmlinux + (1 << 20) - 10, "Linux version 6.12.3-x (a@b) #1");
	check_release(t, vmlinux, big, "6.12.3-x");
	memset(vmlinux + (1 << 20) - 20, 0, 100);
	strcpy(vmlinux + (1 << 20) - 17, "Linux version 6.12.3-y (a@b) #1");
	check_release(t, vmlinux, big, "6.12.3-y");
	memset(vmlinux + (1 << 20) - 20, 0, 100);
	strcpy(vmlinux + big - 20, "Linux version 6.1");
	check_release(t, vmlinux, big, "6.1");
}

TEST_MAIN(CASE(newest_of_boot), CASE(versions_as_numbers), CASE(nothing), CASE(installed_and_named), CASE(named_and_not_there), CASE(releases))
