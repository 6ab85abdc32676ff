/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network for what is compared: two network namespaces of our own, a veth pair between them, and the workload as a server in one. The
 * other is the network namespace of each mode; a microVM's monitor finds it as an engine would have left it. See compare_run.h.
 */
#include "runtime/compare_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "namespaces/net_veth.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

static int make_namespaces(struct compare_net *n)
{
	struct net_veth_end server = { .name = "veth0", .address = COMPARE_NET_SERVER, .prefix = COMPARE_NET_PREFIX };
	struct net_veth_end client = { .name = "eth0", .address = COMPARE_NET_CLIENT, .prefix = COMPARE_NET_PREFIX };
	int k = net_ns_make(&n->outside);

	if (k == 0)
		k = net_ns_make(&n->inside);
	if (k < 0)
		return k;
	server.netns = n->outside;
	client.netns = n->inside;
	k = net_veth_make(&server, &client);
	if (k == 0)
		snprintf(n->path, sizeof(n->path), "/proc/%d/fd/%d", (int)getpid(), n->inside);
	return k;
}

static int start_server(struct compare_run *r)
{
	_cleanup_free_ char *program = str_printf("%s/%s/" COMPARE_WORKLOAD, r->rootfs, r->scratch);
	const char *argv[] = { program, "serve", NULL };
	int k;

	if (program == NULL)
		return ERR_NOMEM();
	r->net.server.what = "the server";
	r->net.server.netns = r->net.outside;
	k = compare_child_start(&r->net.server, argv);
	if (k == 0)
		k = compare_child_wait(&r->net.server, r->signals, COMPARE_LINE);
	if (k == 0 && r->net.server.lines == 0)
		k = ERR_PLAIN(-EPROTO, "the server does not start");
	return k;
}

int compare_net_start(struct compare_run *r)
{
	bool own;
	int k = compare_own_network(r->config, r->config_len, &own);

	if (k == 0 && !own)
		k = ERR_PLAIN(-ENOTSUP, "the bundle has no network namespace of its own, in whose place one can be that is measured");
	if (k == 0)
		k = make_namespaces(&r->net);
	if (k == 0)
		k = start_server(r);
	if (k < 0)
		compare_net_end(&r->net);
	return k;
}

void compare_net_end(struct compare_net *n)
{
	compare_child_end(&n->server);
	fd_close(&n->inside);
	fd_close(&n->outside);
	n->path[0] = '\0';
}
