/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces/scheduling: lists of CPUs and memory nodes, and the words of the specification. */
#include "namespaces/scheduling.h"

#include <errno.h>
#include <string.h>

#include "tests/unit/test.h"

TEST(lists)
{
	static const struct {
		const char *text;
		unsigned int max;
		int want;
		unsigned int end;
		unsigned long first;
	} cases[] = {
		{ "0", 8, 0, 1, 0x1 },
		{ "0-3,7", 8, 0, 8, 0x8f },
		{ "7,0-3, 5", 8, 0, 8, 0xaf },
		{ "3-3", 8, 0, 4, 0x8 },
		{ "63,64", 8192, 0, 65, 1UL << 63 },
		{ "8191", 8192, 0, 8192, 0 },
		{ "8", 8, -ERANGE, 0, 0 },
		{ "8192", 8192, -ERANGE, 0, 0 },
		{ "0-99999999999999999999", 8192, -ERANGE, 0, 0 },
		{ "", 8, -EINVAL, 0, 0 },
		{ ",", 8, -EINVAL, 0, 0 },
		{ "1,", 8, -EINVAL, 0, 0 },
		{ "1-", 8, -EINVAL, 0, 0 },
		{ "-1", 8, -EINVAL, 0, 0 },
		{ "3-1", 8, -EINVAL, 0, 0 },
		{ "1 ", 8, -EINVAL, 0, 0 },
		{ "0x1", 8, -EINVAL, 0, 0 },
		{ "1-2-3", 8, -EINVAL, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct id_set s;

		CHECK_INT(id_set_parse(cases[i].text, cases[i].max, &s), cases[i].want);
		if (cases[i].want < 0)
			continue;
		CHECK_INT(s.end, cases[i].end);
		CHECK_INT((int64_t)s.bits[0], (int64_t)cases[i].first);
		CHECK((s.bits[(s.end - 1) / 64] >> ((s.end - 1) % 64) & 1) == 1);
	}
}

TEST(hex)
{
	static const struct { const char *list, *hex; } cases[] = {
		{ "0", "0x1" },
		{ "0,1", "0x3" },
		{ "63", "0x8000000000000000" },
		{ "64", "0x10000000000000000" },
		{ "4-7,130", "0x4000000000000000000000000000000f0" },
		{ "8191", NULL },
	};
	char text[ID_SET_HEX_SIZE];
	struct id_set s;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK_INT(id_set_parse(cases[i].list, ID_SET_MAX, &s), 0);
		id_set_hex(&s, text);
		if (cases[i].hex != NULL)
			CHECK_STR(text, cases[i].hex);
	}
	CHECK_INT((int64_t)strlen(text), (int64_t)ID_SET_HEX_SIZE - 1);
	s = (struct id_set){ .end = 0 };
	id_set_hex(&s, text);
	CHECK_STR(text, "0x0");
}

TEST(words)
{
	uint32_t policy;
	uint64_t flag;
	unsigned int io;
	int mode, bit;

	CHECK_INT(scheduler_policy("SCHED_DEADLINE", &policy), 0);
	CHECK_INT(policy, 6);
	CHECK_INT(scheduler_policy("SCHED_NONE", &policy), -EINVAL);
	CHECK_INT(scheduler_flag("SCHED_FLAG_UTIL_CLAMP_MAX", &flag), 0);
	CHECK_INT((int64_t)flag, 0x40);
	CHECK_INT(scheduler_flag("SCHED_RR", &flag), -EINVAL);
	CHECK_INT(io_priority_class("IOPRIO_CLASS_IDLE", &io), 0);
	CHECK_INT(io, 3);
	CHECK_INT(io_priority_class("IOPRIO_CLASS_NONE", &io), -EINVAL);
	for (size_t i = 0; memory_policy_mode_at(i) != NULL; i++)
		CHECK_INT(memory_policy_mode(memory_policy_mode_at(i), &mode), 0);
	for (size_t i = 0; memory_policy_flag_at(i) != NULL; i++)
		CHECK_INT(memory_policy_flag(memory_policy_flag_at(i), &bit), 0);
	CHECK_INT(memory_policy_mode("MPOL_WEIGHTED_INTERLEAVE", &mode), 0);
	CHECK_INT(mode, 6);
	CHECK_INT(memory_policy_mode("MPOL_F_STATIC_NODES", &mode), -EINVAL);
}

TEST_MAIN(CASE(lists), CASE(hex), CASE(words))
