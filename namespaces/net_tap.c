/* SPDX-License-Identifier: Apache-2.0 */
/* See net_tap.h. */
#include "namespaces/net_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
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

bool net_tap_is_ours(const char *name)
{
	size_t digits;

	if (!str_starts(name, TAP_PREFIX))
		return false;
	name += strlen(TAP_PREFIX);
	digits = strspn(name, "0123456789");
	return digits > 0 && str_eq(name + digits, TAP_SUFFIX);
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
		return errno == EBUSY ? ERR_PLAIN(-EBUSY, "the network namespace serves another microVM (its interface "
							  "\"%s\" is there)",
						  req.ifr_name) :
					ERR(-errno, "cannot make the tap \"%s\"", req.ifr_name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return ERR(-errno, "cannot set the header size of the tap \"%s\"", req.ifr_name);
	memcpy(ret_name, req.ifr_name, IFNAMSIZ);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* What a former run has left at the interface is replaced; what others have there is not touched. */
static int make_room(struct mnl_socket *nl, const struct net_interface *i)
{
	enum tc_ingress state;
	int r = tc_ingress_read(nl, i->index, &state);

	if (r < 0)
		return r;
	switch (state) {
	case TC_NONE:
		return 0;
	case TC_BARE:
	case TC_LEFTOVER:
		return tc_ingress_remove(nl, i->index);
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
	int r = make_room(nl, i);

	if (r < 0)
		return r;
	r = tc_redirect_add(nl, tap, i->index);
	if (r < 0)
		return r;
	r = tc_redirect_add(nl, i->index, tap);
	if (r < 0)
		(void)tc_ingress_remove(nl, i->index);
	return r;
}

int net_tap_attach(const struct net_interface *i, unsigned int n, int *ret_fd)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	_cleanup_close_ int fd = FD_NONE;
	char name[IFNAMSIZ];
	unsigned int tap;
	int r;

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

int net_tap_clean(void)
{
	_cleanup_netlink_ struct mnl_socket *nl = NULL;
	int indexes[INGRESS_MAX];
	size_t n = 0;
	int r;

	r = netlink_open(&nl);
	if (r >= 0)
		r = tc_ingress_list(nl, indexes, INGRESS_MAX, &n);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		enum tc_ingress state;

		r = tc_ingress_read(nl, indexes[i], &state);
		if (r >= 0 && state == TC_LEFTOVER)
			r = tc_ingress_remove(nl, indexes[i]);
	}
	return r < 0 ? r : 0;
}
