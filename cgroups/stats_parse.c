/* SPDX-License-Identifier: Apache-2.0 */
/* See stats_parse.h. */
#include "cgroups/stats_parse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/parse_int.h"
#include "runtime/base/str.h"

#define USEC 1000U	/* the kernel's times are in microseconds, ours in nanoseconds */

/* A key of the kernel's and the uint64_t of a struct that it fills. */
struct field {
	const char *key;
	size_t offset;
	uint64_t scale;
};

static void set_field(const struct field *fields, size_t n, const char *key, uint64_t value, void *dest)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t *to = (uint64_t *)(void *)((char *)dest + fields[i].offset);

		if (str_eq(fields[i].key, key) && __builtin_mul_overflow(value, fields[i].scale, to))
			*to = UINT64_MAX;
	}
}

/* Cuts "KEY<separator>NUMBER" in two; false when it is something else. */
static bool cut_pair(char *text, char separator, uint64_t *ret_value)
{
	char *at = strchr(text, separator);

	if (at == NULL || at == text)
		return false;
	*at = '\0';
	return parse_u64(at + 1, 0, UINT64_MAX, ret_value) == 0;
}

/* Lines of "KEY NUMBER". */
static void parse_flat(char *text, const struct field *fields, size_t n, void *dest)
{
	char *line;

	while ((line = strsep(&text, "\n")) != NULL) {
		uint64_t value;

		if (cut_pair(line, ' ', &value))
			set_field(fields, n, line, value, dest);
	}
}

void cgroup_parse_number(char *text, struct cgroup_number *ret)
{
	text[strcspn(text, "\n")] = '\0';
	ret->has = true;
	if (str_eq(text, "max"))
		ret->value = CGROUP_UNLIMITED;
	else if (parse_u64(text, 0, UINT64_MAX, &ret->value) < 0)
		ret->has = false;
}

void cgroup_parse_cpu(char *text, struct cgroup_cpu_stats *ret)
{
	static const struct field fields[] = {
		{ "usage_usec", offsetof(struct cgroup_cpu_stats, usage_ns), USEC },
		{ "user_usec", offsetof(struct cgroup_cpu_stats, user_ns), USEC },
		{ "system_usec", offsetof(struct cgroup_cpu_stats, system_ns), USEC },
		{ "nr_periods", offsetof(struct cgroup_cpu_stats, periods), 1 },
		{ "nr_throttled", offsetof(struct cgroup_cpu_stats, throttled_periods), 1 },
		{ "throttled_usec", offsetof(struct cgroup_cpu_stats, throttled_ns), USEC },
		{ "nr_bursts", offsetof(struct cgroup_cpu_stats, bursts), 1 },
		{ "burst_usec", offsetof(struct cgroup_cpu_stats, burst_ns), USEC },
	};

	parse_flat(text, fields, ARRAY_SIZE(fields), ret);
	ret->has = true;
}

void cgroup_parse_memory_events(char *text, struct cgroup_memory_events *ret)
{
	static const struct field fields[] = {
		{ "low", offsetof(struct cgroup_memory_events, low), 1 },
		{ "high", offsetof(struct cgroup_memory_events, high), 1 },
		{ "max", offsetof(struct cgroup_memory_events, max), 1 },
		{ "oom", offsetof(struct cgroup_memory_events, oom), 1 },
		{ "oom_kill", offsetof(struct cgroup_memory_events, oom_kill), 1 },
		{ "oom_group_kill", offsetof(struct cgroup_memory_events, oom_group_kill), 1 },
	};

	parse_flat(text, fields, ARRAY_SIZE(fields), ret);
	ret->has = true;
}

uint64_t cgroup_parse_failures(char *text)
{
	static const struct field fields[] = { { "max", 0, 1 } };
	uint64_t failures = 0;

	parse_flat(text, fields, ARRAY_SIZE(fields), &failures);
	return failures;
}

int cgroup_parse_memory_stat(char *text, struct cgroup_memory_stats *ret)
{
	size_t lines = 1;
	char *line;

	free(ret->stat);
	free(ret->stat_text);
	ret->stat_text = text;
	ret->n_stat = 0;
	for (const char *p = text; *p != '\0'; p++)
		lines += *p == '\n' ? 1 : 0;
	ret->stat = calloc(lines, sizeof(*ret->stat));
	if (ret->stat == NULL)
		return -ENOMEM;
	while ((line = strsep(&text, "\n")) != NULL) {
		uint64_t value;

		if (cut_pair(line, ' ', &value))
			ret->stat[ret->n_stat++] = (struct cgroup_counter){ line, value };
	}
	return 0;
}

/* "12.34", always with two digits after the point; 0 when it is something else. */
static uint32_t parse_hundredths(char *text)
{
	char *point = strchr(text, '.');
	uint64_t whole, rest;

	if (point == NULL || strlen(point + 1) != 2)
		return 0;
	*point = '\0';
	if (parse_u64(text, 0, UINT32_MAX / 100 - 1, &whole) < 0 || parse_u64(point + 1, 0, 99, &rest) < 0)
		return 0;
	return (uint32_t)(whole * 100 + rest);
}

static void parse_psi_word(char *word, struct cgroup_psi_line *ret)
{
	uint64_t total;

	if (str_starts(word, "avg10="))
		ret->avg10 = parse_hundredths(word + strlen("avg10="));
	else if (str_starts(word, "avg60="))
		ret->avg60 = parse_hundredths(word + strlen("avg60="));
	else if (str_starts(word, "avg300="))
		ret->avg300 = parse_hundredths(word + strlen("avg300="));
	else if (str_starts(word, "total=") && cut_pair(word, '=', &total))
		ret->total_usec = total;
}

