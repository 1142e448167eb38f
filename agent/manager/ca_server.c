// SPDX-License-Identifier: Apache-2.0
#include <errno.h>

#include <openssl/crypto.h>

#include "core/log.h"
#include "core/rng.h"
#include "loop/loop.h"
#include "manager/ca.h"
#include "manager/ca_server_impl.h"
#include "rpc/grpc.h"
#include "wire/ca.pb-c.h"
#include "wire/pb.h"

enum {
	ROTATE_DELAY_MS = 500, /* between looks at how far a rotation is */
	RETRY_MS = 2000,
	CSR_MAX = 16 << 10,
	WAITERS_MAX = 4096,
};

/* Waits for a node's certificate to be final. */
struct waiter {
	struct list_head node;
	struct ca_server *ca;
	struct grpc_call *call;
	char *node_id;
};

struct ca_server {
	struct leader_env env;
	struct store_watch watch;
	struct list_head waiters;
	size_t n_waiters;
	struct timer timer;
	bool leads, writing, dirty;
	uint64_t failed_version; /* of the cluster whose wish for a rotation cannot be met */
};

static bool is_unsigned(const Pb__Node *n)
{
	const Pb__IssuanceStatus *s = n->certificate ? n->certificate->status : NULL;

	return s && (s->state == PB__ISSUANCE_STATUS__STATE__PENDING ||
		     s->state == PB__ISSUANCE_STATUS__STATE__RENEW);
}

static bool is_final(const Pb__Node *n)
{
	const Pb__IssuanceStatus *s = n->certificate ? n->certificate->status : NULL;

	return s && (s->state == PB__ISSUANCE_STATUS__STATE__ISSUED ||
		     s->state == PB__ISSUANCE_STATUS__STATE__FAILED ||
		     s->state == PB__ISSUANCE_STATUS__STATE__ROTATE);
}

/* --- certificates --- */

struct issue {
	struct ca_server *ca;
	struct grpc_call *call;
	char *csr, *token;
	char node_id[ID_SIZE];
	bool renew;
	Pb__NodeSpec__Availability availability;
	Pb__NodeSpec__Membership membership;
};

static void set_request(Pb__Node *n, const struct issue *i, Pb__IssuanceStatus__State state)
{
	Pb__Certificate *c;

	pb_free(steal_ptr(n->certificate));
	c = n->certificate = pb_new(pb__certificate);
	c->role = n->role;
	pb_set_bytes(&c->csr, i->csr, strlen(i->csr));
	pb_set_str(&c->cn, n->id);
	c->status = pb_new(pb__issuance_status);
	c->status->state = state;
}

/* At once if the key is here; else who has it will. */
static int sign_now(const Pb__Cluster *cluster, Pb__Node *n, struct err *err)
{
	int rc = ca_sign_node(cluster, n, err);

	return rc == -EAGAIN ? 0 : rc;
}

static int build_renewal(struct store_tx *tx, struct issue *i, struct err *err)
{
	struct store *s = store_tx_store(tx);
	const Pb__Node *old = store_node(s, i->node_id);
	Pb__Node *n;
	int rc;

	if (!old)
		return err_set(err, -ENOENT,
			       "node %s not found when attempting to renew certificate",
			       i->node_id);
	n = pb_clone(old);
	i->membership = n->spec ? n->spec->membership : PB__NODE_SPEC__MEMBERSHIP__ACCEPTED;
	set_request(n, i, PB__ISSUANCE_STATUS__STATE__RENEW);
	rc = sign_now(store_cluster(s), n, err);
	if (rc) {
		pb_free(n);
		return rc;
	}
	return store_tx_update(tx, n, err);
}

static bool same_token(const char *a, const char *b)
{
	return !str_empty(a) && b && strlen(a) == strlen(b) && !CRYPTO_memcmp(a, b, strlen(a));
}

