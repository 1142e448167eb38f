// SPDX-License-Identifier: Apache-2.0
/* How a node comes into a swarm, goes on in it after a restart, and leaves it. */
#include <errno.h>
#include <openssl/crypto.h>

#include "core/log.h"
#include "disk/file.h"
#include "manager/swarm_impl.h"
#include "net/net.h"
#include "node/identity.h"
#include "rpc/tls.h"
#include "wire/pb.h"

enum {
	READY_TIMEOUT_MS = 20000, /* dockerd's: swarmConnectTimeout */
	JOIN_RETRY_MS = 2000,
};

const char swarm_locked[] = "Swarm is encrypted and needs to be unlocked before it can be used. "
			    "Please use \"docker swarm unlock\" to unlock it.";
const char swarm_no_leader[] = "The swarm does not have a leader. It's possible that too few "
			       "managers are online. Make sure more than half of "
			       "the managers are online.";

const char swarm_exists[] =
	"This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm "
	"and join another one.";

void swarm_set_status(struct swarm *s, enum swarm_state status, const char *error)
{
	s->status = status;
	if (error != s->error) {
		free(s->error);
		s->error = xstrdup(error);
	}
}

static void settle(struct swarm *s, const struct err *err)
{
	swarm_done done = s->waiting;

	s->waiting = NULL;
	timer_cancel(&s->waiting_timer);
	if (done)
		done(err, s->waiting_arg);
}

void swarm_wait_for_ready(struct swarm *s, swarm_done done, void *arg)
{
	s->waiting = done;
	s->waiting_arg = arg;
	timer_set(&s->waiting_timer, READY_TIMEOUT_MS);
}

static void on_wait_timeout(void *arg)
{
	struct swarm *s = arg;
	struct err err = ERR_INIT;

	if (s->error)
		err_set(&err, -ETIME,
			"Timeout was reached before node joined. The attempt to join the swarm "
			"will continue in the "
			"background. Use the \"docker info\" command to see the current swarm "
			"status of your node. The "
			"last problem was: %s",
			s->error);
	else
		err_set(&err, -ETIME,
			"Timeout was reached before node joined. The attempt to join the swarm "
			"will continue in the "
			"background. Use the \"docker info\" command to see the current swarm "
			"status of your node.");
	settle(s, &err);
}

void swarm_ready(struct swarm *s)
{
	struct err err = ERR_INIT;

	if (s->leaving || !s->registered)
		return;
	if (s->state.joining) {
		/* like SwarmKit's: a manager that joins answers for the swarm when "join" returns */
		if (s->cert_manager && !(s->manager && manager_has_leader(s->manager)))
			return;
		s->state.joining = false;
		free(steal_ptr(s->state.token));
		if (swarm_settings_save(&s->state, s->dir, &err))
			log_error("swarm: %s", err.msg);
	}
	swarm_set_status(s, SWARM_ACTIVE, NULL);
	settle(s, NULL);
}

/* --- stop and forget --- */

void swarm_stop_manager(struct swarm *s)
{
	timer_cancel(&s->manager_timer);
	s->manager_failed = false;
	manager_close(steal_ptr(s->manager));
}

void swarm_stop_all(struct swarm *s, bool leave)
{
	identity_cancel(steal_ptr(s->joining));
	swarm_cert_stop(s);
	swarm_node_stop(s, leave);
	swarm_stop_manager(s);
	tls_put(steal_ptr(s->tls));
}

static void forget(struct swarm *s)
{
	struct err err = ERR_INIT;

	ca_files_done(&s->files);
	swarm_settings_done(&s->state);
	swarm_settings_init(&s->state);
	free(steal_ptr(s->node_id));
	free(steal_ptr(s->cluster_id));
	s->cert_manager = s->has_vault = false;
	s->advertise_ip[0] = '\0';
	memset(&s->vault, 0, sizeof(s->vault));
	if (dir_remove_tree(s->dir, &err))
		log_error("swarm: %s", err.msg);
}

/* A start that cannot be: nothing is left of it. */
void swarm_give_up(struct swarm *s, const struct err *err)
{
	struct err copy = *err;

	swarm_stop_all(s, false);
	forget(s);
	swarm_set_status(s, SWARM_INACTIVE, NULL);
	settle(s, &copy);
}

