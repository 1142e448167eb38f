// SPDX-License-Identifier: Apache-2.0
#include "net/xfrm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include "core/buf.h"
#include "swarm/esp.h"

#define CIPHER "rfc4106(gcm(aes))"

enum { SALT_SIZE = 4, FULL_KEY_SIZE = XFRM_KEY_SIZE + SALT_SIZE, LAST_PRIORITY = 1 };

struct xfrm {
	struct nl_sock *sk;
};

int xfrm_open(struct xfrm **ret, struct err *err)
{
	struct xfrm *x = xcalloc(1, sizeof(*x));
	int rc;

	x->sk = nl_socket_alloc();
	assert(x->sk);
	rc = nl_connect(x->sk, NETLINK_XFRM);
	if (rc) {
		xfrm_close(x);
		return err_set(err, -EPROTONOSUPPORT, "the kernel has no IPsec: %s",
			       nl_geterror(rc));
	}
	*ret = x;
	return 0;
}

void xfrm_close(struct xfrm *x)
{
	if (!x)
		return;
	nl_socket_free(x->sk);
	free(x);
}

/* --- messages --- */

struct answer {
	nl_recvmsg_msg_cb_t fn;
	void *arg;
	bool done;
	int rc;
};

static int on_done(struct nl_msg *m, void *arg)
{
	struct answer *a = arg;

	(void)m;
	a->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct answer *a = arg;

	(void)from;
	a->done = true;
	a->rc = e->error;
	return NL_STOP;
}

/* The message is freed. fn sees what the kernel answers with; it may be NULL. */
static int request(struct xfrm *x, struct nl_msg *m, nl_recvmsg_msg_cb_t fn, void *arg)
{
	struct answer a = {.fn = fn, .arg = arg};
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int rc = nl_send_auto(x->sk, m);

	assert(cb);
	explicit_bzero(nlmsg_data(nlmsg_hdr(m)), nlmsg_datalen(nlmsg_hdr(m)));
	nlmsg_free(m);
	if (fn)
		nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, fn, arg);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_done, &a);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_done, &a);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &a);
	while (!a.done && rc >= 0)
		rc = nl_recvmsgs(x->sk, cb);
	nl_cb_put(cb);
	return a.done ? a.rc : -EIO;
}

static struct nl_msg *message(int type, int flags, const void *body, size_t size)
{
	struct nl_msg *m = nlmsg_alloc_simple(type, flags);

	assert(m && !nlmsg_append(m, (void *)body, size, NLMSG_ALIGNTO));
	return m;
}

static void put(struct nl_msg *m, int type, const void *data, size_t size)
{
	assert(!nla_put(m, type, size, data));
}

static void put_mark(struct nl_msg *m)
{
	struct xfrm_mark mark = {.v = SW_ESP_MARK, .m = UINT32_MAX};

	put(m, XFRMA_MARK, &mark, sizeof(mark));
}

/* --- states --- */

static const struct xfrm_lifetime_cfg no_end = {
	.soft_byte_limit = XFRM_INF,
	.hard_byte_limit = XFRM_INF,
	.soft_packet_limit = XFRM_INF,
	.hard_packet_limit = XFRM_INF,
};

/* With the key and its salt behind it. */
union aead {
	struct xfrm_algo_aead head;
	struct {
		uint8_t head_bytes[sizeof(struct xfrm_algo_aead)];
		uint8_t key[FULL_KEY_SIZE];
	};
};

static void aead_of(union aead *a, const uint8_t key[XFRM_KEY_SIZE], uint32_t spi)
{
	uint32_t salt = htonl(spi);

	memset(a, 0, sizeof(*a));
	strcpy(a->head.alg_name, CIPHER);
	a->head.alg_key_len = FULL_KEY_SIZE * 8;
	a->head.alg_icv_len = SW_ESP_ICV * 8;
	memcpy(a->key, key, XFRM_KEY_SIZE);
	memcpy(a->key + XFRM_KEY_SIZE, &salt, sizeof(salt));
}

/* Without a replay window: peers begin to count anew when they start anew, as Docker's do. */
static int state_new(struct xfrm *x, const struct xfrm_sa *sa, const union aead *aead)
{
	struct xfrm_usersa_info info = {
		.sel.family = AF_INET,
		.id = {.daddr.a4 = sa->dst.s_addr, .spi = htonl(sa->spi), .proto = IPPROTO_ESP},
		.saddr.a4 = sa->src.s_addr,
		.lft = no_end,
		.reqid = SW_ESP_MARK,
		.family = AF_INET,
		.mode = XFRM_MODE_TRANSPORT,
	};
	struct nl_msg *m = message(XFRM_MSG_NEWSA, 0, &info, sizeof(info));

	put(m, XFRMA_ALG_AEAD, aead, sizeof(*aead));
	assert(!nla_put_u32(m, XFRMA_SET_MARK, SW_ESP_MARK));
	return request(x, m, NULL, NULL);
}

