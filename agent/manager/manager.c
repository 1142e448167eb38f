// SPDX-License-Identifier: Apache-2.0
#include "manager/manager.h"

#include <errno.h>
#include <openssl/crypto.h>

#include "core/log.h"
#include "disk/file.h"
#include "loop/loop.h"
#include "manager/address.h"
#include "manager/ca.h"
#include "manager/ca_server.h"
#include "manager/components.h"
#include "manager/control.h"
#include "manager/dispatcher.h"
#include "manager/logbroker.h"
#include "manager/object_events.h"
#include "manager/raft_rpc.h"
#include "manager/raftd.h"
#include "manager/roles.h"
#include "manager/writer.h"
#include "rpc/grpc.h"
#include "rpc/tls.h"
#include "wire/pb.h"

enum {
	MANAGER_WEIGHT = 10, /* swarmkit remotes.DefaultObservationWeight */
	FORMER_LEADER_MS = 1000,
};

struct manager {
	struct manager_options opt;
	struct tls *tls;
	struct store *store;
	struct raftd *raftd;
	struct writer *writer;
	struct grpc_server *grpc;
	struct raft_rpc *raft_rpc;
	struct ca_server *ca;
	struct dispatcher *dispatcher;
	struct logbroker *logs;
	struct control *control;
	struct object_events *object_events;
	struct roles *roles; /* while it leads */
	struct store_watch watch;
	bool leads;
	uint64_t told_leader; /* the raft ID when opt.on_leader() was last due */
	/* to the leader, while another one leads */
	struct grpc_channel *to_leader;
	/* it may still tell what became of changes that it was asked for */
	struct grpc_channel *to_former;
	struct timer former;
	/* a join under way */
	struct raft_join *joining;
	swarm_done joined;
	void *joined_arg;
};

/* --- raft's callbacks --- */

static void on_commit(uint64_t index, uint64_t term, const void *data, size_t len, void *arg)
{
	struct manager *m = arg;
	struct err err = ERR_INIT;

	(void)term;
	if (!writer_committed(m->writer, data, len) && store_apply(m->store, data, len, &err))
		log_error("raft: entry %llu was not applied: %s", (unsigned long long)index,
			  err.msg);
}

static void on_snapshot_save(struct buf *ret, void *arg)
{
	struct manager *m = arg;

	store_save(m->store, NULL, ret);
}

static int on_snapshot_restore(const void *data, size_t len, void *arg)
{
	struct manager *m = arg;
	struct err err = ERR_INIT;
	int rc = store_restore(m->store, data, len, NULL, &err);

	if (rc)
		log_error("raft: a snapshot cannot be used: %s", err.msg);
	return rc;
}

static bool roles_is_member(const char *node_id, void *arg)
{
	struct manager *m = arg;

	return raftd_member_of_node(m->raftd, node_id);
}

static void on_member_removed(const struct err *err, void *arg)
{
	(void)arg;
	if (err)
		log_warn("raft: a member was not removed: %s", err->msg);
}

static int roles_remove_member(const char *node_id, void *arg, struct err *err)
{
	struct manager *m = arg;
	uint64_t id = raftd_member_of_node(m->raftd, node_id);

	if (!id)
		return err_set(err, -ENOENT, "node %s is no member of raft", node_id);
	raftd_remove(m->raftd, id, on_member_removed, m);
	return 0;
}

static void lead(struct manager *m)
{
	struct roles_env env = {roles_is_member, roles_remove_member, m};

	m->leads = true;
	writer_start(m->writer, m->raftd, leader_components, n_leader_components);
	m->roles = roles_new(m->opt.loop, m->store, m->writer, &env);
	ca_server_lead(m->ca, true);
	dispatcher_lead(m->dispatcher, true);
	logbroker_lead(m->logs, true);
}

static void stop_leading(struct manager *m)
{
	if (!m->leads)
		return;
	m->leads = false;
	roles_free(steal_ptr(m->roles));
	logbroker_lead(m->logs, false);
	dispatcher_lead(m->dispatcher, false);
	ca_server_lead(m->ca, false);
	roles_free(steal_ptr(m->roles));
	writer_stop(m->writer);
	grpc_server_abort_leader_calls(m->grpc);
}

static void on_leader(bool leader, uint64_t term, void *arg)
{
	struct manager *m = arg;

	(void)term;
	if (leader)
		lead(m);
	else
		stop_leading(m);
	m->told_leader = raftd_leader_id(m->raftd);
	m->opt.on_leader(m->opt.arg);
}

