/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work that `nacre compare` measures: a second use of this static program, so that each way of virtualization runs the
 * same binary. Chosen by the name it is started under (COMPARE_WORKLOAD), since a container's process is PID 1 as well:
 *
 *	nacre-workload hello		says so and ends: the time to the first byte, and of a whole run
 *	nacre-workload wait		says so and waits for SIGTERM
 *	nacre-workload nothing		ends: what fork and execute is measured with
 *	nacre-workload serve		says so and is the other end of a network for `bench`, until its parent ends
 *	nacre-workload bench DIR [SERVER]
 *					measures, with files in DIR (which exists) and TCP to SERVER (IPv4), and prints
 *
 *		begin REALTIME MONOTONIC	ns of this kernel's clocks, before
 *		METRIC VALUE			a line each, whole numbers: nanoseconds (…_ns), picoseconds (…_ps) or a number a second
 *		failed METRIC TEXT		instead, when it cannot be measured here
 *		end REALTIME MONOTONIC		after
 *
 * Each metric takes WORKLOAD_SLICE, however fast the machine is. What is read is what runtime/compare_lines.c reads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* ns */
#define WORKLOAD_SLICE UINT64_C(200000000)

/* Was it started under that name? */
bool workload_asked(const char *argv0);
/* Gives the exit status. */
int workload_main(int argc, char **argv);

/* ---- the parts: each measures for one slice; 0, or -errno with a text ---- */

/* self: a path of this program. */
int workload_syscall(uint64_t *ret_ps);
int workload_switch(uint64_t *ret_ns);
int workload_fork_exec(const char *self, uint64_t *ret_ns);
int workload_integer(uint64_t *ret_per_second);
int workload_memory(uint64_t *ret_bytes_per_second);
int workload_file_write(const char *dir, uint64_t *ret_bytes_per_second);
int workload_file_read(const char *dir, uint64_t *ret_bytes_per_second);
int workload_file_random(const char *dir, uint64_t *ret_per_second);
int workload_file_metadata(const char *dir, uint64_t *ret_per_second);
int workload_tcp_round_trip(uint64_t *ret_ns);
int workload_tcp_stream(uint64_t *ret_bytes_per_second);
int workload_net_round_trip(const char *server, uint64_t *ret_ns);
int workload_net_stream(const char *server, uint64_t *ret_bytes_per_second);

/* Gives the exit status. */
int workload_serve(void);

/* amount in elapsed ns, as a number a second; elapsed 0 counts as 1. */
uint64_t workload_rate(uint64_t amount, uint64_t elapsed_ns);
