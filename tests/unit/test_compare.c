/* SPDX-License-Identifier: Apache-2.0 */
/* nacre compare: statistics, the workload's lines, the bundle, the chart. */
#include "runtime/compare.h"

#include <errno.h>
#include <stdlib.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

static void fill(struct compare_series *s, const uint64_t *v, size_t n)
{
	s->n = 0;
	for (size_t i = 0; i < n; i++)
		compare_add(s, v[i]);
}

TEST(quartiles)
{
	static const uint64_t five[] = { 50, 10, 40, 20, 30 }, four[] = { 4, 1, 3, 2 }, huge[] = { UINT64_MAX, 0 };
	struct compare_series s;
	struct compare_summary r;

	fill(&s, five, 5);
	r = compare_summarize(&s);
	CHECK(r.min == 10 && r.q1 == 20 && r.median == 30 && r.q3 == 40 && r.max == 50 && r.n == 5);
	fill(&s, four, 4);
	r = compare_summarize(&s);
	CHECK(r.min == 1 && r.q1 == 1 && r.median == 2 && r.q3 == 3 && r.max == 4);
	fill(&s, huge, 2);
	r = compare_summarize(&s);
	CHECK(r.median == UINT64_MAX / 2 && r.q3 > r.median && r.max == UINT64_MAX);
	fill(&s, five, 1);
	r = compare_summarize(&s);
	CHECK(r.min == 50 && r.q1 == 50 && r.q3 == 50);
	s.n = 0;
	CHECK(compare_summarize(&s).n == 0);
	for (size_t i = 0; i < 2 * COMPARE_RUNS_MAX; i++)
		compare_add(&s, i);
	CHECK(s.n == COMPARE_RUNS_MAX);
}

TEST(costs)
{
	struct compare_result *r = calloc(1, sizeof(*r));

	if (!CHECK(r != NULL))
		return;
	CHECK_INT(compare_base(r), COMPARE_MODES);
	CHECK_INT((int64_t)compare_cost(r, COMPARE_TCG, COMPARE_RUN), 0);
	compare_add(&r->column[COMPARE_HOST].metric[COMPARE_RUN], 1000);
	compare_add(&r->column[COMPARE_TCG].metric[COMPARE_RUN], 3000);
	compare_add(&r->column[COMPARE_HOST].metric[COMPARE_COPY], 100);
	compare_add(&r->column[COMPARE_TCG].metric[COMPARE_COPY], 25);
	/* The host has no such command. */
	compare_add(&r->column[COMPARE_CONTAINER].metric[COMPARE_CREATE], 10);
	compare_add(&r->column[COMPARE_TCG].metric[COMPARE_CREATE], 5);
	CHECK_INT(compare_base(r), COMPARE_HOST);
	CHECK_INT(compare_metric_base(r, COMPARE_CREATE), COMPARE_CONTAINER);
	CHECK_INT((int64_t)compare_cost(r, COMPARE_TCG, COMPARE_RUN), 3000);
	CHECK_INT((int64_t)compare_cost(r, COMPARE_TCG, COMPARE_COPY), 4000);	/* more is better: a quarter is four times the cost */
	CHECK_INT((int64_t)compare_cost(r, COMPARE_TCG, COMPARE_CREATE), 500);
	CHECK_INT((int64_t)compare_cost(r, COMPARE_CONTAINER, COMPARE_RUN), 0);
	free(r);
}

TEST(clocks)
{
	struct compare_column c = { .n_drift = 0 };
	int64_t ppm;

	CHECK(!compare_clock_is_off(&c, &ppm));
	c.drift_ppm[0] = -300000;
	c.drift_ppm[1] = 100;
	c.drift_ppm[2] = 200;
	c.n_drift = 3;
	CHECK(!compare_clock_is_off(&c, &ppm) && ppm == 100);
	c.drift_ppm[1] = -30000;
	CHECK(compare_clock_is_off(&c, &ppm) && ppm == -30000);
}

TEST(values)
{
	static const struct {
		enum compare_unit unit;
		uint64_t v;
		const char *want;
	} cases[] = {
		{ COMPARE_NS, 0, "0.00 ns" },
		{ COMPARE_NS, 999, "999 ns" },
		{ COMPARE_NS, 1234, "1.23 us" },
		{ COMPARE_NS, 12340000, "12.3 ms" },
		{ COMPARE_NS, 999600, "1.00 ms" },
		{ COMPARE_NS, UINT64_C(3600000000000), "3600 s" },
		{ COMPARE_PS, 210493, "210 ns" },
		{ COMPARE_BYTES, 1024, "1.00 KiB" },
		{ COMPARE_BYTES, UINT64_C(210) << 20, "210 MiB" },
		{ COMPARE_BYTES_PER_SECOND, UINT64_C(5) << 30, "5.00 GiB/s" },
		{ COMPARE_PER_SECOND, 329, "329 /s" },
		{ COMPARE_PER_SECOND, 1500, "1.50 k/s" },
	};
	char text[COMPARE_VALUE_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		compare_value(text, cases[i].unit, cases[i].v);
		CHECK_STR(text, cases[i].want);
	}
	compare_ratio(text, 1040);
	CHECK_STR(text, "x1.04");
	compare_ratio(text, 6732000);
	CHECK_STR(text, "x6732");
}

