/* SPDX-License-Identifier: Apache-2.0 */
/* See net_move.h. */
#include "namespaces/net_move.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "namespaces/netlink_socket.h"
#include "runtime/base/err.h"
#include "runtime/base/fd.h"
#include "runtime/base/log.h"
#include "runtime/base/str.h"

#define ADDRESSES_MAX 256
#define INDEX_TRIES 16

/* One address, as the request that adds it again. */
struct address {
	char request[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
};

struct device {
	struct net_move names;
	int index, new_index;	/* here and there; 0: not found, not moved */
	bool was_up;
	struct address *addresses;
	size_t n_addresses;
};

/* A network namespace: a socket in it, and itself. */
struct side {
	struct mnl_socket *nl;
	int fd;
};

/* ---- asking ---- */

struct search {
	const char *name;	/* looked for */
	int index, highest;	/* of that name; of all */
	unsigned int flags;
};

static int look_at_link(const struct nlmsghdr *nlh, void *data)
{
	struct search *s = data;
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[IFLA_MAX + 1];

	if (nlh->nlmsg_type != RTM_NEWLINK)
		return 0;
	if (ifi->ifi_index > s->highest)
		s->highest = ifi->ifi_index;
	netlink_attributes(nlh, sizeof(*ifi), attr, IFLA_MAX);
	if (attr[IFLA_IFNAME] == NULL || mnl_attr_validate(attr[IFLA_IFNAME], MNL_TYPE_NUL_STRING) < 0 ||
	    !str_eq(mnl_attr_get_str(attr[IFLA_IFNAME]), s->name))
		return 0;
	s->index = ifi->ifi_index;
	s->flags = ifi->ifi_flags;
	return 0;
}

static int dump(struct mnl_socket *nl, uint16_t type, size_t header_size, netlink_each *each, void *data)
{
	char buf[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	void *header;
	int r = -EINTR;

	for (unsigned int i = 0; i < NETLINK_TRIES && r == -EINTR; i++)
		r = netlink_dump(nl, netlink_begin(buf, type, 0, header_size, &header), each, data);
	return r;
}

static int find_device(struct mnl_socket *nl, struct search *s)
{
	int r = dump(nl, RTM_GETLINK, sizeof(struct ifinfomsg), look_at_link, s);

	return r < 0 ? ERR(r, "cannot list the network devices") : 0;
}

/* ---- addresses ---- */

/* What the kernel reports of an address and takes back with it; a label begins with the device's name, which may change. */
static const uint16_t kept[] = { IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_ANYCAST, IFA_RT_PRIORITY, IFA_PROTO };

static int keep_address(const struct nlmsghdr *nlh, void *data)
{
	struct device *d = data;
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[IFA_MAX + 1];
	struct nlmsghdr *request;
	struct address *more;
	uint32_t flags;
	void *header;

	if (nlh->nlmsg_type != RTM_NEWADDR || (int)ifa->ifa_index != d->index || ifa->ifa_scope != RT_SCOPE_UNIVERSE)
		return 0;
	netlink_attributes(nlh, sizeof(*ifa), attr, IFA_MAX);
	flags = attr[IFA_FLAGS] != NULL && mnl_attr_validate(attr[IFA_FLAGS], MNL_TYPE_U32) >= 0 ?
			mnl_attr_get_u32(attr[IFA_FLAGS]) : ifa->ifa_flags;
	if ((flags & IFA_F_PERMANENT) == 0)
		return 0;
	if (d->n_addresses == ADDRESSES_MAX)
		return ERR_PLAIN(-E2BIG, "the network device \"%s\" has more than %d addresses", d->names.name, ADDRESSES_MAX);
	more = realloc(d->addresses, (d->n_addresses + 1) * sizeof(*more));
	if (more == NULL)
		return ERR_NOMEM();
	d->addresses = more;
	request = netlink_begin(more[d->n_addresses++].request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(*ifa), &header);
	*(struct ifaddrmsg *)header = *ifa;
	((struct ifaddrmsg *)header)->ifa_flags = 0;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (kept[i] <= IFA_MAX && attr[kept[i]] != NULL)
			mnl_attr_put(request, kept[i], mnl_attr_get_payload_len(attr[kept[i]]), mnl_attr_get_payload(attr[kept[i]]));
	/* What duplicate address detection found here says nothing of there. */
	flags &= ~(uint32_t)(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_OPTIMISTIC | IFA_F_SECONDARY);
	mnl_attr_put_u32(request, IFA_FLAGS, flags);
	return 0;
}

static int add_addresses(struct mnl_socket *nl, struct device *d, int index)
{
	for (size_t i = 0; i < d->n_addresses; i++) {
		struct nlmsghdr *request = (struct nlmsghdr *)d->addresses[i].request;
		struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(request);
		int r;

		ifa->ifa_index = (unsigned int)index;
		r = netlink_ack(nl, request);
		if (r < 0 && r != -EEXIST)
			return ERR(r, "cannot give the network device \"%s\" its address number %zu again", d->names.name, i + 1);
	}
	return 0;
}

/* ---- moving ---- */

/*
 * The kernel moves first and renames then: when the name is refused the device is over there with its old one. Under which
 * index it is there is said in the request (IFLA_NEW_IFINDEX, 5.13), since a template's name cannot be foretold.
 */
static int send_link(struct mnl_socket *nl, int index, int new_index, const char *name, int netns)
{
	char buf[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), &header);

	*(struct ifinfomsg *)header = (struct ifinfomsg){ .ifi_index = index };
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)netns);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	mnl_attr_put_u32(nlh, IFLA_NEW_IFINDEX, (uint32_t)new_index);
	return netlink_ack(nl, nlh);
}

