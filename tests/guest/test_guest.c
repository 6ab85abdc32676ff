/* SPDX-License-Identifier: Apache-2.0 */
/* nacre-guest in a virtual machine of its own: what it does with each frame. See vm.h; needs root, QEMU and virtiofsd. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "cgroups/stats.h"
#include "runtime/base/fd.h"
#include "runtime/stats_wire.h"
#include "tests/guest/vm.h"

#define VM struct vm vm __attribute__((cleanup(vm_end))) = { .fd = -1 }

static void kill_init(struct vm *vm, uint32_t sig, bool all)
{
	unsigned char b[CHANNEL_SIGNAL_SIZE];

	(void)vm_ask(vm, CHANNEL_SIGNAL, 1, b, channel_put_signal(b, &(struct channel_signal){ .signal = sig, .all = all }));
}

static bool out_is(const struct vm *vm, uint32_t session, enum channel_stream stream, const char *data, size_t size)
{
	const struct buf *b = &vm->sessions[session].out[stream];

	if (b->len == size && (size == 0 || memcmp(b->data, data, size) == 0))
		return true;
	printf("# session %u, stream %d: %zu bytes, not %zu: %.300s\n", session, (int)stream, b->len, size, b->len > 0 ? b->data : "");
	return false;
}

/* A MiB out, a MiB in and back, an exit status. */
TEST(streams)
{
	VM;
	_cleanup_free_ char *random = NULL;
	size_t len = 0;
	char path[128];

	if (!CHECK(vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]")))
		return;
	snprintf(path, sizeof(path), "%s/share/rootfs/random", vm.dir);
	CHECK_INT(file_read(AT_FDCWD, path, 2 << 20, &random, &len), 0);
	if (!CHECK_INT(vm_run(&vm, "[\"sh\",\"-c\",\"cat /random; cat >&2; exit 7\"]", false), 0))
		return;
	CHECK(vm_write(&vm, 1, random, len, true));
	CHECK_INT(vm_wait(&vm, 1), 7 << 8);
	CHECK(!vm.sessions[1].end.oom);
	CHECK(out_is(&vm, 1, CHANNEL_STDOUT, random, len));
	CHECK(out_is(&vm, 1, CHANNEL_STDERR, random, len));
	printf("# kernel %s: greeting after %.2f s, first output after %.2f s\n", vm.release, vm.hello_s, vm.output_s);
}

/* What the container sees is what config.json says, by way of the share. */
TEST(inside)
{
	VM;
	static const char script[] =
		"[\"sh\",\"-c\",\"hostname; cat /volume/file; echo x 2>/dev/null >/volume/new || echo read-only; "
		"cat /proc/self/cgroup; cat /sys/class/net/lo/operstate; id -u; "
		"hostname new 2>&1; mknod /dev/mem0 c 1 1; head -c 1 /dev/mem0 2>/dev/null || echo denied; "
		"date +%Y; cat /proc/1/oom_score_adj; ls /proc/self/fd | wc -l; echo written >/tmp/file\"]";
	_cleanup_free_ char *text = NULL, *want = NULL;
	time_t now = time(NULL);
	char path[128];

	if (!CHECK(vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]")) || !CHECK_INT(vm_run(&vm, script, false), 0))
		return;
	CHECK_INT(vm_wait(&vm, 1), 0);
	CHECK(out_is(&vm, 1, CHANNEL_STDERR, "", 0));
	buf_add(&vm.sessions[1].out[1], "", 1);
	want = str_printf("inside\nfrom the host\nread-only\n0::/\nunknown\n0\nhostname: sethostname: Function not implemented\n"
			  "denied\n%d\n0\n4\n", gmtime(&now)->tm_year + 1900);
	CHECK_STR(vm.sessions[1].out[1].data, want);
	/* It was on the host's disk before the end was told. */
	snprintf(path, sizeof(path), "%s/share/rootfs/tmp/file", vm.dir);
	CHECK_INT(file_read(AT_FDCWD, path, 100, &text, NULL), 0);
	CHECK_STR(text, "written\n");
}

TEST(exec)
{
	VM;
	const struct channel_exec tty = { .flags = CHANNEL_EXEC_TTY, .rows = 33, .columns = 101 };
	unsigned char b[16];

	if (!CHECK(vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]")) ||
	    !CHECK_INT(vm_run(&vm, "[\"sh\",\"-c\",\"trap 'exit 9' TERM; echo up; while :; do sleep 1 & wait; done\"]", false), 0))
		return;
	CHECK(vm_expect(&vm, 1, CHANNEL_STDOUT, "up\n"));
	/* Pipes, a status; and one that stays behind does not hold it up. */
	CHECK_INT(vm_exec(&vm, 2, "[\"sh\",\"-c\",\"sleep 1000 & cat; echo err >&2; exit 3\"]", NULL), 0);
	CHECK(vm_write(&vm, 2, "to exec", 7, true));
	CHECK_INT(vm_wait(&vm, 2), 3 << 8);
	CHECK(out_is(&vm, 2, CHANNEL_STDOUT, "to exec", 7));
	CHECK(out_is(&vm, 2, CHANNEL_STDERR, "err\n", 4));
	vm_tell(&vm, CHANNEL_FREE, 2, NULL, 0);
	/* A terminal, and its size. */
	CHECK_INT(vm_exec(&vm, 3, "[\"sh\",\"-c\",\"stty size; tty; read x; stty size; exit 4\"]", &tty), 0);
	CHECK(vm_expect(&vm, 3, CHANNEL_STDOUT, "33 101\r\n/dev/pts/0\r\n"));
	vm_tell(&vm, CHANNEL_RESIZE, 3, b, channel_put_resize(b, &(struct channel_resize){ .rows = 40, .columns = 80 }));
	CHECK(vm_write(&vm, 3, "x\n", 2, false));
	CHECK_INT(vm_wait(&vm, 3), 4 << 8);
	CHECK(vm_expect(&vm, 3, CHANNEL_STDOUT, "40 80\r\n"));
	vm_tell(&vm, CHANNEL_FREE, 3, NULL, 0);
	/* What cannot be executed; a signal; given up. */
	CHECK_INT(vm_exec(&vm, 4, "[\"/no/such/program\"]", NULL), -ENOENT);
	CHECK(strstr(vm.reply.data, "/no/such/program") != NULL);
	CHECK_INT(vm_exec(&vm, 5, "[\"sleep\",\"1000\"]", NULL), 0);
	CHECK_INT(vm_ask(&vm, CHANNEL_SIGNAL, 5, b, channel_put_signal(b, &(struct channel_signal){ .signal = SIGUSR1 })), 0);
	CHECK_INT(vm_wait(&vm, 5), SIGUSR1);
	CHECK_INT(vm_ask(&vm, CHANNEL_SIGNAL, 5, b, channel_put_signal(b, &(struct channel_signal){ .signal = SIGUSR1 })), -ESRCH);
	CHECK_INT(vm_exec(&vm, 6, "[\"sleep\",\"1001\"]", NULL), 0);
	vm_tell(&vm, CHANNEL_FREE, 6, NULL, 0);
	CHECK_INT(vm_exec(&vm, 7, "[\"sh\",\"-c\",\"sleep 1; ps -o args | grep -c '[s]leep 1001'\"]", NULL), 0);
	CHECK_INT(vm_wait(&vm, 7), 1 << 8);
	CHECK(out_is(&vm, 7, CHANNEL_STDOUT, "0\n", 2));
	kill_init(&vm, SIGTERM, false);
	CHECK_INT(vm_wait(&vm, 1), 9 << 8);
}

TEST(control)
{
	VM;
	_cleanup_cgroup_stats_ struct cgroup_stats s = { 0 };
	struct channel_frame answer;
	static const char more_pids[] = "{\"pids\":{\"limit\":77},\"memory\":{\"limit\":4096}}";
	bool paused = false;
	int *pids = NULL;
	size_t n = 0, before;

	if (!CHECK(vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]")) || !CHECK_INT(vm_create(&vm, "[\"sh\",\"-c\",\"while :; do echo tick; usleep 50000; done\"]", false, ""), 0))
		return;
	CHECK_INT(vm_ask(&vm, CHANNEL_PAUSE, 0, NULL, 0), -EINVAL);
	CHECK_INT(vm_ask(&vm, CHANNEL_START, 1, NULL, 0), 0);
	CHECK_INT(vm_ask(&vm, CHANNEL_START, 1, NULL, 0), -EINVAL);
	CHECK(vm_expect(&vm, 1, CHANNEL_STDOUT, "tick\n"));
	CHECK_INT(vm_ask(&vm, CHANNEL_PAUSE, 0, NULL, 0), 0);
	CHECK_INT(vm_ask(&vm, CHANNEL_PAUSED, 0, NULL, 0), 0);
	answer = (struct channel_frame){ .data = (unsigned char *)vm.reply.data, .size = vm.reply.len };
	CHECK(channel_get_paused(&answer, &paused) == 0 && paused);
	vm_idle(&vm, 300);
	before = vm.sessions[1].out[1].len;
	vm_idle(&vm, 1000);
	CHECK_INT(vm.sessions[1].out[1].len, before);
	CHECK_INT(vm_exec(&vm, 2, "[\"true\"]", NULL), -EBUSY);
	CHECK_INT(vm_ask(&vm, CHANNEL_RESUME, 0, NULL, 0), 0);
	CHECK_INT(vm_ask(&vm, CHANNEL_UPDATE, 0, more_pids, strlen(more_pids)), 0);
	CHECK_INT(vm_ask(&vm, CHANNEL_UPDATE, 0, "{\"pids\":1}", 10), -EINVAL);
	CHECK_INT(vm_ask(&vm, CHANNEL_STATS, 0, NULL, 0), 0);
	CHECK_INT(stats_wire_read(vm.reply.data, vm.reply.len, &s), 0);
	CHECK(s.cpu.has && s.cpu.usage_ns > 0 && s.memory.current.value > 0 && s.memory.max.value == CGROUP_UNLIMITED);
	CHECK(s.pids.max.value == 77 && s.pids.current.value >= 1);
	CHECK_INT(vm_ask(&vm, CHANNEL_PIDS, 0, NULL, 0), 0);
	answer = (struct channel_frame){ .data = (unsigned char *)vm.reply.data, .size = vm.reply.len };
	CHECK(channel_get_pids(&answer, &pids, &n) == 0 && n >= 1 && pids[0] > 1);
	free(pids);
	kill_init(&vm, SIGKILL, true);
	CHECK_INT(vm_wait(&vm, 1), SIGKILL);
	CHECK(!vm.sessions[1].end.oom);
	vm_tell(&vm, CHANNEL_SHUTDOWN, 0, NULL, 0);
	for (int i = 0; i < 200 && !vm.gone; i++)
		vm_idle(&vm, 50);
	CHECK(vm.gone);
}

TEST(terminal)
{
	VM;
	const struct channel_exec tty = { .flags = CHANNEL_EXEC_TTY };

	if (!CHECK(vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]")) ||
	    !CHECK_INT(vm_run(&vm, "[\"sh\",\"-c\",\"tty; test -t 2 && read x; echo got $x; exec sleep 1000\"]", true), 0))
		return;
	CHECK(vm_expect(&vm, 1, CHANNEL_STDOUT, "/dev/pts/0\r\n"));
	CHECK(vm_write(&vm, 1, "hello\n", 6, false));
	CHECK(vm_expect(&vm, 1, CHANNEL_STDOUT, "got hello\r\n"));
	/* A terminal that is closed inside for a while is not gone; one that nobody outside holds any more hangs up. */
	CHECK_INT(vm_exec(&vm, 2, "[\"sh\",\"-c\",\"t=$(tty); exec <&- >&- 2>&-; sleep 1; echo again >$t; exit 6\"]", &tty), 0);
	CHECK_INT(vm_wait(&vm, 2), 6 << 8);
	CHECK(vm_expect(&vm, 2, CHANNEL_STDOUT, "again\r\n"));
	CHECK_INT(vm_exec(&vm, 3, "[\"sh\",\"-c\",\"trap 'exit 5' HUP; echo ready; while :; do sleep 1; done\"]", &tty), 0);
	CHECK(vm_expect(&vm, 3, CHANNEL_STDOUT, "ready\r\n"));
	CHECK_INT(channel_send_close(&vm.channel, 3, CHANNEL_STDOUT), 0);
	CHECK_INT(vm_wait(&vm, 3), 5 << 8);
	kill_init(&vm, SIGKILL, false);
	CHECK_INT(vm_wait(&vm, 1), SIGKILL);
}

/* More than there is: the kernel kills it, not us. */
TEST(memory)
{
	VM;

	if (!CHECK(vm_start(&vm, "160", "[{\"index\":2,\"flags\":[]}]")) || !CHECK_INT(vm_run(&vm, "[\"sh\",\"-c\",\"tail /dev/zero; exit $?\"]", false), 0))
		return;
	CHECK_INT(vm_wait(&vm, 1), 137 << 8);
	CHECK(vm.sessions[1].end.oom);
	CHECK(vm.oom_events > 0);
}

TEST(errors)
{
	VM;

	/* mounts[2] is a bind mount whose source is not in the share. */
	if (!CHECK(vm_start(&vm, "256", "[]")))
		return;
	CHECK_INT(vm_ask(&vm, CHANNEL_STATS, 0, NULL, 0), -ENOENT);
	CHECK_INT(vm_create(&vm, "[\"true\"]", false, ""), -EINVAL);
	CHECK(strstr(vm.reply.data, "mounts[2]") != NULL);
}

TEST(no_program)
{
	VM;

	if (!CHECK(vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]")))
		return;
	CHECK(vm_run(&vm, "[\"/no/such/program\"]", false) < 0);
	CHECK(strstr(vm.reply.data, "/no/such/program") != NULL);
}

/* Who writes to a reader that is gone learns it; one that cannot be executed, late; a user namespace. */
TEST(more)
{
	VM;
	static const char maps[] = ",\"uidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}],"
				   "\"gidMappings\":[{\"containerID\":0,\"hostID\":100000,\"size\":65536}]";
	_cleanup_free_ char *more = str_printf("%s", maps);

	if (!CHECK(vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]")) ||
	    !CHECK_INT(vm_create(&vm, "[\"sh\",\"-c\",\"head -n 1 /proc/self/uid_map; ls /sys/class/net; exec sleep 1000\"]", false, more), 0) ||
	    !CHECK_INT(vm_ask(&vm, CHANNEL_START, 1, NULL, 0), 0))
		return;
	CHECK(vm_expect(&vm, 1, CHANNEL_STDOUT, "100000      65536\nlo\n"));
	CHECK_INT(vm_exec(&vm, 2, "[\"yes\"]", NULL), 0);
	CHECK(vm_expect(&vm, 2, CHANNEL_STDOUT, "y\ny\n"));
	CHECK_INT(channel_send_close(&vm.channel, 2, CHANNEL_STDOUT), 0);
	CHECK_INT(vm_wait(&vm, 2), SIGPIPE);
	/* A text file without an interpreter line. */
	CHECK_INT(vm_exec(&vm, 3, "[\"/tmp/text\"]", NULL), -ENOENT);
	CHECK_INT(vm_exec(&vm, 4, "[\"sh\",\"-c\",\"cp /bin/busybox /tmp/x; : >/tmp/text; chmod 755 /tmp/text\"]", NULL), 0);
	CHECK_INT(vm_wait(&vm, 4), 0);
	CHECK_INT(vm_exec(&vm, 5, "[\"/tmp/text\"]", NULL), -ENOEXEC);
	CHECK_INT(vm_exec(&vm, 6, "[\"sh\",\"-c\",\"echo still there\"]", NULL), 0);
	CHECK_INT(vm_wait(&vm, 6), 0);
	CHECK(out_is(&vm, 6, CHANNEL_STDOUT, "still there\n", 12));
}

/* What fails at boot is told, and the machine switches itself off. */
TEST(boot_failure)
{
	VM;

	vm.bad_module = true;
	CHECK(!vm_start(&vm, "256", "[{\"index\":2,\"flags\":[]}]"));
	CHECK(vm.gone);
	CHECK(vm_console_has(&vm, "nacre-guest: cannot load module \"999-bad.ko\": Exec format error"));
	CHECK(vm_console_has(&vm, "reboot: Power down"));
}

/* All of them, or those whose names are given. */
int main(int argc, char **argv)
{
	static const struct test_case cases[] = { CASE(streams), CASE(inside), CASE(exec), CASE(control), CASE(terminal),
						  CASE(memory), CASE(errors), CASE(no_program), CASE(more), CASE(boot_failure) };
	int bad = 0;

	if (argc == 1)
		return test_main(cases, ARRAY_SIZE(cases));
	for (int i = 1; i < argc; i++)
		for (size_t k = 0; k < ARRAY_SIZE(cases); k++)
			if (strcmp(argv[i], cases[k].name) == 0)
				bad |= test_main(&cases[k], 1);
	return bad;
}
