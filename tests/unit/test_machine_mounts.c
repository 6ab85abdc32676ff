/* SPDX-License-Identifier: Apache-2.0 */
/* runtime/machine_mounts: which bind mounts become a machine's own file system. */
#include "runtime/machine_mounts.h"

#include <stdlib.h>

#include "oci/spec.h"
#include "runtime/base/str.h"
#include "tests/unit/test.h"

#define MOUNT(to, type, from, options) \
	"{\"destination\":\"" to "\",\"type\":\"" type "\",\"source\":\"" from "\",\"options\":[" options "]}"

TEST(sys)
{
	static const struct {
		const char *mount;
		bool replaced;
		size_t options;
	} cases[] = {
		{ MOUNT("/sys", "none", "/sys", "\"rbind\",\"nosuid\",\"ro\""), true, 2 },
		{ MOUNT("/sys", "bind", "/sys", ""), true, 0 },
		{ MOUNT("/sys", "rbind", "/sys", "\"bind\""), true, 0 },
		{ MOUNT("/sys", "sysfs", "sysfs", "\"ro\""), false, 1 },
		/* Somebody wants to see the host's, and says so by another place. */
		{ MOUNT("/host/sys", "bind", "/sys", ""), false, 0 },
		{ MOUNT("/sys", "bind", "/srv/sys", ""), false, 0 },
		{ MOUNT("/sys/fs/cgroup", "bind", "/sys/fs/cgroup", ""), false, 0 },
		{ MOUNT("/sys", "tmpfs", "/sys", ""), false, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = str_printf("{\"ociVersion\":\"1.2.0\",\"mounts\":[%s]}", cases[i].mount);
		_cleanup_spec_ struct spec *s = NULL;

		if (!CHECK(text != NULL) || !CHECK_INT(spec_parse("config.json", text, strlen(text), &s), 0) ||
		    !CHECK_INT(machine_mounts_replace(s), 0))
			continue;
		if (!CHECK_INT(str_eq(s->mounts[0].source, "sysfs"), cases[i].replaced || i == 3) ||
		    !CHECK_INT(s->mounts[0].options.n, cases[i].options))
			printf("#   case %zu\n", i);
		CHECK(!cases[i].replaced || str_eq(s->mounts[0].type, "sysfs"));
	}
}

TEST_MAIN(CASE(sys))
