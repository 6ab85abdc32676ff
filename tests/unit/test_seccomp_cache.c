/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled filters that are kept: what is taken, what is not, and that nothing that can be wrong there is an error. */
#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "seccomp/cache_file.h"
#include "seccomp/compile.h"
#include "seccomp/seccomp.h"
#include "tests/unit/bpf_eval.h"

#define NAMES 40	/* enough to be kept */
#define CACHE "cache"
#define DEFAULT_ACTION (SECCOMP_RET_ERRNO | EPERM)

/* A directory, what is cached in it, and a request: the first NAMES calls are allowed, but getppid. */
struct place {
	char path[32];
	int fd;
	struct seccomp_cache cache;
	char *names[NAMES];
	struct seccomp_rule rules[2];
	struct seccomp_arg arg;
	struct seccomp_req req;
};

static bool place_init(struct place *p)
{
	*p = (struct place){ .path = "/tmp/nacre-cache.XXXXXX", .fd = FD_NONE };
	if (mkdtemp(p->path) == NULL)
		return false;
	p->fd = open(p->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	p->cache = (struct seccomp_cache){ p->fd, CACHE, "test 1" };
	for (int i = 0; i < NAMES; i++)
		p->names[i] = seccomp_syscall_name(i);
	p->arg = (struct seccomp_arg){ 1, 7, 0, "SCMP_CMP_EQ" };
	p->rules[0] = (struct seccomp_rule){ .names = (const char *const *)p->names, .n_names = NAMES, .action = "SCMP_ACT_ALLOW" };
	p->rules[1] = (struct seccomp_rule){ .names = (const char *const *)p->names, .n_names = 1, .action = "SCMP_ACT_LOG",
					     .args = &p->arg, .n_args = 1 };
	p->req = (struct seccomp_req){ .default_action = "SCMP_ACT_ERRNO", .rules = p->rules, .n_rules = 1 };
	return p->fd >= 0;
}

static void place_deinit(struct place *p)
{
	char command[64];

	for (int i = 0; i < NAMES; i++)
		free(p->names[i]);
	fd_close(&p->fd);
	snprintf(command, sizeof(command), "rm -rf %s", p->path);
	if (system(command) != 0)
		printf("# cannot remove %s\n", p->path);
}

/* For what a case sets up. */
static void must(int r)
{
	if (r < 0) {
		printf("# cannot set a case up: %m\n");
		abort();
	}
}

/* Where the file of the request is, below the place. */
static const char *file_of(const struct place *p, char ret[64])
{
	_cleanup_buf_ struct buf key = BUF_NULL;
	char name[CACHE_NAME_SIZE];

	cache_key(&p->req, p->cache.writer, &key);
	cache_name(&key, name);
	snprintf(ret, 64, CACHE "/%s", name);
	return ret;
}

static size_t count(const struct place *p)
{
	int fd = openat(p->fd, CACHE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	size_t n = 0;

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2;
}

/* What the filter that is got says to a call. */
static uint32_t answer(const struct place *p, int nr)
{
	struct seccomp_data d = { .arch = AUDIT_ARCH_X86_64, .nr = nr };
	struct seccomp_program prog;
	uint32_t r;

	if (seccomp_compile_cached(&p->cache, &p->req, &prog) < 0)
		return 0;
	r = bpf_eval(&prog, &d);
	seccomp_program_deinit(&prog);
	return r;
}

/* A file as another one than the compiler would have written it: all calls are TRAP. Whoever takes it is found out. */
static void plant(const struct place *p, const char *path, const struct seccomp_req *req)
{
	static const struct sock_filter trap = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
	const struct seccomp_program prog = { (void *)(uintptr_t)&trap, sizeof(trap), 0, false };
	_cleanup_buf_ struct buf key = BUF_NULL, file = BUF_NULL;

	cache_key(req, p->cache.writer, &key);
	cache_file_write(&key, &prog, &file);
	mkdirat(p->fd, CACHE, 0700);
	unlinkat(p->fd, path, 0);
	file_create(p->fd, path, file.data, file.len, 0600);
}

/* The right answers, whatever is there; then a second time from what the first has left. kept: there is a good file now. */
static void check_right(struct test *t, const struct place *p, bool kept, const char *what)
{
	char path[64];
	bool ok = true;

	for (int i = 0; i < 2; i++) {
		ok = CHECK_INT(answer(p, 1), SECCOMP_RET_ALLOW) && ok;
		ok = CHECK_INT(answer(p, 110), DEFAULT_ACTION) && ok;
	}
	plant(p, CACHE "/probe", &p->req);
	if (kept) {
		/* A good file is taken: with this content it shows. */
		_cleanup_free_ char *data = NULL;
		size_t len;

		ok = CHECK_INT(renameat(p->fd, CACHE "/probe", p->fd, file_of(p, path)), 0) && ok;
		ok = CHECK_INT(answer(p, 1), SECCOMP_RET_TRAP) && ok;
		ok = CHECK_INT(file_read(p->fd, path, 1 << 20, &data, &len), 0) && ok;
	}
	if (!ok)
		printf("#   %s: %s\n", what, err_text());
}

TEST(a_hit_is_not_compiled)
{
	struct place p;
	struct stat st;
	char path[64];

	if (!CHECK(place_init(&p)))
		return;
	CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW);
	CHECK_INT(count(&p), 1);
	CHECK(fstatat(p.fd, CACHE, &st, 0) == 0 && (st.st_mode & 07777) == 0700);
	CHECK(fstatat(p.fd, file_of(&p, path), &st, 0) == 0 && (st.st_mode & 07777) == 0600 && st.st_nlink == 1);
	plant(&p, path, &p.req);
	CHECK_INT(answer(&p, 1), SECCOMP_RET_TRAP);
	/* Another version's is not. */
	p.cache.writer = "test 2";
	CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW);
	CHECK_INT(count(&p), 2);
	place_deinit(&p);
}

