/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network that a microVM's engine has set up between create and start, as docker from 28 on does, and podman for a user namespace: they
 * enter the namespace of the process that create has told them. The guest runs by then, with network cards that wait for it, each over
 * a tap in that namespace (vm_network.h). start looks what has come, gives each interface one of those taps, and tells the guest, by VM_START.
 *
 * That is done by start, in a process of its own inside, since the supervisor is in its jail by then.
 */
#include "runtime/microvm_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "namespaces/net_config.h"
#include "namespaces/net_tap.h"
#include "namespaces/ns.h"
#include "oci/json.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"
#include "runtime/container_parts.h"
#include "runtime/net_wire.h"
#include "runtime/vm_control.h"

struct late {
	int pidfd, text;
	unsigned int join;
	size_t spares;
};

static int write_network(const struct net_config *c, int fd)
{
	_cleanup_json_writer_ struct json_writer *w = json_writer_new(false);
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	net_wire_write(w, c);
	text = json_writer_take(w, &len);
	if (text == NULL)
		return ERR_NOMEM();
	if (len > VM_TEXT_MAX)
		return ERR_PLAIN(-E2BIG, "the description of the container's network is too long");
	r = fd_write_all(fd, text, len);
	return r < 0 ? ERR(r, "cannot pass the description of the container's network on") : 0;
}

static int give_all(const struct late *l)
{
	struct net_config *c = calloc(1, sizeof(*c));
	int r = c == NULL ? ERR_NOMEM() : net_config_read_beside_taps(c);

	if (r == 0 && c->n_interfaces > l->spares)
		r = ERR_PLAIN(-ENOTSUP, "the container was given %zu network interfaces after it was created, and a microVM has room for %zu",
			      c->n_interfaces, l->spares);
	for (size_t k = 0; r == 0 && k < c->n_interfaces; k++)
		r = net_tap_give(&c->interfaces[k], (unsigned int)k);
	if (r == 0)
		r = write_network(c, l->text);
	free(c);
	return r;
}

static int enter_and_give(void *arg)
{
	const struct late *l = arg;
	int r = ns_join_pidfd(l->pidfd, l->join);

	return r < 0 ? r : give_all(l);
}

/* Its network namespace, by way of its user namespace when that is another than ours. */
static int namespaces_of(const struct instance *i, unsigned int *ret)
{
	_cleanup_close_ int ns = FD_NONE;
	bool own = false;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)i->pid);
	r = ns_open(path, CLONE_NEWUSER, &ns);
	if (r == 0)
		r = ns_is_own(ns, CLONE_NEWUSER, &own);
	*ret = CLONE_NEWNET | (own ? 0 : CLONE_NEWUSER);
	return r;
}

int microvm_late_network(struct instance *i, size_t spares, char **ret_text, size_t *ret_len)
{
	_cleanup_close_ int text = memfd_create("nacre-network", MFD_CLOEXEC);
	struct late l = { .text = text, .spares = spares };
	char path[64];
	int r = container_use_pidfd(i);

	if (r < 0)
		return r;
	if (text < 0)
		return ERR(-errno, "cannot make a memory file");
	l.pidfd = i->pidfd;
	r = namespaces_of(i, &l.join);
	if (r == 0)
		r = microvm_in_child(enter_and_give, &l, "give the microVM its network");
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", text);
	r = file_read(AT_FDCWD, path, VM_TEXT_MAX, ret_text, ret_len);
	return r < 0 ? ERR(r, "cannot read the description of the container's network") : 0;
}
