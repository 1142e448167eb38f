// SPDX-License-Identifier: Apache-2.0
/* What every node of a swarm runs: worker, session, gossip, image sharing, logs. */
#include <errno.h>

#include "core/log.h"
#include "disk/file.h"
#include "manager/swarm_impl.h"
#include "net/ipsec.h"
#include "net/net.h"
#include "node/attach.h"
#include "node/describe.h"
#include "node/gossipd.h"
#include "node/image_share.h"
#include "node/logs.h"
#include "node/session.h"
#include "node/session_keys.h"
#include "node/worker.h"
#include "plugin/plugin.h"
#include "rpc/tls.h"
#include "wire/pb.h"

static void on_status(const char *task_id, const Pb__TaskStatus *status, void *arg)
{
	struct swarm *s = arg;

	if (s->session)
		session_status(s->session, task_id, status);
}

static void on_volume(const char *id, void *arg)
{
	struct swarm *s = arg;

	if (s->session)
		session_volume(s->session, id);
}

/* --- the session --- */

static Pb__NodeDescription *description(struct swarm *s)
{
	struct describe_options opt = {
		.labels = s->opt.engine_labels,
		.generic = s->opt.generic_resources,
		.roots = s->files.root_cert,
		.cert = s->files.cert,
	};
	json_t *plugins = s->opt.plugins ? plugins_describe(s->opt.plugins) : NULL;
	Pb__NodeDescription *d;

	opt.plugins = plugins;
	d = node_describe(&opt);
	json_decref(plugins);
	return d;
}

static void on_registered(void *arg)
{
	struct swarm *s = arg;

	if (s->logs)
		node_logs_registered(s->logs);
	if (s->opt.nets)
		nets_heard(s->opt.nets);
	if (s->attachments)
		attachments_registered(s->attachments);
	s->registered = true;
	swarm_ready(s);
}

static void on_lost(const struct err *err, void *arg)
{
	struct swarm *s = arg;

	log_warn("swarm: %s", err->msg);
	if (s->status == SWARM_PENDING)
		swarm_set_status(s, SWARM_PENDING, err->msg);
}

static void drop(void *arg)
{
	struct swarm *s = arg;

	swarm_fatal(s, "this node was removed from the swarm, or its certificate is no longer "
		       "valid: use \"docker swarm "
		       "leave\" and join again");
}

static void on_removed(const struct err *err, void *arg)
{
	struct swarm *s = arg;

	log_error("swarm: %s", err->msg);
	loop_defer(s->opt.loop, drop, s);
}

static void take_managers(struct swarm *s, const Pb__SessionMessage *msg)
{
	json_t *list = json_array();
	struct err err = ERR_INIT;

	for (size_t i = 0; i < msg->n_managers; i++)
		if (msg->managers[i]->peer)
			json_array_append_new(list,
					      json_pack("{s:s, s:s}", "node_id",
							msg->managers[i]->peer->node_id, "addr",
							msg->managers[i]->peer->addr));
	if (!json_array_size(list)) {
		json_decref(list);
		return;
	}
	if (swarm_settings_managers(&s->state, s->dir, list, &err))
		log_error("swarm: %s", err.msg);
	gossipd_set_seeds(s->gossip, msg->managers, msg->n_managers);
}

/* Another root bundle than ours, that our own certificate still verifies against. */
static void take_roots(struct swarm *s, const ProtobufCBinaryData *bundle)
{
	_cleanup_free_ char *roots = xstrndup((const char *)bundle->data, bundle->len);
	struct ca_files files;
	struct ca_identity who;
	struct err err = ERR_INIT;

	if (!bundle->len || streq(roots, s->files.root_cert) || ca_roots_check(roots, NULL) ||
	    ca_verify(roots, s->files.cert, &who, NULL))
		return;
	ca_identity_done(&who);
	files = (struct ca_files){xstrdup(roots), xstrdup(s->files.cert), xstrdup(s->files.key)};
	if (swarm_cert_set(s, &files, &err))
		log_error("swarm: the new root certificate was not taken: %s", err.msg);
	else
		log_info("swarm: the root certificate has changed");
	ca_files_done(&files);
	if (s->session)
		session_describe(s->session, description(s));
}

