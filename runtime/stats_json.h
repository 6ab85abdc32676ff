/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as JSON, in the shape that runc's `events` gave them (types/events.go there), which other programs
 * read. Pure.
 *
 * Conventions that come with the shape: times in nanoseconds; no limit of memory is 18446744073709551615, no
 * limit of pids is left out; "swap" is memory and swap together; "max" is the most that was ever used; numbers
 * marked so there are left out when 0. Beyond it: memory's "failcnt" counts how often memory.max was hit, the
 * cpuset's effective numbers are filled in, and discards are listed beside reads and writes.
 */
#pragma once

struct cgroup_stats;
struct json_writer;

/* {"type":"stats","id":ID,"data":{…}} */
void stats_write_event(struct json_writer *w, const char *id, const struct cgroup_stats *s);

/* {"type":"oom","id":ID} */
void stats_write_oom(struct json_writer *w, const char *id);
