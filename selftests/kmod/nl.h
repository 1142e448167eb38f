/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Generic netlink by hand, for tests that send what no library would: any bytes as attributes, and
 * every part of the kernel's answer. A socket belongs to the network namespace it was opened in.
 */
#pragma once

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/swarm.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define NL_MAX (256 * 1024)

struct nl {
	int fd;
	uint16_t family; /* 0: there is no module */
	uint32_t seq;
	uint32_t groups[3]; /* by the order in swarm.yaml: state, drops, flows */
	size_t len; /* of buf: the message that is being made */
	union {
		char buf[NL_MAX];
		struct nlmsghdr hdr;
	};
	char answer[NL_MAX];
};

/* What the kernel said of a request. */
struct nl_result {
	int rc; /* 0 or a negative errno */
	int bad; /* type of the attribute at fault, 0: none named */
	int bad_nest; /* type of the attribute around it, 0: none */
	int miss; /* type of the attribute that is missing, 0: none named */
	char msg[128];
	size_t n; /* answers before that */
	bool interrupted;
};

/* An answer, borrowed. */
typedef void (*nl_answer_fn)(const struct nlmsghdr *nlh, void *arg);

static inline void nl_begin(struct nl *nl, uint16_t type, uint16_t flags, uint8_t cmd)
{
	struct genlmsghdr *g = (void *)(nl->buf + NLMSG_HDRLEN);

	memset(nl->buf, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	nl->hdr.nlmsg_type = type;
	nl->hdr.nlmsg_flags = NLM_F_REQUEST | flags;
	nl->hdr.nlmsg_seq = ++nl->seq;
	g->cmd = cmd;
	g->version = SWARM_FAMILY_VERSION;
	nl->len = NLMSG_HDRLEN + GENL_HDRLEN;
}

/* Room for a payload of size bytes; data may be NULL. */
static inline void nl_put(struct nl *nl, int type, const void *data, size_t size)
{
	struct nlattr *a = (void *)(nl->buf + nl->len);

	if (nl->len + NLA_HDRLEN + NLA_ALIGN(size) > NL_MAX)
		return;
	memset(a, 0, NLA_HDRLEN + NLA_ALIGN(size));
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + size;
	if (data && size)
		memcpy((char *)a + NLA_HDRLEN, data, size);
	nl->len += NLA_HDRLEN + NLA_ALIGN(size);
}

static inline void nl_put_u32(struct nl *nl, int type, uint32_t v)
{
	nl_put(nl, type, &v, sizeof(v));
}

/* Returns what nl_nest_end() needs. */
static inline size_t nl_nest(struct nl *nl, int type)
{
	size_t at = nl->len;

	nl_put(nl, type | NLA_F_NESTED, NULL, 0);
	return at;
}

static inline void nl_nest_end(struct nl *nl, size_t at)
{
	((struct nlattr *)(nl->buf + at))->nla_len = nl->len - at;
}

/* for (each attribute): within size bytes from head. */
#define nl_for_each(a, head, size)                                                                 \
	for (const struct nlattr *a = (const void *)(head),                                        \
				 *_end = (const void *)((const char *)(head) + (size));            \
	     (const char *)_end - (const char *)a >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN &&     \
	     a->nla_len <= (const char *)_end - (const char *)a;                                   \
	     a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len)))

static inline const void *nl_data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}

/* The first attribute of a type in a generic netlink message, or NULL. */
static inline const struct nlattr *nl_find(const struct nlmsghdr *nlh, int type)
{
	size_t head = NLMSG_HDRLEN + GENL_HDRLEN;

	nl_for_each(a, (const char *)nlh + head, nlh->nlmsg_len - head)
	{
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
	}
	return NULL;
}

static inline uint32_t nl_u32(const struct nlmsghdr *nlh, int type)
{
	const struct nlattr *a = nl_find(nlh, type);
	uint32_t v = 0;

	if (a && a->nla_len >= NLA_HDRLEN + sizeof(v))
		memcpy(&v, nl_data(a), sizeof(v));
	return v;
}

static inline uint8_t nl_cmd(const struct nlmsghdr *nlh)
{
	return ((const struct genlmsghdr *)((const char *)nlh + NLMSG_HDRLEN))->cmd;
}

/* Which attribute of the message that was sent is at this offset, and in which one it is. */
static inline void nl_name_bad(struct nl *nl, uint32_t offset, struct nl_result *r)
{
	size_t head = NLMSG_HDRLEN + GENL_HDRLEN;

	nl_for_each(a, nl->buf + head, nl->len - head)
	{
		size_t at = (const char *)a - nl->buf;

		if (at == offset) {
			r->bad = a->nla_type & NLA_TYPE_MASK;
		} else if (offset > at && offset < at + a->nla_len) {
			nl_for_each(b, nl_data(a), a->nla_len - NLA_HDRLEN)
			{
				if ((size_t)((const char *)b - nl->buf) == offset) {
					r->bad = b->nla_type & NLA_TYPE_MASK;
					r->bad_nest = a->nla_type & NLA_TYPE_MASK;
				}
			}
		}
	}
}