static int build_issue(struct store_tx *tx, void *arg, struct err *err)
{
	struct issue *i = arg;
	struct store *s = store_tx_store(tx);
	const Pb__Cluster *cluster = store_cluster(s);
	const Pb__JoinTokens *tokens;
	Pb__Node *n;
	bool manager;
	int rc;

	if (!cluster || !cluster->root_ca)
		return err_set(err, -EAGAIN, "the swarm is not set up yet");
	if (i->renew)
		return build_renewal(tx, i, err);
	tokens = cluster->root_ca->join_tokens;
	manager = tokens && same_token(tokens->manager, i->token);
	if (!tokens || (!manager && !same_token(tokens->worker, i->token)))
		return err_set(err, -EINVAL,
			       "A valid join token is necessary to join this cluster");
	n = pb_new(pb__node);
	do {
		id_new(i->ca->env.rng, i->node_id);
	} while (store_node(s, i->node_id));
	pb_set_str(&n->id, i->node_id);
	n->spec = pb_new(pb__node_spec);
	n->spec->annotations = pb_new(pb__annotations);
	n->role = n->spec->desired_role = manager ? PB__NODE_ROLE__MANAGER : PB__NODE_ROLE__WORKER;
	n->spec->membership = i->membership = PB__NODE_SPEC__MEMBERSHIP__ACCEPTED;
	n->spec->availability = i->availability;
	n->status = pb_new(pb__node_status);
	n->vxlan_udp_port = cluster->vxlan_udp_port;
	set_request(n, i, PB__ISSUANCE_STATUS__STATE__PENDING);
	rc = sign_now(cluster, n, err);
	if (rc) {
		pb_free(n);
		return rc;
	}
	return store_tx_create(tx, n, err);
}

static void on_issued(const struct err *err, void *arg)
{
	Pb__IssueNodeCertificateResponse reply = PB__ISSUE_NODE_CERTIFICATE_RESPONSE__INIT;
	struct issue *i = arg;

	if (err) {
		log_info("ca: no certificate for %s: %s", grpc_call_peer(i->call)->addr, err->msg);
		grpc_fail(i->call, err);
	} else {
		log_info("ca: certificate of node %s %s", i->node_id,
			 i->renew ? "renewed" : "issued");
		reply.node_id = i->node_id;
		reply.node_membership = i->membership;
		grpc_reply(i->call, &reply);
	}
	free(i->csr);
	free(i->token);
	free(i);
}

static bool leads(struct ca_server *ca, struct grpc_call *call)
{
	if (ca->leads)
		return true;
	grpc_finish(call, GRPC_UNAVAILABLE, "the manager does not lead the swarm");
	return false;
}

static void issue(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__IssueNodeCertificateRequest *req = request;
	const struct grpc_peer *peer = grpc_call_peer(call);
	struct ca_server *ca = arg;
	struct issue *i;

	if (!leads(ca, call))
		return;
	if (!req->csr.len || req->csr.len > CSR_MAX) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "a certificate request is missing");
		return;
	}
	i = xcalloc(1, sizeof(*i));
	i->ca = ca;
	i->call = call;
	i->csr = ca_text(req->csr);
	i->token = xstrdup(req->token);
	i->availability = req->availability;
	i->renew = !str_empty(peer->node_id) && str_empty(req->token);
	if (i->renew)
		strncpy(i->node_id, peer->node_id, sizeof(i->node_id) - 1);
	ca->env.write(ca->env.writer, build_issue, on_issued, i);
}

/* --- what became of a request --- */

static void answer_status(struct grpc_call *call, const Pb__Node *n)
{
	Pb__NodeCertificateStatusResponse reply = PB__NODE_CERTIFICATE_STATUS_RESPONSE__INIT;

	reply.status = n->certificate->status;
	reply.certificate = n->certificate;
	grpc_reply(call, &reply);
}

static void waiter_free(struct waiter *w)
{
	list_del(&w->node);
	w->ca->n_waiters--;
	free(w->node_id);
	free(w);
}

static void on_waiter_gone(struct grpc_call *call, void *arg)
{
	waiter_free(arg);
	grpc_finish(call, GRPC_CANCELLED, NULL);
}

