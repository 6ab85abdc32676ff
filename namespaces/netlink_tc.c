/* SPDX-License-Identifier: Apache-2.0 */
/* See netlink_tc.h. */
#include "namespaces/netlink_tc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "namespaces/netlink_socket.h"
#include "runtime/base/err.h"
#include "runtime/base/str.h"

#define INGRESS_HANDLE TC_H_MAKE(TC_H_INGRESS, 0)
/* The priority of nacre's filters, by which they are known again: "na". */
#define OUR_PRIORITY 0x6e61U
/* A qdisc that is just being removed makes the kernel busy for a moment. */
#define BUSY_TRIES 20
#define BUSY_PAUSE_NS (10 * 1000 * 1000)

#define REQUEST(name) char name[NETLINK_REQUEST_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)))

static struct nlmsghdr *tc_begin(void *buf, uint16_t type, uint16_t flags, const struct tcmsg *tcm)
{
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, type, flags, sizeof(*tcm), &header);

	memcpy(header, tcm, sizeof(*tcm));
	return nlh;
}

static bool kind_is(const struct nlattr *attr, const char *kind)
{
	return attr != NULL && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 && str_eq(mnl_attr_get_str(attr), kind);
}

/* ---- what is there ---- */

struct qdiscs {
	int only;	/* this interface, or 0: all */
	int *indexes;
	size_t max, n;
	bool foreign;	/* a clsact, at the one interface */
};

static int take_qdisc(const struct nlmsghdr *nlh, void *data)
{
	struct qdiscs *q = data;
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[TCA_MAX + 1];

	if (nlh->nlmsg_type != RTM_NEWQDISC || tcm->tcm_parent != TC_H_INGRESS)
		return 0;
	if (q->only != 0 && tcm->tcm_ifindex != q->only)
		return 0;
	netlink_attributes(nlh, sizeof(*tcm), attr, TCA_MAX);
	if (!kind_is(attr[TCA_KIND], "ingress"))
		q->foreign = true;
	else if (q->n < q->max)
		q->indexes[q->n++] = tcm->tcm_ifindex;
	return 0;
}

static int list_qdiscs(struct mnl_socket *nl, struct qdiscs *q)
{
	REQUEST(buf);
	const struct tcmsg tcm = { .tcm_ifindex = q->only };
	int r = netlink_dump(nl, tc_begin(buf, RTM_GETQDISC, 0, &tcm), take_qdisc, q);

	return r < 0 && r != -EINTR ? ERR(r, "cannot list the traffic control of the network namespace") : 0;
}

int tc_ingress_list(struct mnl_socket *nl, int *indexes, size_t max, size_t *ret_n)
{
	struct qdiscs q = { .indexes = indexes, .max = max };
	int r = list_qdiscs(nl, &q);

	*ret_n = q.n;
	return r;
}

struct filters {
	bool any, foreign, in_use;
};

/* The interface that the action sends to: 0 when it is gone, or when the filter has no such action. */
static int redirect_target(const struct nlattr *options, uint16_t act_type)
{
	const struct nlattr *option[TCA_U32_MAX + 1], *acts[2], *act[TCA_ACT_MAX + 1], *mirred[TCA_MIRRED_MAX + 1];
	struct tc_mirred parms;

	netlink_nested(options, option, TCA_U32_MAX);
	netlink_nested(option[act_type], acts, 1);
	netlink_nested(acts[1], act, TCA_ACT_MAX);
	netlink_nested(act[TCA_ACT_OPTIONS], mirred, TCA_MIRRED_MAX);
	if (!kind_is(act[TCA_ACT_KIND], "mirred") || mirred[TCA_MIRRED_PARMS] == NULL ||
	    mnl_attr_get_payload_len(mirred[TCA_MIRRED_PARMS]) < sizeof(parms))
		return 0;
	memcpy(&parms, mnl_attr_get_payload(mirred[TCA_MIRRED_PARMS]), sizeof(parms));
	return (int)parms.ifindex;
}