/* Which of the two namespaces has it after a move that failed? */
static bool is_there(struct mnl_socket *nl, int index)
{
	char buf[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), &header);

	/* A change of nothing: ENODEV when it is not there. */
	*(struct ifinfomsg *)header = (struct ifinfomsg){ .ifi_index = index };
	return netlink_ack(nl, nlh) == 0;
}

static int move_one(const struct side *from, const struct side *to, struct device *d)
{
	int r = -EBUSY;

	for (int i = 0; i < INDEX_TRIES && r == -EBUSY; i++) {
		struct search s = { .name = d->names.new_name };

		r = find_device(to->nl, &s);
		if (r < 0)
			return r;
		if (s.index != 0)
			return ERR_PLAIN(-EEXIST, "cannot move the network device \"%s\": the container's network namespace has a \"%s\" already",
					 d->names.name, d->names.new_name);
		/* Above all that are there; in the time between another one may have taken it. */
		d->new_index = s.highest + 1 + i;
		r = send_link(from->nl, d->index, d->new_index, d->names.new_name, to->fd);
	}
	if (r < 0 && !is_there(to->nl, d->new_index))
		d->new_index = 0;
	if (r < 0)
		return ERR(r, "cannot move the network device \"%s\" into the container as \"%s\"", d->names.name, d->names.new_name);
	r = add_addresses(to->nl, d, d->new_index);
	if (r < 0)
		return r;
	r = netlink_set_up(to->nl, d->new_index);
	return r < 0 ? ERR(r, "cannot set the network device \"%s\" up in the container", d->names.name) : 0;
}

/* Best effort, with a word in the log; the error that led here is the one to tell. */
static void give_back(const struct side *from, const struct side *to, struct device *d)
{
	int r;

	if (d->new_index == 0)
		return;
	r = send_link(to->nl, d->new_index, d->index, d->names.name, from->fd);
	for (size_t i = 0; r == 0 && i < d->n_addresses; i++) {
		struct nlmsghdr *request = (struct nlmsghdr *)d->addresses[i].request;

		((struct ifaddrmsg *)mnl_nlmsg_get_payload(request))->ifa_index = (unsigned int)d->index;
		(void)netlink_ack(from->nl, request);
	}
	if (r == 0 && d->was_up)
		r = netlink_set_up(from->nl, d->index);
	if (r < 0)
		log_warning("the network device \"%s\" could not be given back: %s", d->names.name, strerror(-r));
}

/* ---- all of them ---- */

static int open_side(struct side *s)
{
	s->fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return s->fd < 0 ? ERR(-errno, "cannot open the network namespace") : netlink_open(&s->nl);
}

static void close_side(struct side *s)
{
	netlink_closep(&s->nl);
	fd_close(&s->fd);
}

static int open_sides(struct side *from, struct side *to, int pidfd)
{
	int r = open_side(from);

	if (r < 0)
		return r;
	if (setns(pidfd, CLONE_NEWNET) < 0)
		return ERR_HINT(ERR(-errno, "cannot enter the container's network namespace"),
				"to move the host's network devices needs root on the host");
	r = open_side(to);
	/* Nothing else may be done from in there. */
	if (setns(from->fd, CLONE_NEWNET) < 0)
		return ERR(-errno, "cannot go back to our own network namespace");
	return r;
}

/* All are looked at before the first is touched. */
static int look_up(struct mnl_socket *nl, struct device *d)
{
	struct search s = { .name = d->names.name };
	int r = find_device(nl, &s);

	if (r < 0)
		return r;
	if (s.index == 0)
		return ERR_PLAIN(-ENODEV, "cannot move the network device \"%s\": there is none of this name", d->names.name);
	if (s.flags & IFF_LOOPBACK)
		return ERR_PLAIN(-EINVAL, "cannot move the network device \"%s\": a loopback device belongs to its namespace", d->names.name);
	d->index = s.index;
	d->was_up = (s.flags & IFF_UP) != 0;
	r = dump(nl, RTM_GETADDR, sizeof(struct ifaddrmsg), keep_address, d);
	return r < 0 ? ERR_CONTEXT(r, "cannot list the addresses of the network device \"%s\"", d->names.name) : 0;
}

int net_move(const struct net_move *v, size_t n, int pidfd)
{
	struct side from = { .fd = FD_NONE }, to = { .fd = FD_NONE };
	struct device *d = calloc(n, sizeof(*d));
	size_t done = 0;
	int r = d == NULL ? ERR_NOMEM() : open_sides(&from, &to, pidfd);

	for (size_t i = 0; r == 0 && i < n; i++) {
		d[i].names = v[i];
		r = look_up(from.nl, &d[i]);
	}
	for (; r == 0 && done < n; done++)
		r = move_one(&from, &to, &d[done]);
	for (size_t i = done; r < 0 && i-- > 0;)
		give_back(&from, &to, &d[i]);
	for (size_t i = 0; d != NULL && i < n; i++)
		free(d[i].addresses);
	free(d);
	close_side(&from);
	close_side(&to);
	return r;
}