static void status(struct grpc_call *call, const void *request, void *arg)
{
	const Pb__NodeCertificateStatusRequest *req = request;
	struct ca_server *ca = arg;
	const Pb__Node *n;
	struct waiter *w;

	if (!leads(ca, call))
		return;
	if (str_empty(req->node_id)) {
		grpc_finish(call, GRPC_INVALID_ARGUMENT, "a node ID is missing");
		return;
	}
	n = store_node(ca->env.store, req->node_id);
	if (!n || !n->certificate) {
		grpc_finish(call, GRPC_NOT_FOUND, "there is no such node");
		return;
	}
	if (is_final(n)) {
		answer_status(call, n);
		return;
	}
	if (ca->n_waiters >= WAITERS_MAX) {
		grpc_finish(call, GRPC_RESOURCE_EXHAUSTED,
			    "too many nodes wait for their certificates");
		return;
	}
	w = xcalloc(1, sizeof(*w));
	w->ca = ca;
	w->call = call;
	w->node_id = xstrdup(req->node_id);
	list_add_tail(&w->node, &ca->waiters);
	ca->n_waiters++;
	grpc_call_on_close(call, on_waiter_gone, w);
}

static void tell_waiters(struct ca_server *ca, const Pb__Node *n)
{
	struct waiter *w, *tmp;

	list_for_each_safe (w, tmp, &ca->waiters, node) {
		struct grpc_call *call = w->call;

		if (!streq(w->node_id, n->id))
			continue;
		waiter_free(w);
		grpc_call_on_close(call, NULL, NULL);
		answer_status(call, n);
	}
}

/* --- the service CA --- */

static void root(struct grpc_call *call, const void *request, void *arg)
{
	Pb__GetRootCACertificateResponse reply = PB__GET_ROOT_CACERTIFICATE_RESPONSE__INIT;
	struct ca_server *ca = arg;
	const Pb__Cluster *c = store_cluster(ca->env.store);

	(void)request;
	if (!leads(ca, call))
		return;
	if (!c || !c->root_ca) {
		grpc_finish(call, GRPC_UNAVAILABLE, "the swarm is not set up yet");
		return;
	}
	reply.certificate = c->root_ca->ca_cert;
	grpc_reply(call, &reply);
}

static void unlock_key(struct grpc_call *call, const void *request, void *arg)
{
	Pb__GetUnlockKeyResponse reply = PB__GET_UNLOCK_KEY_RESPONSE__INIT;
	struct ca_server *ca = arg;
	const Pb__Cluster *c = store_cluster(ca->env.store);

	(void)request;
	if (!leads(ca, call))
		return;
	if (!c) {
		grpc_finish(call, GRPC_UNAVAILABLE, "the swarm is not set up yet");
		return;
	}
	for (size_t i = 0; i < c->n_unlock_keys; i++)
		if (streq(c->unlock_keys[i]->subsystem, CA_MANAGER))
			reply.unlock_key = c->unlock_keys[i]->key;
	reply.version = c->meta ? c->meta->version : NULL;
	grpc_reply(call, &reply);
}

static const struct grpc_method methods[] = {
	{
		.path = "/docker.swarmkit.v1.CA/GetRootCACertificate",
		.request = &pb__get_root_cacertificate_request__descriptor,
		.roles = GRPC_ANYONE,
		.to_leader = true,
		.fn = root,
	},
	{
		.path = "/docker.swarmkit.v1.CA/GetUnlockKey",
		.request = &pb__get_unlock_key_request__descriptor,
		.roles = GRPC_MANAGER,
		.to_leader = true,
		.fn = unlock_key,
	},
	{
		.path = "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate",
		.request = &pb__issue_node_certificate_request__descriptor,
		.roles = GRPC_ANYONE,
		.to_leader = true,
		.fn = issue,
	},
	{
		.path = "/docker.swarmkit.v1.NodeCA/NodeCertificateStatus",
		.request = &pb__node_certificate_status_request__descriptor,
		.roles = GRPC_ANYONE,
		.to_leader = true,
		.fn = status,
	},
};

/* --- what the leader does by itself: signing what others left, rotation --- */