/* Without it the node still runs what needs no overlay network. */
static void start_datapath(struct swarm *s)
{
	const char *addr =
		str_empty(s->state.addr.data_path) ? s->advertise_ip : s->state.addr.data_path;
	struct err err = ERR_INIT;

	if (s->opt.nets && nets_swarm_begin(s->opt.nets, addr, s->vxlan_port, &err))
		log_error("swarm: no overlay networks on this node: %s", err.msg);
}

static void take_node(struct swarm *s, const Pb__Node *node)
{
	bool wants_manager, rotate;

	worker_set_node(s->worker, s->node_id, node);
	if (node->vxlan_udp_port && node->vxlan_udp_port != s->vxlan_port) {
		s->vxlan_port = node->vxlan_udp_port;
		start_datapath(s);
	}
	wants_manager = node->spec && node->spec->desired_role == PB__NODE_ROLE__MANAGER;
	rotate = node->certificate && node->certificate->status &&
		 node->certificate->status->state == PB__ISSUANCE_STATUS__STATE__ROTATE;
	if (rotate || (wants_manager && !s->cert_manager) ||
	    (!wants_manager && s->cert_manager && node->role == PB__NODE_ROLE__WORKER))
		swarm_cert_renew(s);
}

/* Those of encrypted networks. */
static void take_ipsec_keys(struct swarm *s, const Pb__SessionMessage *msg)
{
	const Pb__EncryptionKey *theirs[SESSION_KEYS_MAX];
	struct ipsec_key keys[SESSION_KEYS_MAX];
	struct err err = ERR_INIT;
	size_t primary, n = session_keys(msg->network_bootstrap_keys, msg->n_network_bootstrap_keys,
					 KEYS_IPSEC, theirs, &primary);

	for (size_t i = 0; i < n; i++) {
		if (theirs[i]->key.len != sizeof(keys[i].key)) {
			log_error("swarm: the managers' keys for encrypted networks are not of "
				  "128 bits");
			return;
		}
		memcpy(keys[i].key, theirs[i]->key.data, sizeof(keys[i].key));
		keys[i].tag = theirs[i]->lamport_time;
	}
	if (n && s->opt.nets && nets_swarm_keys(s->opt.nets, keys, n, primary, &err))
		log_error("swarm: encrypted networks: %s", err.msg);
	explicit_bzero(keys, sizeof(keys));
}

static void on_message(const Pb__SessionMessage *msg, void *arg)
{
	struct swarm *s = arg;

	take_managers(s, msg);
	if (msg->n_network_bootstrap_keys) {
		gossipd_set_keys(s->gossip, msg->network_bootstrap_keys,
				 msg->n_network_bootstrap_keys);
		take_ipsec_keys(s, msg);
	}
	take_roots(s, &msg->root_ca);
	if (msg->node)
		take_node(s, msg->node);
}

/* --- gossip and images --- */

static void on_member(const char *addr, bool alive, void *arg)
{
	struct swarm *s = arg;

	if (s->manager)
		manager_node_suspect(s->manager, addr, alive);
	if (!alive && s->session)
		session_suspect(s->session, addr);
	worker_set_cluster_size(s->worker, gossipd_size(s->gossip));
}

static void on_tls(int fd, void *arg)
{
	struct swarm *s = arg;

	if (s->share)
		image_share_accept(s->share, fd);
	else
		close(fd);
}

static const char *share_peers(size_t *pos, void *arg)
{
	struct swarm *s = arg;

	return gossipd_next(s->gossip, pos);
}

static struct tls *share_tls(void *arg)
{
	struct swarm *s = arg;

	return s->tls;
}

static int start_gossip(struct swarm *s, struct err *err)
{
	struct gossipd_options gopt = {
		.loop = s->opt.loop,
		.rng = s->opt.rng,
		.nets = s->opt.nets,
		.advertise_addr = s->advertise_ip,
		.data_path_addr = s->state.addr.data_path,
		.on_member = on_member,
		.on_tls = on_tls,
		.arg = s,
	};
	struct image_share_options iopt = {
		.loop = s->opt.loop,
		.rng = s->opt.rng,
		.images = s->opt.images,
		.peers = share_peers,
		.tls = share_tls,
		.arg = s,
	};
	int rc = gossipd_open(&gopt, &s->gossip, err);

	if (rc)
		return rc;
	s->share = image_share_new(&iopt);
	worker_set_share(s->worker, s->share);
	return 0;
}

/* --- start and stop --- */

static struct grpc_channel *session_channel_of(void *arg)
{
	struct swarm *s = arg;

