// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

struct rt {
	struct nl_sock *sk;
	int error; /* of the request under way: a negative errno */
	void (*each)(struct rt *rt, struct nlmsghdr *h);
	void *fn, *arg;
	int index; /* filter of rt_addrs */
	bool found;
};

int netns_enter(int fd)
{
	return setns(fd, CLONE_NEWNET) ? -errno : 0;
}

int netns_current(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	struct rt *rt = arg;

	(void)who;
	rt->error = e->error;
	return NL_STOP;
}

static int on_valid(struct nl_msg *msg, void *arg)
{
	struct rt *rt = arg;

	if (rt->each)
		rt->each(rt, nlmsg_hdr(msg));
	return NL_OK;
}

static int open_here(struct rt **ret)
{
	struct rt *rt = xcalloc(1, sizeof(*rt));

	rt->sk = nl_socket_alloc();
	if (!rt->sk || nl_connect(rt->sk, NETLINK_ROUTE)) {
		int rc = -errno;

		rt_close(rt);
		return rc ? rc : -EMFILE;
	}
	/* the library counts acknowledgements only, and answers without one put it off */
	nl_socket_disable_seq_check(rt->sk);
	nl_socket_modify_err_cb(rt->sk, NL_CB_CUSTOM, on_error, rt);
	nl_socket_modify_cb(rt->sk, NL_CB_VALID, NL_CB_CUSTOM, on_valid, rt);
	*ret = rt;
	return 0;
}

int rt_open(int netns_fd, struct rt **ret, struct err *err)
{
	_cleanup_close_ int home = -1;
	int rc = 0;

	if (netns_fd >= 0) {
		home = netns_current();
		rc = home < 0 ? home : netns_enter(netns_fd);
	}
	if (!rc) {
		rc = open_here(ret);
		if (home >= 0 && netns_enter(home))
			abort(); /* a thread that is lost in another namespace may not go on */
	}
	return rc ? err_errno(err, rc, "cannot open a netlink socket") : 0;
}

void rt_close(struct rt *rt)
{
	if (!rt)
		return;
	nl_socket_free(rt->sk);
	free(rt);
}

static struct nl_msg *msg_new(int type, int flags, const void *head, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, flags);

	assert(msg && !nlmsg_append(msg, (void *)head, size, NLMSG_ALIGNTO));
	return msg;
}

/* Attributes are a few small ones in a page: they fit. */
static void put(struct nl_msg *msg, int type, const void *p, size_t size)
{
	int rc = nla_put(msg, type, size, p);

	assert(!rc);
}

static void put_u32(struct nl_msg *msg, int type, uint32_t v)
{
	put(msg, type, &v, sizeof(v));
}

static void put_str(struct nl_msg *msg, int type, const char *s)
{
	put(msg, type, s, strlen(s) + 1);
}

static struct nlattr *nest(struct nl_msg *msg, int type)
{
	struct nlattr *a = nla_nest_start(msg, type);

	assert(a);
	return a;
}

/* Sends and frees the message and waits for the answer. */
static int talk(struct rt *rt, struct nl_msg *msg, void (*each)(struct rt *rt, struct nlmsghdr *h))
{
	int rc;

	rt->error = 0;
	rt->each = each;
	/* an answer is itself the acknowledgement */
	if (each)
		nl_socket_disable_auto_ack(rt->sk);
	else
		nl_socket_enable_auto_ack(rt->sk);
	rc = nl_send_auto(rt->sk, msg);
	nlmsg_free(msg);
	if (rc >= 0)
		rc = each ? nl_recvmsgs_default(rt->sk) : nl_wait_for_ack(rt->sk);
	rt->each = NULL;
	if (rt->error)
		return rt->error;
	return rc < 0 ? -EIO : 0;
}

static int ignore(int rc, int what)
{
	return rc == what ? 0 : rc;
}