static bool rotation_asked(const struct ca_server *ca, const Pb__Cluster *c)
{
	return ca_rotation_wanted(c) && store_version(c) != ca->failed_version;
}

static int begin_rotation(struct ca_server *ca, struct store_tx *tx, struct err *err)
{
	const Pb__Cluster *c = store_cluster(store_tx_store(tx));
	Pb__Cluster *copy;
	struct err why = ERR_INIT;

	if (!rotation_asked(ca, c))
		return 0;
	copy = pb_clone(c);
	if (ca_rotation_begin(copy, &why)) {
		log_error("ca: the root certificate is not rotated: %s", why.msg);
		ca->failed_version = store_version(c);
		pb_free(copy);
		return 0;
	}
	log_info("ca: the root certificate is rotated");
	return store_tx_update(tx, copy, err);
}

static int sign_pending(struct ca_server *ca, struct store_tx *tx, struct err *err)
{
	struct store *s = store_tx_store(tx);
	const Pb__Cluster *c = store_cluster(s);
	const Pb__Node *n;
	struct store_iter it = store_all(s, STORE_NODE);
	int rc = 0;

	while (c && !rc && (n = store_next(&it)) && !store_tx_full(tx)) {
		struct err why = ERR_INIT;
		Pb__Node *copy;

		if (!is_unsigned(n))
			continue;
		copy = pb_clone(n);
		copy->certificate->role = copy->role;
		rc = ca_sign_node(c, copy, &why);
		if (rc == -EAGAIN) {
			pb_free(copy);
			return 0;
		}
		if (rc) {
			copy->certificate->status->state = PB__ISSUANCE_STATUS__STATE__FAILED;
			pb_set_str(&copy->certificate->status->err, why.msg);
		}
		rc = store_tx_update(tx, copy, err);
	}
	if (store_tx_full(tx))
		ca->dirty = true; /* there may be more */
	return rc;
}

struct issuer {
	void *subject, *key;
	size_t subject_size, key_size;
};

static bool says_issuer(const Pb__Node *n, const struct issuer *is)
{
	const Pb__NodeTLSInfo *t = n->description ? n->description->tls_info : NULL;

	return t && t->cert_issuer_subject.len == is->subject_size &&
	       t->cert_issuer_public_key.len == is->key_size &&
	       !memcmp(t->cert_issuer_subject.data, is->subject, is->subject_size) &&
	       !memcmp(t->cert_issuer_public_key.data, is->key, is->key_size);
}

/* Whether the certificate last issued is the new root's already: the node has just not said so. */
static bool is_reissued(const Pb__Node *n, const char *root)
{
	_cleanup_free_ char *cert = NULL;
	struct ca_identity who;

	if (!n->certificate || !n->certificate->certificate.len)
		return false;
	cert = ca_text(n->certificate->certificate);
	if (ca_verify(root, cert, &who, NULL))
		return false;
	ca_identity_done(&who);
	return true;
}

/* Ask the nodes that have not renewed yet; when all have, the new root is the root. */
static int go_on_rotating(struct store_tx *tx, struct err *err)
{
	struct store *s = store_tx_store(tx);
	const Pb__Cluster *c = store_cluster(s);
	struct issuer is;
	_cleanup_free_ char *root = ca_text(c->root_ca->root_rotation->ca_cert);
	struct store_iter it = store_all(s, STORE_NODE);
	const Pb__Node *n;
	size_t behind = 0;
	int rc =
		ca_subject_and_key(root, &is.subject, &is.subject_size, &is.key, &is.key_size, err);

	if (rc)
		return rc;
	while (!rc && (n = store_next(&it)) && !store_tx_full(tx)) {
		Pb__Node *copy;

		if (says_issuer(n, &is))
			continue;
		behind++;
		if (!n->certificate || !n->certificate->status ||
		    n->certificate->status->state != PB__ISSUANCE_STATUS__STATE__ISSUED ||
		    is_reissued(n, root))
			continue;
		copy = pb_clone(n);
		copy->certificate->status->state = PB__ISSUANCE_STATUS__STATE__ROTATE;
		rc = store_tx_update(tx, copy, err);
	}
	free(is.subject);
	free(is.key);
	if (!rc && !behind && !n) {
		Pb__Cluster *copy = pb_clone(c);

		rc = ca_rotation_end(copy, err);
		if (rc) {
			pb_free(copy);
			return rc;
		}
		log_info("ca: every node has a certificate of the new root, which is now the "
			 "swarm's");
		rc = store_tx_update(tx, copy, err);
	}
	return rc;
}

