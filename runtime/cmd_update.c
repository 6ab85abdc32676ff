/* SPDX-License-Identifier: Apache-2.0 */
/* nacre update: limits of a container that is there, from a file and from options. */
#include "runtime/command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "oci/spec.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"
#include "runtime/lifecycle.h"

enum value { SIZE, SIGNED, UNSIGNED, TEXT, ZERO_OR_ONE, WEIGHT, V1 };

#define MANY 16

struct flags {
	const char *file, *l3_cache_schema, *mem_bw_schema;
	const char *given[MANY];	/* by the index in limits */
};

/* An option, and where its value goes; has: the bool that goes with it, 0: none. */
static const struct limit {
	const char *name;
	enum value type;
	size_t at, has;
} limits[] = {
	{ "memory", SIZE, offsetof(struct spec_resources, memory_limit), 0 },
	{ "memory-reservation", SIZE, offsetof(struct spec_resources, memory_reservation), 0 },
	{ "memory-swap", SIZE, offsetof(struct spec_resources, memory_swap), 0 },
	{ "cpu-share", UNSIGNED, offsetof(struct spec_resources, cpu_shares), 0 },
	{ "cpu-quota", SIGNED, offsetof(struct spec_resources, cpu_quota), 0 },
	{ "cpu-period", UNSIGNED, offsetof(struct spec_resources, cpu_period), 0 },
	{ "cpu-burst", UNSIGNED, offsetof(struct spec_resources, cpu_burst), offsetof(struct spec_resources, has_cpu_burst) },
	{ "cpu-idle", ZERO_OR_ONE, offsetof(struct spec_resources, cpu_idle), offsetof(struct spec_resources, has_cpu_idle) },
	{ "cpuset-cpus", TEXT, offsetof(struct spec_resources, cpus), 0 },
	{ "cpuset-mems", TEXT, offsetof(struct spec_resources, mems), 0 },
	{ "pids-limit", SIGNED, offsetof(struct spec_resources, pids_limit), offsetof(struct spec_resources, has_pids) },
	{ "blkio-weight", WEIGHT, offsetof(struct spec_resources, block_io_weight), 0 },
	{ "cpu-rt-period", V1, 0, 0 },
	{ "cpu-rt-runtime", V1, 0, 0 },
	{ "kernel-memory", V1, 0, 0 },
	{ "kernel-memory-tcp", V1, 0, 0 },
};

#define GIVEN(i) (offsetof(struct flags, given) + (i) * sizeof(const char *))

static const struct option_row rows[] = {
	{ 'r', "resources", "FILE", "a linux.resources object as JSON; - is standard input", OPTION_STRING,
	  offsetof(struct flags, file) },
	{ 0, "memory", "BYTES", "memory.max; 512m, 2g, -1 for no limit", OPTION_STRING, GIVEN(0) },
	{ 0, "memory-reservation", "BYTES", "memory.low", OPTION_STRING, GIVEN(1) },
	{ 0, "memory-swap", "BYTES", "memory and swap together", OPTION_STRING, GIVEN(2) },
	{ 0, "cpu-share", "N", "2 to 262144, 1024 is the usual share", OPTION_STRING, GIVEN(3) },
	{ 0, "cpu-quota", "USEC", "CPU time per period; -1 for no limit", OPTION_STRING, GIVEN(4) },
	{ 0, "cpu-period", "USEC", "length of a period", OPTION_STRING, GIVEN(5) },
	{ 0, "cpu-burst", "USEC", "unused quota that may be saved up", OPTION_STRING, GIVEN(6) },
	{ 0, "cpu-idle", "0|1", "run only when nobody else wants the CPU", OPTION_STRING, GIVEN(7) },
	{ 0, "cpuset-cpus", "LIST", "CPUs to run on, 0-3,7", OPTION_STRING, GIVEN(8) },
	{ 0, "cpuset-mems", "LIST", "memory nodes to use", OPTION_STRING, GIVEN(9) },
	{ 0, "pids-limit", "N", "processes and threads; 0 allows no new one, -1 any number", OPTION_STRING, GIVEN(10) },
	{ 0, "blkio-weight", "N", "10 to 1000", OPTION_STRING, GIVEN(11) },
	{ 0, "l3-cache-schema", "LINE", "share of the caches, L3:0=ff;1=ff (linux.intelRdt)", OPTION_STRING,
	  offsetof(struct flags, l3_cache_schema) },
	{ 0, "mem-bw-schema", "LINE", "share of the memory bandwidth, MB:0=20;1=70", OPTION_STRING,
	  offsetof(struct flags, mem_bw_schema) },
	/* cgroup v1's; engines for it know them. */
	{ 0, "cpu-rt-period", "USEC", NULL, OPTION_STRING, GIVEN(12) },
	{ 0, "cpu-rt-runtime", "USEC", NULL, OPTION_STRING, GIVEN(13) },
	{ 0, "kernel-memory", "BYTES", NULL, OPTION_STRING, GIVEN(14) },
	{ 0, "kernel-memory-tcp", "BYTES", NULL, OPTION_STRING, GIVEN(15) },
};

