// SPDX-License-Identifier: Apache-2.0
/* Who the members are and how that changes. Source: swarmkit manager/state/raft/raft.go. */
#include <stdio.h>

#include "core/log.h"
#include "manager/raftd_impl.h"
#include "wire/pb.h"

struct member *raftd_member(const struct raftd *r, uint64_t raft_id)
{
	struct member *m;

	list_for_each (m, &r->members, node) {
		if (m->raft_id == raft_id)
			return m;
	}
	return NULL;
}

static void tell_transport(struct raftd *r, uint64_t raft_id, const char *addr)
{
	if (r->transport.member && raft_id != r->id)
		r->transport.member(raft_id, addr, r->transport.arg);
}

void raftd_member_put(struct raftd *r, uint64_t raft_id, const char *node_id, const char *addr,
		      bool fine_ticks)
{
	struct member *m = raftd_member(r, raft_id), *at;

	if (raftd_is_removed(r, raft_id))
		return;
	if (!m) {
		m = xcalloc(1, sizeof(*m));
		m->raft_id = raft_id;
		m->reachable = true;
		list_for_each (at, &r->members, node) {
			if (at->raft_id > raft_id)
				break;
		}
		list_add_before(&m->node, &at->node);
	}
	free(m->node_id);
	free(m->addr);
	m->node_id = xstrdup(node_id ? node_id : "");
	m->addr = xstrdup(addr ? addr : "");
	m->fine_ticks = fine_ticks;
	tell_transport(r, raft_id, m->addr);
	raftd_set_timing(r);
}

void raftd_member_drop(struct raftd *r, uint64_t raft_id)
{
	struct member *m = raftd_member(r, raft_id);

	if (!m)
		return;
	list_del(&m->node);
	free(m->node_id);
	free(m->addr);
	free(m);
	tell_transport(r, raft_id, NULL);
	raftd_set_timing(r);
}

void raftd_removed_add(struct raftd *r, uint64_t raft_id)
{
	if (raftd_is_removed(r, raft_id))
		return;
	r->removed = xrealloc(r->removed, (r->n_removed + 1) * sizeof(*r->removed));
	r->removed[r->n_removed++] = raft_id;
}

bool raftd_is_removed(const struct raftd *r, uint64_t raft_id)
{
	for (size_t i = 0; i < r->n_removed; i++) {
		if (r->removed[i] == raft_id)
			return true;
	}
	return false;
}

uint64_t *raftd_removed(const struct raftd *r, size_t *ret_n)
{
	*ret_n = r->n_removed;
	return r->n_removed ? xmemdup(r->removed, r->n_removed * sizeof(*r->removed)) : NULL;
}

void raftd_members_done(struct raftd *r)
{
	while (!list_empty(&r->members))
		raftd_member_drop(r, list_first(&r->members, struct member, node)->raft_id);
	free(r->removed);
}

/* Ours beat in fractions of a second; with one of SwarmKit's among us we beat as it does. */
void raftd_set_timing(struct raftd *r)
{
	bool fine = true;
	struct member *m;

	if (!r->raft)
		return;
	list_for_each (m, &r->members, node)
		fine = fine && m->fine_ticks;
	if (fine)
		raft_set_timing(r->raft, ELECTION_TICKS, HEARTBEAT_TICKS);
	else
		raft_set_timing(r->raft, COARSE_ELECTION_TICKS, COARSE_HEARTBEAT_TICKS);
}

struct raftd_member *raftd_members(const struct raftd *r, size_t *ret_n)
{
	struct raftd_member *all;
	struct member *m;
	size_t n = 0;

	list_for_each (m, &r->members, node)
		n++;
	all = xcalloc(n + 1, sizeof(*all));
	n = 0;
	list_for_each (m, &r->members, node) {
		struct raftd_member *o = &all[n++];

		*o = (struct raftd_member){.raft_id = m->raft_id,
					   .node_id = m->node_id,
					   .addr = m->addr,
					   .self = m->raft_id == r->id,
					   .leader = m->raft_id == raftd_leader_id(r),
					   .fine_ticks = m->fine_ticks};
		o->reachable = o->self || m->reachable;
	}
	*ret_n = n;
	return all;
}

uint64_t raftd_member_of_node(const struct raftd *r, const char *node_id)
{
	struct member *m;

	list_for_each (m, &r->members, node) {
		if (streq(m->node_id, node_id))
			return m->raft_id;
	}
	return 0;
}

const char *raftd_member_addr(const struct raftd *r, uint64_t raft_id)
{
	struct member *m = raftd_member(r, raft_id);

	return m && m->addr[0] ? m->addr : NULL;
}

bool raftd_member_fine(const struct raftd *r, uint64_t raft_id)
{
	struct member *m = raftd_member(r, raft_id);

	return m && m->fine_ticks;
}

