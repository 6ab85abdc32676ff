/* SPDX-License-Identifier: Apache-2.0 */
/* See self_exe.h for what this is about. */
#include "runtime/self_exe_swap.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/prctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"

static uintptr_t page_down(uintptr_t a)
{
	return a & ~(uintptr_t)(getauxval(AT_PAGESZ) - 1);
}

static uintptr_t page_up(uintptr_t a)
{
	return page_down(a + (uintptr_t)getauxval(AT_PAGESZ) - 1);
}

/*
 * By hand: a sanitizer's memcpy would look at the red zones between our variables, and the
 * copy has to be exact while the memory it stands on is replaced.
 */
__attribute__((no_sanitize("address", "undefined"), noinline)) static void copy_pages(void *to, const void *from,
										      size_t len)
{
	volatile uint64_t *t = to;
	const volatile uint64_t *f = from;

	for (size_t i = 0; i < len / sizeof(*t); i++)
		t[i] = f[i];
}

struct span {
	uintptr_t from, to;	/* page-aligned */
	int protection;
};

static struct span segment_span(const struct dl_phdr_info *info, const ElfW(Phdr) *p)
{
	return (struct span){
		.from = page_down(info->dlpi_addr + p->p_vaddr),
		.to = page_up(info->dlpi_addr + p->p_vaddr + p->p_filesz),
		.protection = (p->p_flags & PF_R ? PROT_READ : 0) | (p->p_flags & PF_W ? PROT_WRITE : 0) |
			      (p->p_flags & PF_X ? PROT_EXEC : 0),
	};
}

/*
 * The same bytes at the same address with the same protection, from no file: copied into
 * place's counterpart in one anonymous mapping, and moved over the original.
 */
static int replace_span(const struct span *s, char *copy)
{
	size_t len = s->to - s->from;

	copy_pages(copy, (const void *)s->from, len);
	if (s->protection != (PROT_READ | PROT_WRITE) && mprotect(copy, len, s->protection) < 0)
		return -errno;
	if (mremap(copy, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)s->from) == MAP_FAILED)
		return -errno;
	return 0;
}

static int replace_segments(const struct dl_phdr_info *info)
{
	uintptr_t low = UINTPTR_MAX, high = 0;
	char *copy;
	int r = 0;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const struct span s = segment_span(info, &info->dlpi_phdr[i]);

		if (info->dlpi_phdr[i].p_type != PT_LOAD || s.from == s.to)
			continue;
		low = s.from < low ? s.from : low;
		high = s.to > high ? s.to : high;
	}
	copy = low < high ? mmap(NULL, high - low, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
	if (copy == MAP_FAILED)
		return -ENOMEM;
	for (int i = 0; r == 0 && i < info->dlpi_phnum; i++) {
		const struct span s = segment_span(info, &info->dlpi_phdr[i]);

		if (info->dlpi_phdr[i].p_type == PT_LOAD && s.from != s.to)
			r = replace_span(&s, copy + (s.from - low));
	}
	/* What was moved away left holes; the rest of a failure is only memory of a process that ends soon. */
	return r;
}

/* What the loader made read-only after relocation lies in a writable segment: read-only again. */
static int protect_relro(const struct dl_phdr_info *info, const ElfW(Phdr) *p)
{
	uintptr_t from = page_down(info->dlpi_addr + p->p_vaddr);
	uintptr_t to = page_down(info->dlpi_addr + p->p_vaddr + p->p_memsz);

	return from < to && mprotect((void *)from, to - from, PROT_READ) < 0 ? -errno : 0;
}

/* The first object that dl_iterate_phdr(3) names is the program. */
static int replace_program(struct dl_phdr_info *info, size_t size, void *arg)
{
	int *ret = arg;

	(void)size;
	*ret = replace_segments(info);
	for (int i = 0; *ret == 0 && i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO)
			*ret = protect_relro(info, &info->dlpi_phdr[i]);
	return 1;
}

/*
 * PR_SET_MM_MAP sets all addresses of the process' description at once, so they are read
 * first: fields of /proc/PID/stat, by their numbers in proc(5).
 */
static int read_map(struct prctl_mm_map *map)
{
	const struct {
		unsigned int number;
		__u64 *dest;
	} fields[] = {
		{ 26, &map->start_code }, { 27, &map->end_code },  { 28, &map->start_stack }, { 45, &map->start_data },
		{ 46, &map->end_data },	  { 47, &map->start_brk }, { 48, &map->arg_start },   { 49, &map->arg_end },
		{ 50, &map->env_start },  { 51, &map->env_end },
	};
	_cleanup_close_ int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	char text[1024], *p, *save = NULL;
	size_t next = 0;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return -EIO;
	text[n] = '\0';
	p = strrchr(text, ')');
	if (p == NULL)
		return -EBADMSG;
	p = strtok_r(p + 1, " \n", &save);
	for (unsigned int number = 3; p != NULL && next < sizeof(fields) / sizeof(fields[0]); number++) {
		uint64_t v = 0;

		if (number == fields[next].number) {
			if (parse_u64(p, 1, UINT64_MAX, &v) < 0)
				return -EBADMSG;
			*fields[next++].dest = v;
		}
		p = strtok_r(NULL, " \n", &save);
	}
	map->brk = (__u64)(uintptr_t)sbrk(0);
	return next == sizeof(fields) / sizeof(fields[0]) && map->brk >= map->start_brk ? 0 : -EBADMSG;
}

int self_exe_swap(int tree)
{
	_cleanup_close_ int exe = FD_NONE;
	struct prctl_mm_map map = { 0 };
	char path[64];
	int r = read_map(&map);

	if (r < 0)
		return r;
	/* The tree's fd is O_PATH; the kernel wants a file that is really open, through the read-only mount. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tree);
	exe = open(path, O_RDONLY | O_CLOEXEC);
	if (exe < 0)
		return -errno;
	dl_iterate_phdr(replace_program, &r);
	if (r < 0)
		return r;
	map.exe_fd = (__u32)exe;
	return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof(map), 0) < 0 ? -errno : 0;
}