static int bad(const struct limit *l, const char *text, const char *want)
{
	return ERR_PLAIN(-EINVAL, "option --%s: \"%s\" is not %s", l->name, text, want);
}

static int store(const struct limit *l, const char *text, struct spec_resources *r)
{
	void *at = (char *)r + l->at;
	uint64_t u = 0;

	switch (l->type) {
	case SIZE:
		return parse_size(text, at) < 0 ? bad(l, text, "a number of bytes") : 0;
	case SIGNED:
		return parse_i64(text, INT64_MIN, INT64_MAX, at) < 0 ? bad(l, text, "a number") : 0;
	case UNSIGNED:
		return parse_u64(text, 0, UINT64_MAX, at) < 0 ? bad(l, text, "a number") : 0;
	case ZERO_OR_ONE:
		return parse_i64(text, 0, 1, at) < 0 ? bad(l, text, "0 or 1") : 0;
	case WEIGHT:
		if (parse_u64(text, 10, 1000, &u) < 0)
			return bad(l, text, "a weight between 10 and 1000");
		*(uint16_t *)at = (uint16_t)u;
		return 0;
	case TEXT:
		*(const char **)at = text;
		return 0;
	case V1:
		break;
	}
	return ERR_PLAIN(-ENOTSUP, "option --%s: is of cgroup v1, cgroup v2 has nothing like it", l->name);
}

static int store_all(const struct flags *f, struct spec_resources *r, bool *ret_any)
{
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		const struct limit *l = &limits[i];
		int k;

		if (f->given[i] == NULL)
			continue;
		k = store(l, f->given[i], r);
		if (k < 0)
			return k;
		if (l->has != 0)
			*((bool *)((char *)r + l->has)) = true;
		*ret_any = true;
	}
	return 0;
}

static int read_file(const char *path, struct spec **ret_spec)
{
	_cleanup_free_ char *text = NULL;
	bool from_stdin = str_eq(path, "-");
	size_t len;
	int r = from_stdin ? fd_read_all(STDIN_FILENO, SPEC_MAX_BYTES, &text, &len) :
			     file_read(AT_FDCWD, path, SPEC_MAX_BYTES, &text, &len);

	if (r < 0)
		return ERR(r, "cannot read the resources from \"%s\"", path);
	return spec_parse_resources(from_stdin ? "standard input" : path, text, len, ret_spec);
}

static int cmd_update(const struct globals *g, int argc, char **argv)
{
	_cleanup_spec_ struct spec *spec = NULL;
	struct spec_resources none = { .only_v1 = NULL }, *res = &none;
	struct flags f = { .file = NULL };
	struct update_options u;
	char **operands;
	bool any = false;
	int n, r = command_options(&command_update, &f, argc, argv, &operands, &n);

	_Static_assert(ARRAY_SIZE(limits) == MANY, "an option for each limit");
	if (r != 0)
		return r < 0 ? r : 0;
	if (f.file != NULL) {
		r = read_file(f.file, &spec);
		if (r < 0)
			return r;
		res = &spec->linux_.resources;
		any = true;
	}
	r = store_all(&f, res, &any);
	if (r < 0)
		return r;
	u = (struct update_options){
		.resources = any ? res : NULL,
		.l3_cache_schema = f.l3_cache_schema,
		.mem_bw_schema = f.mem_bw_schema,
	};
	if (u.mem_bw_schema != NULL && (!str_starts(u.mem_bw_schema, "MB:") || strchr(u.mem_bw_schema, '\n') != NULL))
		return ERR_PLAIN(-EINVAL, "option --mem-bw-schema: \"%.64s\" is not one line that starts with MB:", u.mem_bw_schema);
	if (!any && u.l3_cache_schema == NULL && u.mem_bw_schema == NULL)
		return ERR_HINT(ERR_PLAIN(-EINVAL, "update: nothing to change is given"), "nacre update --help lists the limits");
	return lifecycle_update(g->root, operands[0], &u, "update");
}

const struct command command_update = {
	.name = "update",
	.operands = "ID",
	.summary = "Change the limits of a container.",
	.details = "What is not given stays as it is. A limit that cannot be set leaves all others as they were, too.",
	.options = rows,
	.n_options = ARRAY_SIZE(rows),
	.min_operands = 1,
	.max_operands = 1,
	.run = cmd_update,
};