	return s->session ? session_channel(s->session) : NULL;
}

static void on_attachment(const Pb__Task *task, bool ready, void *arg)
{
	struct swarm *s = arg;

	if (s->attachments)
		attachments_task(s->attachments, task, ready);
}

void swarm_attach(struct swarm *s, const char *container_id, const char *network, const char *ip4,
		  void (*done)(const struct err *err, const char *ip4, void *arg), void *arg)
{
	struct err err = ERR_INIT;

	if (s->attachments) {
		attachments_add(s->attachments, container_id, network, ip4, done, arg);
		return;
	}
	err_set(&err, -ENOENT, "network %s not found", network);
	done(&err, NULL, arg);
}

void swarm_detach(struct swarm *s, const char *container_id, const char *network)
{
	if (s->attachments)
		attachments_del(s->attachments, container_id, network);
}

int swarm_node_start(struct swarm *s, struct err *err)
{
	_cleanup_free_ char *worker_dir = xasprintf("%s/worker", s->dir);
	struct worker_options wopt = {
		.loop = s->opt.loop,
		.rng = s->opt.rng,
		.images = s->opt.images,
		.ctrs = s->opt.ctrs,
		.nets = s->opt.nets,
		.volumes = s->opt.volumes,
		.dir = worker_dir,
		.exec_root = s->opt.exec_root,
		.on_status = on_status,
		.on_volume = on_volume,
		.on_attachment = on_attachment,
		.arg = s,
	};
	struct session_options sopt = {
		.loop = s->opt.loop,
		.rng = s->opt.rng,
		.tls = s->tls,
		/* a manager asks itself first: it hands on to the leader */
		.remote = s->cert_manager ? s->state.addr.advertise : s->state.remote,
		.managers = s->state.managers,
		.on_registered = on_registered,
		.on_lost = on_lost,
		.on_message = on_message,
		.on_removed = on_removed,
		.arg = s,
	};
	struct node_logs_options lopt = {
		.loop = s->opt.loop,
		.ctrs = s->opt.ctrs,
		.node_id = s->node_id,
		.channel = session_channel_of,
		.arg = s,
	};
	int rc;

	struct attachments_options aopt = {
		.loop = s->opt.loop,
		.ctrs = s->opt.ctrs,
		.channel = session_channel_of,
		.arg = s,
	};

	start_datapath(s);
	s->attachments = attachments_new(&aopt);
	rc = worker_open(&wopt, &s->worker, err);
	if (rc)
		return rc;
	worker_set_node(s->worker, s->node_id, NULL);
	rc = start_gossip(s, err);
	if (rc)
		return rc;
	if (!s->manager && s->cert_manager)
		sopt.remote = s->state.remote; /* its own listener is not up yet */
	sopt.worker = s->worker;
	sopt.description = description(s);
	s->session = session_new(&sopt);
	s->logs = node_logs_new(&lopt);
	return 0;
}

void swarm_node_stop(struct swarm *s, bool leave)
{
	node_logs_free(steal_ptr(s->logs));
	attachments_free(steal_ptr(s->attachments));
	session_free(steal_ptr(s->session));
	s->registered = false;
	if (s->worker)
		worker_set_share(s->worker, NULL);
	image_share_free(steal_ptr(s->share));
	gossipd_close(steal_ptr(s->gossip), leave);
	worker_close(steal_ptr(s->worker));
	if (leave && s->opt.nets)
		nets_swarm_end(s->opt.nets);
}

void swarm_node_leave(struct swarm *s, void (*done)(void *arg), void *arg)
{
	if (!s->worker) {
		loop_defer(s->opt.loop, done, arg);
		return;
	}
	node_logs_free(steal_ptr(s->logs));
	attachments_free(steal_ptr(s->attachments));
	session_free(steal_ptr(s->session));
	worker_leave(s->worker, done, arg);
}

void swarm_describe_again(struct swarm *s)
{
	if (s->session)
		session_describe(s->session, description(s));
}

void swarm_node_role_changed(struct swarm *s)
{
	if (s->session)
		session_describe(s->session, description(s));
	if (s->session)
		session_refresh(s->session);
}

const char *swarm_node_manager_addr(struct swarm *s)
{
	const char *addr = s->session ? session_manager(s->session) : NULL;

	return addr ? addr : *s->state.remote ? s->state.remote : NULL;
}