/* The nodes hear of every manager. */
static void tell_managers(struct manager *m)
{
	_cleanup_free_ struct raftd_member *members = NULL;
	Pb__WeightedPeer *peers, **ptrs;
	Pb__Peer *ids;
	size_t n;

	members = raftd_members(m->raftd, &n);
	peers = xcalloc(n + 1, sizeof(*peers));
	ids = xcalloc(n + 1, sizeof(*ids));
	ptrs = xcalloc(n + 1, sizeof(*ptrs));
	for (size_t i = 0; i < n; i++) {
		pb__weighted_peer__init(&peers[i]);
		pb__peer__init(&ids[i]);
		ids[i].node_id = (char *)members[i].node_id;
		ids[i].addr = (char *)members[i].addr;
		peers[i].peer = &ids[i];
		peers[i].weight = MANAGER_WEIGHT;
		ptrs[i] = &peers[i];
	}
	dispatcher_set_managers(m->dispatcher, ptrs, n);
	free(ptrs);
	free(ids);
	free(peers);
}

static void forget_former(void *arg)
{
	struct manager *m = arg;

	grpc_channel_free(steal_ptr(m->to_former));
}

static void on_members(void *arg)
{
	struct manager *m = arg;
	uint64_t leader = raftd_leader_id(m->raftd);

	/*
	 * A call in hand of a former leader fails now, to be made again, not when that one answers;
	 * a change that it has in hand gets a moment.
	 */
	if (!m->leads && m->to_leader &&
	    !streq(grpc_channel_addr(m->to_leader), raftd_member_addr(m->raftd, leader))) {
		grpc_server_abort_leader_calls(m->grpc);
		grpc_channel_free(m->to_former);
		m->to_former = steal_ptr(m->to_leader);
		timer_set(&m->former, FORMER_LEADER_MS);
	}
	tell_managers(m);
	if (leader == m->told_leader)
		return;
	m->told_leader = leader;
	if (leader != raftd_id(m->raftd)) /* of our own leadership on_leader() tells */
		m->opt.on_leader(m->opt.arg);
}

static void on_removed(void *arg)
{
	struct manager *m = arg;

	m->opt.on_removed(m->opt.arg);
}

/* --- the leader, for calls that are its --- */

static int leader_channel(struct grpc_channel **ret, void *arg)
{
	struct manager *m = arg;
	const char *addr;

	*ret = NULL;
	if (m->leads)
		return 0;
	addr = raftd_member_addr(m->raftd, raftd_leader_id(m->raftd));
	if (!addr || raftd_leader_id(m->raftd) == raftd_id(m->raftd))
		return -EHOSTUNREACH;
	if (!m->to_leader || !streq(grpc_channel_addr(m->to_leader), addr)) {
		struct grpc_channel_options opt = {
			.loop = m->opt.loop,
			.tls = m->tls,
			.addr = addr,
			.server_name = CA_MANAGER,
			.receive_max = GRPC_AGENT_RECEIVE_MAX,
		};

		grpc_channel_free(m->to_leader);
		m->to_leader = grpc_channel_new(&opt);
	}
	*ret = m->to_leader;
	return 0;
}

static bool is_blacklisted(const char *node_id, void *arg)
{
	struct manager *m = arg;

	return ca_blacklisted(m->store, node_id);
}

/* --- changes of the store that concern this manager --- */

static void on_store(const struct store_event *ev, void *arg)
{
	struct manager *m = arg;

	if (ev->kind == STORE_CLUSTER && ev->new) {
		const Pb__Cluster *c = ev->new;

		if (c->spec && c->spec->raft)
			raftd_set_snapshots(m->raftd, c->spec->raft->snapshot_interval,
					    c->spec->raft->log_entries_for_slow_followers);
		m->opt.on_cluster(c, m->opt.arg);
	} else if (ev->kind == STORE_NODE && ev->action == STORE_REMOVE) {
		grpc_server_cut(m->grpc, store_id(ev->old));
	}
}

/* --- open and close --- */

static void write_store(void *writer, swarm_build build, swarm_done done, void *arg)
{
	writer_write(writer, build, done, arg);
}

static void write_store_sure(void *writer, swarm_build build, swarm_done done, void *arg)
{
	writer_write_sure(writer, build, done, arg);
}

static bool member(const char *node_id, struct swarm_member *ret, void *arg)
{
	return manager_member(arg, node_id, ret);
}

