/* SPDX-License-Identifier: Apache-2.0 */
/* See net_tap.h. */
#include "namespaces/net_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "namespaces/netlink_socket.h"
#include "namespaces/netlink_tc.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/str.h"

_Static_assert(NET_NAME_SIZE == IFNAMSIZ, "the size of an interface's name");

#define TUN_DEVICE "/dev/net/tun"
#define TAP_PREFIX "tap"
#define TAP_SUFFIX "_nacre"
/* Interfaces of a namespace that may have an ingress qdisc when it is cleaned: those of microVMs, and others. */
#define INGRESS_MAX 64
#define LOCK_TRIES 200
#define LOCK_PAUSE_NS (10 * 1000 * 1000)

bool net_tap_is_ours(const char *name)
{
	size_t digits;

	if (!str_starts(name, TAP_PREFIX))
		return false;
	name += strlen(TAP_PREFIX);
	digits = strspn(name, "0123456789");
	return digits > 0 && str_eq(name + digits, TAP_SUFFIX);
}

int net_tap_busy(const char *name)
{
	return ERR_PLAIN(-EBUSY, "the network namespace serves another microVM, and can serve one at a time (its interface \"%s\" is there)",
			 name);
}

static int open_tun(void)
{
	int fd = open(TUN_DEVICE, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
		return ERR_HINT(ERR(-ENOTSUP, "cannot open %s, by which a microVM gets its network", TUN_DEVICE),
				"Load the module tun, or build the kernel with CONFIG_TUN.");
	return ERR(-errno, "cannot open %s", TUN_DEVICE);
}

static int make_tap(unsigned int n, char ret_name[IFNAMSIZ], int *ret_fd)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header = NET_TAP_HEADER_SIZE;
	_cleanup_close_ int fd = open_tun();

	if (fd < 0)
		return fd;
	(void)snprintf(req.ifr_name, sizeof(req.ifr_name), TAP_PREFIX "%u" TAP_SUFFIX, n);
	if (ioctl(fd, TUNSETIFF, &req) < 0)
		return errno == EBUSY ? net_tap_busy(req.ifr_name) : ERR(-errno, "cannot make the tap \"%s\"", req.ifr_name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return ERR(-errno, "cannot set the header size of the tap \"%s\"", req.ifr_name);
	memcpy(ret_name, req.ifr_name, IFNAMSIZ);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The redirect away, and the flag back that it has set. */
static int undo(struct mnl_socket *nl, int index, bool multicast)
{
	int r = tc_ingress_remove(nl, index);

	return r >= 0 && multicast ? tc_all_multicast(nl, index, false) : r;
}

/* What a former run has left at the interface is undone; what others have there is not touched. */
static int make_room(struct mnl_socket *nl, const struct net_interface *i, bool *ret_undone_multicast)
{
	struct tc_ingress found;
	int r = tc_ingress_read(nl, i->index, &found);

	if (r < 0)
		return r;
	*ret_undone_multicast = found.state == TC_LEFTOVER && found.mark;
	switch (found.state) {
	case TC_NONE:
		return 0;
	case TC_BARE:
	case TC_LEFTOVER:
		return undo(nl, i->index, *ret_undone_multicast);
	case TC_REDIRECT:
		return ERR_PLAIN(-EBUSY, "the network interface \"%s\" is given to another microVM", i->name);
	default:
		return ERR_PLAIN(-EBUSY,
				 "the network interface \"%s\" has an ingress qdisc that is not nacre's: a microVM "
				 "needs that place",
				 i->name);
	}
}

static int redirect(struct mnl_socket *nl, const struct net_interface *i, int tap)
{
	bool multicast = false;
	int r = make_room(nl, i, &multicast);

	if (r < 0)
		return r;
	/* The flag that a leftover had set was seen in i, and is off now. */
	multicast = multicast || !i->all_multicast;
	r = tc_redirect_add(nl, tap, i->index, false);
	if (r >= 0)
		r = tc_redirect_add(nl, i->index, tap, multicast);
	if (r >= 0 && multicast)
		r = tc_all_multicast(nl, i->index, true);
	if (r < 0)
		(void)undo(nl, i->index, false);
	return r;
}

/*
 * One at a time in a namespace: a microVM that is deleted would otherwise take the redirect away that the next one has just made in the place
 * of its own. The lock is the descriptor's, and goes with it. Any process of the namespace can have it, and keep it: so it is waited for
 * as long as the work of another of us may take, and then done without.
 */
static int lock_namespace(int *ret_fd)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };

	*ret_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (*ret_fd < 0)
		return ERR(-errno, "cannot open this process's network namespace");
	for (unsigned int i = 0; i < LOCK_TRIES && flock(*ret_fd, LOCK_EX | LOCK_NB) < 0; i++)
		(void)nanosleep(&pause, NULL);
	return 0;
}

