/* SPDX-License-Identifier: Apache-2.0 */
/* struct process_req -> the process object of the specification, for whoever makes the process elsewhere (a microVM's guest). */
#pragma once

#include "namespaces/process.h"

struct json_writer;

/* Whole, as plan_process() reads it back; preserve_fds and keep_groups are of this host, and left out. */
void process_json_write(struct json_writer *w, const struct process_req *p);
