/* SPDX-License-Identifier: Apache-2.0 */
/* What a process runs: HOME, the search in PATH, execve and why it failed. See process.h. */
#include "namespaces/process.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

#define PASSWD_MAX ((size_t)1024 * 1024)

static const char *env_get(const struct process_req *p, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < p->n_env; i++)
		if (strncmp(p->env[i], name, len) == 0 && p->env[i][len] == '=')
			return p->env[i] + len + 1;
	return NULL;
}

/* Field i (0…) of a passwd line, cut in place. */
static char *field(char *line, unsigned int i)
{
	while (i-- > 0) {
		line = strchr(line, ':');
		if (line == NULL)
			return NULL;
		line++;
	}
	line[strcspn(line, ":")] = '\0';
	return line;
}

/* The image's own /etc/passwd: any file may stand there, so no blocking, a size limit, no library parser. */
static char *passwd_home(uid_t uid)
{
	_cleanup_close_ int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	char *save = NULL;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fd_read_regular(fd, (size_t)st.st_size, PASSWD_MAX, &text, NULL) < 0)
		return NULL;
	for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_free_ char *copy = strdup(line);
		char *id = copy != NULL ? field(copy, 2) : NULL;
		uint64_t v;

		if (id == NULL || parse_u64(id, 0, UINT32_MAX, &v) < 0 || v != uid)
			continue;
		id = field(line, 5);
		return id != NULL && id[0] == '/' ? strdup(id) : NULL;
	}
	return NULL;
}

int process_set_home(struct process_req *p)
{
	const char *now = env_get(p, "HOME");
	_cleanup_free_ char *home = NULL;
	char *entry;

	if (now != NULL && *now != '\0')
		return 0;
	home = passwd_home(p->uid);
	entry = str_printf("HOME=%s", home != NULL ? home : "/");
	if (entry == NULL)
		return ERR_NOMEM();
	for (size_t i = 0; i < p->n_env; i++) {
		if (str_starts(p->env[i], "HOME=")) {
			p->env[i] = entry;
			return 0;
		}
	}
	p->env[p->n_env++] = entry;
	p->env[p->n_env] = NULL;
	return 0;
}

/* 0 when path is an executable file; the errno otherwise. */
static int executable(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode) || !(st.st_mode & 0111))
		return -EACCES;
	return 0;
}

static int search_path(const char *name, const char *path, char **ret_path)
{
	int found = -ENOENT;

	for (;; path++) {
		size_t len = strcspn(path, ":");
		_cleanup_free_ char *candidate = str_printf("%.*s%s%s", (int)len, path, len > 0 ? "/" : "./", name);
		int r;

		if (candidate == NULL)
			return -ENOMEM;
		r = executable(candidate);
		if (r == 0) {
			*ret_path = candidate;
			candidate = NULL;
			return 0;
		}
		if (r == -EACCES)
			found = r;
		path += len;
		if (*path == '\0')
			return found;
	}
}

/*
 * The two errors that become a status of their own, 127 and 126: docker's client looks for the words as Go has them, in small letters
 * (cli/command/container/run.go); podman and the C library's users do not mind.
 */
static int refuse(int r, const char *name)
{
	if (r == -ENOENT)
		return ERR_PLAIN(r, "exec \"%s\": no such file or directory", name);
	if (r == -EACCES)
		return ERR_PLAIN(r, "exec \"%s\": permission denied", name);
	return ERR(r, "exec \"%s\"", name);
}

int process_find_executable(const struct process_req *p, char **ret_path)
{
	const char *name = p->args[0], *path;
	int r;

	if (strchr(name, '/') != NULL) {
		r = executable(name);
		if (r == -EISDIR)
			return ERR_PLAIN(-EACCES, "exec \"%s\": is a directory: permission denied", name);
		if (r < 0)
			return refuse(r, name);
		*ret_path = strdup(name);
		return *ret_path == NULL ? ERR_NOMEM() : 0;
	}
	path = env_get(p, "PATH");
	if (path == NULL)
		path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	r = *name == '\0' ? -ENOENT : search_path(name, path, ret_path);
	if (r == -EACCES)
		return refuse(r, name);
	if (r < 0)
		return ERR(r, "exec \"%s\": executable file not found in $PATH", name);
	return 0;
}

/* The interpreter that a file names: "#!" line or ELF PT_INTERP. Empty when it names none. */
static void interpreter_of(const char *path, char *out, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char head[256] = "";
	Elf64_Ehdr eh;

	out[0] = '\0';
	if (fd < 0 || pread(fd, head, sizeof(head) - 1, 0) < (ssize_t)2)
		return;
	if (head[0] == '#' && head[1] == '!') {
		const char *s = head + 2 + strspn(head + 2, " \t");

		snprintf(out, size, "%.*s", (int)strcspn(s, " \t\n"), s);
		return;
	}
	if (pread(fd, &eh, sizeof(eh), 0) != (ssize_t)sizeof(eh) || memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64)
		return;
	for (unsigned int i = 0; i < eh.e_phnum && i < 64; i++) {
		Elf64_Phdr ph;

		if (pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + i * sizeof(ph))) != (ssize_t)sizeof(ph))
			return;
		if (ph.p_type == PT_INTERP) {
			size_t len = ph.p_filesz < size ? (size_t)ph.p_filesz : size - 1;
			ssize_t n = pread(fd, out, len, (off_t)ph.p_offset);

			out[n > 0 ? n : 0] = '\0';
			return;
		}
	}
}

int process_exec(const char *path, const struct process_req *p)
{
	char interpreter[PATH_MAX];
	int r;

	/* execve's prototype wants char *const; it writes to neither. */
	execve(path, (char *const *)(uintptr_t)p->args, (char *const *)(uintptr_t)p->env);
	r = -errno;
	if (r == -ENOENT || r == -EACCES) {
		interpreter_of(path, interpreter, sizeof(interpreter));
		if (interpreter[0] != '\0' && interpreter[strlen(interpreter) - 1] == '\r')
			return ERR_PLAIN(r, "exec \"%s\": its interpreter's name ends in a carriage return (DOS line ends): no such file or directory",
					 path);
		if (interpreter[0] != '\0' && executable(interpreter) < 0)
			return ERR(r, "exec \"%s\": its interpreter \"%s\"", path, interpreter);
	}
	return refuse(r, path);
}
