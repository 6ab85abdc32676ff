/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/base: the integer parser, strings, the arena, the error channel, file descriptors. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/arena.h"
#include "runtime/base/duration.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/size.h"
#include "runtime/base/str.h"

TEST(parse_u64_edges)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		int r;
		uint64_t v;
	} cases[] = {
		{ "0", 0, UINT64_MAX, 0, 0 },
		{ "00", 0, UINT64_MAX, 0, 0 },
		{ "42", 0, 42, 0, 42 },
		{ "43", 0, 42, -ERANGE, 0 },
		{ "4", 5, 42, -ERANGE, 0 },
		{ "5", 5, 42, 0, 5 },
		{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
		{ "18446744073709551616", 0, UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999", 0, UINT64_MAX, -ERANGE, 0 },
		{ "", 0, UINT64_MAX, -EINVAL, 0 },
		{ "-0", 0, UINT64_MAX, -EINVAL, 0 },
		{ "-1", 0, UINT64_MAX, -EINVAL, 0 },
		{ "+1", 0, UINT64_MAX, -EINVAL, 0 },
		{ " 1", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1 ", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1\n", 0, UINT64_MAX, -EINVAL, 0 },
		{ "0x10", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1e3", 0, UINT64_MAX, -EINVAL, 0 },
		{ "1.0", 0, UINT64_MAX, -EINVAL, 0 },
		{ "\xd9\xa1", 0, UINT64_MAX, -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = 7;

		if (!CHECK_INT(parse_u64(cases[i].text, cases[i].min, cases[i].max, &v), cases[i].r))
			printf("#   case: \"%s\"\n", cases[i].text);
		CHECK(v == (cases[i].r == 0 ? cases[i].v : 7));
	}
}

TEST(parse_i64_edges)
{
	static const struct {
		const char *text;
		int64_t min, max;
		int r;
		int64_t v;
	} cases[] = {
		{ "0", INT64_MIN, INT64_MAX, 0, 0 },
		{ "-0", INT64_MIN, INT64_MAX, 0, 0 },
		{ "-1", INT64_MIN, INT64_MAX, 0, -1 },
		{ "9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX },
		{ "9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 0 },
		{ "-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN },
		{ "-9223372036854775809", INT64_MIN, INT64_MAX, -ERANGE, 0 },
		{ "-99999999999999999999999", INT64_MIN, INT64_MAX, -ERANGE, 0 },
		{ "-1000", -1000, 1000, 0, -1000 },
		{ "-1001", -1000, 1000, -ERANGE, 0 },
		{ "1001", -1000, 1000, -ERANGE, 0 },
		{ "", INT64_MIN, INT64_MAX, -EINVAL, 0 },
		{ "-", INT64_MIN, INT64_MAX, -EINVAL, 0 },
		{ "--1", INT64_MIN, INT64_MAX, -EINVAL, 0 },
		{ "+1", INT64_MIN, INT64_MAX, -EINVAL, 0 },
		{ "- 1", INT64_MIN, INT64_MAX, -EINVAL, 0 },
		{ " 1", INT64_MIN, INT64_MAX, -EINVAL, 0 },
		{ "1 ", INT64_MIN, INT64_MAX, -EINVAL, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t v = 7;

		if (!CHECK_INT(parse_i64(cases[i].text, cases[i].min, cases[i].max, &v), cases[i].r))
			printf("#   case: \"%s\"\n", cases[i].text);
		CHECK_INT(v, cases[i].r == 0 ? cases[i].v : 7);
	}
}

TEST(parse_mode_edges)
{
	uint32_t v = 7;

	CHECK_INT(parse_mode("0644", &v), 0);
	CHECK_INT(v, 0644);
	CHECK_INT(parse_mode("7777", &v), 0);
	CHECK_INT(v, 07777);
	CHECK_INT(parse_mode("10000", &v), -ERANGE);
	CHECK_INT(parse_mode("0o644", &v), -EINVAL);
	CHECK_INT(parse_mode("8", &v), -EINVAL);
	CHECK_INT(parse_mode("", &v), -EINVAL);
	CHECK_INT(v, 07777);
}

TEST(str_questions)
{
	static const char *const list[] = { "a", "b" };

	CHECK(str_eq("a", "a") && !str_eq("a", "b"));
	CHECK(str_starts("abc", "ab") && str_starts("abc", "") && !str_starts("ab", "abc"));
	CHECK(str_ends("abc", "bc") && str_ends("abc", "") && !str_ends("bc", "abc"));
	CHECK(str_in("b", list, 2) && !str_in("c", list, 2) && !str_in("a", list, 0));
}

/* words: with spaces between; the same in *want. */
static void check_kept(struct test *t, const char *words, bool names, const char *want)
{
	const char *v[16], **work[16];
	char text[128], got[128] = "";
	char *save = NULL;
	size_t n = 0;

	snprintf(text, sizeof(text), "%s", words);
	for (char *w = strtok_r(text, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		v[n++] = w;
	n = str_keep_last(v, n, names, work);
	for (size_t i = 0; i < n; i++) {
		strcat(got, i > 0 ? " " : "");
		strcat(got, v[i]);
	}
	CHECK_STR(got, want);
}

TEST(strings_kept_last)
{
	check_kept(t, "", true, "");
	check_kept(t, "A=1", true, "A=1");
	check_kept(t, "A=1 B=1 A=2", true, "B=1 A=2");
	check_kept(t, "A=1 A=1 A=1", true, "A=1");
	check_kept(t, "A= AB=1 A=x=1 AB=", true, "A=x=1 AB=");
	check_kept(t, "A=1 A.=1 A=2 A", true, "A.=1 A");
	check_kept(t, "Z=1 Y=1 X=1 W=1 Y=2", true, "Z=1 X=1 W=1 Y=2");
	check_kept(t, "/a /b /a /a=1 /a=2 /b", false, "/a /a=1 /a=2 /b");
	check_kept(t, "/a /a/ /A", false, "/a /a/ /A");
}

TEST(buf_grows)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	_cleanup_free_ char *text = NULL;

	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	buf_puts(&b, "end");
	buf_add(&b, "", 0);
	CHECK_INT(b.len, 10 * 2 + 90 * 3 + 900 * 4 + 3);
	text = buf_take(&b);
	if (CHECK(text != NULL)) {
		CHECK(str_starts(text, "0,1,2,"));
		CHECK(str_ends(text, ",998,999,end"));
	}
	CHECK(b.data == NULL && b.len == 0);
}

TEST(buf_empty_and_failed)
{
	_cleanup_buf_ struct buf b = BUF_NULL;
	_cleanup_free_ char *text = buf_take(&b);

	CHECK_STR(text, "");
	b.failed = true;
	buf_puts(&b, "x");
	CHECK(b.data == NULL);
	CHECK(buf_take(&b) == NULL);
	CHECK(!b.failed);
}

TEST(arena_zeroed_and_aligned)
{
	_cleanup_arena_ struct arena *a = arena_new(0);

	if (!CHECK(a != NULL))
		return;
	for (size_t size = 0; size < 40000; size = size * 2 + 1) {
		unsigned char *p = arena_alloc(a, size);
		size_t zeros = 0;

		if (!CHECK(p != NULL))
			return;
		CHECK((uintptr_t)p % _Alignof(max_align_t) == 0);
		while (zeros < size && p[zeros] == 0)
			zeros++;
		CHECK_INT(zeros, size);
		memset(p, 0xff, size);
	}
	CHECK_STR(arena_printf(a, "%d-%s", 7, "x"), "7-x");
	CHECK_STR(arena_strndup(a, "abcdef", 3), "abc");
	CHECK_STR(arena_strdup(a, ""), "");
}

TEST(arena_limit)
{
	_cleanup_arena_ struct arena *a = arena_new(1024);
	size_t n = 0;

	if (!CHECK(a != NULL))
		return;
	CHECK(arena_alloc(a, 2000) == NULL);
	CHECK(arena_array(a, SIZE_MAX / 2, 4) == NULL);
	CHECK(arena_alloc(a, SIZE_MAX) == NULL);
	CHECK(arena_strndup(a, "", SIZE_MAX) == NULL);
	while (arena_alloc(a, 64) != NULL)
		n++;
	CHECK_INT(n, 16);
	CHECK(arena_alloc(a, 1) == NULL);
}

TEST(err_texts)
{
	char big[ERR_TEXT_MAX * 2];
	struct err_kept kept;

	err_clear();
	CHECK_STR(err_text(), "");
	CHECK_INT(ERR(-ENOENT, "cannot open \"%s\"", "x"), -ENOENT);
	CHECK_STR(err_text(), "cannot open \"x\": No such file or directory");
	CHECK_INT(ERR_HINT(-ENOENT, "create it"), -ENOENT);
	CHECK_INT(ERR_CONTEXT(-ENOENT, "bundle"), -ENOENT);
	CHECK_STR(err_text(), "bundle: cannot open \"x\": No such file or directory");
	CHECK_STR(err_hint_text(), "create it");
	err_keep(&kept);
	CHECK_INT(ERR_PLAIN(-EINVAL, "no"), -EINVAL);
	CHECK_STR(err_text(), "no");
	CHECK_STR(err_hint_text(), "");
	err_restore(&kept);
	CHECK_STR(err_text(), "bundle: cannot open \"x\": No such file or directory");
	CHECK_STR(err_hint_text(), "create it");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	CHECK_INT(ERR(-EIO, "%s", big), -EIO);
	CHECK_INT(strlen(err_text()), ERR_TEXT_MAX - 1);
	CHECK_INT(ERR_CONTEXT(-EIO, "%s", big), -EIO);
	CHECK_INT(strlen(err_text()), ERR_TEXT_MAX - 1);
	err_clear();
	ERR_CONTEXT(-EPERM, "alone");
	CHECK_STR(err_text(), "alone: Operation not permitted");
}

TEST(fd_ownership)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), other;

	CHECK(fd >= 0);
	other = take_fd(&fd);
	CHECK_INT(fd, FD_NONE);
	errno = EXDEV;
	fd_close(&other);
	CHECK_INT(other, FD_NONE);
	CHECK_INT(errno, EXDEV);
	fd_close(&other);
}

TEST(fd_whole_reads)
{
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);
	_cleanup_free_ char *data = NULL;
	size_t len = 0;

	if (!CHECK(fd >= 0))
		return;
	CHECK_INT(fd_write_all(fd, "0123456789", 10), 0);
	lseek(fd, 0, SEEK_SET);
	CHECK_INT(fd_read_all(fd, 9, &data, &len), -EFBIG);
	CHECK(data == NULL);
	lseek(fd, 0, SEEK_SET);
	CHECK_INT(fd_read_all(fd, 10, &data, &len), 0);
	CHECK_INT(len, 10);
	CHECK_STR(data, "0123456789");
}

TEST(files_by_directory)
{
	char dir[] = "/tmp/nacre-test-XXXXXX";
	bool made = mkdtemp(dir) != NULL;
	_cleanup_close_ int dirfd = open(dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *data = NULL;
	struct stat st;

	if (!CHECK(made))
		return;
	CHECK_INT(file_read(dirfd, "f", 100, &data, NULL), -ENOENT);
	CHECK_INT(file_replace(dirfd, "f", "one", 3, 0600), 0);
	CHECK_INT(file_replace(dirfd, "f", "two", 3, 0640), 0);
	CHECK_INT(file_read(dirfd, "f", 100, &data, NULL), 0);
	CHECK_STR(data, "two");
	CHECK_INT(file_write_value(dirfd, "f", "abc"), 0);
	CHECK_INT(file_write_value(dirfd, "g", "abc"), -ENOENT);
	CHECK(fstatat(dirfd, "f", &st, 0) == 0 && st.st_size == 3);
	CHECK_INT(unlinkat(dirfd, "f", 0), 0);
	CHECK_INT(rmdir(dir), 0); /* no temporary file is left */
}

TEST(durations)
{
	static const struct {
		const char *text;
		int r;
		uint64_t ns;
	} cases[] = {
		{ "5s", 0, 5000000000 },
		{ "500ms", 0, 500000000 },
		{ "1m", 0, 60000000000 },
		{ "1m30s", 0, 90000000000 },
		{ "2h", 0, 7200000000000 },
		{ "1.5s", 0, 1500000000 },
		{ "0.1ms", 0, 100000 },
		{ ".5s", 0, 500000000 },
		{ "1.s", 0, 1000000000 },
		{ "1h1m1s1ms1us1ns", 0, 3661001001001 },
		{ "2\xc2\xb5s", 0, 2000 },
		{ "1.9999999999999ns", 0, 1 },
		{ "5", 0, 5000000000 },
		{ "0.25", 0, 250000000 },
		{ "0", 0, 0 },
		{ "", -EINVAL, 0 },
		{ "s", -EINVAL, 0 },
		{ ".s", -EINVAL, 0 },
		{ "-1s", -EINVAL, 0 },
		{ "+1s", -EINVAL, 0 },
		{ "1 s", -EINVAL, 0 },
		{ "1s ", -EINVAL, 0 },
		{ "1d", -EINVAL, 0 },
		{ "1s5", -EINVAL, 0 },
		{ "1.2.3s", -EINVAL, 0 },
		{ "99999999999999999999s", -ERANGE, 0 },
		{ "99999999999999999999999999s", -ERANGE, 0 },
		{ "18446744073s18446744073s", -ERANGE, 0 },
		{ "6000000h", -ERANGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t ns = 7;

		if (!CHECK_INT(parse_duration(cases[i].text, &ns), cases[i].r))
			printf("#   of \"%s\"\n", cases[i].text);
		CHECK(ns == (cases[i].r == 0 ? cases[i].ns : 7));
	}
}

TEST(sizes)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{ 0, "0B" },
		{ 1023, "1023B" },
		{ 1024, "1KiB" },
		{ 1126, "1KiB" },
		{ 1127, "1.1KiB" },
		{ 1536, "1.5KiB" },
		{ 1048575, "1023KiB" },
		{ 1048576, "1MiB" },
		{ 1572864, "1.5MiB" },
		{ 4194304, "4MiB" },
		{ 5000000, "4.7MiB" },
		{ 104857600 + 524288, "100MiB" },
		{ 99 * 1048576UL + 524288, "99.5MiB" },
		{ UINT64_MAX, "15.9EiB" },
	};
	char text[SIZE_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_text(cases[i].bytes, "", text);
		CHECK_STR(text, cases[i].text);
	}
	size_text(4194304, " ", text);
	CHECK_STR(text, "4 MiB");
}

TEST_MAIN(CASE(parse_u64_edges), CASE(parse_i64_edges), CASE(parse_mode_edges), CASE(durations), CASE(sizes), CASE(str_questions),
	  CASE(strings_kept_last),
	  CASE(buf_grows), CASE(buf_empty_and_failed), CASE(arena_zeroed_and_aligned), CASE(arena_limit), CASE(err_texts),
	  CASE(fd_ownership), CASE(fd_whole_reads), CASE(files_by_directory))
