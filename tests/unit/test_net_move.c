/* SPDX-License-Identifier: Apache-2.0 */
/* namespaces/net_move: names of network devices. What is moved is tests/bats/net_devices.bats' matter. */
#include "namespaces/net_move.h"
#include "tests/unit/test.h"

TEST(names)
{
	static const char *const good[] = { "eth0", "a", "exactly15chars0", "w-_.@x", "...", "d%d" };
	static const char *const bad[] = { "", ".", "..", "a b", "a/b", "a:b", "exactly16chars00", "a\tb", "%", "%s", "%d%d", "50%" };

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!CHECK(net_move_name_valid(good[i], true)))
			printf("#   %s\n", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!CHECK(!net_move_name_valid(bad[i], true)))
			printf("#   %s\n", bad[i]);
	CHECK(!net_move_name_valid("d%d", false));
}

TEST_MAIN(CASE(names))