static int take_filter(const struct nlmsghdr *nlh, void *data)
{
	struct filters *f = data;
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr[TCA_MAX + 1];
	bool u32;

	if (nlh->nlmsg_type != RTM_NEWTFILTER)
		return 0;
	netlink_attributes(nlh, sizeof(*tcm), attr, TCA_MAX);
	u32 = kind_is(attr[TCA_KIND], "u32");
	f->any = true;
	if (TC_H_MAJ(tcm->tcm_info) >> 16 != OUR_PRIORITY || (!u32 && !kind_is(attr[TCA_KIND], "matchall")))
		f->foreign = true;
	else if (redirect_target(attr[TCA_OPTIONS], u32 ? TCA_U32_ACT : TCA_MATCHALL_ACT) != 0)
		f->in_use = true;
	return 0;
}

int tc_ingress_read(struct mnl_socket *nl, int index, enum tc_ingress *ret)
{
	REQUEST(buf);
	const struct tcmsg tcm = { .tcm_ifindex = index, .tcm_parent = INGRESS_HANDLE };
	struct filters f = { 0 };
	int found;
	struct qdiscs q = { .only = index, .indexes = &found, .max = 1 };
	int r;

	r = list_qdiscs(nl, &q);
	if (r < 0)
		return r;
	*ret = q.foreign ? TC_FOREIGN : TC_NONE;
	if (q.foreign || q.n == 0)
		return 0;
	r = netlink_dump(nl, tc_begin(buf, RTM_GETTFILTER, 0, &tcm), take_filter, &f);
	if (r < 0 && r != -EINTR)
		return ERR(r, "cannot list the filters at the ingress of network interface %d", index);
	*ret = f.foreign ? TC_FOREIGN : f.in_use ? TC_REDIRECT : f.any ? TC_LEFTOVER : TC_BARE;
	return 0;
}

/* ---- changes ---- */

static int qdisc_add(struct mnl_socket *nl, int index)
{
	const struct timespec pause = { .tv_nsec = BUSY_PAUSE_NS };
	const struct tcmsg tcm = { .tcm_ifindex = index, .tcm_handle = INGRESS_HANDLE, .tcm_parent = TC_H_INGRESS };
	int r = -EBUSY;

	for (unsigned int i = 0; i < BUSY_TRIES && r == -EBUSY; i++) {
		REQUEST(buf);
		struct nlmsghdr *nlh = tc_begin(buf, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &tcm);

		if (i > 0)
			(void)nanosleep(&pause, NULL);
		mnl_attr_put_strz(nlh, TCA_KIND, "ingress");
		r = netlink_ack(nl, nlh);
	}
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return ERR_HINT(ERR_PLAIN(r, "the kernel has no ingress qdisc, by which a microVM gets its network"),
				"Load the module sch_ingress, or build the kernel with CONFIG_NET_SCH_INGRESS.");
	return r < 0 ? ERR(r, "cannot add an ingress qdisc to network interface %d", index) : 0;
}

static void put_redirect(struct nlmsghdr *nlh, uint16_t act_type, int to)
{
	const struct tc_mirred parms = { .action = TC_ACT_STOLEN, .eaction = TCA_EGRESS_REDIR, .ifindex = (uint32_t)to };
	struct nlattr *acts = mnl_attr_nest_start(nlh, act_type);
	struct nlattr *first = mnl_attr_nest_start(nlh, 1);
	struct nlattr *options;

	mnl_attr_put_strz(nlh, TCA_ACT_KIND, "mirred");
	options = mnl_attr_nest_start(nlh, TCA_ACT_OPTIONS);
	mnl_attr_put(nlh, TCA_MIRRED_PARMS, sizeof(parms), &parms);
	mnl_attr_nest_end(nlh, options);
	mnl_attr_nest_end(nlh, first);
	mnl_attr_nest_end(nlh, acts);
}

/* A u32 with one key that always matches. */
static void put_u32_key(struct nlmsghdr *nlh)
{
	struct {
		struct tc_u32_sel sel;
		struct tc_u32_key key;
	} match = { .sel = { .flags = TC_U32_TERMINAL, .nkeys = 1 } };

	mnl_attr_put(nlh, TCA_U32_SEL, sizeof(match), &match);
}