TEST(a_hit_is_what_was_compiled)
{
	static const char *const flags[] = { "SECCOMP_FILTER_FLAG_LOG" };
	struct seccomp_program plain, first, second;
	struct place p;

	if (!CHECK(place_init(&p)))
		return;
	p.rules[0].action = "SCMP_ACT_NOTIFY";
	p.req.flags = flags;
	p.req.n_flags = 1;
	p.req.newer_enosys = true;
	CHECK_INT(seccomp_compile_as(&p.req, true, &plain, NULL), 0);
	CHECK_INT(seccomp_compile_cached(&p.cache, &p.req, &first), 0);
	CHECK_INT(seccomp_compile_cached(&p.cache, &p.req, &second), 0);
	CHECK(plain.len == first.len && memcmp(plain.filter, first.filter, plain.len) == 0);
	CHECK(plain.len == second.len && memcmp(plain.filter, second.filter, plain.len) == 0);
	CHECK(plain.uses_notify && first.uses_notify && second.uses_notify);
	CHECK_INT(first.flags, plain.flags);
	CHECK_INT(second.flags, plain.flags);
	seccomp_program_deinit(&plain);
	seccomp_program_deinit(&first);
	seccomp_program_deinit(&second);
	place_deinit(&p);
}

TEST(not_kept)
{
	struct seccomp_program prog;
	struct place p;

	if (!CHECK(place_init(&p)))
		return;
	/* Without a cache; a short request; one that is no request. */
	p.cache.parent = FD_NONE;
	CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW);
	p.cache.parent = p.fd;
	p.rules[0].n_names = SECCOMP_CACHE_FROM - 1;
	CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW);
	p.rules[0].action = "SCMP_ACT_DANCE";
	CHECK_INT(seccomp_compile_cached(&p.cache, &p.req, &prog), -EINVAL);
	CHECK_STR(err_text(), "seccomp syscalls[0]: unknown action \"SCMP_ACT_DANCE\"");
	CHECK_INT(faccessat(p.fd, CACHE, F_OK, 0), -1);
	p.rules[0].action = "SCMP_ACT_ALLOW";
	p.rules[0].n_names = SECCOMP_CACHE_FROM;
	CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW);
	CHECK_INT(count(&p), 1);
	place_deinit(&p);
}