TEST(lines)
{
	static const char *const good[] = { "begin 1 2", "integer 5", "failed memory no memory \x1b[31m", "end 3 4" };
	static const char *const bad[][3] = {
		{ "integer 5" },			/* before the beginning */
		{ "" },
		{ "begin 1" },
		{ "begin 1 2 3" },
		{ "begin 1 x" },
		{ "begin 1 2", "begin 1 2" },
		{ "begin 1 2", "integer" },
		{ "begin 1 2", "integer -1" },
		{ "begin 1 2", "integer 99999999999999999999" },
		{ "begin 1 2", "integer 5 " },
		{ "begin 1 2", "integer 5", "integer 6" },
		{ "begin 1 2", "firstByte 5" },		/* not the workload's to say */
		{ "begin 1 2", "failed" },
		{ "begin 1 2", "failed nothing x" },
		{ "begin 1 2", "failed integer x", "integer 5" },
		{ "begin 1 2", "end 1 2", "integer 5" },
		{ "begin 1 2", "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij 5" },
	};
	struct compare_lines l = { .begun = false };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		CHECK_INT(compare_line(&l, good[i]), 0);
	CHECK(l.ended && l.begin_realtime == 1 && l.end_monotonic == 4);
	CHECK(l.has[COMPARE_INTEGER] && l.value[COMPARE_INTEGER] == 5);
	CHECK_STR(l.failed[COMPARE_COPY], "no memory [31m");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = 0;

		l = (struct compare_lines){ .begun = false };
		for (size_t k = 0; r == 0 && k < 3 && bad[i][k] != NULL; k++)
			r = compare_line(&l, bad[i][k]);
		CHECK_INT(r, -EPROTO);
	}
}

#define CONFIG                                                                                                                  \
	"{\"ociVersion\":\"1.3.0\",\"root\":{\"path\":\"r\",\"readonly\":true},\"hostname\":\"h\","                                 \
	"\"process\":{\"terminal\":true,\"cwd\":\"/x\",\"args\":[\"sh\"],\"user\":{\"uid\":7,\"gid\":8},\"env\":[\"A=1\"]},"         \
	"\"mounts\":[{\"destination\":\"/v\",\"source\":\"vol\",\"options\":[\"rbind\"]},{\"destination\":\"/proc\",\"type\":\"proc\"}]," \
	"\"hooks\":{\"poststop\":[{\"path\":\"/bin/rm\"}]},"                                                                       \
	"\"annotations\":{\"run.nacre.vm.console\":\"/c\",\"run.nacre.isolation\":\"container\",\"other\":\"1\"},"                  \
	"\"vm\":{\"kernel\":{\"path\":\"/k\"},\"hypervisor\":{\"path\":\"/q\"}},"                                                   \
	"\"linux\":{\"cgroupsPath\":\"/c\",\"timeOffsets\":{\"monotonic\":{\"secs\":1}},"                                           \
	"\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"time\"},{\"type\":\"uts\"}],\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\"}}}"

static struct spec *configured(struct test *t, const char *accel)
{
	static const char *const args[] = { "/.w", "hello" };
	const struct compare_config_req q = { .bundle = "/b", .rootfs = "/b/r", .accel = accel, .args = args, .n_args = 2 };
	_cleanup_free_ char *text = NULL;
	struct spec *s = NULL;

	if (!CHECK_INT(compare_config(CONFIG, strlen(CONFIG), &q, &text), 0) ||
	    !CHECK_INT(spec_parse("config.json", text, strlen(text), &s), 0))
		printf("#   %s\n#   %s\n", err_text(), text != NULL ? text : "");
	return s;
}

TEST(config)
{
	struct spec *s = configured(t, NULL);

	if (s == NULL)
		return;
	CHECK_STR(s->root.path, "/b/r");
	CHECK(!s->root.readonly && !s->process->terminal && s->process->user.uid == 7 && s->process->args.n == 2);
	CHECK_STR(s->process->args.v[1], "hello");
	CHECK_STR(s->process->env.v[0], "A=1");
	CHECK_STR(s->mounts[0].source, "/b/vol");
	CHECK(s->n_mounts == 2 && s->hooks.poststop.n == 0 && s->linux_.n_namespaces == 2 && s->linux_.cgroups_path == NULL);
	CHECK(s->linux_.seccomp.present && !s->vm.present && s->n_annotations == 1);
	spec_free(s);
	s = configured(t, "kvm");
	if (s == NULL)
		return;
	CHECK(s->vm.present && s->vm.hypervisor.path == NULL && s->n_annotations == 2);
	CHECK_STR(spec_annotation(s, "run.nacre.vm.accel"), "kvm");
	spec_free(s);
	s = configured(t, "tcg");
	if (s == NULL)
		return;
	CHECK_STR(s->vm.hypervisor.path, "/q");
	spec_free(s);
}

