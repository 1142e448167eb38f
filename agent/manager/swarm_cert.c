// SPDX-License-Identifier: Apache-2.0
/* This node's certificate: on disk, in TLS, renewed in time. */
#include <errno.h>
#include <openssl/crypto.h>

#include "core/log.h"
#include "disk/file.h"
#include "manager/swarm_impl.h"
#include "node/identity.h"
#include "rpc/tls.h"

enum { RENEW_BACKOFF_MIN_MS = 5000, RENEW_BACKOFF_MAX_MS = 3600 * 1000, FORCED_DELAY_MS = 500 };

static void on_timer(void *arg);

void swarm_cert_init(struct swarm *s)
{
	timer_init(&s->renew_timer, s->opt.loop, on_timer, s);
}

void swarm_cert_done(struct swarm *s)
{
	swarm_cert_stop(s);
	timer_done(&s->renew_timer);
}

void swarm_cert_stop(struct swarm *s)
{
	timer_cancel(&s->renew_timer);
	identity_cancel(steal_ptr(s->renewal));
}

static int check_names(const struct swarm *s, const struct ca_identity *who, struct err *err)
{
	if (s->node_id && !streq(s->node_id, who->node_id))
		return err_set(err, -EINVAL, "the certificate is for node %s, and this one is %s",
			       who->node_id, s->node_id);
	if (s->cluster_id && !streq(s->cluster_id, who->cluster_id))
		return err_set(err, -EINVAL,
			       "the certificate is of swarm %s, and this node is in %s",
			       who->cluster_id, s->cluster_id);
	return 0;
}

/* Take plain files: who this node is, and its TLS credentials. */
static int adopt(struct swarm *s, struct ca_files *files, struct err *err)
{
	struct ca_identity who;
	int rc = ca_identity(files->cert, &who, err);

	if (rc)
		return rc;
	rc = check_names(s, &who, err);
	if (!rc && s->tls)
		rc = tls_replace(s->tls, files->root_cert, files->cert, files->key, err);
	else if (!rc)
		rc = tls_new(files->root_cert, files->cert, files->key, &s->tls, err);
	if (!rc) {
		/* then they stay where they are: manager and worker borrow them */
		if (!s->node_id) {
			s->node_id = steal_ptr(who.node_id);
			s->cluster_id = steal_ptr(who.cluster_id);
		}
		s->cert_manager = streq(who.role, CA_MANAGER);
		if (files != &s->files) {
			ca_files_done(&s->files);
			s->files = *files;
			memset(files, 0, sizeof(*files));
		}
	}
	ca_identity_done(&who);
	return rc;
}

int swarm_cert_save(struct swarm *s, struct err *err)
{
	struct ca_files files = s->files;
	int rc = 0;

	if (s->has_vault)
		rc = vault_seal_pem(&s->vault, s->files.key, &files.key, err);
	if (!rc)
		rc = ca_files_save(s->certs_dir, &files, err);
	if (files.key != s->files.key)
		free(files.key);
	return rc;
}

int swarm_cert_set(struct swarm *s, struct ca_files *files, struct err *err)
{
	int rc = adopt(s, files, err);

	return rc ? rc : swarm_cert_save(s, err);
}

static int read_pem(struct swarm *s, const char *name, char **ret, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", s->certs_dir, name);
	struct buf text = BUF_INIT;
	int rc = file_read(path, 1 << 20, &text, err);

	if (rc) {
		buf_done(&text);
		return rc;
	}
	*ret = buf_steal(&text, NULL);
	return 0;
}

int swarm_cert_load(struct swarm *s, struct err *err)
{
	struct ca_files files = {NULL, NULL, NULL};
	char *sealed = NULL;
	int rc = read_pem(s, "swarm-root-ca.crt", &files.root_cert, err);

	if (!rc)
		rc = read_pem(s, "swarm-node.crt", &files.cert, err);
	if (!rc)
		rc = read_pem(s, "swarm-node.key", &sealed, err);
	if (!rc)
		rc = vault_open_pem(s->has_vault && s->vault.locked ? s->vault.kek : NULL, sealed,
				    &files.key, err);
	if (!rc)
		rc = ca_key_matches(files.cert, files.key, err);
	if (!rc)
		rc = adopt(s, &files, err);
	free(sealed);
	ca_files_done(&files);
	return rc;
}

/* --- renewal --- */

void swarm_cert_schedule(struct swarm *s)
{
	struct ca_identity who;

	if (s->renewal || !s->files.cert || ca_identity(s->files.cert, &who, NULL))
		return;
	s->renew_backoff_ms = 0;
	timer_set(&s->renew_timer, identity_renew_delay_ms(who.not_before_ns, who.not_after_ns,
							   loop_wall_ns(), s->opt.rng));
	ca_identity_done(&who);
}

/* The role of the new certificate decides what this node runs. */
static void follow_role(struct swarm *s)
{
	if (s->cert_manager)
		swarm_need_manager(s);
	else
		swarm_stop_manager(s);
	swarm_node_role_changed(s);
}

static void on_renewed(const struct err *err, struct ca_files *files, void *arg)
{
	struct swarm *s = arg;
	struct err bad = ERR_INIT;

	s->renewal = NULL;
	if (!err && swarm_cert_set(s, files, &bad))
		err = &bad;
	if (err) {
		s->renew_backoff_ms =
			min(max(2 * s->renew_backoff_ms, (uint64_t)RENEW_BACKOFF_MIN_MS),
			    (uint64_t)RENEW_BACKOFF_MAX_MS);
		log_error("swarm: the node's certificate was not renewed: %s; next try in %llu s",
			  err->msg, (unsigned long long)s->renew_backoff_ms / 1000);
		timer_set(&s->renew_timer, s->renew_backoff_ms);
		return;
	}
	log_info("swarm: the node has a new certificate, as a %s",
		 s->cert_manager ? "manager" : "worker");
	swarm_cert_schedule(s);
	follow_role(s);
}

static void on_timer(void *arg)
{
	struct swarm *s = arg;
	struct identity_renew_options opt = {
		.loop = s->opt.loop, .rng = s->opt.rng, .tls = s->tls, .roots = s->files.root_cert};

	if (s->renewal || !s->tls)
		return;
	opt.remote = swarm_node_manager_addr(s);
	if (!opt.remote) {
		timer_set(&s->renew_timer, RENEW_BACKOFF_MIN_MS);
		return;
	}
	s->renewal = identity_renew(&opt, on_renewed, s);
}

void swarm_cert_renew(struct swarm *s)
{
	if (!s->renewal)
		timer_set(&s->renew_timer, FORCED_DELAY_MS);
}