static int filter_add(struct mnl_socket *nl, int from, int to, bool u32)
{
	REQUEST(buf);
	const struct tcmsg tcm = {
		.tcm_ifindex = from,
		.tcm_parent = INGRESS_HANDLE,
		.tcm_info = TC_H_MAKE(OUR_PRIORITY << 16, htons(ETH_P_ALL)),
	};
	struct nlmsghdr *nlh = tc_begin(buf, RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &tcm);
	struct nlattr *options;

	mnl_attr_put_strz(nlh, TCA_KIND, u32 ? "u32" : "matchall");
	options = mnl_attr_nest_start(nlh, TCA_OPTIONS);
	if (u32)
		put_u32_key(nlh);
	put_redirect(nlh, u32 ? TCA_U32_ACT : TCA_MATCHALL_ACT, to);
	mnl_attr_nest_end(nlh, options);
	return netlink_ack(nl, nlh);
}

int tc_redirect_add(struct mnl_socket *nl, int from, int to)
{
	int r;

	r = qdisc_add(nl, from);
	if (r < 0)
		return r;
	/* Either will do. Kernels without the one have the other. */
	r = filter_add(nl, from, to, true);
	if (r == -ENOENT)
		r = filter_add(nl, from, to, false);
	if (r == -ENOENT || r == -EOPNOTSUPP)
		return ERR_HINT(ERR_PLAIN(r, "the kernel cannot redirect frames, by which a microVM gets its network"),
				"It needs act_mirred and one of cls_u32, cls_matchall: load the modules, or build it with "
				"CONFIG_NET_ACT_MIRRED and CONFIG_NET_CLS_U32.");
	return r < 0 ? ERR(r, "cannot redirect network interface %d", from) : 0;
}

int tc_ingress_remove(struct mnl_socket *nl, int index)
{
	REQUEST(buf);
	const struct tcmsg tcm = { .tcm_ifindex = index, .tcm_handle = INGRESS_HANDLE, .tcm_parent = TC_H_INGRESS };
	int r = netlink_ack(nl, tc_begin(buf, RTM_DELQDISC, 0, &tcm));

	/* EINVAL, ENOENT: there is none; ENODEV: no interface any more. */
	return r < 0 && r != -ENOENT && r != -EINVAL && r != -ENODEV ?
		       ERR(r, "cannot remove the ingress qdisc of network interface %d", index) :
		       0;
}

/* By netlink and not by the sysctl disable_ipv6: /proc/sys may be read-only here. Without an address IPv6 is quiet. */
static int no_link_local(struct mnl_socket *nl, int index)
{
	REQUEST(buf);
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), &header);
	struct nlattr *spec, *inet6;
	int r;

	((struct ifinfomsg *)header)->ifi_index = index;
	spec = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	inet6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, inet6);
	mnl_attr_nest_end(nlh, spec);
	r = netlink_ack(nl, nlh);
	/* A kernel without IPv6 (or an MTU below its least) would not make one anyway. */
	return r == -EAFNOSUPPORT || r == -EOPNOTSUPP ? 0 : r;
}

static int link_up(struct mnl_socket *nl, int index, uint32_t mtu)
{
	REQUEST(buf);
	void *header;
	struct nlmsghdr *nlh = netlink_begin(buf, RTM_NEWLINK, 0, sizeof(struct ifinfomsg), &header);
	struct ifinfomsg *ifi = header;

	ifi->ifi_index = index;
	ifi->ifi_change = IFF_UP | IFF_NOARP;
	ifi->ifi_flags = IFF_UP | IFF_NOARP;
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return netlink_ack(nl, nlh);
}

int tc_tap_up(struct mnl_socket *nl, int index, uint32_t mtu)
{
	int r = no_link_local(nl, index);

	if (r >= 0)
		r = link_up(nl, index, mtu);
	return r < 0 ? ERR(r, "cannot set up the tap of a microVM (MTU %u)", mtu) : 0;
}