static bool parse_link(struct nlmsghdr *h, struct rt_link *l)
{
	struct nlattr *tb[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
	struct ifinfomsg *ifi = nlmsg_data(h);

	memset(l, 0, sizeof(*l));
	if ((h->nlmsg_type != RTM_NEWLINK && h->nlmsg_type != RTM_DELLINK) ||
	    nlmsg_parse(h, sizeof(*ifi), tb, IFLA_MAX, NULL) || ifi->ifi_family != AF_UNSPEC ||
	    !tb[IFLA_IFNAME])
		return false;
	l->index = ifi->ifi_index;
	l->type = ifi->ifi_type;
	l->flags = ifi->ifi_flags;
	l->gone = h->nlmsg_type == RTM_DELLINK;
	nla_strlcpy(l->name, tb[IFLA_IFNAME], sizeof(l->name));
	if (tb[IFLA_MASTER])
		l->master = nla_get_u32(tb[IFLA_MASTER]);
	if (tb[IFLA_LINK])
		l->link = nla_get_u32(tb[IFLA_LINK]);
	if (tb[IFLA_MTU])
		l->mtu = nla_get_u32(tb[IFLA_MTU]);
	if (tb[IFLA_GROUP])
		l->group = nla_get_u32(tb[IFLA_GROUP]);
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == 6)
		memcpy(l->mac, nla_data(tb[IFLA_ADDRESS]), 6);
	if (tb[IFLA_LINKINFO] && !nla_parse_nested(info, IFLA_INFO_MAX, tb[IFLA_LINKINFO], NULL) &&
	    info[IFLA_INFO_KIND])
		nla_strlcpy(l->kind, info[IFLA_INFO_KIND], sizeof(l->kind));
	return true;
}

static void each_link(struct rt *rt, struct nlmsghdr *h)
{
	void (*fn)(const struct rt_link *l, void *arg) = rt->fn;
	struct rt_link l;

	if (parse_link(h, &l))
		fn(&l, rt->arg);
}

static void one_link(const struct rt_link *l, void *arg)
{
	*(struct rt_link *)arg = *l;
}

int rt_link_get(struct rt *rt, const char *name, struct rt_link *ret)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
	struct nl_msg *msg = msg_new(RTM_GETLINK, 0, &ifi, sizeof(ifi));

	put_str(msg, IFLA_IFNAME, name);
	rt->fn = one_link;
	rt->arg = ret;
	return talk(rt, msg, each_link);
}

int rt_links(struct rt *rt, void (*fn)(const struct rt_link *l, void *arg), void *arg)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};

	rt->fn = fn;
	rt->arg = arg;
	return talk(rt, msg_new(RTM_GETLINK, NLM_F_DUMP, &ifi, sizeof(ifi)), each_link);
}

int rt_link_del(struct rt *rt, const char *name)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
	struct nl_msg *msg = msg_new(RTM_DELLINK, 0, &ifi, sizeof(ifi));

	put_str(msg, IFLA_IFNAME, name);
	return ignore(talk(rt, msg, NULL), -ENODEV);
}

static int set_flags(struct rt *rt, int index, unsigned int flags)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC,
				.ifi_index = index,
				.ifi_flags = flags,
				.ifi_change = IFF_UP};

	return talk(rt, msg_new(RTM_NEWLINK, 0, &ifi, sizeof(ifi)), NULL);
}

int rt_link_up(struct rt *rt, int index)
{
	return set_flags(rt, index, IFF_UP);
}

int rt_link_down(struct rt *rt, int index)
{
	return set_flags(rt, index, 0);
}

int rt_link_rename(struct rt *rt, int index, const char *name)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct nl_msg *msg = msg_new(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	put_str(msg, IFLA_IFNAME, name);
	return talk(rt, msg, NULL);
}