static struct nl_msg *state_message(int type, const struct xfrm_sa *sa)
{
	struct xfrm_usersa_id id = {.daddr.a4 = sa->dst.s_addr,
				    .spi = htonl(sa->spi),
				    .family = AF_INET,
				    .proto = IPPROTO_ESP};

	return message(type, 0, &id, sizeof(id));
}

struct like {
	const union aead *aead;
	const struct xfrm_sa *sa;
	bool same;
};

/* The kernel may keep the key to itself (lockdown): it shows zeros then. */
static int on_like(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	static const uint8_t hidden[FULL_KEY_SIZE];
	struct xfrm_usersa_info *info = nlmsg_data(nlh);
	struct nlattr *tb[XFRMA_MAX + 1];
	struct like *l = arg;
	union aead *a;

	if (nlh->nlmsg_type != XFRM_MSG_NEWSA ||
	    nlmsg_parse(nlh, sizeof(*info), tb, XFRMA_MAX, NULL) || !tb[XFRMA_ALG_AEAD] ||
	    nla_len(tb[XFRMA_ALG_AEAD]) != sizeof(*a))
		return NL_OK;
	a = nla_data(tb[XFRMA_ALG_AEAD]);
	l->same = info->saddr.a4 == l->sa->src.s_addr && info->reqid == SW_ESP_MARK &&
		  info->mode == XFRM_MODE_TRANSPORT && tb[XFRMA_SET_MARK] &&
		  nla_get_u32(tb[XFRMA_SET_MARK]) == SW_ESP_MARK &&
		  !memcmp(&a->head, &l->aead->head, sizeof(a->head)) &&
		  (!memcmp(a->key, l->aead->key, FULL_KEY_SIZE) ||
		   !memcmp(a->key, hidden, FULL_KEY_SIZE));
	return NL_OK;
}

int xfrm_state_add(struct xfrm *x, const struct xfrm_sa *sa, const uint8_t key[XFRM_KEY_SIZE],
		   struct err *err)
{
	char src[INET_ADDRSTRLEN], dst[INET_ADDRSTRLEN];
	union aead aead;
	struct like like = {.aead = &aead, .sa = sa};
	int rc;

	aead_of(&aead, key, sa->spi);
	rc = state_new(x, sa, &aead);
	if (rc == -EEXIST) {
		/* of another swarm, or of Docker's, whose states leave no mark */
		rc = request(x, state_message(XFRM_MSG_GETSA, sa), on_like, &like);
		if (!rc && !like.same) {
			rc = xfrm_state_del(x, sa);
			rc = rc ? rc : state_new(x, sa, &aead);
		}
	}
	explicit_bzero(&aead, sizeof(aead));
	if (!rc)
		return 0;
	inet_ntop(AF_INET, &sa->src, src, sizeof(src));
	inet_ntop(AF_INET, &sa->dst, dst, sizeof(dst));
	return err_errno(err, rc, "the kernel takes no key for ESP from %s to %s", src, dst);
}

int xfrm_state_del(struct xfrm *x, const struct xfrm_sa *sa)
{
	int rc = request(x, state_message(XFRM_MSG_DELSA, sa), NULL, NULL);

	return rc == -ESRCH ? 0 : rc;
}

/* --- policies --- */

/* Of the last policy when sa is NULL. */
static struct xfrm_selector selector(const struct xfrm_sa *sa, uint16_t port)
{
	struct xfrm_selector sel = {.family = AF_INET, .proto = IPPROTO_UDP};

	if (!sa)
		return sel;
	sel.saddr.a4 = sa->src.s_addr;
	sel.daddr.a4 = sa->dst.s_addr;
	sel.prefixlen_s = sel.prefixlen_d = 32;
	sel.dport = htons(port);
	sel.dport_mask = UINT16_MAX;
	return sel;
}

int xfrm_policy_set(struct xfrm *x, const struct xfrm_sa *sa, uint16_t port, struct err *err)
{
	struct xfrm_userpolicy_info info = {
		.sel = selector(sa, port),
		.lft = no_end,
		.dir = XFRM_POLICY_OUT,
		.action = XFRM_POLICY_ALLOW,
	};
	struct xfrm_user_tmpl tmpl = {
		.id = {.daddr.a4 = sa->dst.s_addr, .spi = htonl(sa->spi), .proto = IPPROTO_ESP},
		.family = AF_INET,
		.saddr.a4 = sa->src.s_addr,
		.reqid = SW_ESP_MARK,
		.mode = XFRM_MODE_TRANSPORT,
		.aalgos = UINT32_MAX,
		.ealgos = UINT32_MAX,
		.calgos = UINT32_MAX,
	};
	struct nl_msg *m = message(XFRM_MSG_UPDPOLICY, 0, &info, sizeof(info));
	char dst[INET_ADDRSTRLEN];
	int rc;

	put(m, XFRMA_TMPL, &tmpl, sizeof(tmpl));
	put_mark(m);
	rc = request(x, m, NULL, NULL);
	inet_ntop(AF_INET, &sa->dst, dst, sizeof(dst));
	return rc ? err_errno(err, rc, "the kernel takes no IPsec policy for %s", dst) : 0;
}