/* Each thing that a request can differ in makes another key; the second time the same. */
TEST(keys)
{
	static const char *const archs[] = { "SCMP_ARCH_X86", "SCMP_ARCH_X32" };
	static const char *const flags[] = { "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC" };
	struct buf keys[24] = { 0 };
	struct place p;
	size_t n = 0;

	if (!CHECK(place_init(&p)))
		return;
	p.req.n_rules = 2;
#define NEXT(change) \
	do { \
		struct buf again = BUF_NULL; \
		change; \
		cache_key(&p.req, p.cache.writer, &keys[n]); \
		cache_key(&p.req, p.cache.writer, &again); \
		CHECK(!again.failed && again.len == keys[n].len && memcmp(again.data, keys[n].data, again.len) == 0); \
		buf_deinit(&again); \
		n++; \
	} while (0)
	NEXT(p.cache.writer = "test 1");
	NEXT(p.cache.writer = "test 2");
	NEXT(p.req.default_action = "SCMP_ACT_KILL");
	NEXT(p.req.default_action = "SCMP_ACT_ERRNO"; p.req.has_default_errno_ret = true);
	NEXT(p.req.default_errno_ret = 38);
	NEXT(p.req.architectures = archs; p.req.n_architectures = 1);
	NEXT(p.req.n_architectures = 2);
	NEXT(p.req.flags = flags);
	NEXT(p.req.n_flags = 1);
	NEXT(p.req.n_flags = 2);
	NEXT(p.req.newer_enosys = true);
	NEXT(p.rules[0].n_names--);
	NEXT(p.rules[1].action = "SCMP_ACT_ERRNO");
	NEXT(p.rules[1].has_errno_ret = true);
	NEXT(p.rules[1].errno_ret = 5);
	NEXT(p.arg.index = 2);
	NEXT(p.arg.value = 8);
	NEXT(p.arg.value_two = 1);
	NEXT(p.arg.op = "SCMP_CMP_NE");
	NEXT(p.rules[1].n_args = 0);
	NEXT(p.req.n_rules = 1);
#undef NEXT
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			if (!CHECK(keys[i].len != keys[k].len || memcmp(keys[i].data, keys[k].data, keys[i].len) != 0))
				printf("#   keys %zu and %zu\n", k, i);
	for (size_t i = 0; i < n; i++)
		buf_deinit(&keys[i]);
	place_deinit(&p);
}

/* A name that is another key's, too, as somebody may make: nothing but the whole key decides. */
TEST(a_name_alone_is_no_hit)
{
	struct seccomp_req other;
	struct place p;
	char path[64];

	if (!CHECK(place_init(&p)))
		return;
	other = p.req;
	other.default_action = "SCMP_ACT_ALLOW";
	plant(&p, file_of(&p, path), &other);
	check_right(t, &p, true, "the file of another request");
	CHECK_INT(count(&p), 1);
	place_deinit(&p);
}

static void damage(const struct place *p, const char *path, size_t keep, size_t offset, char change)
{
	_cleanup_free_ char *data = NULL;
	size_t len;

	if (file_read(p->fd, path, 1 << 20, &data, &len) < 0)
		return;
	if (keep < len)
		len = keep;
	if (offset < len)
		data[offset] = (char)(data[offset] ^ change);
	unlinkat(p->fd, path, 0);
	file_create(p->fd, path, data, len, 0600);
}

TEST(damaged_files_are_replaced)
{
	static const struct {
		const char *what;
		size_t keep, offset;
	} cases[] = {
		{ "empty", 0, SIZE_MAX }, { "a part of the head", 20, SIZE_MAX }, { "the head", CACHE_FILE_HEAD, SIZE_MAX },
		{ "without its end", 600, SIZE_MAX }, { "magic", SIZE_MAX, 0 }, { "version", SIZE_MAX, 8 },
		{ "length of the key", SIZE_MAX, 12 }, { "length of the program", SIZE_MAX, 16 }, { "zero", SIZE_MAX, 20 },
		{ "sum", SIZE_MAX, CACHE_FILE_SUM_AT }, { "key", SIZE_MAX, CACHE_FILE_HEAD + 9 }, { "the middle", SIZE_MAX, 500 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct place p;
		char path[64];

		if (!CHECK(place_init(&p)))
			return;
		CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW);
		damage(&p, file_of(&p, path), cases[i].keep, cases[i].offset, 1);
		check_right(t, &p, true, cases[i].what);
		CHECK_INT(count(&p), 1);
		place_deinit(&p);
	}
}

