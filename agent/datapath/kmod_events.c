// SPDX-License-Identifier: Apache-2.0
/* Drops and new flows, as the module tells them to those who joined its groups. */
#include "datapath/kmod_impl.h"

#include <errno.h>
#include <netlink/genl/ctrl.h>

/* Asked for; the kernel gives at most net.core.rmem_max. */
#define BUFFER_SIZE (1 << 20)
/* Datagrams that one call takes, each with one event. */
#define AT_ONCE 256

struct kmod_events {
	struct kmod_sock sock;
	dp_event_fn fn;
	void *arg;
	uint64_t lost;
};

static int on_event(struct nl_msg *m, void *arg)
{
	struct kmod_events *e = arg;
	struct sw_event event;

	if (kmod_event_get(nlmsg_hdr(m), &event, &e->lost))
		e->fn(&event, e->arg);
	return NL_OK;
}

static int join(struct nl_sock *sk, const char *group)
{
	int id = genl_ctrl_resolve_grp(sk, SWARM_FAMILY_NAME, group);

	return id < 0 ? id : nl_socket_add_membership(sk, id);
}

int kmod_events_new(struct kmod_events **ret, int *ret_fd, struct err *err)
{
	struct kmod_events *e = xcalloc(1, sizeof(*e));
	int rc = kmod_sock_init(&e->sock, false, err), nl = 0;

	if (!rc) {
		nl = join(e->sock.sk, SWARM_MCGRP_DROPS) ?: join(e->sock.sk, SWARM_MCGRP_FLOWS);
		if (nl)
			rc = err_set(err, -EIO, "cannot listen to the kernel module swarm: %s",
				     nl_geterror(nl));
	}
	if (rc) {
		kmod_events_free(e);
		return rc;
	}
	nl_socket_set_buffer_size(e->sock.sk, BUFFER_SIZE, 0);
	nl_socket_disable_seq_check(e->sock.sk);
	nl_socket_modify_cb(e->sock.sk, NL_CB_VALID, NL_CB_CUSTOM, on_event, e);
	nl_socket_set_nonblocking(e->sock.sk);
	*ret_fd = nl_socket_get_fd(e->sock.sk);
	*ret = e;
	return 0;
}

void kmod_events_free(struct kmod_events *e)
{
	if (!e)
		return;
	kmod_sock_done(&e->sock);
	free(e);
}

int64_t kmod_events_read(struct kmod_events *e, dp_event_fn fn, void *arg)
{
	uint64_t lost;
	int rc = 0;

	e->fn = fn;
	e->arg = arg;
	for (int i = 0; i < AT_ONCE && rc >= 0; i++) {
		rc = nl_recvmsgs_default(e->sock.sk);
		if (rc == -NLE_NOMEM) { /* ENOBUFS: the socket was full */
			e->lost++;
			rc = 0;
		}
	}
	lost = e->lost;
	e->lost = 0;
	return rc >= 0 || rc == -NLE_AGAIN ? (int64_t)lost : -EIO;
}
