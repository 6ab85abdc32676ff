/* SPDX-License-Identifier: Apache-2.0 */
/* What of sd_notify's messages is READY=1, and which sockets are believed in. */
#include <errno.h>
#include <stdlib.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/notify.h"
#include "tests/unit/test.h"

TEST(ready)
{
	static const struct {
		const char *message;
		bool ready;
	} cases[] = {
		{ "READY=1", true },	      { "READY=1\n", true },	       { "STATUS=x\nREADY=1", true },
		{ "STATUS=x\nREADY=1\nA=b", true }, { "\n\nREADY=1\n\n", true }, { "", false },
		{ "\n", false },	      { "READY=", false },	       { "READY=11", false },
		{ "READY=0", false },	      { " READY=1", false },	       { "XREADY=1", false },
		{ "STATUS=READY=1", false },  { "READY=1\r", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK(notify_is_ready(cases[i].message, strlen(cases[i].message)) == cases[i].ready);
	/* Its length says where a message ends. */
	CHECK(!notify_is_ready("READY=1", 6));
	CHECK(!notify_is_ready("READY=1\0", 8));
}

TEST(upstream)
{
	static const char *const bad[] = { "relative", "/", "@", "vsock:2:1" };
	const char *s;

	unsetenv("NOTIFY_SOCKET");
	CHECK(notify_upstream(&s) == 0 && s == NULL);
	setenv("NOTIFY_SOCKET", "", 1);
	CHECK(notify_upstream(&s) == 0 && s == NULL);
	setenv("NOTIFY_SOCKET", "@name", 1);
	CHECK(notify_upstream(&s) == 0 && str_eq(s, "@name"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		CHECK(notify_upstream(&s) == -EINVAL && s == NULL);
		CHECK(strstr(err_text(), bad[i]) != NULL);
		err_clear();
	}
}

TEST_MAIN(CASE(ready), CASE(upstream))