/* An NLMSG_ERROR or NLMSG_DONE: both begin with the error. The socket has NETLINK_CAP_ACK. */
static inline void nl_end(struct nl *nl, const struct nlmsghdr *nlh, struct nl_result *r)
{
	size_t head = NLMSG_HDRLEN +
		      (nlh->nlmsg_type == NLMSG_ERROR ? sizeof(struct nlmsgerr) : sizeof(int));
	uint32_t offset;

	memcpy(&r->rc, (const char *)nlh + NLMSG_HDRLEN, sizeof(r->rc));
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	nl_for_each(a, (const char *)nlh + head, nlh->nlmsg_len - head)
	{
		switch (a->nla_type & NLA_TYPE_MASK) {
		case NLMSGERR_ATTR_MSG:
			snprintf(r->msg, sizeof(r->msg), "%.*s", a->nla_len - NLA_HDRLEN,
				 (const char *)nl_data(a));
			break;
		case NLMSGERR_ATTR_OFFS:
			memcpy(&offset, nl_data(a), sizeof(offset));
			nl_name_bad(nl, offset, r);
			break;
		case 5: /* NLMSGERR_ATTR_MISS_TYPE, which Debian's headers may lack */
			memcpy(&r->miss, nl_data(a), sizeof(r->miss));
			break;
		}
	}
}

/* Take one datagram of answers. True when the last one was among them, or nothing comes. */
static inline bool nl_receive(struct nl *nl, struct nl_result *r, nl_answer_fn fn, void *arg)
{
	ssize_t left = recv(nl->fd, nl->answer, sizeof(nl->answer), 0);
	struct nlmsghdr *nlh = (void *)nl->answer;

	if (left < 0) {
		r->rc = -errno;
		return true;
	}
	for (; NLMSG_OK(nlh, left); nlh = NLMSG_NEXT(nlh, left)) {
		if (nlh->nlmsg_seq != nl->seq)
			continue; /* of another request, or an event */
		r->interrupted |= !!(nlh->nlmsg_flags & NLM_F_DUMP_INTR);
		if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
			nl_end(nl, nlh, r);
			return true;
		}
		r->n++;
		if (fn)
			fn(nlh, arg);
	}
	return false;
}

/* Send what was made, as it is. 0 or a negative errno. */
static inline int nl_send(struct nl *nl)
{
	nl->hdr.nlmsg_len = nl->len;
	return send(nl->fd, nl->buf, nl->len, 0) < 0 ? -errno : 0;
}

/* Send what was made and take all answers. */
static inline struct nl_result nl_ask(struct nl *nl, nl_answer_fn fn, void *arg)
{
	struct nl_result r = {0};

	nl->hdr.nlmsg_flags |= NLM_F_ACK;
	r.rc = nl_send(nl);
	while (!r.rc && !nl_receive(nl, &r, fn, arg))
		;
	return r;
}

static inline void nl_on_family(const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *id = nl_find(nlh, CTRL_ATTR_FAMILY_ID),
			    *groups = nl_find(nlh, CTRL_ATTR_MCAST_GROUPS);
	struct nl *nl = arg;
	int n = 0;

	if (id)
		memcpy(&nl->family, nl_data(id), sizeof(nl->family));
	if (!groups)
		return;
	nl_for_each(g, nl_data(groups), groups->nla_len - NLA_HDRLEN)
	{
		nl_for_each(a, nl_data(g), g->nla_len - NLA_HDRLEN)
		{
			if (a->nla_type == CTRL_ATTR_MCAST_GRP_ID && n < 3)
				memcpy(&nl->groups[n], nl_data(a), sizeof(nl->groups[n]));
		}
		n++;
	}
}

/* Open a socket and look for the module, which is loaded if need be. 0 or a negative errno. */
static inline int nl_open(struct nl *nl)
{
	struct timeval patience = {.tv_sec = 30};
	int on = 1;

	nl->seq = 0;
	nl->family = 0;
	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (nl->fd < 0)
		return -errno;
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	setsockopt(nl->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	nl_begin(nl, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	nl_put(nl, CTRL_ATTR_FAMILY_NAME, SWARM_FAMILY_NAME, sizeof(SWARM_FAMILY_NAME));
	return nl_ask(nl, nl_on_family, nl).rc;
}
