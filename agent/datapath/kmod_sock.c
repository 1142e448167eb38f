// SPDX-License-Identifier: Apache-2.0
/* Requests to the module. */
#include "datapath/kmod_impl.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/family.h>
#include <sys/socket.h>

/* Asking for a family by its name makes the kernel look for a module; listing all does not. */
static int family_find(struct nl_sock *sk, bool load)
{
	struct nl_cache *all = NULL;
	struct genl_family *f;
	int id = -NLE_OBJ_NOTFOUND;

	if (load)
		return genl_ctrl_resolve(sk, SWARM_FAMILY_NAME);
	if (genl_ctrl_alloc_cache(sk, &all))
		return id;
	f = genl_ctrl_search_by_name(all, SWARM_FAMILY_NAME);
	if (f) {
		id = genl_family_get_id(f);
		genl_family_put(f);
	}
	nl_cache_free(all);
	return id;
}

int kmod_sock_init(struct kmod_sock *s, bool load, struct err *err)
{
	int on = 1, rc;

	s->sk = nl_socket_alloc();
	assert(s->sk);
	rc = genl_connect(s->sk);
	if (rc)
		return err_set(err, -EIO, "cannot open a generic netlink socket: %s",
			       nl_geterror(rc));
	setsockopt(nl_socket_get_fd(s->sk), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl_socket_get_fd(s->sk), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	s->family = family_find(s->sk, load);
	if (s->family < 0)
		return err_set(err, -ENOENT,
			       "the kernel module swarm is not loaded: modprobe swarm");
	return 0;
}

void kmod_sock_done(struct kmod_sock *s)
{
	nl_socket_free(s->sk);
	s->sk = NULL;
}

struct nl_msg *kmod_msg_new(const struct kmod_sock *s, uint8_t cmd, int flags, size_t size)
{
	struct nl_msg *m = nlmsg_alloc_size(NLMSG_HDRLEN + GENL_HDRLEN + size);

	assert(m);
	assert(genlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, s->family, 0, flags, cmd,
			   SWARM_FAMILY_VERSION));
	return m;
}

struct answer {
	kmod_answer_fn fn;
	void *arg;
	bool done, interrupted;
	int rc;
	char text[256]; /* the kernel's own words */
};

static int on_valid(struct nl_msg *m, void *arg)
{
	struct answer *a = arg;

	if (a->fn)
		a->fn(nlmsg_hdr(m), a->arg);
	return NL_OK;
}

/* An acknowledgement or the end of a dump; both begin with the error. */
static int on_done(struct nl_msg *m, void *arg)
{
	struct nlmsghdr *nlh = nlmsg_hdr(m);
	struct answer *a = arg;

	if (nlmsg_datalen(nlh) >= (int)sizeof(a->rc))
		memcpy(&a->rc, nlmsg_data(nlh), sizeof(a->rc));
	a->done = true;
	return NL_STOP;
}

static int on_interrupted(struct nl_msg *m, void *arg)
{
	struct answer *a = arg;

	(void)m;
	a->interrupted = true;
	return NL_OK;
}

/* With NETLINK_CAP_ACK the attributes are right behind struct nlmsgerr. */
static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	struct nlmsghdr *nlh = (void *)((char *)e - NLMSG_HDRLEN);
	struct answer *a = arg;
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];

	(void)from;
	a->done = true;
	a->rc = e->error;
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS && nlh->nlmsg_flags & NLM_F_CAPPED &&
	    !nlmsg_parse(nlh, sizeof(*e), tb, NLMSGERR_ATTR_MAX, NULL) && tb[NLMSGERR_ATTR_MSG])
		nla_strlcpy(a->text, tb[NLMSGERR_ATTR_MSG], sizeof(a->text));
	return NL_STOP;
}

static int receive(struct kmod_sock *s, struct answer *a)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int rc = 0;

	assert(cb);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, a);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_done, a);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_done, a);
	nl_cb_set(cb, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, a);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, a);
	while (!a->done && rc >= 0)
		rc = nl_recvmsgs(s->sk, cb);
	nl_cb_put(cb);
	return a->done ? 0 : rc;
}

int kmod_request(struct kmod_sock *s, struct nl_msg *m, kmod_answer_fn fn, void *arg,
		 const char *what, struct err *err)
{
	struct answer a = {.fn = fn, .arg = arg};
	int rc = nl_send_auto(s->sk, m);

	nlmsg_free(m);
	if (rc >= 0)
		rc = receive(s, &a);
	if (rc < 0)
		return err_set(err, -EIO, "%s: the kernel module swarm does not answer: %s", what,
			       nl_geterror(rc));
	if (a.rc && a.text[0])
		return err_set(err, a.rc, "%s: %s", what, a.text);
	if (a.rc)
		return err_errno(err, a.rc, "%s", what);
	return a.interrupted ? err_set(err, -EAGAIN, "%s: the datapath is changing", what) : 0;
}