void swarm_fatal(struct swarm *s, const char *why)
{
	struct err err = ERR_INIT;

	log_error("swarm: %s", why);
	err_set(&err, -EACCES, "%s", why);
	swarm_stop_all(s, false);
	swarm_set_status(s, SWARM_ERROR, why);
	settle(s, &err);
}

/* --- the manager's part --- */

static void on_leader(void *arg)
{
	struct swarm *s = arg;

	log_info("swarm: %s", manager_leads(s->manager)	       ? "this manager leads"
			      : manager_has_leader(s->manager) ? "another manager leads"
							       : "no leader is known");
	swarm_ready(s);
}

static void close_removed(void *arg)
{
	struct swarm *s = arg;

	if (!s->manager)
		return;
	log_info("swarm: this manager was removed from raft");
	swarm_stop_manager(s);
	swarm_cert_renew(s);
}

static void on_removed(void *arg)
{
	struct swarm *s = arg;

	loop_defer(s->opt.loop, close_removed, s);
}

static void on_rekeyed(const struct err *err, void *arg)
{
	struct swarm *s = arg;
	struct err why = ERR_INIT;

	if (err) {
		log_error("swarm: the raft log keeps its old key: %s", err->msg);
		return;
	}
	if (!s->vault.has_next)
		return;
	vault_take_next(&s->vault);
	if (vault_save(s->dir, &s->vault, &why))
		log_error("swarm: the raft log's key cannot be written: %s", why.msg);
	else
		log_info("swarm: the raft log has a new key");
}

/* The raft log's key that lay open is to open it no more. */
static void change_dek(void *arg)
{
	struct swarm *s = arg;

	if (s->manager && s->vault.has_next)
		manager_rekey(s->manager, s->vault.next, on_rekeyed, s);
}

/* Autolock: the key of the cluster object is the one that seals what is at rest here. */
static void on_cluster(const Pb__Cluster *cluster, void *arg)
{
	struct swarm *s = arg;
	struct vault v = s->vault;
	struct err err = ERR_INIT;

	v.locked = false;
	memset(v.kek, 0, sizeof(v.kek));
	for (size_t i = 0; i < cluster->n_unlock_keys; i++) {
		const Pb__EncryptionKey *k = cluster->unlock_keys[i];

		if (streq(k->subsystem, CA_MANAGER) && k->key.len == VAULT_KEY_SIZE) {
			memcpy(v.kek, k->key.data, VAULT_KEY_SIZE);
			v.locked = true;
		}
	}
	if (s->vault.has_next)
		loop_defer(s->opt.loop, change_dek, s);
	if (v.locked == s->vault.locked && !memcmp(v.kek, s->vault.kek, sizeof(v.kek)))
		return;
	if ((v.locked && !s->vault.locked && vault_choose_next(&v, &err)) ||
	    vault_save(s->dir, &v, &err)) {
		log_error("swarm: the unlock key cannot be applied: %s", err.msg);
		return;
	}
	s->vault = v;
	if (v.has_next)
		loop_defer(s->opt.loop, change_dek, s);
	if (swarm_cert_save(s, &err))
		log_error("swarm: the unlock key cannot be applied: %s", err.msg);
	else
		log_info("successfully rotated KEK");
}

struct manager_options swarm_manager_options(struct swarm *s)
{
	return (struct manager_options){
		.loop = s->opt.loop,
		.rng = s->opt.rng,
		.events = s->opt.events,
		.dir = s->dir,
		.node_id = s->node_id,
		.cluster_id = s->cluster_id,
		.listen_addr = s->state.addr.listen,
		.advertise_addr = s->state.addr.advertise,
		.tls = s->tls,
		.vault = &s->vault,
		.on_leader = on_leader,
		.on_removed = on_removed,
		.on_cluster = on_cluster,
		.arg = s,
	};
}

int swarm_need_vault(struct swarm *s, struct err *err)
{
	_cleanup_free_ char *raft = xasprintf("%s/raft", s->dir);
	int rc;

	if (s->has_vault)
		return 0;
	rc = dir_make(raft, 0700, err);
	if (!rc)
		rc = vault_load(s->dir, NULL, &s->vault, err);
	if (rc == -ENOENT) {
		rc = vault_new(&s->vault, err);
		if (!rc)
			rc = vault_save(s->dir, &s->vault, err);
	}
	s->has_vault = !rc;
	return rc;
}