int rt_link_no_ipv6(struct rt *rt, int index)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct nl_msg *msg = msg_new(RTM_NEWLINK, 0, &ifi, sizeof(ifi));
	struct nlattr *spec = nest(msg, IFLA_AF_SPEC), *inet6 = nest(msg, AF_INET6);
	uint8_t mode = IN6_ADDR_GEN_MODE_NONE;

	put(msg, IFLA_INET6_ADDR_GEN_MODE, &mode, 1);
	nla_nest_end(msg, inet6);
	nla_nest_end(msg, spec);
	return talk(rt, msg, NULL);
}

int rt_link_set_master(struct rt *rt, int index, int master)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC, .ifi_index = index};
	struct nl_msg *msg = msg_new(RTM_NEWLINK, 0, &ifi, sizeof(ifi));

	put_u32(msg, IFLA_MASTER, master);
	return talk(rt, msg, NULL);
}

int rt_bridge_add(struct rt *rt, const char *name, const uint8_t mac[6], unsigned int mtu)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
	struct nl_msg *msg = msg_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	struct nlattr *info;

	put_str(msg, IFLA_IFNAME, name);
	put(msg, IFLA_ADDRESS, mac, 6);
	put_u32(msg, IFLA_MTU, mtu);
	info = nest(msg, IFLA_LINKINFO);
	put_str(msg, IFLA_INFO_KIND, "bridge");
	nla_nest_end(msg, info);
	return talk(rt, msg, NULL);
}

int rt_port_set(struct rt *rt, int index, bool isolated, bool hairpin)
{
	struct ifinfomsg ifi = {.ifi_family = AF_BRIDGE, .ifi_index = index};
	struct nl_msg *msg = msg_new(RTM_SETLINK, 0, &ifi, sizeof(ifi));
	struct nlattr *info = nla_nest_start(msg, IFLA_PROTINFO | NLA_F_NESTED);
	uint8_t iso = isolated, pin = hairpin;

	put(msg, IFLA_BRPORT_ISOLATED, &iso, 1);
	put(msg, IFLA_BRPORT_MODE, &pin, 1);
	nla_nest_end(msg, info);
	return talk(rt, msg, NULL);
}

int rt_veth_add(struct rt *rt, const struct rt_veth *v)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
	struct nl_msg *msg = msg_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	struct nlattr *info, *data, *peer;
	int rc;

	put_str(msg, IFLA_IFNAME, v->name);
	put_u32(msg, IFLA_MTU, v->mtu);
	put_u32(msg, IFLA_GROUP, RT_GROUP_CONTAINERS);
	if (v->master)
		put_u32(msg, IFLA_MASTER, v->master);
	info = nest(msg, IFLA_LINKINFO);
	put_str(msg, IFLA_INFO_KIND, "veth");
	data = nest(msg, IFLA_INFO_DATA);
	peer = nest(msg, VETH_INFO_PEER);
	rc = nlmsg_append(msg, &ifi, sizeof(ifi), NLMSG_ALIGNTO);
	assert(!rc);
	put_str(msg, IFLA_IFNAME, v->peer_name);
	put_u32(msg, IFLA_MTU, v->mtu);
	put(msg, IFLA_ADDRESS, v->peer_mac, 6);
	put_u32(msg, IFLA_NET_NS_FD, v->peer_netns);
	nla_nest_end(msg, peer);
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return talk(rt, msg, NULL);
}