static int make_services(struct manager *m, struct err *err)
{
	struct grpc_server_options opt = {
		.loop = m->opt.loop,
		.tls = m->tls,
		.cluster_id = m->opt.cluster_id,
		.blacklisted = is_blacklisted,
		.leader = leader_channel,
		.arg = m,
	};
	struct leader_env env = {
		.loop = m->opt.loop,
		.rng = m->opt.rng,
		.store = m->store,
		.node_id = m->opt.node_id,
		.cluster_id = m->opt.cluster_id,
		.write = write_store,
		.write_sure = write_store_sure,
		.writer = m->writer,
	};
	struct control_manager control = {leader_channel, member, m};
	int fd;

	m->grpc = grpc_server_new(&opt);
	env.server = m->grpc;
	m->ca = ca_server_new(&env);
	m->dispatcher = dispatcher_new(&env);
	m->logs = logbroker_new(&env, leader_channel, m);
	m->control = control_new(&env, &control);
	fd = address_listen(m->opt.listen_addr, err);
	if (fd < 0)
		return fd;
	return grpc_server_listen(m->grpc, fd, err);
}

/* Everything but raft's log, whose opening may already call back. */
static int manager_new(const struct manager_options *opt, struct manager **ret, struct err *err)
{
	struct manager *m = xcalloc(1, sizeof(*m));
	int rc;

	m->opt = *opt;
	m->tls = tls_get(opt->tls);
	m->store = store_new();
	m->writer = writer_new(opt->loop, m->store, opt->rng);
	m->watch.fn = on_store;
	m->watch.arg = m;
	list_init(&m->watch.node);
	timer_init(&m->former, opt->loop, forget_former, m);
	rc = make_services(m, err);
	if (rc) {
		manager_close(m);
		return rc;
	}
	*ret = m;
	return 0;
}

/* Open the log: -ENOENT when there is none, with m->raftd made all the same. */
static int open_log(struct manager *m, struct err *err)
{
	_cleanup_free_ char *dir = xasprintf("%s/raft", m->opt.dir);
	struct raftd_options opt = {
		.loop = m->opt.loop,
		.dir = dir,
		.on_commit = on_commit,
		.on_snapshot_save = on_snapshot_save,
		.on_snapshot_restore = on_snapshot_restore,
		.on_leader = on_leader,
		.on_members = on_members,
		.on_removed = on_removed,
		.arg = m,
	};
	int rc = dir_make(dir, 0700, err);

	if (rc)
		return rc;
	memcpy(opt.dek, m->opt.vault->dek, sizeof(opt.dek));
	rc = raftd_open(&opt, &m->raftd, err);
	if (rc == -EKEYREJECTED && m->opt.vault->has_next) {
		/* the key was changed, and the daemon ended before it wrote so */
		memcpy(opt.dek, m->opt.vault->next, sizeof(opt.dek));
		rc = raftd_open(&opt, &m->raftd, err);
	}
	OPENSSL_cleanse(opt.dek, sizeof(opt.dek));
	return rc;
}

/* The log is there: speak to the other members, and watch the store from now on. */
static void go(struct manager *m)
{
	const Pb__Cluster *c = store_cluster(m->store);
	struct raft_rpc_options opt = {
		.loop = m->opt.loop,
		.grpc = m->grpc,
		.tls = m->tls,
		.raftd = m->raftd,
	};

	m->raft_rpc = raft_rpc_new(&opt);
	store_watch(m->store, &m->watch);
	m->object_events = object_events_new(m->store, m->opt.events);
	if (c)
		m->opt.on_cluster(c, m->opt.arg);
}

void manager_rekey(struct manager *m, const uint8_t dek[VAULT_KEY_SIZE],
		   void (*done)(const struct err *err, void *arg), void *arg)
{
	raftd_rekey(m->raftd, dek, done, arg);
}

int manager_create(const struct manager_options *opt, struct manager **ret, struct err *err)
{
	struct manager *m;
	int rc = manager_new(opt, &m, err);

	if (rc)
		return rc;
	rc = open_log(m, err);
	if (rc == -ENOENT)
		rc = raftd_bootstrap(m->raftd, 0, opt->node_id, opt->advertise_addr, err);
	else if (!rc)
		rc = err_set(err, -EEXIST, "there is a raft log below %s already", opt->dir);
	if (rc) {
		manager_close(m);
		return rc;
	}
	go(m);
	*ret = m;
	return 0;
}

int manager_open(const struct manager_options *opt, bool only_member, struct manager **ret,
		 struct err *err)
{
	struct manager *m;
	int rc = manager_new(opt, &m, err);

	if (rc)
		return rc;
	rc = open_log(m, err);
	if (!rc && only_member)
		rc = raftd_force_new_cluster(m->raftd, err);
	if (rc) {
		manager_close(m);
		return rc;
	}
	go(m);
	*ret = m;
	return 0;
}