static void on_manager_joined(const struct err *err, void *arg)
{
	struct swarm *s = arg;

	if (err) {
		log_error("swarm: this manager could not join raft: %s", err->msg);
		if (s->status == SWARM_PENDING)
			swarm_set_status(s, SWARM_PENDING, err->msg);
		s->manager_failed = true;
		timer_set(&s->manager_timer, JOIN_RETRY_MS);
		return;
	}
	log_info("swarm: this node is a manager now");
	swarm_node_role_changed(s);
}

static void on_manager_timer(void *arg)
{
	struct swarm *s = arg;

	if (s->manager_failed)
		swarm_stop_manager(s);
	swarm_need_manager(s);
}

void swarm_need_manager(struct swarm *s)
{
	struct err err = ERR_INIT;

	if (!s->cert_manager || s->manager || s->leaving || !swarm_start_manager(s, &err))
		return;
	log_error("swarm: this node cannot start as a manager yet: %s", err.msg);
	timer_set(&s->manager_timer, JOIN_RETRY_MS);
}

/* Some other manager that is said to be alive. */
static const char *other_manager(struct swarm *s)
{
	json_t *m;
	size_t i;

	json_array_foreach (s->state.managers, i, m) {
		const char *addr = json_string_value(json_object_get(m, "addr"));

		if (addr && !streq(json_string_value(json_object_get(m, "node_id")), s->node_id) &&
		    !streq(addr, s->state.addr.advertise))
			return addr;
	}
	return *s->state.remote ? s->state.remote : NULL;
}

int swarm_start_manager(struct swarm *s, struct err *err)
{
	struct manager_options opt;
	const char *remote;
	int rc;

	if (s->manager)
		return 0;
	rc = swarm_need_vault(s, err);
	if (rc)
		return rc;
	opt = swarm_manager_options(s);
	rc = manager_open(&opt, false, &s->manager, err);
	if (rc != -ENOENT)
		return rc;
	remote = other_manager(s);
	if (!remote)
		return err_set(err, -EHOSTUNREACH, "no other manager of the swarm is known");
	return manager_join(&opt, remote, on_manager_joined, s, &s->manager, err);
}

/* Take the swarm up with what is on disk. */
int swarm_start(struct swarm *s, bool only_member, struct err *err)
{
	struct manager_options opt;
	int rc = 0;

	if (s->cert_manager) {
		rc = swarm_need_vault(s, err);
		opt = swarm_manager_options(s);
		if (!rc)
			rc = manager_open(&opt, only_member, &s->manager, err);
		if (rc == -ENOENT) /* was promoted, and did not get to join raft */
			rc = swarm_start_manager(s, err);
	}
	if (!rc)
		rc = swarm_node_start(s, err);
	if (!rc)
		swarm_cert_schedule(s);
	return rc;
}

void swarm_set_advertise_ip(struct swarm *s)
{
	uint16_t port;

	if (address_split(s->state.addr.advertise, s->advertise_ip, &port))
		s->advertise_ip[0] = '\0';
}

/* --- join --- */

int swarm_check_availability(const char *a, struct err *err)
{
	if (str_empty(a) || streq(a, "active") || streq(a, "pause") || streq(a, "drain"))
		return 0;
	return err_set(err, -EINVAL,
		       "invalid availability value \"%s\": it is one of active, pause, drain", a);
}

static void on_certificate(const struct err *err, struct ca_files *files, void *arg)
{
	struct swarm *s = arg;
	struct err bad = ERR_INIT;

	s->joining = NULL;
	if (!err && swarm_cert_set(s, files, &bad))
		err = &bad;
	/* a manager's raft comes with the session's list of managers (swarm_node.c) */
	if (!err && swarm_node_start(s, &bad))
		err = &bad;
	if (err) {
		swarm_give_up(s, err);
		return;
	}
	swarm_need_manager(s);
	swarm_cert_schedule(s);
}

static void begin_join(struct swarm *s)
{
	struct identity_join_options opt = {
		.loop = s->opt.loop,
		.rng = s->opt.rng,
		.remote = s->state.remote,
		.token = s->state.token,
		.availability = s->state.availability,
	};

	swarm_set_status(s, SWARM_PENDING, NULL);
	s->joining = identity_join(&opt, on_certificate, s);
}