int rt_sublink_add(struct rt *rt, const struct rt_sublink *l)
{
	struct ifinfomsg ifi = {.ifi_family = AF_UNSPEC};
	struct nl_msg *msg = msg_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi, sizeof(ifi));
	struct nlattr *info, *data;
	uint16_t id = l->vlan, mode = l->mode;

	put_str(msg, IFLA_IFNAME, l->name);
	if (l->parent)
		put_u32(msg, IFLA_LINK, l->parent);
	if (l->mac)
		put(msg, IFLA_ADDRESS, l->mac, 6);
	if (l->mtu)
		put_u32(msg, IFLA_MTU, l->mtu);
	if (l->netns >= 0)
		put_u32(msg, IFLA_NET_NS_FD, l->netns);
	info = nest(msg, IFLA_LINKINFO);
	put_str(msg, IFLA_INFO_KIND, l->kind);
	data = nest(msg, IFLA_INFO_DATA);
	if (streq(l->kind, "vlan")) {
		put(msg, IFLA_VLAN_ID, &id, sizeof(id));
	} else if (streq(l->kind, "macvlan")) {
		put_u32(msg, IFLA_MACVLAN_MODE, l->mode);
	} else if (streq(l->kind, "ipvlan")) {
		put(msg, IFLA_IPVLAN_MODE, &mode, sizeof(mode));
		put(msg, IFLA_IPVLAN_FLAGS, &l->flag, sizeof(l->flag));
	}
	nla_nest_end(msg, data);
	nla_nest_end(msg, info);
	return talk(rt, msg, NULL);
}

int rt_kind_err(struct err *err, int rc, const char *kind, const char *what, ...)
{
	static const char *const needs[][3] = {
		{"macvlan", "CONFIG_MACVLAN", "macvlan"},
		{"ipvlan", "CONFIG_IPVLAN", "ipvlan"},
		{"vlan", "CONFIG_VLAN_8021Q", "8021q"},
		{"dummy", "CONFIG_DUMMY", "dummy"},
	};
	char text[300];
	va_list ap;

	va_start(ap, what);
	vsnprintf(text, sizeof(text), what, ap);
	va_end(ap);
	for (size_t i = 0; rc == -EOPNOTSUPP && i < ARRAY_SIZE(needs); i++)
		if (streq(needs[i][0], kind)) {
			/* the node's lack, no feature that the API has not: 500 */
			err_set(err, -ENXIO,
				"%s: the kernel of this node has no links of kind %s: it needs %s, "
				"as module: modprobe %s",
				text, kind, needs[i][1], needs[i][2]);
			return -ENXIO;
		}
	return err_errno(err, rc, "%s", text);
}

static struct nl_msg *addr_msg(int type, int flags, int index, struct in_addr addr,
			       unsigned int prefix)
{
	struct ifaddrmsg ifa = {.ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = index};
	struct nl_msg *msg = msg_new(type, flags, &ifa, sizeof(ifa));
	struct in_addr broadcast = addr;

	put(msg, IFA_LOCAL, &addr, sizeof(addr));
	put(msg, IFA_ADDRESS, &addr, sizeof(addr));
	if (type == RTM_NEWADDR && prefix < 31) {
		broadcast.s_addr |= htonl(prefix ? UINT32_MAX >> prefix : UINT32_MAX);
		put(msg, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	}
	return msg;
}

int rt_addr_add(struct rt *rt, int index, struct in_addr addr, unsigned int prefix)
{
	return ignore(talk(rt,
			   addr_msg(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, addr, prefix),
			   NULL),
		      -EEXIST);
}

int rt_addr_del(struct rt *rt, int index, struct in_addr addr, unsigned int prefix)
{
	return ignore(talk(rt, addr_msg(RTM_DELADDR, 0, index, addr, prefix), NULL),
		      -EADDRNOTAVAIL);
}

static void each_addr(struct rt *rt, struct nlmsghdr *h)
{
	void (*fn)(struct in_addr addr, unsigned int prefix, void *arg) = rt->fn;
	struct nlattr *tb[IFA_MAX + 1];
	struct ifaddrmsg *ifa = nlmsg_data(h);

	if (h->nlmsg_type == RTM_NEWADDR && !nlmsg_parse(h, sizeof(*ifa), tb, IFA_MAX, NULL) &&
	    ifa->ifa_family == AF_INET && (!rt->index || (int)ifa->ifa_index == rt->index) &&
	    tb[IFA_LOCAL] && nla_len(tb[IFA_LOCAL]) == 4)
		fn(*(struct in_addr *)nla_data(tb[IFA_LOCAL]), ifa->ifa_prefixlen, rt->arg);
}

int rt_addrs(struct rt *rt, int index,
	     void (*fn)(struct in_addr addr, unsigned int prefix, void *arg), void *arg)
{
	struct ifaddrmsg ifa = {.ifa_family = AF_INET};

	rt->index = index;
	rt->fn = fn;
	rt->arg = arg;
	return talk(rt, msg_new(RTM_GETADDR, NLM_F_DUMP, &ifa, sizeof(ifa)), each_addr);
}

int rt_addr6_add(struct rt *rt, int index, const struct in6_addr *addr, unsigned int prefix)
{
	struct ifaddrmsg ifa = {
		.ifa_family = AF_INET6, .ifa_prefixlen = prefix, .ifa_index = index};
	struct nl_msg *msg = msg_new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &ifa, sizeof(ifa));

	put(msg, IFA_LOCAL, addr, sizeof(*addr));
	put(msg, IFA_ADDRESS, addr, sizeof(*addr));
	put_u32(msg, IFA_FLAGS, IFA_F_NODAD);
	return ignore(talk(rt, msg, NULL), -EEXIST);
}

