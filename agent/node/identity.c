// SPDX-License-Identifier: Apache-2.0
#include "node/identity.h"

#include <errno.h>
#include <openssl/crypto.h>

#include "core/log.h"
#include "core/rng.h"
#include "loop/loop.h"
#include "manager/ca.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"
#include "wire/ca.pb-c.h"
#include "wire/pb.h"

enum {
	CALL_TIMEOUT_MS = 5000,
	STATUS_TIMEOUT_MS = 30000, /* blocks until the certificate is final */
	TRIES = 5,
	TRY_DELAY_MS = 2000,
};

enum step { GET_ROOT, ISSUE, STATUS };

struct identity {
	struct loop *loop;
	struct rng *rng;
	char *remote, *token, *roots, *csr, *key, *node_id;
	Pb__NodeSpec__Availability availability;
	struct tls *tls; /* of a renewal */
	void (*on_try)(const struct err *err, void *arg);
	identity_done done;
	void *arg;
	enum step step;
	unsigned int tries;
	struct grpc_channel *channel;
	struct timer retry;
	struct err err; /* what done will be told */
	struct ca_files files;
};

static void identity_free(struct identity *id)
{
	timer_done(&id->retry);
	grpc_channel_free(id->channel);
	tls_put(id->tls);
	free(id->remote);
	free(id->token);
	free(id->roots);
	free(id->csr);
	if (id->key)
		OPENSSL_cleanse(id->key, strlen(id->key));
	free(id->key);
	free(id->node_id);
	ca_files_done(&id->files);
	free(id);
}

void identity_cancel(struct identity *id)
{
	if (!id)
		return;
	/* ending the channel ends its call, whose callback is to do nothing then */
	id->done = NULL;
	identity_free(id);
}

static void finish(void *arg)
{
	struct identity *id = arg;

	id->done(id->err.code ? &id->err : NULL, &id->files, id->arg);
	identity_free(id);
}

/* Not from inside a call's callback, since the channel goes with it. */
static void conclude(struct identity *id)
{
	timer_done(&id->retry);
	timer_init(&id->retry, id->loop, finish, id);
	timer_set(&id->retry, 0);
}

static void fail(struct identity *id, const struct err *err)
{
	id->err = *err;
	conclude(id);
}

static bool is_passing(enum grpc_status status)
{
	return status == GRPC_UNAVAILABLE || status == GRPC_DEADLINE_EXCEEDED ||
	       status == GRPC_ABORTED || status == GRPC_INTERNAL || status == GRPC_UNKNOWN ||
	       status == GRPC_CANCELLED;
}

/* A call failed: try the step again where that can help. */
static void call_failed(struct identity *id, enum grpc_status status, const char *text)
{
	struct err err = ERR_INIT;

	if (status == GRPC_PERMISSION_DENIED || status == GRPC_INVALID_ARGUMENT)
		err_set(&err, status == GRPC_INVALID_ARGUMENT ? -EINVAL : -EACCES, "%s", text);
	else
		err_set(&err, -EHOSTUNREACH, "could not reach the manager at %s: %s", id->remote,
			text);
	if (is_passing(status) && ++id->tries < TRIES) {
		if (id->on_try)
			id->on_try(&err, id->arg);
		timer_set(&id->retry, TRY_DELAY_MS);
		return;
	}
	fail(id, &err);
}

static int open_channel(struct identity *id, struct tls *tls, const char *server_name)
{
	struct grpc_channel_options opt = {
		.loop = id->loop, .tls = tls, .addr = id->remote, .server_name = server_name};

	grpc_channel_free(steal_ptr(id->channel));
	id->channel = grpc_channel_new(&opt);
	return id->channel ? 0 : -ENOMEM;
}

static void on_root(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	const Pb__GetRootCACertificateResponse *r = reply;
	char digest[51], wanted[51];
	struct err err = ERR_INIT;
	struct identity *id = arg;

	if (!id->done)
		return;
	if (status) {
		call_failed(id, status, text);
		return;
	}
	ca_token_digest(r->certificate.data, r->certificate.len, digest);
	if (ca_token_check(id->token, wanted, &err)) {
		fail(id, &err);
		return;
	}
	if (CRYPTO_memcmp(digest, wanted, 50)) {
		err_set(&err, -EACCES,
			"remote CA does not match fingerprint. Expected: %s, got: %s: the join "
			"token is of another swarm",
			wanted, digest);
		fail(id, &err);
		return;
	}
	id->roots = xstrndup((const char *)r->certificate.data, r->certificate.len);
	if (ca_roots_check(id->roots, &err)) {
		fail(id, &err);
		return;
	}
	id->step = ISSUE;
	id->tries = 0;
	timer_set(&id->retry, 0);
}

/* What came back is a certificate of our key, by the trusted root. */
static int accept_certificate(struct identity *id, const Pb__NodeCertificateStatusResponse *r,
			      struct err *err)
{
	const Pb__Certificate *c = r->certificate;
	_cleanup_free_ char *cert = NULL;
	struct ca_identity who;
	int rc;

	if (!c || !r->status)
		return err_set(err, -EPROTO, "the manager sent no certificate");
	if (r->status->state != PB__ISSUANCE_STATUS__STATE__ISSUED &&
	    r->status->state != PB__ISSUANCE_STATUS__STATE__ROTATE)
		return err_set(err,
			       r->status->state == PB__ISSUANCE_STATUS__STATE__FAILED ? -EACCES
										      : -EAGAIN,
			       "the certificate is not issued: %s",
			       str_empty(r->status->err) ? "pending" : r->status->err);
	if (c->csr.len != strlen(id->csr) || memcmp(c->csr.data, id->csr, c->csr.len))
		return err_set(err, -EAGAIN, "the manager answered for another request");
	cert = xstrndup((const char *)c->certificate.data, c->certificate.len);
	rc = ca_verify(id->roots, cert, &who, err);
	if (rc)
		return rc;
	ca_identity_done(&who);
	rc = ca_key_matches(cert, id->key, err);
	if (rc)
		return rc;
	id->files.root_cert = steal_ptr(id->roots);
	id->files.cert = steal_ptr(cert);
	id->files.key = steal_ptr(id->key);
	return 0;
}

