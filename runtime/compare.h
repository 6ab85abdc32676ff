/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre compare: one bundle in each way of virtualization, and what it costs. Data:
 *
 *	config.json -> compare_config() -> a bundle of our own, whose process is the workload (microvm/guest/workload.h)
 *	            -> nacre's commands, as a shell would give them (compare_run.c) -> samples
 *	            -> medians and quartiles (compare_stats.c) -> table, JSON, SVG
 *
 * A value is a whole number in its metric's unit, so that nothing is rounded before it is printed. What could not be measured
 * has no samples, and a text that says why.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* The name under which the guest program is the workload, see microvm/guest/workload.h. */
#define COMPARE_WORKLOAD "nacre-workload"

/* The network that is measured: addresses that documentation has for itself (RFC 5737), in namespaces where nothing else is. */
#define COMPARE_NET_SERVER "192.0.2.1"
#define COMPARE_NET_CLIENT "192.0.2.2"
#define COMPARE_NET_PREFIX 30
#define COMPARE_NET_PORT 7777

#define COMPARE_RUNS_MAX 100U
#define COMPARE_RUNS_DEFAULT 5U

enum compare_mode {
	COMPARE_HOST,		/* the workload by itself */
	COMPARE_CONTAINER,
	COMPARE_KVM,		/* a microVM by nacre's own monitor */
	COMPARE_QEMU,		/* … by QEMU, on KVM */
	COMPARE_TCG,		/* … by QEMU's emulation */
	COMPARE_MODES
};

enum compare_unit {
	COMPARE_NS,		/* nanoseconds: less is better */
	COMPARE_PS,		/* picoseconds: less is better */
	COMPARE_BYTES,		/* less is better */
	COMPARE_PER_SECOND,	/* more is better */
	COMPARE_BYTES_PER_SECOND,	/* more is better */
};

/* In the order in which they are shown. */
enum compare_metric {
	COMPARE_FIRST_BYTE,	/* from the command to the process' first output */
	COMPARE_RUN,		/* from the command to its end */
	COMPARE_CREATE,
	COMPARE_START,
	COMPARE_EXEC,
	COMPARE_DELETE,		/* delete --force of a running one */
	COMPARE_MEMORY,		/* PSS of all processes that are there for it, while it waits */
	COMPARE_INTEGER,
	COMPARE_COPY,
	COMPARE_SYSCALL,
	COMPARE_SWITCH,
	COMPARE_FORK_EXEC,
	COMPARE_FILE_WRITE,
	COMPARE_FILE_READ,
	COMPARE_FILE_RANDOM,
	COMPARE_FILE_METADATA,
	COMPARE_TCP_ROUND_TRIP,
	COMPARE_TCP_STREAM,	/* both over the loopback; the next two over a wire to another network namespace */
	COMPARE_NET_ROUND_TRIP,
	COMPARE_NET_STREAM,
	COMPARE_METRICS
};

struct compare_metric_info {
	const char *key;	/* in JSON */
	const char *label;	/* for people */
	const char *word;	/* in the workload's lines; NULL: measured from outside */
	enum compare_unit unit;
};

const struct compare_metric_info *compare_metric_info(enum compare_metric m);
const char *compare_mode_name(enum compare_mode m);		/* "host"… as in --modes */
const char *compare_mode_title(enum compare_mode m);		/* a few words for people */
bool compare_more_is_better(enum compare_unit u);

struct compare_series {
	uint64_t v[COMPARE_RUNS_MAX];
	size_t n;
};

struct compare_summary {
	uint64_t min, q1, median, q3, max;
	size_t n;		/* 0: nothing is known */
};

/* Quartiles by linear interpolation between the two nearest samples. */
struct compare_summary compare_summarize(const struct compare_series *s);
void compare_add(struct compare_series *s, uint64_t v);

struct compare_column {
	bool asked;
	char *failure;		/* why this mode cannot be run, or was given up; malloc'ed; NULL */
	struct compare_series metric[COMPARE_METRICS];
	char *metric_failure[COMPARE_METRICS];	/* malloc'ed; NULL */
	/*
	 * How much time its clock counted while the host's counted a million units, less a million: a guest whose clock is slow
	 * measures itself too fast. In each run.
	 */
	int64_t drift_ppm[COMPARE_RUNS_MAX];
	size_t n_drift;
};

struct compare_result {
	const char *bundle;
	unsigned int runs;
	char kernel[128], cpu[128], when[32];	/* of the host */
	unsigned int cpus;
	char *no_network;	/* why no network was measured; malloc'ed; NULL */
	struct compare_column column[COMPARE_MODES];
};

void compare_result_deinit(struct compare_result *r);

/* The first mode that has something; COMPARE_MODES: none has. */
enum compare_mode compare_base(const struct compare_result *r);
/* The first mode that has this metric: the others are compared with it. COMPARE_MODES: none has. */
enum compare_mode compare_metric_base(const struct compare_result *r, enum compare_metric m);
/*
 * What m costs in mode, in thousandths of what it costs in the metric's base: 2000 is twice as slow, or as large, whether more or less is
 * better of the metric. 0: not known.
 */
uint64_t compare_cost(const struct compare_result *r, enum compare_mode mode, enum compare_metric m);
/* The median drift is more than 2 %: *ret_ppm. */
bool compare_clock_is_off(const struct compare_column *c, int64_t *ret_ppm);

/* A value as people read it: "12.3 ms", "1.2 GiB/s". */
#define COMPARE_VALUE_SIZE 24
void compare_value(char out[COMPARE_VALUE_SIZE], enum compare_unit u, uint64_t v);
/* A cost: "x1.04", "x310". */
void compare_ratio(char out[COMPARE_VALUE_SIZE], uint64_t thousandths);

/* ---- the workload's lines ---- */

struct compare_lines {
	uint64_t begin_realtime, begin_monotonic, end_realtime, end_monotonic;
	bool begun, ended;
	uint64_t value[COMPARE_METRICS];
	bool has[COMPARE_METRICS];
	char failed[COMPARE_METRICS][128];	/* "": did not */
};

/*
 * One line, without its end, of what the workload printed in a container or a guest: foreign text. -EPROTO with a text: not
 * such a line, or one that cannot come now. What is printable of a failure's text is kept.
 */
int compare_line(struct compare_lines *l, const char *line);

/* ---- the bundle ---- */

struct compare_config_req {
	const char *bundle;	/* absolute */
	const char *rootfs;	/* absolute */
	const char *accel;	/* run.nacre.vm.accel; NULL: no microVM */
	const char *const *args;
	size_t n_args;
	const char *netns;	/* the path of the network namespace that takes the place of the bundle's; NULL: it stays */
};

/*
 * A config.json for the workload from the bundle's: its process' args, and a root that may be written to. What would act outside or
 * clash with the container itself is left out: hooks, cgroupsPath, terminal, netDevices, the time namespace (the clocks are compared).
 * *ret_text is malloc'ed.
 */
int compare_config(const char *text, size_t len, const struct compare_config_req *q, char **ret_text);
/* The bundle has a new network namespace: it is nobody's, and another may stand for it. -errno with text. */
int compare_own_network(const char *text, size_t len, bool *ret);
/* root.path as the bundle says it, absolute, malloc'ed. */
int compare_rootfs(const char *text, size_t len, const char *bundle, char **ret_path);

/* ---- output ---- */

void compare_table(struct buf *b, const struct compare_result *r);
/* To a file, or "-"; -errno with text. */
int compare_write_json(const struct compare_result *r, const char *path);
void compare_svg(struct buf *b, const struct compare_result *r);