static void each_route6(struct rt *rt, struct nlmsghdr *h)
{
	void (*fn)(const struct in6_addr *dst, unsigned int prefix, void *arg) = rt->fn;
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *m = nlmsg_data(h);
	struct in6_addr dst;

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*m), tb, RTA_MAX, NULL) ||
	    m->rtm_family != AF_INET6 || m->rtm_type != RTN_UNICAST || !m->rtm_dst_len ||
	    m->rtm_table != RT_TABLE_MAIN || !tb[RTA_DST] || nla_len(tb[RTA_DST]) != sizeof(dst))
		return;
	memcpy(&dst, nla_data(tb[RTA_DST]), sizeof(dst));
	if (!IN6_IS_ADDR_LINKLOCAL(&dst))
		fn(&dst, m->rtm_dst_len, rt->arg);
}

int rt_routes6(struct rt *rt,
	       void (*fn)(const struct in6_addr *dst, unsigned int prefix, void *arg), void *arg)
{
	struct rtmsg m = {.rtm_family = AF_INET6};

	rt->fn = fn;
	rt->arg = arg;
	return talk(rt, msg_new(RTM_GETROUTE, NLM_F_DUMP, &m, sizeof(m)), each_route6);
}

static struct nl_msg *default6_msg(int type, int flags, const struct in6_addr *gateway)
{
	struct rtmsg rt = {
		.rtm_family = AF_INET6,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_msg *msg = msg_new(type, flags, &rt, sizeof(rt));

	put_u32(msg, RTA_TABLE, RT_TABLE_MAIN);
	if (gateway)
		put(msg, RTA_GATEWAY, gateway, sizeof(*gateway));
	return msg;
}

int rt_default6_set(struct rt *rt, const struct in6_addr *gateway)
{
	/* a kernel without IPv6 has no routes either */
	int rc = ignore(talk(rt, default6_msg(RTM_DELROUTE, 0, NULL), NULL), -ESRCH);

	if (IN6_IS_ADDR_UNSPECIFIED(gateway))
		return ignore(ignore(rc, -EAFNOSUPPORT), -EOPNOTSUPP);
	if (rc)
		return rc;
	return talk(rt, default6_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, gateway), NULL);
}

static struct nl_msg *route_msg(int type, int flags, const struct rt_route *r)
{
	struct rtmsg rt = {
		.rtm_family = AF_INET,
		.rtm_dst_len = r->prefix,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = r->gateway.s_addr ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_msg *msg = msg_new(type, flags, &rt, sizeof(rt));