static void on_status(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	struct err err = ERR_INIT;
	struct identity *id = arg;
	int rc;

	if (!id->done)
		return;
	if (status) {
		call_failed(id, status, text);
		return;
	}
	rc = accept_certificate(id, reply, &err);
	if (rc == -EAGAIN && ++id->tries < TRIES)
		timer_set(&id->retry, TRY_DELAY_MS);
	else if (rc)
		fail(id, &err);
	else
		conclude(id);
}

static void on_issued(enum grpc_status status, const char *text, const void *reply, void *arg)
{
	const Pb__IssueNodeCertificateResponse *r = reply;
	struct identity *id = arg;

	if (!id->done)
		return;
	if (status) {
		call_failed(id, status, text);
		return;
	}
	free(id->node_id);
	id->node_id = xstrdup(r->node_id);
	id->step = STATUS;
	id->tries = 0;
	timer_set(&id->retry, 0);
}

static void get_root(struct identity *id)
{
	Pb__GetRootCACertificateRequest req = PB__GET_ROOT_CACERTIFICATE_REQUEST__INIT;
	struct err err = ERR_INIT;
	struct tls *blind;

	if (tls_new(NULL, NULL, NULL, &blind, &err)) {
		fail(id, &err);
		return;
	}
	open_channel(id, blind, NULL);
	tls_put(blind);
	grpc_unary(id->channel, "/docker.swarmkit.v1.CA/GetRootCACertificate", &req,
		   &pb__get_root_cacertificate_response__descriptor, CALL_TIMEOUT_MS, on_root, id);
}

static void issue(struct identity *id)
{
	Pb__IssueNodeCertificateRequest req = PB__ISSUE_NODE_CERTIFICATE_REQUEST__INIT;
	struct err err = ERR_INIT;
	struct tls *tls;

	if (!id->csr && ca_csr_new(&id->csr, &id->key, &err)) {
		fail(id, &err);
		return;
	}
	if (id->tls) {
		open_channel(id, id->tls, CA_SERVER);
	} else {
		if (tls_new(id->roots, NULL, NULL, &tls, &err)) {
			fail(id, &err);
			return;
		}
		open_channel(id, tls, CA_SERVER);
		tls_put(tls);
		req.token = id->token;
		req.availability = id->availability;
	}
	req.csr.data = (uint8_t *)id->csr;
	req.csr.len = strlen(id->csr);
	grpc_unary(id->channel, "/docker.swarmkit.v1.NodeCA/IssueNodeCertificate", &req,
		   &pb__issue_node_certificate_response__descriptor, CALL_TIMEOUT_MS, on_issued,
		   id);
}

static void take_step(struct identity *id)
{
	Pb__NodeCertificateStatusRequest req = PB__NODE_CERTIFICATE_STATUS_REQUEST__INIT;

	switch (id->step) {
	case GET_ROOT:
		get_root(id);
		break;
	case ISSUE:
		issue(id);
		break;
	case STATUS:
		req.node_id = id->node_id;
		grpc_unary(id->channel, "/docker.swarmkit.v1.NodeCA/NodeCertificateStatus", &req,
			   &pb__node_certificate_status_response__descriptor, STATUS_TIMEOUT_MS,
			   on_status, id);
		break;
	}
}

static void on_retry(void *arg)
{
	take_step(arg);
}

static struct identity *identity_new(struct loop *loop, struct rng *rng, const char *remote,
				     identity_done done, void *arg)
{
	struct identity *id = xcalloc(1, sizeof(*id));

	id->loop = loop;
	id->rng = rng;
	id->remote = xstrdup(remote);
	id->done = done;
	id->arg = arg;
	timer_init(&id->retry, loop, on_retry, id);
	timer_set(&id->retry, 0);
	return id;
}

struct identity *identity_join(const struct identity_join_options *opt, identity_done done,
			       void *arg)
{
	struct identity *id = identity_new(opt->loop, opt->rng, opt->remote, done, arg);

	id->token = xstrdup(opt->token);
	id->on_try = opt->on_try;
	id->availability = streq(opt->availability, "pause") ? PB__NODE_SPEC__AVAILABILITY__PAUSE
			   : streq(opt->availability, "drain")
				   ? PB__NODE_SPEC__AVAILABILITY__DRAIN
				   : PB__NODE_SPEC__AVAILABILITY__ACTIVE;
	id->step = GET_ROOT;
	return id;
}

struct identity *identity_renew(const struct identity_renew_options *opt, identity_done done,
				void *arg)
{
	struct identity *id = identity_new(opt->loop, opt->rng, opt->remote, done, arg);

	id->tls = tls_get(opt->tls);
	id->roots = xstrdup(opt->roots);
	id->tries = TRIES - 1; /* one try; the caller knows when the next is due */
	id->step = ISSUE;
	return id;
}

uint64_t identity_renew_delay_ms(int64_t not_before_ns, int64_t not_after_ns, int64_t now_ns,
				 struct rng *rng)
{
	int64_t life = not_after_ns - not_before_ns, at;

	if (life <= 0)
		return 0;
	at = not_before_ns + life / 2 + (int64_t)rng_below(rng, life / 10 * 3 + 1);
	return at > now_ns ? (at - now_ns) / 1000000 : 0;
}