static int build_chores(struct store_tx *tx, void *arg, struct err *err)
{
	struct ca_server *ca = arg;
	struct store *s = store_tx_store(tx);
	const Pb__Cluster *c;
	int rc = begin_rotation(ca, tx, err);

	if (!rc)
		rc = sign_pending(ca, tx, err);
	c = store_cluster(s);
	if (!rc && c && c->root_ca && c->root_ca->root_rotation)
		rc = go_on_rotating(tx, err);
	return rc;
}

static void plan(struct ca_server *ca, uint64_t delay_ms)
{
	ca->dirty = true;
	if (!ca->writing && !timer_pending(&ca->timer))
		timer_set(&ca->timer, delay_ms);
}

static void on_chores(const struct err *err, void *arg)
{
	struct ca_server *ca = arg;

	ca->writing = false;
	if (err && ca->leads) {
		log_warn("ca: %s", err->msg);
		plan(ca, RETRY_MS);
	} else if (ca->leads && ca->dirty) {
		timer_set(&ca->timer, ROTATE_DELAY_MS);
	}
}

static void on_timer(void *arg)
{
	struct ca_server *ca = arg;

	if (!ca->leads || ca->writing || !ca->dirty)
		return;
	ca->dirty = false;
	ca->writing = true;
	ca->env.write(ca->env.writer, build_chores, on_chores, ca);
}

static bool rotating(const struct ca_server *ca)
{
	const Pb__Cluster *c = store_cluster(ca->env.store);

	return c && c->root_ca && c->root_ca->root_rotation;
}

static void on_event(const struct store_event *ev, void *arg)
{
	struct ca_server *ca = arg;

	if (!ca->leads)
		return;
	if (ev->kind == STORE_NODE) {
		const Pb__Node *n = ev->new;

		if (n && is_final(n))
			tell_waiters(ca, n);
		if (n && is_unsigned(n))
			plan(ca, 0);
		else if (rotating(ca))
			plan(ca, ROTATE_DELAY_MS);
	} else if (ev->kind == STORE_CLUSTER && ev->new) {
		if (rotation_asked(ca, ev->new))
			plan(ca, 0);
		else if (rotating(ca))
			plan(ca, ROTATE_DELAY_MS);
	}
}

struct ca_server *ca_server_new(const struct leader_env *env)
{
	struct ca_server *ca = xcalloc(1, sizeof(*ca));

	ca->env = *env;
	list_init(&ca->waiters);
	timer_init(&ca->timer, env->loop, on_timer, ca);
	ca->watch.fn = on_event;
	ca->watch.arg = ca;
	store_watch(env->store, &ca->watch);
	grpc_server_add(env->server, methods, ARRAY_SIZE(methods), ca);
	return ca;
}

static void drop_waiters(struct ca_server *ca)
{
	while (!list_empty(&ca->waiters)) {
		struct waiter *w = list_first(&ca->waiters, struct waiter, node);
		struct grpc_call *call = w->call;

		waiter_free(w);
		grpc_call_on_close(call, NULL, NULL);
		grpc_finish(call, GRPC_ABORTED, "the manager has lost the leadership");
	}
}

void ca_server_free(struct ca_server *ca)
{
	if (!ca)
		return;
	ca->leads = false;
	drop_waiters(ca);
	store_unwatch(&ca->watch);
	timer_done(&ca->timer);
	free(ca);
}

void ca_server_lead(struct ca_server *ca, bool leads)
{
	ca->leads = leads;
	ca->failed_version = 0;
	if (leads)
		plan(ca, 0);
	else
		drop_waiters(ca);
}