void swarm_join(struct swarm *s, const struct swarm_join_options *opt, swarm_done done, void *arg)
{
	struct swarm_addresses addr;
	struct err err = ERR_INIT;
	char remote[ADDRESS_SIZE];
	int rc;

	if (s->status != SWARM_INACTIVE || s->waiting)
		rc = err_set(&err, -EUNATCH, "%s", swarm_exists);
	else if (!opt->remote_addrs || !opt->remote_addrs[0])
		rc = err_set(&err, -EINVAL, "at least 1 RemoteAddr is required to join");
	else
		rc = ca_token_check(opt->token, NULL, &err);
	if (!rc)
		rc = address_with_port(opt->remote_addrs[0], SWARM_PORT, remote, &err);
	if (!rc)
		rc = swarm_check_availability(opt->node.availability, &err);
	if (!rc)
		rc = swarm_addresses(opt->node.listen_addr, opt->node.advertise_addr,
				     opt->node.data_path_addr, s->opt.default_advertise_addr, &addr,
				     &err);
	if (!rc)
		rc = dir_make(s->certs_dir, 0700, &err);
	if (!rc) {
		s->state.addr = addr;
		memcpy(s->state.remote, remote, sizeof(remote));
		s->state.token = xstrdup(opt->token);
		s->state.availability = xstrdup(
			str_empty(opt->node.availability) ? "active" : opt->node.availability);
		s->state.joining = true;
		swarm_set_advertise_ip(s);
		rc = swarm_settings_save(&s->state, s->dir, &err);
		if (rc)
			forget(s);
	}
	if (rc) {
		swarm_answer_later(s, done, arg, rc, "%s", err.msg);
		return;
	}
	swarm_wait_for_ready(s, done, arg);
	begin_join(s);
}

/* --- unlock --- */

void swarm_unlock(struct swarm *s, const char *key, swarm_done done, void *arg)
{
	uint8_t kek[VAULT_KEY_SIZE];
	struct err err = ERR_INIT;
	int rc;

	if (s->status != SWARM_LOCKED)
		rc = s->status == SWARM_INACTIVE ? (swarm_store_or_err(s, &err), err.code)
						 : err_set(&err, -EBUSY, "swarm is not locked");
	else
		rc = ca_unlock_key_parse(key, kek, &err);
	if (!rc)
		rc = vault_load(s->dir, kek, &s->vault, &err);
	if (!rc) {
		s->has_vault = true;
		rc = swarm_cert_load(s, &err);
		if (!rc)
			rc = swarm_start(s, false, &err);
		if (rc) {
			swarm_stop_all(s, false);
			swarm_set_status(s, SWARM_LOCKED, swarm_locked);
			s->has_vault = false;
		}
	}
	OPENSSL_cleanse(kek, sizeof(kek));
	if (rc) {
		swarm_answer_later(s, done, arg, rc, "%s", err.msg);
		return;
	}
	swarm_set_status(s, SWARM_PENDING, NULL);
	swarm_wait_for_ready(s, done, arg);
}

/* --- leave --- */

struct leave {
	struct swarm *swarm;
	swarm_done done;
	void *arg;
};

static void on_left(void *arg)
{
	struct leave *l = arg;
	struct swarm *s = l->swarm;
	struct err gone = ERR_INIT;

	err_set(&gone, -ECANCELED, "the node has left the swarm");
	swarm_stop_all(s, true);
	forget(s);
	s->leaving = false;
	swarm_set_status(s, SWARM_INACTIVE, NULL);
	settle(s, &gone);
	if (l->done)
		l->done(NULL, l->arg);
	free(l);
}