static int policy_del(struct xfrm *x, const struct xfrm_selector *sel)
{
	struct xfrm_userpolicy_id id = {.sel = *sel, .dir = XFRM_POLICY_OUT};
	struct nl_msg *m = message(XFRM_MSG_DELPOLICY, 0, &id, sizeof(id));
	int rc;

	put_mark(m);
	rc = request(x, m, NULL, NULL);
	return rc == -ENOENT ? 0 : rc;
}

int xfrm_policy_del(struct xfrm *x, const struct xfrm_sa *sa, uint16_t port)
{
	struct xfrm_selector sel = selector(sa, port);

	return policy_del(x, &sel);
}

int xfrm_require(struct xfrm *x, struct err *err)
{
	struct xfrm_userpolicy_info info = {
		.sel = selector(NULL, 0),
		.lft = no_end,
		.priority = LAST_PRIORITY,
		.dir = XFRM_POLICY_OUT,
		.action = XFRM_POLICY_BLOCK,
	};
	struct nl_msg *m = message(XFRM_MSG_UPDPOLICY, 0, &info, sizeof(info));
	int rc;

	put_mark(m);
	rc = request(x, m, NULL, NULL);
	return rc ? err_errno(err, rc, "the kernel takes no IPsec policy") : 0;
}

/* --- all that is there --- */

struct list {
	xfrm_judge_fn judge;
	void *arg;
	struct buf doomed; /* struct xfrm_sa, or struct xfrm_selector */
};

static int on_state(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct xfrm_usersa_info *i = nlmsg_data(nlh);
	struct list *l = arg;
	struct xfrm_sa sa;

	if (nlh->nlmsg_type != XFRM_MSG_NEWSA || nlmsg_datalen(nlh) < (int)sizeof(*i) ||
	    i->family != AF_INET || i->reqid != SW_ESP_MARK || i->id.proto != IPPROTO_ESP)
		return NL_OK;
	sa = (struct xfrm_sa){{i->saddr.a4}, {i->id.daddr.a4}, ntohl(i->id.spi)};
	if (l->judge(&sa, 0, l->arg))
		buf_add(&l->doomed, &sa, sizeof(sa));
	return NL_OK;
}

static int on_policy(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(msg);
	struct xfrm_userpolicy_info *i = nlmsg_data(nlh);
	struct nlattr *tb[XFRMA_MAX + 1];
	struct list *l = arg;
	struct xfrm_user_tmpl *t = NULL;
	struct xfrm_mark *mark;
	struct xfrm_sa sa;

	if (nlh->nlmsg_type != XFRM_MSG_NEWPOLICY ||
	    nlmsg_parse(nlh, sizeof(*i), tb, XFRMA_MAX, NULL) || i->dir != XFRM_POLICY_OUT ||
	    i->sel.family != AF_INET || !tb[XFRMA_MARK] ||
	    nla_len(tb[XFRMA_MARK]) < (int)sizeof(*mark))
		return NL_OK;
	mark = nla_data(tb[XFRMA_MARK]);
	if (mark->v != SW_ESP_MARK)
		return NL_OK;
	if (tb[XFRMA_TMPL] && nla_len(tb[XFRMA_TMPL]) >= (int)sizeof(*t))
		t = nla_data(tb[XFRMA_TMPL]);
	sa = (struct xfrm_sa){{i->sel.saddr.a4}, {i->sel.daddr.a4}, t ? ntohl(t->id.spi) : 0};
	if (l->judge(&sa, i->sel.dport ? ntohs(i->sel.dport) : UINT16_MAX, l->arg))
		buf_add(&l->doomed, &i->sel, sizeof(i->sel));
	return NL_OK;
}

int xfrm_judge(struct xfrm *x, xfrm_judge_fn fn, void *arg, struct err *err)
{
	struct xfrm_userpolicy_id no_id = {0};
	struct xfrm_usersa_info no_info = {0};
	struct list policies = {.judge = fn, .arg = arg}, states = policies;
	int rc = request(x, message(XFRM_MSG_GETPOLICY, NLM_F_DUMP, &no_id, sizeof(no_id)),
			 on_policy, &policies);

	if (!rc)
		rc = request(x, message(XFRM_MSG_GETSA, NLM_F_DUMP, &no_info, sizeof(no_info)),
			     on_state, &states);
	for (size_t at = 0; at < policies.doomed.len && !rc; at += sizeof(struct xfrm_selector))
		rc = policy_del(x, (struct xfrm_selector *)(policies.doomed.data + at));
	for (size_t at = 0; at < states.doomed.len && !rc; at += sizeof(struct xfrm_sa))
		rc = xfrm_state_del(x, (struct xfrm_sa *)(states.doomed.data + at));
	buf_done(&policies.doomed);
	buf_done(&states.doomed);
	return rc ? err_errno(err, rc, "the kernel's IPsec cannot be cleaned of former entries")
		  : 0;
}
