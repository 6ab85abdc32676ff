/* SPDX-License-Identifier: Apache-2.0 */
/* Modules and what they need, in the order of loading. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "microvm/modules.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

/* As Debian's cloud kernel has them, and some that are made up. */
static const char dep[] =
	"kernel/fs/fuse/fuse.ko:\n"
	"kernel/fs/fuse/virtiofs.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko kernel/fs/fuse/fuse.ko\n"
	"kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n"
	"kernel/drivers/virtio/virtio_ring.ko:\n"
	"kernel/drivers/virtio/virtio_mmio.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko\n"
	"kernel/drivers/char/hw_random/virtio-rng.ko: kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko\n"
	"kernel/x/packed.ko.xz: kernel/x/other-one.ko.zst\n"
	"kernel/x/other-one.ko.zst: kernel/x/third.ko.gz kernel/lib/crc16.ko\n"
	"/opt/x/third.ko.gz:\n"
	"kernel/l/one.ko: kernel/l/two.ko\n"
	"kernel/l/two.ko: kernel/l/three.ko\n"
	"kernel/l/three.ko: kernel/l/one.ko\n"
	"kernel/l/self.ko: kernel/l/self.ko\n"
	"kernel/l/lost.ko: kernel/l/gone.ko\n"
	"kernel/both.ko:";
static const char builtin[] = "kernel/fs/ext4/ext4.ko\nkernel/lib/crc16.ko\nkernel/both.ko\n";

static const struct modules_index index_ = { dep, sizeof(dep) - 1, builtin, sizeof(builtin) - 1 };

/* The paths with spaces between, or NULL. */
static char *resolve(const struct modules_index *index, const char *const *wanted, size_t n, int *ret_r)
{
	_cleanup_module_files_ struct module_files files = { 0 };
	struct buf b = BUF_NULL;

	err_clear();
	*ret_r = modules_resolve(index, wanted, n, &files);
	if (*ret_r < 0)
		return NULL;
	for (size_t i = 0; i < files.n; i++)
		buf_printf(&b, "%s%s", i > 0 ? " " : "", files.paths[i]);
	return buf_take(&b);
}

TEST(orders)
{
	static const struct {
		const char *wanted[4];
		const char *files;
	} cases[] = {
		{ { NULL }, "" },
		{ { "fuse" }, "kernel/fs/fuse/fuse.ko" },
		{ { "virtio_mmio" }, "kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_mmio.ko" },
		{ { "virtio-rng", "virtio_rng", "virtio" },
		  "kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko kernel/drivers/char/hw_random/virtio-rng.ko" },
		{ { "fuse", "virtiofs" },
		  "kernel/fs/fuse/fuse.ko kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko kernel/fs/fuse/virtiofs.ko" },
		{ { "packed" }, "/opt/x/third.ko.gz kernel/x/other-one.ko.zst kernel/x/packed.ko.xz" },
		{ { "other_one", "third" }, "/opt/x/third.ko.gz kernel/x/other-one.ko.zst" },
		{ { "ext4", "crc16" }, "" },
		{ { "both" }, "kernel/both.ko" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = NULL;
		size_t n = 0;
		int r;

		while (n < 4 && cases[i].wanted[n] != NULL)
			n++;
		got = resolve(&index_, cases[i].wanted, n, &r);
		CHECK_INT(r, 0);
		CHECK_STR(got, cases[i].files);
	}
}

TEST(not_there)
{
	static const struct {
		const char *wanted;
		int r;
		const char *text;
	} cases[] = {
		{ "virtio_gpu", -ENOENT, "the kernel has no module \"virtio_gpu\", and it is not built in" },
		{ "virtio.ko", -ENOENT, "the kernel has no module \"virtio.ko\", and it is not built in" },
		{ "", -ENOENT, "the kernel has no module \"\", and it is not built in" },
		{ "lost", -ENOENT, "the module \"lost\" needs \"kernel/l/gone.ko\", which modules.dep does not have" },
		{ "one", -ELOOP, "the modules \"three\" and \"one\" need each other" },
		{ "self", -ELOOP, "the modules \"self\" and \"self\" need each other" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;
		char *got = resolve(&index_, &cases[i].wanted, 1, &r);

		CHECK_INT(r, cases[i].r);
		CHECK(got == NULL);
		CHECK_STR(err_text(), cases[i].text);
		free(got);
	}
}

TEST(texts)
{
	static const struct {
		const char *dep;
		int r;
	} cases[] = {
		{ "", -ENOENT },
		{ "\n\n", -ENOENT },
		{ "a.ko:", 0 },
		{ "\na.ko:\n\n", 0 },
		{ "a.ko:    \n", 0 },
		{ "x/a.ko: y/b.ko\ny/b.ko:\n", 0 },
		{ "x/a.ko:y/b.ko\ny/b.ko:\n", 0 },
		{ "a.ko", -EINVAL },
		{ "a:", -EINVAL },
		{ ".ko:", -EINVAL },
		{ "x/.ko.xz:", -EINVAL },
		{ ":", -EINVAL },
		{ "a.ko: x\n", -ENOENT },
		{ "a.ko:\nb.so:\n", -EINVAL },
		{ "a.ko: .ko\n", -ENOENT },
	};
	const char *const wanted[] = { "a" };
	const struct modules_index zero = { "a.ko:\0", 6, NULL, 0 };
	const struct modules_index huge = { "", (size_t)MODULES_TEXT_MAX + 1, NULL, 0 };
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct modules_index index = { cases[i].dep, strlen(cases[i].dep), NULL, 0 };

		free(resolve(&index, wanted, 1, &r));
		if (!CHECK_INT(r, cases[i].r))
			printf("#   text: \"%s\": %s\n", cases[i].dep, err_text());
	}
	free(resolve(&zero, wanted, 1, &r));
	CHECK_INT(r, -EINVAL);
	free(resolve(&huge, wanted, 1, &r));
	CHECK_INT(r, -E2BIG);
}

/* m0 needs m1, which needs m2...; each line alone. */
static int chain(size_t n)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	const char *const wanted[] = { "m0" };
	struct modules_index index = { 0 };
	int r;

	for (size_t i = 0; i + 1 < n; i++)
		buf_printf(&b, "m%zu.ko: m%zu.ko\n", i, i + 1);
	buf_printf(&b, "m%zu.ko:\n", n - 1);
	index.dep = b.data;
	index.dep_size = b.len;
	free(resolve(&index, wanted, 1, &r));
	return r;
}

TEST(sizes)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	const char *const wanted[] = { "all" };
	struct modules_index index = { 0 };
	int r;

	CHECK_INT(chain(MODULES_DEPTH_MAX), 0);
	CHECK_INT(chain(MODULES_DEPTH_MAX + 1), -ELOOP);
	CHECK_INT(chain(100000), -ELOOP);
	for (size_t i = 0; i < MODULES_FILES_MAX; i++)
		buf_printf(&b, "m%zu.ko:\n", i);
	buf_puts(&b, "all.ko:");
	for (size_t i = 0; i < MODULES_FILES_MAX; i++)
		buf_printf(&b, " m%zu.ko", i);
	index.dep = b.data;
	index.dep_size = b.len;
	free(resolve(&index, wanted, 1, &r));
	CHECK_INT(r, -E2BIG);
}

TEST_MAIN(CASE(orders), CASE(not_there), CASE(texts), CASE(sizes))