#define LINUX(namespaces) "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"linux\":{\"netDevices\":{\"d\":{}},\"namespaces\":" namespaces "}}"

TEST(network)
{
	static const struct {
		const char *text;
		bool own;
	} cases[] = {
		{ LINUX("[{\"type\":\"mount\"},{\"type\":\"network\"}]"), true },
		{ LINUX("[{\"type\":\"network\",\"path\":\"/n\"}]"), false },
		{ LINUX("[{\"type\":\"mount\"}]"), false },
		{ LINUX("[7]"), false },
		{ LINUX("7"), false },
		{ "{}", false },
	};
	static const char *const args[] = { "/w" };
	struct compare_config_req q = { .bundle = "/b", .rootfs = "/r", .args = args, .n_args = 1, .netns = "/proc/7/fd/8" };
	_cleanup_free_ char *text = NULL;
	struct spec *s = NULL;
	bool own;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_INT(compare_own_network(cases[i].text, strlen(cases[i].text), &own), 0);
		CHECK(own == cases[i].own);
	}
	CHECK_INT(compare_own_network("{", 1, &own), -EINVAL);
	/* Ours in its place; what would be moved into it stays outside. */
	if (!CHECK_INT(compare_config(cases[0].text, strlen(cases[0].text), &q, &text), 0) ||
	    !CHECK_INT(spec_parse("config.json", text, strlen(text), &s), 0))
		return;
	CHECK(s->linux_.n_namespaces == 2 && s->linux_.namespaces[0].path == NULL && s->linux_.n_net_devices == 0);
	CHECK_STR(s->linux_.namespaces[1].path, "/proc/7/fd/8");
	spec_free(s);
}

TEST(rootfs)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "{\"root\":{\"path\":\"r\"}}", "/b/r" },
		{ "{\"root\":{\"path\":\"/r\"}}", "/r" },
		{ "{\"root\":{\"path\":\"\"}}", NULL },
		{ "{\"root\":{\"path\":7}}", NULL },
		{ "{\"root\":{}}", NULL },
		{ "{\"path\":\"r\"}", NULL },
		{ "[]", NULL },
		{ "{", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *path = NULL;
		int r = compare_rootfs(cases[i].text, strlen(cases[i].text), "/b", &path);

		CHECK_INT(r, cases[i].want != NULL ? 0 : -EINVAL);
		if (r == 0)
			CHECK_STR(path, cases[i].want);
	}
}

/* Tags that open are closed, and no text of ours breaks out of its place. */
TEST(chart)
{
	struct compare_result *r = calloc(1, sizeof(*r));
	_cleanup_buf_ struct buf svg = BUF_NULL, table = BUF_NULL;

	if (!CHECK(r != NULL))
		return;
	r->runs = 1;
	snprintf(r->cpu, sizeof(r->cpu), "a <b> & \"c\"");
	for (int m = 0; m < COMPARE_MODES; m++)
		r->column[m].asked = true;
	r->column[COMPARE_KVM].failure = str_printf("</svg> none");
	compare_add(&r->column[COMPARE_HOST].metric[COMPARE_RUN], 10);
	compare_add(&r->column[COMPARE_TCG].metric[COMPARE_RUN], 123456);
	compare_add(&r->column[COMPARE_CONTAINER].metric[COMPARE_RUN], 1);
	r->column[COMPARE_TCG].metric_failure[COMPARE_COPY] = str_printf("no");
	compare_svg(&svg, r);
	compare_table(&table, r);
	if (CHECK(svg.data != NULL && table.data != NULL)) {
		CHECK(str_starts(svg.data, "<svg ") && str_ends(svg.data, "</svg>\n"));
		CHECK(strstr(svg.data, "a &lt;b&gt; &amp; &quot;c&quot;") != NULL);
		CHECK(strstr(svg.data, "&lt;/svg&gt; none") != NULL && strstr(svg.data, "x12346") != NULL && strstr(svg.data, "x0.1") != NULL);
		CHECK(strstr(svg.data, "nan") == NULL && strstr(svg.data, "inf") == NULL);
		CHECK(strstr(table.data, "x12346") != NULL && strstr(table.data, "kvm: not measured: </svg> none") != NULL);
		CHECK(strstr(table.data, "tcg: memory copy: no") != NULL);
	}
	compare_result_deinit(r);
	free(r);
}

TEST_MAIN(CASE(quartiles), CASE(costs), CASE(clocks), CASE(values), CASE(lines), CASE(config), CASE(network), CASE(rootfs), CASE(chart))
