/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nacre-guest: the first process of a microVM. It brings the machine up, then keeps the container for the host (agent.h).
 * Under another name it is the work that `nacre compare` measures (workload.h).
 * It never just ends, which would be a kernel's panic: what goes wrong is told, and the machine switched off.
 */
#include <stdio.h>
#include <unistd.h>

#include "microvm/guest/agent.h"
#include "microvm/guest/boot.h"
#include "microvm/guest/workload.h"
#include "runtime/base/err.h"

int main(int argc, char **argv)
{
	struct agent a = AGENT_NULL;
	int port = FD_NONE, r;

	if (workload_asked(argv[0]))
		return workload_main(argc, argv);
	if (getpid() != 1) {
		fprintf(stderr, "nacre-guest: this is the first program of a virtual machine that nacre starts, and of no other use\n");
		return 1;
	}
	r = guest_boot();
	if (r == 0)
		r = guest_open_port(CHANNEL_PORT, &port);
	if (r == 0)
		r = agent_run(&a, port);
	if (r < 0) {
		guest_console(err_text());
		agent_log(&a, err_text());
	}
	guest_power_off();
	for (;;)
		pause();
}