void cgroup_parse_psi(char *text, struct cgroup_psi *ret)
{
	char *line, *word;

	while ((line = strsep(&text, "\n")) != NULL) {
		struct cgroup_psi_line *to = NULL;

		word = strsep(&line, " ");
		if (str_eq(word, "some"))
			to = &ret->some;
		else if (str_eq(word, "full"))
			to = &ret->full;
		while (to != NULL && (word = strsep(&line, " ")) != NULL) {
			ret->has = true;
			parse_psi_word(word, to);
		}
	}
}

/* "8:0" */
static bool parse_device(char *word, uint32_t *ret_major, uint32_t *ret_minor)
{
	char *colon = strchr(word, ':');
	uint64_t major, minor;

	if (colon == NULL)
		return false;
	*colon = '\0';
	if (parse_u64(word, 0, UINT32_MAX, &major) < 0 || parse_u64(colon + 1, 0, UINT32_MAX, &minor) < 0)
		return false;
	*ret_major = (uint32_t)major;
	*ret_minor = (uint32_t)minor;
	return true;
}

/* *ret is the last one when it has no figures: some kernels name idle devices in front of a line. */
static int io_device(struct cgroup_io_stats *s, bool *used, struct cgroup_io_device **ret)
{
	struct cgroup_io_device *v;

	if (*used || s->n_devices == 0) {
		v = reallocarray(s->devices, s->n_devices + 1, sizeof(*v));
		if (v == NULL)
			return -ENOMEM;
		s->devices = v;
		s->n_devices++;
	}
	*ret = &s->devices[s->n_devices - 1];
	**ret = (struct cgroup_io_device){ 0 };
	*used = false;
	return 0;
}

int cgroup_parse_io(char *text, struct cgroup_io_stats *ret)
{
	static const struct field fields[] = {
		{ "rbytes", offsetof(struct cgroup_io_device, rbytes), 1 },
		{ "wbytes", offsetof(struct cgroup_io_device, wbytes), 1 },
		{ "rios", offsetof(struct cgroup_io_device, rios), 1 },
		{ "wios", offsetof(struct cgroup_io_device, wios), 1 },
		{ "dbytes", offsetof(struct cgroup_io_device, dbytes), 1 },
		{ "dios", offsetof(struct cgroup_io_device, dios), 1 },
	};
	struct cgroup_io_device *device = NULL;
	bool used = false;
	char *word;

	ret->has = true;
	while ((word = strsep(&text, " \n")) != NULL) {
		uint32_t major, minor;
		uint64_t value;

		if (strchr(word, '=') == NULL && parse_device(word, &major, &minor)) {
			int r = io_device(ret, &used, &device);

			if (r < 0)
				return r;
			device->major = major;
			device->minor = minor;
		} else if (device != NULL && cut_pair(word, '=', &value)) {
			set_field(fields, ARRAY_SIZE(fields), word, value, device);
			used = true;
		}
	}
	/* The last one, if nothing was said of it. */
	if (device != NULL && !used)
		ret->n_devices--;
	return 0;
}

int cgroup_parse_rdma(char *text, struct cgroup_stats *ret)
{
	static const struct field fields[] = {
		{ "hca_handle", offsetof(struct cgroup_rdma_stats, handles), 1 },
		{ "hca_object", offsetof(struct cgroup_rdma_stats, objects), 1 },
	};
	char *line, *word;

	while ((line = strsep(&text, "\n")) != NULL) {
		struct cgroup_rdma_stats one = { .handles = 0 }, *v;

		word = strsep(&line, " ");
		if (line == NULL || *word == '\0' || strlen(word) >= sizeof(one.device))
			continue;
		memcpy(one.device, word, strlen(word) + 1);
		while ((word = strsep(&line, " ")) != NULL) {
			uint64_t value;

			if (cut_pair(word, '=', &value))
				set_field(fields, ARRAY_SIZE(fields), word, value, &one);
		}
		v = reallocarray(ret->rdma, ret->n_rdma + 1, sizeof(*v));
		if (v == NULL)
			return -ENOMEM;
		v[ret->n_rdma++] = one;
		ret->rdma = v;
	}
	return 0;
}

static int add_range(struct cgroup_list *list, uint64_t first, uint64_t last)
{
	uint16_t *v = reallocarray(list->v, list->n + (size_t)(last - first) + 1, sizeof(*v));

	if (v == NULL)
		return -ENOMEM;
	list->v = v;
	for (uint64_t i = first; i <= last; i++)
		v[list->n++] = (uint16_t)i;
	return 0;
}

int cgroup_parse_list(char *text, struct cgroup_list *ret)
{
	uint64_t next = 0;
	char *word;
	int r = 0;

	ret->has = true;
	text[strcspn(text, "\n")] = '\0';
	while (r == 0 && (word = strsep(&text, ",")) != NULL) {
		char *dash = strchr(word, '-');
		uint64_t first, last;

		if (dash != NULL)
			*dash = '\0';
		/* Ascending, as the kernel writes it: so that no text can make a list longer than there are numbers. */
		if (parse_u64(word, next, UINT16_MAX, &first) < 0)
			continue;
		last = first;
		if (dash != NULL && parse_u64(dash + 1, first, UINT16_MAX, &last) < 0)
			continue;
		r = add_range(ret, first, last);
		next = last + 1;
	}
	return r;
}

bool cgroup_parse_hugetlb_name(const char *name, char size[16])
{
	static const char prefix[] = "hugetlb.", suffix[] = ".current";
	size_t len;

	if (!str_starts(name, prefix))
		return false;
	name += strlen(prefix);
	len = strcspn(name, ".");
	if (len == 0 || len >= 16 || !str_eq(name + len, suffix))
		return false;
	memcpy(size, name, len);
	size[len] = '\0';
	return true;
}