	put_u32(msg, RTA_TABLE, r->table ? r->table : RT_TABLE_MAIN);
	if (r->prefix)
		put(msg, RTA_DST, &r->dst, sizeof(r->dst));
	if (r->gateway.s_addr)
		put(msg, RTA_GATEWAY, &r->gateway, sizeof(r->gateway));
	if (r->src.s_addr)
		put(msg, RTA_PREFSRC, &r->src, sizeof(r->src));
	if (r->index)
		put_u32(msg, RTA_OIF, r->index);
	return msg;
}

int rt_route_add(struct rt *rt, const struct rt_route *r)
{
	return ignore(talk(rt, route_msg(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r), NULL),
		      -EEXIST);
}

int rt_route_del(struct rt *rt, const struct rt_route *r)
{
	struct nl_msg *msg = route_msg(RTM_DELROUTE, 0, r);
	struct rtmsg *m = nlmsg_data(nlmsg_hdr(msg));

	m->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	return ignore(talk(rt, msg, NULL), -ESRCH);
}

static void each_route(struct rt *rt, struct nlmsghdr *h)
{
	void (*fn)(const struct rt_route *r, void *arg) = rt->fn;
	struct nlattr *tb[RTA_MAX + 1];
	struct rtmsg *m = nlmsg_data(h);
	struct rt_route r = {0};

	if (h->nlmsg_type != RTM_NEWROUTE || nlmsg_parse(h, sizeof(*m), tb, RTA_MAX, NULL) ||
	    m->rtm_family != AF_INET || m->rtm_type != RTN_UNICAST)
		return;
	r.table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : m->rtm_table;
	if (r.table != RT_TABLE_MAIN)
		return;
	r.prefix = m->rtm_dst_len;
	if (tb[RTA_DST])
		memcpy(&r.dst, nla_data(tb[RTA_DST]), sizeof(r.dst));
	if (tb[RTA_OIF])
		r.index = nla_get_u32(tb[RTA_OIF]);
	fn(&r, rt->arg);
}

int rt_routes(struct rt *rt, void (*fn)(const struct rt_route *r, void *arg), void *arg)
{
	struct rtmsg m = {.rtm_family = AF_INET};

	rt->fn = fn;
	rt->arg = arg;
	return talk(rt, msg_new(RTM_GETROUTE, NLM_F_DUMP, &m, sizeof(m)), each_route);
}

int rt_rule_add(struct rt *rt, const struct rt_rule *r)
{
	struct fib_rule_hdr head = {
		.family = AF_INET,
		.src_len = r->from.s_addr ? 32 : 0,
		.action = FR_ACT_TO_TBL,
	};
	struct nl_msg *msg = msg_new(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof(head));
	struct fib_rule_port_range range = {r->sport, r->sport};
	uint8_t proto = r->proto;

	put_u32(msg, FRA_PRIORITY, r->pref);
	put_u32(msg, FRA_TABLE, r->table);
	if (r->from.s_addr)
		put(msg, FRA_SRC, &r->from, sizeof(r->from));
	if (proto)
		put(msg, FRA_IP_PROTO, &proto, 1);
	if (r->sport)
		put(msg, FRA_SPORT_RANGE, &range, sizeof(range));
	if (r->no_default)
		put_u32(msg, FRA_SUPPRESS_PREFIXLEN, 0);
	return ignore(talk(rt, msg, NULL), -EEXIST);
}

int rt_link_subscribe(struct rt *rt)
{
	nl_socket_set_buffer_size(rt->sk, 1 << 20, 0);
	if (nl_socket_add_membership(rt->sk, RTNLGRP_LINK) || nl_socket_set_nonblocking(rt->sk))
		return -EIO;
	return nl_socket_get_fd(rt->sk);
}

int rt_link_events(struct rt *rt, void (*fn)(const struct rt_link *l, void *arg), void *arg)
{
	int rc;

	rt->fn = fn;
	rt->arg = arg;
	rt->each = each_link;
	rc = nl_recvmsgs_default(rt->sk);
	rt->each = NULL;
	return rc == -NLE_NOMEM || rc == -NLE_MSG_OVERFLOW ? -ENOBUFS : 0;
}