/* The reader alone: each byte, each length. */
TEST(file_form)
{
	_cleanup_buf_ struct buf key = BUF_NULL, file = BUF_NULL;
	struct seccomp_program prog;
	const char *program;
	struct place p;
	size_t len;

	if (!CHECK(place_init(&p)))
		return;
	CHECK_INT(seccomp_compile_as(&p.req, true, &prog, NULL), 0);
	cache_key(&p.req, "test", &key);
	cache_file_write(&key, &prog, &file);
	CHECK_STR(cache_file_parse(file.data, file.len, &key, &program, &len), NULL);
	CHECK(len == prog.len && memcmp(program, prog.filter, len) == 0);
	for (size_t i = 0; i < file.len; i++) {
		CHECK(cache_file_parse(file.data, i, &key, &program, &len) != NULL);
		file.data[i] ^= 0x10;
		CHECK(cache_file_parse(file.data, file.len, &key, &program, &len) != NULL);
		file.data[i] ^= 0x10;
	}
	CHECK_STR(cache_file_parse(file.data, file.len, &key, &program, &len), NULL);
	/* A length that would be right modulo 2^32. */
	memset(file.data + 12, 0xff, 8);
	CHECK_STR(cache_file_parse(file.data, file.len, &key, &program, &len), "wrong length");
	seccomp_program_deinit(&prog);
	place_deinit(&p);
}

TEST(program_faults)
{
	static const struct sock_filter ret = BPF_STMT(BPF_RET | BPF_K, 0);
	static const struct {
		struct sock_filter first;
		const char *fault;	/* of it and a return */
	} cases[] = {
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), NULL },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 60), NULL },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), "loads from outside of the call's data" },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), "loads from outside of the call's data" },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffffffc), "loads from outside of the call's data" },
		{ BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 7), NULL },
		{ BPF_STMT(BPF_JMP | BPF_JA, 0), NULL },
		{ BPF_STMT(BPF_JMP | BPF_JA, 1), "jumps out of the program" },
		{ BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), "jumps out of the program" },
		{ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0), NULL },
		{ BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 1, 1, 0), "jumps out of the program" },
		{ BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 0, 1), "jumps out of the program" },
		{ BPF_STMT(BPF_RET | BPF_A, 0), "has an instruction that no filter of ours has" },
		{ BPF_STMT(BPF_ST, 0), "has an instruction that no filter of ours has" },
		{ BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), "has an instruction that no filter of ours has" },
	};
	static struct sock_filter many[BPF_MAXINSNS + 1];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct sock_filter program[] = { cases[i].first, ret };

		if (!CHECK_STR(cache_program_fault(program, sizeof(program)), cases[i].fault))
			printf("#   case %zu\n", i);
	}
	CHECK_STR(cache_program_fault(&ret, sizeof(ret)), NULL);
	CHECK_STR(cache_program_fault(&cases[0].first, sizeof(ret)), "has no end");
	CHECK_STR(cache_program_fault(&cases[5].first, sizeof(ret)), "has no end");
	CHECK_STR(cache_program_fault(&ret, 0), "wrong length of the program");
	CHECK_STR(cache_program_fault(&ret, sizeof(ret) - 1), "wrong length of the program");
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = ret;
	CHECK_STR(cache_program_fault(many, sizeof(many) - sizeof(ret)), NULL);
	CHECK_STR(cache_program_fault(many, sizeof(many)), "wrong length of the program");
}

static void put_link(const struct place *p, const char *path)
{
	plant(p, "elsewhere", &p->req);
	must(symlinkat("../elsewhere", p->fd, path));
}

static void put_second_name(const struct place *p, const char *path)
{
	plant(p, "elsewhere", &p->req);
	must(linkat(p->fd, "elsewhere", p->fd, path, 0));
}

static void put_fifo(const struct place *p, const char *path)
{
	must(mkfifoat(p->fd, path, 0600));
}

static void put_readable(const struct place *p, const char *path)
{
	plant(p, path, &p->req);
	must(fchmodat(p->fd, path, 0644, 0));
}

static void put_writable(const struct place *p, const char *path)
{
	plant(p, path, &p->req);
	must(fchmodat(p->fd, path, 0602, 0));
}

static void put_foreign(const struct place *p, const char *path)
{
	plant(p, path, &p->req);
	must(fchownat(p->fd, path, 1000, 1000, 0));
}