int net_tap_attach(const struct net_interface *i, unsigned int n, int *ret_fd)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	_cleanup_close_ int fd = FD_NONE, lock = FD_NONE;
	char name[IFNAMSIZ];
	unsigned int tap;
	int r = lock_namespace(&lock);

	if (r < 0)
		return r;
	r = netlink_open(&nl);
	if (r < 0)
		return r;
	r = make_tap(n, name, &fd);
	if (r < 0)
		return ERR_CONTEXT(r, "network interface \"%s\"", i->name);
	tap = if_nametoindex(name);
	if (tap == 0)
		return ERR(-errno, "cannot find the tap \"%s\"", name);
	r = tc_tap_up(nl, (int)tap, i->mtu);
	if (r >= 0)
		r = redirect(nl, i, (int)tap);
	if (r < 0)
		return ERR_CONTEXT(r, "network interface \"%s\"", i->name);
	*ret_fd = take_fd(&fd);
	return 0;
}

int net_tap_spare(unsigned int n, int *ret_fd)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	_cleanup_close_ int fd = FD_NONE;
	char name[IFNAMSIZ];
	unsigned int tap;
	int r = netlink_open(&nl);

	if (r >= 0)
		r = make_tap(n, name, &fd);
	if (r < 0)
		return r;
	tap = if_nametoindex(name);
	if (tap == 0)
		return ERR(-errno, "cannot find the tap \"%s\"", name);
	r = tc_tap_up(nl, (int)tap, NET_MTU_MAX);
	if (r >= 0)
		*ret_fd = take_fd(&fd);
	return r;
}

/* A start that was interrupted had come as far. */
static int take_back(struct mnl_socket *nl, struct net_interface *i, int tap)
{
	struct tc_ingress found;
	int r = tc_ingress_read(nl, i->index, &found);

	if (r < 0 || found.state != TC_REDIRECT)
		return r;
	r = undo(nl, i->index, found.mark);
	if (r >= 0 && found.mark)
		i->all_multicast = false;
	return r < 0 ? r : tc_ingress_remove(nl, tap);
}

int net_tap_give(const struct net_interface *i, unsigned int n)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	_cleanup_close_ int lock = FD_NONE;
	struct net_interface given = *i;
	char name[IFNAMSIZ];
	unsigned int tap;
	int r = lock_namespace(&lock);

	if (r >= 0)
		r = netlink_open(&nl);
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), TAP_PREFIX "%u" TAP_SUFFIX, n);
	tap = if_nametoindex(name);
	if (tap == 0)
		return ERR(-ENODEV, "network interface \"%s\": cannot find the tap \"%s\"", i->name, name);
	r = take_back(nl, &given, (int)tap);
	if (r >= 0)
		r = tc_tap_up(nl, (int)tap, i->mtu);
	if (r >= 0)
		r = redirect(nl, &given, (int)tap);
	return r < 0 ? ERR_CONTEXT(r, "network interface \"%s\"", i->name) : 0;
}

int net_tap_attach_all(const struct net_config *c, int ret_fds[NET_INTERFACES_MAX])
{
	int r = 0;
	size_t n = 0;

	while (n < c->n_interfaces) {
		r = net_tap_attach(&c->interfaces[n], (unsigned int)n, &ret_fds[n]);
		if (r < 0)
			break;
		n++;
	}
	if (r >= 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		fd_close(&ret_fds[i]);
	/* Their redirects lead nowhere now. */
	if (n > 0)
		(void)net_tap_clean();
	return r;
}

int net_tap_clean(void)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	_cleanup_close_ int lock = FD_NONE;
	int indexes[INGRESS_MAX];
	size_t n = 0;
	int r = lock_namespace(&lock);

	if (r >= 0)
		r = netlink_open(&nl);
	if (r >= 0)
		r = tc_ingress_list(nl, indexes, INGRESS_MAX, &n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		struct tc_ingress found;

		r = tc_ingress_read(nl, indexes[i], &found);
		if (r >= 0 && found.state == TC_LEFTOVER)
			r = undo(nl, indexes[i], found.mark);
	}
	return r < 0 ? r : 0;
}

int net_tap_clean_in(int ns)
{
	_cleanup_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (own < 0)
		return ERR(-errno, "cannot open this process's network namespace");
	if (setns(ns, CLONE_NEWNET) < 0)
		return ERR(-errno, "cannot enter the network namespace");
	r = net_tap_clean();
	if (setns(own, CLONE_NEWNET) < 0)
		return ERR(-errno, "cannot return to this process's network namespace");
	return r;
}