void raftd_set_transport(struct raftd *r, const struct raftd_transport *t)
{
	struct member *m;

	r->transport = t ? *t : (struct raftd_transport){0};
	list_for_each (m, &r->members, node)
		tell_transport(r, m->raft_id, m->addr);
}

void raftd_membership_pack(const struct raftd *r, struct buf *ret)
{
	Pb__ClusterSnapshot cluster = PB__CLUSTER_SNAPSHOT__INIT;
	Pb__Snapshot snap = PB__SNAPSHOT__INIT;
	size_t n = 0;
	struct member *m;

	list_for_each (m, &r->members, node)
		n++;
	_cleanup_free_ Pb__RaftMember *all = xcalloc(n + 1, sizeof(*all));
	_cleanup_free_ Pb__RaftMember **ptrs = xcalloc(n + 1, sizeof(*ptrs));

	n = 0;
	list_for_each (m, &r->members, node) {
		pb__raft_member__init(&all[n]);
		all[n].raft_id = m->raft_id;
		all[n].node_id = m->node_id;
		all[n].addr = m->addr;
		all[n].fine_ticks = m->fine_ticks;
		ptrs[n] = &all[n];
		n++;
	}
	cluster.members = ptrs;
	cluster.n_members = n;
	cluster.removed = r->removed;
	cluster.n_removed = r->n_removed;
	snap.membership = &cluster;
	pb_pack(&snap, ret);
}

/* --- changes --- */

static void end_change(struct change *c, const struct err *err)
{
	list_del(&c->node);
	c->done(c, err);
	free(c->member.node_id);
	free(c->member.addr);
	free(c);
}

static void end_change_rc(struct change *c, int rc)
{
	struct err err = ERR_INIT;

	err_set(&err, rc, "the members were not changed: this manager does not lead the swarm");
	end_change(c, &err);
}

void raftd_fail_changes(struct raftd *r, int rc)
{
	while (!list_empty(&r->changes))
		end_change_rc(list_first(&r->changes, struct change, node), rc);
}

void raftd_self_removed(struct raftd *r)
{
	if (r->told_removed)
		return;
	r->told_removed = true;
	log_info("raft: this member was removed from the cluster");
	if (r->opt.on_removed) {
		r->removed_due = true;
		raftd_pump_later(r);
	}
}

void raftd_told_removed(struct raftd *r)
{
	raftd_self_removed(r);
}

void raftd_apply_change(struct raftd *r, const struct raft_entry *e)
{
	_cleanup_pb_ Pb__RaftMember *pm = NULL;
	struct raft_change change;
	struct change *c;

	if (raft_change_unpack(e->data, e->size, &change) < 0)
		return;
	pm = pb_unpack(pb__raft_member, change.context, change.context_size);
	if (change.type == RAFT_REMOVE) {
		raftd_removed_add(r, change.member);
		raftd_member_drop(r, change.member);
	} else if (pm) {
		raftd_member_put(r, change.member, pm->node_id, pm->addr, pm->fine_ticks);
		/* etcd takes no snapshot of a time when it was no member */
		if (change.type == RAFT_ADD && raft_first_index(r->raft) > 1)
			r->snapshot_wanted = true;
	}
	raftd_members_changed(r);
	list_for_each (c, &r->changes, node) {
		if (c->proposed && c->entry_id == change.id && c->member.raft_id == change.member) {
			end_change(c, NULL);
			break;
		}
	}
	if (!list_empty(&r->changes))
		raftd_pump_later(r);
	if (change.type == RAFT_REMOVE && change.member == r->id)
		raftd_self_removed(r);
}

static void propose(struct raftd *r, struct change *c)
{
	_cleanup_buf_ struct buf context = BUF_INIT, data = BUF_INIT;
	struct raft_change change = {.type = c->type, .member = c->member.raft_id};
	struct raft_event ev = {.type = RAFT_PROPOSE, .n_entries = 1};
	struct raft_entry *e;

	if (c->type != RAFT_REMOVE) {
		Pb__RaftMember pm = PB__RAFT_MEMBER__INIT;

		pm.raft_id = c->member.raft_id;
		pm.node_id = c->member.node_id;
		pm.addr = c->member.addr;
		pm.fine_ticks = c->member.fine_ticks;
		pb_pack(&pm, &context);
	}
	c->entry_id = change.id = rng_u64(&r->rng) >> 1;
	c->proposed = true;
	change.context = context.data;
	change.context_size = context.len;
	raft_change_pack(&change, &data);
	e = raft_entry_new(RAFT_CONF_CHANGE, 0, 0, data.data, data.len);
	ev.entries = &e;
	/* when refused: not leading, or handing over; the change fails with the leadership or now */
	if (raftd_step(r, &ev) < 0)
		raftd_fail_changes(r, -ENOTCONN);
}

