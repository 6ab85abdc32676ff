/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The unit tests' frame: one program per module, a table of cases, TAP-like output.
 *
 *	TEST(adds)
 *	{
 *		CHECK_INT(1 + 1, 2);
 *	}
 *
 *	TEST_MAIN(CASE(adds), CASE(subtracts))
 *
 * A failed check does not end its case; the first one's place is reported in the
 * case's line, every one's on a line of its own. Exit status 1 if a case failed.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct test {
	unsigned int failures;
	const char *file;	/* of the first failure */
	int line;
};

struct test_case {
	const char *name;
	void (*run)(struct test *t);
};

static inline bool test_check(struct test *t, bool ok, const char *file, int line, const char *what)
{
	if (ok)
		return true;
	if (t->failures++ == 0) {
		t->file = file;
		t->line = line;
	}
	printf("# %s:%d: %s\n", file, line, what);
	return false;
}

static inline bool test_check_str(struct test *t, const char *got, const char *want, const char *file, int line)
{
	bool ok = got == want || (got != NULL && want != NULL && strcmp(got, want) == 0);

	if (!test_check(t, ok, file, line, "strings differ"))
		printf("#   got:  %s\n#   want: %s\n", got != NULL ? got : "(NULL)", want != NULL ? want : "(NULL)");
	return ok;
}

static inline bool test_check_int(struct test *t, int64_t got, int64_t want, const char *file, int line)
{
	bool ok = got == want;

	if (!test_check(t, ok, file, line, "numbers differ"))
		printf("#   got:  %" PRId64 "\n#   want: %" PRId64 "\n", got, want);
	return ok;
}

/* Each is true when the check held, so that a case can stop before it would crash. */
#define CHECK(cond) test_check(t, (cond), __FILE__, __LINE__, #cond)
#define CHECK_STR(got, want) test_check_str(t, (got), (want), __FILE__, __LINE__)
#define CHECK_INT(got, want) test_check_int(t, (int64_t)(got), (int64_t)(want), __FILE__, __LINE__)

/* Why the case that runs now cannot be tried here; it counts as skipped. */
static const char *test_skip_reason __attribute__((unused));

static inline void test_skip(const char *reason)
{
	test_skip_reason = reason;
}

#define TEST(name) static void name(struct test *t)
#define CASE(name) { #name, name }

static inline int test_main(const struct test_case *cases, size_t n)
{
	size_t failed = 0, skipped = 0;

	for (size_t i = 0; i < n; i++) {
		struct test t = { 0 };

		test_skip_reason = NULL;
		cases[i].run(&t);
		if (t.failures == 0 && test_skip_reason != NULL) {
			skipped++;
			printf("ok %zu %s # skip %s\n", i + 1, cases[i].name, test_skip_reason);
			continue;
		}
		if (t.failures == 0) {
			printf("ok %zu %s\n", i + 1, cases[i].name);
			continue;
		}
		failed++;
		printf("not ok %zu %s (%s:%d, %u failed)\n", i + 1, cases[i].name, t.file, t.line, t.failures);
	}
	printf("%zu passed, %zu failed, %zu skipped\n", n - failed - skipped, failed, skipped);
	return failed == 0 ? 0 : 1;
}

#define TEST_MAIN(...) \
	int main(void) \
	{ \
		static const struct test_case cases[] = { __VA_ARGS__ }; \
\
		return test_main(cases, sizeof(cases) / sizeof(cases[0])); \
	}