/* dockerd's warning for a manager that leaves without force. */
static void refuse_leave(struct swarm *s, struct err *err)
{
	size_t members = 1, reachable = 0;

	if (s->manager)
		manager_quorum(s->manager, s->node_id, &members, &reachable);
	if (members <= 1)
		err_set(err, -EUNATCH,
			"You are attempting to leave the swarm on a node that is participating as "
			"a manager. Removing "
			"the last manager erases all current state of the swarm. Use `--force` to "
			"ignore this message. ");
	else if (reachable < members / 2 + 1)
		err_set(err, -EUNATCH,
			"You are attempting to leave the swarm on a node that is participating as "
			"a manager. Removing "
			"this node leaves %zu managers out of %zu. Without a Raft quorum your "
			"swarm will be "
			"inaccessible. The only way to restore a swarm that has lost consensus is "
			"to reinitialize it "
			"with `--force-new-cluster`. Use `--force` to suppress this message.",
			reachable, members);
	else
		err_set(err, -EUNATCH,
			"You are attempting to leave the swarm on a node that is participating as "
			"a manager. The only "
			"way to restore a swarm that has lost consensus is to reinitialize it with "
			"`--force-new-cluster`. Use `--force` to suppress this message.");
}

void swarm_leave(struct swarm *s, bool force, swarm_done done, void *arg)
{
	struct err err = ERR_INIT;
	struct leave *l;

	if (s->status == SWARM_INACTIVE)
		err_set(&err, -EUNATCH, "This node is not part of a swarm");
	else if (s->leaving)
		err_set(&err, -EBUSY, "this node is leaving the swarm already");
	else if (s->status == SWARM_LOCKED && !force)
		err_set(&err, -EUNATCH,
			"Swarm is encrypted and locked. Please unlock it first or use `--force` to "
			"ignore this message.");
	else if (s->cert_manager && !force && s->status != SWARM_ERROR)
		refuse_leave(s, &err);
	if (err.code) {
		swarm_answer_later(s, done, arg, err.code, "%s", err.msg);
		return;
	}
	s->leaving = true;
	l = xcalloc(1, sizeof(*l));
	*l = (struct leave){s, done, arg};
	swarm_node_leave(s, on_left, l);
}

/* --- open and close --- */

static void take_up(struct swarm *s)
{
	struct err err = ERR_INIT;

	swarm_set_advertise_ip(s);
	if (vault_is_sealed(s->dir)) {
		swarm_set_status(s, SWARM_LOCKED, swarm_locked);
		return;
	}
	if (swarm_cert_load(s, &err) == 0) {
		if (swarm_start(s, false, &err)) {
			swarm_stop_all(s, false);
			swarm_set_status(s, SWARM_ERROR, err.msg);
			log_error("swarm: %s", err.msg);
		} else {
			swarm_set_status(s, s->state.joining ? SWARM_PENDING : SWARM_ACTIVE, NULL);
		}
	} else if (s->state.joining && s->state.token) {
		begin_join(s);
	} else {
		swarm_set_status(s, SWARM_ERROR, err.msg);
		log_error("swarm: %s", err.msg);
	}
}

int swarm_open(const struct swarm_options *opt, struct swarm **ret, struct err *err)
{
	struct swarm *s = xcalloc(1, sizeof(*s));
	int rc;

	s->opt = *opt;
	json_incref(s->opt.engine_labels);
	json_incref(s->opt.generic_resources);
	s->dir = xasprintf("%s/swarm", opt->data_root);
	s->certs_dir = xasprintf("%s/certificates", s->dir);
	timer_init(&s->waiting_timer, opt->loop, on_wait_timeout, s);
	timer_init(&s->manager_timer, opt->loop, on_manager_timer, s);
	swarm_cert_init(s);
	rc = swarm_settings_load(&s->state, s->dir, err);
	if (rc)
		swarm_settings_init(&s->state);
	if (rc == -ENOENT) {
		/* an init or a leave that did not come to its end */
		rc = dir_remove_tree(s->dir, err);
		if (opt->nets)
			nets_swarm_end(opt->nets);
	} else if (!rc) {
		take_up(s);
	}
	if (rc) {
		swarm_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void swarm_close(struct swarm *s)
{
	struct err err = ERR_INIT;

	if (!s)
		return;
	err_set(&err, -ECANCELED, "the daemon is shutting down");
	swarm_stop_all(s, false);
	settle(s, &err);
	timer_done(&s->waiting_timer);
	timer_done(&s->manager_timer);
	swarm_cert_done(s);
	ca_files_done(&s->files);
	swarm_settings_done(&s->state);
	json_decref(s->opt.engine_labels);
	json_decref(s->opt.generic_resources);
	free(s->error);
	free(s->node_id);
	free(s->cluster_id);
	free(s->dir);
	free(s->certs_dir);
	free(s);
}