static void on_joined(const struct err *err, void *arg)
{
	struct manager *m = arg;
	swarm_done done = m->joined;

	m->joining = NULL;
	m->joined = NULL;
	if (done)
		done(err, m->joined_arg);
}

int manager_join(const struct manager_options *opt, const char *remote, swarm_done done, void *arg,
		 struct manager **ret, struct err *err)
{
	struct manager *m;
	int rc = manager_new(opt, &m, err);

	if (rc)
		return rc;
	rc = open_log(m, err);
	if (rc && rc != -ENOENT) {
		manager_close(m);
		return rc;
	}
	go(m);
	m->joined = done;
	m->joined_arg = arg;
	m->joining =
		raft_rpc_join(m->raft_rpc, remote, opt->node_id, opt->advertise_addr, on_joined, m);
	*ret = m;
	return 0;
}

void manager_close(struct manager *m)
{
	if (!m)
		return;
	store_unwatch(&m->watch);
	stop_leading(m);
	if (m->joining)
		raft_join_cancel(m->joining);
	raft_rpc_free(m->raft_rpc);
	raftd_free(m->raftd);
	object_events_free(m->object_events);
	logbroker_free(m->logs);
	dispatcher_free(m->dispatcher);
	ca_server_free(m->ca);
	grpc_server_free(m->grpc);
	grpc_channel_free(m->to_leader);
	grpc_channel_free(m->to_former);
	timer_done(&m->former);
	control_free(m->control);
	writer_free(m->writer);
	store_free(m->store);
	tls_put(m->tls);
	free(m);
}

/* --- what others ask --- */

struct store *manager_store(struct manager *m)
{
	return m->store;
}

void manager_barrier(struct manager *m, void (*done)(int rc, void *arg), void *arg)
{
	raftd_barrier(m->raftd, done, arg);
}

struct logbroker *manager_logbroker(struct manager *m)
{
	return m->logs;
}

struct control *manager_control(struct manager *m)
{
	return m->control;
}

struct writer *manager_writer(struct manager *m)
{
	return m->writer;
}

bool manager_leads(const struct manager *m)
{
	return m->leads;
}

bool manager_has_leader(const struct manager *m)
{
	return m->leads ||
	       (raftd_leader_id(m->raftd) && raftd_leader_id(m->raftd) != raftd_id(m->raftd));
}

bool manager_member(struct manager *m, const char *node_id, struct swarm_member *ret)
{
	_cleanup_free_ struct raftd_member *members = NULL;
	size_t n;

	members = raftd_members(m->raftd, &n);
	for (size_t i = 0; i < n; i++) {
		if (!streq(members[i].node_id, node_id))
			continue;
		*ret = (struct swarm_member){
			.raft_id = members[i].raft_id,
			.addr = members[i].addr,
			.leader = members[i].leader,
			.reachable = members[i].reachable || members[i].self,
		};
		return true;
	}
	return false;
}

void manager_quorum(struct manager *m, const char *without_node_id, size_t *ret_members,
		    size_t *ret_reachable)
{
	_cleanup_free_ struct raftd_member *members = NULL;
	size_t n, reachable = 0;

	members = raftd_members(m->raftd, &n);
	for (size_t i = 0; i < n; i++)
		reachable += (members[i].reachable || members[i].self) &&
			     !streq(members[i].node_id, without_node_id);
	*ret_members = n;
	*ret_reachable = reachable;
}

void manager_node_suspect(struct manager *m, const char *ip, bool alive)
{
	dispatcher_suspect(m->dispatcher, ip, alive);
}

json_t *manager_raft_status(struct manager *m)
{
	_cleanup_free_ struct raftd_member *members = NULL;
	json_t *list = json_array();
	size_t n;

	members = raftd_members(m->raftd, &n);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			list,
			json_pack("{s:o, s:s, s:s, s:b, s:b}", "raft_id",
				  json_sprintf("%llx", (unsigned long long)members[i].raft_id),
				  "node_id", members[i].node_id, "addr", members[i].addr, "leader",
				  members[i].leader, "reachable",
				  members[i].reachable || members[i].self));
	return json_pack("{s:o, s:o, s:I, s:I, s:I, s:o}", "raft_id",
			 json_sprintf("%llx", (unsigned long long)raftd_id(m->raftd)), "leader",
			 json_sprintf("%llx", (unsigned long long)raftd_leader_id(m->raftd)),
			 "term", (json_int_t)raftd_term(m->raftd), "commit",
			 (json_int_t)raftd_commit(m->raftd), "applied",
			 (json_int_t)raftd_applied(m->raftd), "members", list);
}