static void put_directory(const struct place *p, const char *path)
{
	mkdirat(p->fd, path, 0700);
}

TEST(what_is_no_file_of_ours_is_replaced)
{
	static const struct {
		const char *what;
		void (*put)(const struct place *p, const char *path);
		bool root, stays;
	} cases[] = {
		{ "a symbolic link", put_link, false, false },	  { "a second name", put_second_name, false, false },
		{ "a fifo", put_fifo, false, false },		  { "readable for others", put_readable, false, false },
		{ "writable for others", put_writable, false, false }, { "another user's", put_foreign, true, false },
		{ "a directory", put_directory, false, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct place p;
		char path[64];

		if (cases[i].root && geteuid() != 0)
			continue;
		if (!CHECK(place_init(&p)))
			return;
		mkdirat(p.fd, CACHE, 0700);
		cases[i].put(&p, file_of(&p, path));
		check_right(t, &p, !cases[i].stays, cases[i].what);
		place_deinit(&p);
	}
}

static void dir_link(const struct place *p)
{
	mkdirat(p->fd, "other", 0700);
	must(symlinkat("other", p->fd, CACHE));
}

static void dir_open(const struct place *p)
{
	mkdirat(p->fd, CACHE, 0700);
	must(fchmodat(p->fd, CACHE, 0750, 0));
}

static void dir_foreign(const struct place *p)
{
	mkdirat(p->fd, CACHE, 0700);
	must(fchownat(p->fd, CACHE, 1000, 1000, 0));
}

static void dir_file(const struct place *p)
{
	file_create(p->fd, CACHE, "", 0, 0600);
}

static void parent_writable(const struct place *p)
{
	mkdirat(p->fd, CACHE, 0700);
	must(fchmod(p->fd, 0770));
}

static void parent_foreign(const struct place *p)
{
	mkdirat(p->fd, CACHE, 0700);
	must(fchown(p->fd, 1000, 1000));
}

/* A file that would be taken is in there, by whatever way it is reached. */
TEST(a_directory_that_is_not_ours_alone_is_not_used)
{
	static const struct {
		const char *what;
		void (*make)(const struct place *p);
		bool root;
	} cases[] = {
		{ "a symbolic link", dir_link, false },		 { "open for a group", dir_open, false },
		{ "another user's", dir_foreign, true },	 { "a file", dir_file, false },
		{ "in one that others may write", parent_writable, false }, { "in another user's", parent_foreign, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct place p;
		char path[64];
		size_t before;

		if (cases[i].root && geteuid() != 0)
			continue;
		if (!CHECK(place_init(&p)))
			return;
		cases[i].make(&p);
		plant(&p, file_of(&p, path), &p.req);
		before = count(&p);
		err_clear();
		if (!CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW) || !CHECK_INT(count(&p), before) || !CHECK_STR(err_text(), ""))
			printf("#   %s\n", cases[i].what);
		place_deinit(&p);
	}
}

/* Writes that end in the middle: as on a full disk. In a child, since the limit is a process's. */
TEST(a_full_disk_is_no_failure)
{
	struct seccomp_program prog;
	struct place p;
	int status = -1;
	pid_t pid;

	if (!CHECK(place_init(&p)) || !CHECK_INT(seccomp_compile_as(&p.req, true, &prog, NULL), 0))
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		/* libseccomp before 2.6 writes the program to a file, in memory. */
		const struct rlimit small = { prog.len + 8, prog.len + 8 };

		signal(SIGXFSZ, SIG_IGN);
		if (mkdirat(p.fd, CACHE, 0700) < 0 || setrlimit(RLIMIT_FSIZE, &small) < 0)
			_exit(2);
		_exit(answer(&p, 1) == SECCOMP_RET_ALLOW && answer(&p, 110) == DEFAULT_ACTION && count(&p) == 0 ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	CHECK_INT(status, 0);
	CHECK_INT(count(&p), 0);
	seccomp_program_deinit(&prog);
	check_right(t, &p, true, "with room again");
	place_deinit(&p);
}

TEST(the_oldest_go)
{
	char first[64], last[64], writer[16];
	struct place p;

	if (!CHECK(place_init(&p)))
		return;
	for (int i = 0; i < SECCOMP_CACHE_FILES + 8; i++) {
		snprintf(writer, sizeof(writer), "test %d", i);
		p.cache.writer = writer;
		CHECK_INT(answer(&p, 1), SECCOMP_RET_ALLOW);
		if (i == 8)
			file_of(&p, first);
		if (i == 7)
			file_of(&p, last);
		/* What is not ours by its name stays, and does not count. */
		if (i == 0)
			file_create(p.fd, CACHE "/notes", "", 0, 0600);
	}
	CHECK_INT(count(&p), SECCOMP_CACHE_FILES + 1);
	CHECK_INT(faccessat(p.fd, first, F_OK, 0), 0);
	CHECK_INT(faccessat(p.fd, last, F_OK, 0), -1);
	CHECK_INT(faccessat(p.fd, file_of(&p, last), F_OK, 0), 0);
	place_deinit(&p);
}

TEST(many_at_once)
{
	enum { RUNS = 8 };
	struct place p;
	pid_t pids[RUNS];

	if (!CHECK(place_init(&p)))
		return;
	fflush(stdout);
	for (int i = 0; i < RUNS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			char writer[16], path[64];
			bool ok = true;

			/* Each of three keys, again and again, and away with it. */
			for (int k = 0; k < 20; k++) {
				snprintf(writer, sizeof(writer), "test %d", (i + k) % 3);
				p.cache.writer = writer;
				ok = ok && answer(&p, 1) == SECCOMP_RET_ALLOW && answer(&p, 110) == DEFAULT_ACTION;
				if (k % 7 == 0)
					unlinkat(p.fd, file_of(&p, path), 0);
			}
			_exit(ok ? 0 : 1);
		}
	}
	for (int i = 0; i < RUNS; i++) {
		int status = -1;

		waitpid(pids[i], &status, 0);
		CHECK_INT(status, 0);
	}
	CHECK(count(&p) <= 3);
	p.cache.writer = "test 0";
	check_right(t, &p, true, "after all of them");
	place_deinit(&p);
}

/* As a tree it would be too long, or leave no room for what comes before it: then it is a chain. */
TEST(a_tree_that_is_too_long)
{
	/* All that libseccomp 2.5 knows of this byte order: 3600 instructions, a quarter more as a tree. */
	static const char *const archs[] = { "SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM",
					     "SCMP_ARCH_AARCH64", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64",
					     "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64" };
	struct seccomp_program chain = { 0 }, tree, got;
	char *names[600];
	struct place p;

	if (!CHECK(place_init(&p)))
		return;
	p.rules[0].names = (const char *const *)names;
	p.rules[0].n_names = 0;
	for (int i = 0; i < 600; i++) {
		names[p.rules[0].n_names] = seccomp_syscall_name(i);
		p.rules[0].n_names += names[p.rules[0].n_names] != NULL;
	}
	p.req.newer_enosys = true;
	p.req.architectures = archs;
	p.req.n_architectures = ARRAY_SIZE(archs);
	CHECK_INT(seccomp_compile_as(&p.req, false, &chain, NULL), 0);
	CHECK_INT(seccomp_compile_as(&p.req, true, &tree, NULL), -E2BIG);
	err_clear();
	if (CHECK_INT(seccomp_compile_cached(&p.cache, &p.req, &got), 0)) {
		CHECK(got.len == chain.len && memcmp(got.filter, chain.filter, got.len) == 0);
		CHECK_STR(err_text(), "");
		CHECK_INT(count(&p), 1);
		seccomp_program_deinit(&got);
	}
	seccomp_program_deinit(&chain);
	for (size_t i = 0; i < p.rules[0].n_names; i++)
		free(names[i]);
	place_deinit(&p);
}

TEST_MAIN(CASE(a_hit_is_not_compiled), CASE(a_hit_is_what_was_compiled), CASE(not_kept), CASE(keys), CASE(a_name_alone_is_no_hit),
	  CASE(damaged_files_are_replaced), CASE(file_form), CASE(program_faults), CASE(what_is_no_file_of_ours_is_replaced),
	  CASE(a_directory_that_is_not_ours_alone_is_not_used), CASE(a_full_disk_is_no_failure), CASE(the_oldest_go),
	  CASE(many_at_once), CASE(a_tree_that_is_too_long))
