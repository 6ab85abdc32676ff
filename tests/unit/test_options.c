/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines, signal names, points in time. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/err.h"
#include "runtime/base/proc.h"
#include "runtime/base/str.h"
#include "runtime/options.h"
#include "tests/unit/test.h"

struct values {
	bool flag, other;
	const char *text;
	unsigned int number;
	struct option_list list;
};

#define AT(field) offsetof(struct values, field)

static const struct option_row rows[] = {
	{ 'a', "flag", NULL, "", OPTION_BOOL, AT(flag) },     { 'o', "other", NULL, "", OPTION_BOOL, AT(other) },
	{ 't', "text", "TEXT", "", OPTION_STRING, AT(text) }, { 'n', "number", "N", "", OPTION_UINT, AT(number) },
	{ 'l', "list", "X", "", OPTION_LIST, AT(list) },      { 0, "ignored", NULL, "", OPTION_IGNORED, 0 },
};

static int parse(const char *line, struct values *v, int *at, bool *help)
{
	static char copy[256];
	static char *argv[32];	/* the values point into it */
	char *save = NULL;
	int argc = 0;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	*v = (struct values){ .flag = false };
	*at = 0;
	return options_parse(rows, ARRAY_SIZE(rows), v, argc, argv, at, help);
}

TEST(forms)
{
	struct values v;
	bool help;
	int at;

	CHECK_INT(parse("--flag --text x --number=7 -l 1 --list=2 ID -9", &v, &at, &help), 0);
	CHECK(v.flag && !v.other && v.number == 7 && v.list.n == 2);
	CHECK_STR(v.text, "x");
	CHECK_STR(v.list.v[1], "2");
	CHECK_INT(at, 7);
	free(v.list.v);
	CHECK_INT(parse("-ao -ttext -n=3", &v, &at, &help), 0);
	CHECK(v.flag && v.other && v.number == 3);
	CHECK_STR(v.text, "text");
	CHECK_INT(parse("--flag=false --other=true --ignored -- --flag", &v, &at, &help), 0);
	CHECK(!v.flag && v.other);
	CHECK_INT(at, 4);
	CHECK_INT(parse("--text= x", &v, &at, &help), 0);
	CHECK_STR(v.text, "");
	CHECK_INT(parse("--flag --help --none", &v, &at, &help), 0);
	CHECK(help);
	CHECK_INT(parse("- --flag", &v, &at, &help), 0);
	CHECK_INT(at, 0);
}

TEST(long_ones_after_one_dash)
{
	struct values v;
	bool help;
	int at;

	CHECK_INT(parse("-flag -text x -number=7 -ignored ID", &v, &at, &help), 0);
	CHECK(v.flag && !v.other && v.number == 7);
	CHECK_STR(v.text, "x");
	CHECK_INT(at, 5);
	/* A part of a name, or more than one, is a list of short options. */
	CHECK_INT(parse("-tex -lag=x -textx", &v, &at, &help), 0);
	CHECK_STR(v.text, "extx");
	CHECK_STR(v.list.v[0], "ag=x");
	free(v.list.v);
	CHECK_INT(parse("-help -none", &v, &at, &help), 0);
	CHECK(help);
	CHECK_INT(parse("-text", &v, &at, &help), -EINVAL);
	CHECK(strstr(err_text(), "flag needs an argument") != NULL);
	CHECK_INT(parse("-flag=maybe", &v, &at, &help), -EINVAL);
	CHECK_INT(parse("-unknown", &v, &at, &help), -EINVAL);
}

TEST(mistakes)
{
	static const char *const lines[] = { "--none", "-x", "--text", "-n", "--number x", "--number -1", "--flag=maybe",
					     "--number 99999999999", "--ignored=1" };
	struct values v;
	bool help;
	int at;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		if (!CHECK_INT(parse(lines[i], &v, &at, &help), -EINVAL))
			printf("#   %s\n", lines[i]);
		CHECK(*err_text() != '\0');
	}
	CHECK_INT(parse("--text", &v, &at, &help), -EINVAL);
	CHECK(strstr(err_text(), "flag needs an argument") != NULL);
}

TEST(signals)
{
	static const struct {
		const char *name;
		int want;
	} cases[] = {
		{ "9", SIGKILL }, { "KILL", SIGKILL }, { "SIGKILL", SIGKILL }, { "sigterm", SIGTERM }, { "usr1", SIGUSR1 },
		{ "HUP", SIGHUP },
	};
	static const char *const bad[] = { "", "0", "-9", "SIG", "SIGFOO", "999", "RTMIN-1", "RTMAX+1", "9x", " 9" };
	int sig;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		sig = 0;
		CHECK_INT(signal_parse(cases[i].name, &sig), 0);
		CHECK_INT(sig, cases[i].want);
	}
	CHECK_INT(signal_parse("SIGRTMIN+1", &sig), 0);
	CHECK_INT(sig, SIGRTMIN + 1);
	CHECK_INT(signal_parse("rtmax", &sig), 0);
	CHECK_INT(sig, SIGRTMAX);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!CHECK_INT(signal_parse(bad[i], &sig), -EINVAL))
			printf("#   %s\n", bad[i]);
}

TEST(time_as_text)
{
	char a[RFC3339_SIZE], b[RFC3339_SIZE];
	time_t now = time(NULL);
	struct tm tm;

	clock_rfc3339(a);
	CHECK_INT((int64_t)strlen(a), 30);
	CHECK(a[29] == 'Z');
	gmtime_r(&now, &tm);
	strftime(b, sizeof(b), "%Y-%m-%dT%H:", &tm);
	/* But for the one second around an hour's end. */
	CHECK(strncmp(a, b, strlen(b)) == 0 || tm.tm_min == 0 || tm.tm_min == 59);
}

TEST(identity_of_processes)
{
	uint64_t now = clock_boot_ticks();

	CHECK(proc_alive(getpid(), now));
	CHECK(!proc_alive(getpid(), 1));	/* seen before it was born: another process of the same pid */
	CHECK(!proc_alive(0, now));
	CHECK(!proc_alive(0x7fffffff, now));
}

TEST_MAIN(CASE(forms), CASE(long_ones_after_one_dash), CASE(mistakes), CASE(signals), CASE(time_as_text), CASE(identity_of_processes))
