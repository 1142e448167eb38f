// SPDX-License-Identifier: Apache-2.0
#include "net/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "core/buf.h"

enum { FORGET_MAX = 65536 };

struct forget {
	const struct conntrack_port *ports;
	size_t n;
	struct buf tuples; /* of flows to forget: attribute CTA_TUPLE_ORIG as it came, padded */
	size_t found;
};

struct tuple {
	struct in6_addr src;
	uint16_t sport, dport;
};

static bool parse_udp(struct nlattr *tuple, struct tuple *ret)
{
	struct nlattr *t[CTA_TUPLE_MAX + 1], *p[CTA_PROTO_MAX + 1], *a[CTA_IP_MAX + 1];

	if (!tuple || nla_parse_nested(t, CTA_TUPLE_MAX, tuple, NULL) || !t[CTA_TUPLE_PROTO] ||
	    !t[CTA_TUPLE_IP] || nla_parse_nested(p, CTA_PROTO_MAX, t[CTA_TUPLE_PROTO], NULL) ||
	    nla_parse_nested(a, CTA_IP_MAX, t[CTA_TUPLE_IP], NULL) || !p[CTA_PROTO_NUM] ||
	    nla_get_u8(p[CTA_PROTO_NUM]) != IPPROTO_UDP || !p[CTA_PROTO_DST_PORT] ||
	    !p[CTA_PROTO_SRC_PORT])
		return false;
	if (a[CTA_IP_V4_SRC] && nla_len(a[CTA_IP_V4_SRC]) == sizeof(struct in_addr))
		ret->src = inaddr_of4(*(struct in_addr *)nla_data(a[CTA_IP_V4_SRC]));
	else if (a[CTA_IP_V6_SRC] && nla_len(a[CTA_IP_V6_SRC]) == sizeof(ret->src))
		memcpy(&ret->src, nla_data(a[CTA_IP_V6_SRC]), sizeof(ret->src));
	else
		return false;
	ret->sport = ntohs(nla_get_u16(p[CTA_PROTO_SRC_PORT]));
	ret->dport = ntohs(nla_get_u16(p[CTA_PROTO_DST_PORT]));
	return true;
}

static int on_flow(struct nl_msg *msg, void *arg)
{
	struct nlattr *tb[CTA_MAX + 1];
	struct forget *f = arg;
	struct tuple orig, reply;

	if (nlmsg_parse(nlmsg_hdr(msg), sizeof(struct nfgenmsg), tb, CTA_MAX, NULL) ||
	    !parse_udp(tb[CTA_TUPLE_ORIG], &orig) || !parse_udp(tb[CTA_TUPLE_REPLY], &reply))
		return NL_OK;
	for (size_t i = 0; i < f->n && f->found < FORGET_MAX; i++) {
		const struct conntrack_port *p = &f->ports[i];
		bool goes = inaddr_equal(&reply.src, &p->addr) && reply.sport == p->to;

		if (inaddr_is4(&reply.src) == inaddr_is4(&p->addr) && p->port == orig.dport &&
		    goes == p->gone) {
			buf_add(&f->tuples, tb[CTA_TUPLE_ORIG],
				NLA_ALIGN(tb[CTA_TUPLE_ORIG]->nla_len));
			f->found++;
			break;
		}
	}
	return NL_OK;
}

static struct nl_msg *request(int type, int flags, uint8_t family)
{
	struct nfgenmsg head = {.nfgen_family = family, .version = NFNETLINK_V0};
	struct nl_msg *msg = nlmsg_alloc_simple(NFNL_SUBSYS_CTNETLINK << 8 | type, flags);

	assert(msg && !nlmsg_append(msg, &head, sizeof(head), NLMSG_ALIGNTO));
	return msg;
}

/* The message is freed. */
static int send_off(struct nl_sock *sk, struct nl_msg *msg)
{
	int rc = nl_send_auto(sk, msg);

	nlmsg_free(msg);
	return rc < 0 ? -EIO : 0;
}

static int delete_all(struct nl_sock *sk, const struct buf *tuples)
{
	int rc = 0;

	for (size_t at = 0; !rc && at < tuples->len;) {
		struct nlattr *a = (void *)(tuples->data + at);
		struct nl_msg *msg;
		struct tuple t;

		at += NLA_ALIGN(a->nla_len);
		if (!parse_udp(a, &t))
			continue;
		msg = request(IPCTNL_MSG_CT_DELETE, 0, inaddr_is4(&t.src) ? AF_INET : AF_INET6);
		assert(!nlmsg_append(msg, a, a->nla_len, NLMSG_ALIGNTO));
		rc = send_off(sk, msg);
		if (!rc)
			nl_wait_for_ack(sk); /* one that has ended meanwhile is as good */
	}
	return rc;
}

int conntrack_forget(const struct conntrack_port *ports, size_t n)
{
	struct forget f = {.ports = ports, .n = n, .tuples = BUF_INIT};
	struct nl_sock *sk = n ? nl_socket_alloc() : NULL;
	int rc = 0;

	if (!n)
		return 0;
	if (!sk || nl_connect(sk, NETLINK_NETFILTER)) {
		nl_socket_free(sk);
		return -EMFILE;
	}
	nl_socket_disable_seq_check(sk);
	nl_socket_modify_cb(sk, NL_CB_VALID, NL_CB_CUSTOM, on_flow, &f);
	nl_socket_disable_auto_ack(sk);
	rc = send_off(sk, request(IPCTNL_MSG_CT_GET, NLM_F_DUMP, AF_UNSPEC));
	if (!rc && nl_recvmsgs_default(sk) < 0)
		rc = -EIO;
	nl_socket_enable_auto_ack(sk);
	if (!rc)
		rc = delete_all(sk, &f.tuples);
	nl_socket_free(sk);
	buf_done(&f.tuples);
	return rc;
}
