/* SPDX-License-Identifier: Apache-2.0 */
/* What is said to QEMU and when, what is believed of its answers; at the end a real one. */
#include "tests/unit/test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/str.h"
#include "runtime/vm_qmp.h"

#define MIB (UINT64_C(1) << 20)
#define QEMU "/usr/bin/qemu-system-x86_64"
#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}, \"package\": \"\"}, \"capabilities\": [\"oob\"]}}\r\n"

static int hear(struct vm_qmp *q, const char *text)
{
	return vm_qmp_receive(q, text, strlen(text));
}

/* The next command, "" for none. */
static const char *next(struct vm_qmp *q)
{
	static char text[VM_QMP_COMMAND_MAX + 1];
	size_t n = vm_qmp_next(q, text);

	text[n] = '\0';
	return text;
}

TEST(talk)
{
	struct vm_qmp q = { .ram = 512 * MIB, .less = 100 * MIB, .ask = true };

	CHECK_STR(next(&q), "");
	CHECK_INT(hear(&q, GREETING), 0);
	CHECK_STR(next(&q), "{\"execute\":\"qmp_capabilities\"}\n");
	CHECK_STR(next(&q), "");
	CHECK_INT(hear(&q, "{\"return\": {}}\r\n"), 0);
	CHECK_STR(next(&q), "{\"execute\":\"balloon\",\"arguments\":{\"value\":432013312}}\n");
	/* Nothing before the answer; an event is none. */
	CHECK_INT(hear(&q, "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"BALLOON_CHANGE\", \"data\": {\"actual\": 1}}\r\n"), 0);
	CHECK_STR(next(&q), "");
	CHECK_INT(hear(&q, "{\"return\": {}}\r\n"), 0);
	CHECK_STR(next(&q), "{\"execute\":\"query-balloon\"}\n");
	CHECK_INT(q.balloon, 0);
	/* In pieces. */
	CHECK_INT(hear(&q, "{\"return\": {\"act"), 0);
	CHECK_INT(hear(&q, "ual\": 482344960}}"), 0);
	CHECK_INT(q.balloon, 0);
	CHECK_INT(hear(&q, "\r\n"), 0);
	CHECK_INT(q.balloon, 52 * MIB);
	/* Once told, once asked. */
	CHECK_STR(next(&q), "");
	q.ask = true;
	CHECK_STR(next(&q), "{\"execute\":\"query-balloon\"}\n");
	/* Its driver is not there, or it has more than it was given: nothing is done without. */
	CHECK_INT(hear(&q, "{\"error\": {\"class\": \"DeviceNotActive\", \"desc\": \"No balloon\"}}\r\n"), 0);
	CHECK_INT(q.balloon, 52 * MIB);
	q.ask = true;
	(void)next(&q);
	CHECK_INT(hear(&q, "{\"return\": {\"actual\": 99999999999}}\r\n"), 0);
	CHECK_INT(q.balloon, 0);
	q.less = 0;
	CHECK_STR(next(&q), "{\"execute\":\"balloon\",\"arguments\":{\"value\":536870912}}\n");
}

TEST(not_the_protocol)
{
	static const char *const cases[] = {
		"{\r\n", "[]\n", "1\n", "\"return\"\n", "{\"a\": 1}\n", "{\"return\": {}}\n", "{\"QMP\": {}}\n{\"QMP\": {}}\n", "\xFF\n",
		"{\"QMP\": [[[[[[[[[[[[]]]]]]]]]]]]}\n", "\0\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_qmp q = { .ram = MIB };

		if (!CHECK_INT(vm_qmp_receive(&q, cases[i], i == ARRAY_SIZE(cases) - 1 ? 2 : strlen(cases[i])), -EPROTO))
			printf("#   case %zu\n", i);
		CHECK_STR(err_text(), "QEMU does not keep to its monitor's protocol");
		/* For good. */
		CHECK_INT(hear(&q, GREETING), -EPROTO);
		CHECK_STR(next(&q), "");
	}
}

TEST(line_without_end)
{
	static char line[VM_QMP_LINE_MAX + 1];
	struct vm_qmp q = { .ram = MIB };

	memset(line, ' ', sizeof(line));
	CHECK_INT(vm_qmp_receive(&q, line, VM_QMP_LINE_MAX), 0);
	CHECK_INT(vm_qmp_receive(&q, line, 1), -EPROTO);
}

static pid_t start_qemu(int sock)
{
	pid_t pid = fork();
	char chardev[64];

	if (pid != 0)
		return pid;
	snprintf(chardev, sizeof(chardev), "socket,id=qmp,fd=%d", sock);
	execl(QEMU, "qemu-system-x86_64", "-M", "microvm", "-nodefaults", "-display", "none", "-S", "-m", "64",
	       "-device", "virtio-balloon-device", "-chardev", chardev, "-qmp", "chardev:qmp", NULL);
	_exit(127);
}

/* Sends and hears until it is so, at most 20 s. */
static bool talk_until_answered(int sock, struct vm_qmp *q)
{
	for (int i = 0; i < 200 && (q->ask || q->waiting || !q->agreed); i++) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		char data[512];
		size_t len = vm_qmp_next(q, data);
		ssize_t n;

		if (len > 0 && send(sock, data, len, MSG_NOSIGNAL) != (ssize_t)len)
			return false;
		if (poll(&p, 1, 100) != 1)
			continue;
		n = recv(sock, data, sizeof(data), 0);
		if (n <= 0 || vm_qmp_receive(q, data, (size_t)n) < 0)
			return false;
	}
	return !q->ask && !q->waiting;
}

TEST(real_qemu)
{
	struct vm_qmp q = { .ram = 64 * MIB, .less = 16 * MIB, .ask = true };
	int pair[2], status;
	pid_t pid;

	if (access(QEMU, X_OK) != 0) {
		test_skip("QEMU is not installed");
		return;
	}
	if (!CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0))
		return;
	pid = start_qemu(pair[1]);
	close(pair[1]);
	CHECK(pid > 0 && talk_until_answered(pair[0], &q));
	/* It runs nothing, so it has no driver that could do without anything. */
	CHECK(q.agreed && !q.broken && q.told == q.less);
	CHECK_INT(q.balloon, 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(pair[0]);
}

TEST_MAIN(CASE(talk), CASE(not_the_protocol), CASE(line_without_end), CASE(real_qemu))