/* Would those that answer still be a quorum? (swarmkit CanRemoveMember) */
static bool can_remove(const struct raftd *r, uint64_t raft_id)
{
	size_t n = 0, reachable = 0;
	struct member *m;

	list_for_each (m, &r->members, node) {
		struct raft_peer_status st;

		if (m->raft_id == raft_id)
			continue;
		n++;
		reachable += m->raft_id == r->id ||
			     (raft_peer(r->raft, m->raft_id, &st) && st.active && m->reachable);
	}
	return n && reachable >= n / 2 + 1;
}

/* False: it has ended. */
static bool ready(struct raftd *r, struct change *c)
{
	struct member *m = raftd_member(r, c->member.raft_id);
	struct err err = ERR_INIT;

	if (c->type == RAFT_REMOVE ? !m
				   : m && streq(m->addr, c->member.addr) &&
					     m->fine_ticks == c->member.fine_ticks) {
		/* it is as asked for */
		end_change(c, NULL);
		return false;
	}
	if (c->type == RAFT_REMOVE && !can_remove(r, c->member.raft_id)) {
		err_set(&err, -EBUSY,
			"member cannot be removed, because removing it may result in loss of "
			"quorum");
		end_change(c, &err);
		return false;
	}
	if (c->type == RAFT_REMOVE && c->member.raft_id == r->id) {
		if (raftd_transfer(r, 0, &err) == 0)
			err_set(&err, -EAGAIN,
				"the leader cannot remove itself: the leadership is being handed "
				"on, ask again");
		end_change(c, &err);
		return false;
	}
	if (c->type == RAFT_ADD && raft_conf(r->raft)->n >= RAFT_MEMBERS_MAX) {
		err_set(&err, -EOVERFLOW, "the swarm has %d managers already, which is the most",
			RAFT_MEMBERS_MAX);
		end_change(c, &err);
		return false;
	}
	return true;
}

void raftd_run_changes(struct raftd *r)
{
	while (!list_empty(&r->changes)) {
		struct change *c = list_first(&r->changes, struct change, node);

		if (!r->told_leader) {
			raftd_fail_changes(r, -ENOTCONN);
			return;
		}
		if (c->proposed || raft_change_pending(r->raft))
			return;
		if (!ready(r, c))
			continue;
		propose(r, c);
		return;
	}
}

static struct change *queue_change(struct raftd *r, enum raft_change_type type, uint64_t raft_id,
				   void *arg)
{
	struct change *c = xcalloc(1, sizeof(*c));

	c->type = type;
	c->member.raft_id = raft_id;
	c->arg = arg;
	list_add_tail(&c->node, &r->changes);
	raftd_pump_later(r);
	return c;
}

static void joined(struct change *c, const struct err *err)
{
	c->joined(err, err ? 0 : c->member.raft_id, c->arg);
}

void raftd_join(struct raftd *r, const char *node_id, const char *addr, bool fine_ticks,
		raftd_joined_fn done, void *arg)
{
	uint64_t id = raftd_member_of_node(r, node_id);
	struct change *c, *other;
	bool known = id;

	/* one that is being added already */
	list_for_each (other, &r->changes, node) {
		if (!id && other->type == RAFT_ADD && streq(other->member.node_id, node_id))
			id = other->member.raft_id;
	}
	while (!id || (!known && (raftd_is_removed(r, id) || raftd_member(r, id))))
		id = (rng_u64(&r->rng) >> 1) + 1;
	c = queue_change(r, known ? RAFT_UPDATE : RAFT_ADD, id, arg);
	c->member.node_id = xstrdup(node_id);
	c->member.addr = xstrdup(addr);
	c->member.fine_ticks = fine_ticks;
	c->done = joined;
	c->joined = done;
}

static void removed(struct change *c, const struct err *err)
{
	c->removed(err, c->arg);
}

void raftd_remove(struct raftd *r, uint64_t raft_id, void (*done)(const struct err *err, void *arg),
		  void *arg)
{
	struct change *c = queue_change(r, RAFT_REMOVE, raft_id, arg);

	c->done = removed;
	c->removed = done;
}

int raftd_transfer(struct raftd *r, uint64_t raft_id, struct err *err)
{
	struct raft_event ev = {.type = RAFT_TRANSFER};
	uint64_t best = 0;
	struct member *m;

	if (!r->told_leader)
		return err_set(err, -ENOTCONN, "this manager does not lead the swarm");
	list_for_each (m, &r->members, node) {
		struct raft_peer_status st;

		if (m->raft_id == r->id || (raft_id && m->raft_id != raft_id) || !m->reachable ||
		    !raft_peer(r->raft, m->raft_id, &st) || !st.active)
			continue;
		if (!ev.member || st.match > best) {
			ev.member = m->raft_id;
			best = st.match;
		}
	}
	if (!ev.member)
		return err_set(err, -EINVAL, "no other manager answers that could lead the swarm");
	raftd_step(r, &ev);
	return 0;
}
