// SPDX-License-Identifier: Apache-2.0
/* How a member begins: from its log, as the first, as one that joins, as the only survivor. */
#include <stdio.h>

#include "core/log.h"
#include "manager/raftd_impl.h"
#include "wire/pb.h"

/* The fields of a Snapshot message that are its membership, without the store's objects. */
static bool find_membership(const uint8_t *p, size_t size, struct buf *ret)
{
	enum { MEMBERSHIP_TAG = 2 << 3 | 2 };

	for (size_t at = 0; at < size;) {
		uint64_t v[2] = {0};
		size_t begin = at;

		/* tag, then a number or the size of what follows */
		for (int i = 0; i < 2; i++) {
			for (unsigned int shift = 0;; shift += 7) {
				if (at == size || shift > 63)
					return false;
				v[i] |= (uint64_t)(p[at] & 0x7f) << shift;
				if (!(p[at++] & 0x80))
					break;
			}
		}
		if ((v[0] & 7) == 2) {
			if (v[1] > size - at)
				return false;
			at += v[1];
			if (v[0] == MEMBERSHIP_TAG)
				buf_add(ret, p + begin, at - begin);
		} else if (v[0] & 7) {
			return false;
		}
	}
	return true;
}

void raftd_load_membership(struct raftd *r, const void *snapshot, size_t size)
{
	_cleanup_buf_ struct buf part = BUF_INIT;
	_cleanup_pb_ Pb__Snapshot *snap = NULL;
	struct member *m, *tmp;

	if (find_membership(snapshot, size, &part))
		snap = pb_unpack(pb__snapshot, part.data, part.len);
	if (!snap || !snap->membership)
		return;
	for (size_t i = 0; i < snap->membership->n_removed; i++) {
		raftd_removed_add(r, snap->membership->removed[i]);
		raftd_member_drop(r, snap->membership->removed[i]);
	}
	list_for_each_safe (m, tmp, &r->members, node) {
		bool there = false;

		for (size_t i = 0; i < snap->membership->n_members; i++)
			there = there || snap->membership->members[i]->raft_id == m->raft_id;
		if (!there)
			raftd_member_drop(r, m->raft_id);
	}
	for (size_t i = 0; i < snap->membership->n_members; i++) {
		const Pb__RaftMember *pm = snap->membership->members[i];

		raftd_member_put(r, pm->raft_id, pm->node_id, pm->addr, pm->fine_ticks);
	}
	raftd_members_changed(r);
}

/* Raft over what the log holds; what is committed and not applied yet comes with the first step. */
static int start(struct raftd *r, const struct raftlog_state *s, struct err *err)
{
	struct raft_stored stored = {.hard = s->hard,
				     .snapshot = s->snapshot,
				     .entries = s->entries,
				     .n_entries = s->n_entries,
				     .base_term = s->base_term};
	struct raft_options opt = {.id = r->id,
				   .election_ticks = ELECTION_TICKS,
				   .heartbeat_ticks = HEARTBEAT_TICKS,
				   .pre_vote = true,
				   .check_quorum = true,
				   .max_msg_size = MSG_MAX_SIZE,
				   .max_inflight = INFLIGHT_MAX,
				   .rng = &r->rng};
	struct raft_event nothing = {.type = RAFT_EVENTS}, campaign = {.type = RAFT_CAMPAIGN};
	int rc = raft_new(&opt, &stored, &r->raft, err);

	if (rc < 0)
		return rc;
	if (s->snapshot)
		r->snapshot_index = s->snapshot->index;
	raftd_set_timing(r);
	raftd_step(r, &nothing);
	if (r->failed)
		return err_set(err, -EBADMSG, "the raft log cannot be applied");
	if (raft_conf(r->raft)->n == 1)
		raftd_step(r, &campaign);
	return 0;
}

static int restore(struct raftd *r, const struct raft_snapshot *s, struct err *err)
{
	if (!s || s->index <= r->applied)
		return 0;
	if (r->opt.on_snapshot_restore(s->data, s->size, r->opt.arg) != 0)
		return err_set(err, -EBADMSG,
			       "the snapshot at entry %llu of the raft log cannot be used",
			       (unsigned long long)s->index);
	raftd_load_membership(r, s->data, s->size);
	r->applied = s->index;
	return 0;
}

/* The record of who this member is: as the answer to a Join that made it one. */
static int read_member(struct raftd *r, const struct buf *record, struct err *err)
{
	_cleanup_pb_ Pb__JoinResponse *j = pb_unpack(pb__join_response, record->data, record->len);

	if (!j || !j->raft_id)
		return err_set(err, -EBADMSG, "the raft log does not say which member this is");
	r->id = j->raft_id;
	for (size_t i = 0; i < j->n_removed_members; i++)
		raftd_removed_add(r, j->removed_members[i]);
	for (size_t i = 0; i < j->n_members; i++) {
		const Pb__RaftMember *m = j->members[i];

		/* what the log says of it is newer */
		if (!raftd_member(r, m->raft_id))
			raftd_member_put(r, m->raft_id, m->node_id, m->addr, m->fine_ticks);
	}
	return 0;
}

static int start_from_log(struct raftd *r, struct err *err)
{
	struct raftlog_state s;
	int rc = raftlog_load(r->log, &s, err);

	if (rc < 0)
		return rc;
	if (!s.member.len)
		rc = err_set(err, -ENOENT, "the folder holds no raft log");
	else
		rc = read_member(r, &s.member, err);
	if (!rc)
		rc = restore(r, s.snapshot, err);
	if (!rc)
		rc = start(r, &s, err);
	raftlog_state_done(&s);
	return rc;
}

int raftd_open(const struct raftd_options *opt, struct raftd **ret, struct err *err)
{
	struct raftd *r = xcalloc(1, sizeof(*r));
	int rc;

	r->loop = opt->loop;
	r->opt = *opt;
	r->opt.dir = NULL;
	rng_seed_os(&r->rng);
	/* an answer that is still on its way to an earlier life of this member answers no read of now */
	r->next_read = rng_u64(&r->rng) >> 1;
	list_init(&r->queued);
	list_init(&r->in_flight);
	list_init(&r->undecided);
	list_init(&r->barriers);
	list_init(&r->members);
	list_init(&r->changes);
	r->snapshot_interval = SNAPSHOT_INTERVAL;
	r->snapshot_keep = SNAPSHOT_KEEP;
	raftd_disk_init(r);
	raftd_timers_init(r);
	rc = raftlog_open(opt->dir, opt->dek, &r->log, err);
	if (!rc)
		rc = start_from_log(r, err);
	if (rc < 0 && rc != -ENOENT) {
		raftd_free(r);
		return rc;
	}
	*ret = r;
	return rc;
}

/* --- the first of them, and one that joins --- */

Pb__JoinResponse *raftd_join_response(uint64_t raft_id, const struct raftd_member *all, size_t n,
				      const uint64_t *removed, size_t n_removed)
{
	Pb__JoinResponse *j = pb_new(pb__join_response);

	j->raft_id = raft_id;
	for (size_t i = 0; i < n; i++) {
		Pb__RaftMember *m = pb_new(pb__raft_member);

		m->raft_id = all[i].raft_id;
		m->fine_ticks = all[i].fine_ticks;
		pb_set_str(&m->node_id, all[i].node_id);
		pb_set_str(&m->addr, all[i].addr);
		pb_append(&j->n_members, &j->members, m);
	}
	if (n_removed) {
		j->removed_members = xmemdup(removed, n_removed * sizeof(*removed));
		j->n_removed_members = n_removed;
	}
	return j;
}

/* Pack the record of who this member is, which is stolen. */
static void write_down(Pb__JoinResponse *record, struct buf *ret)
{
	pb_pack(record, ret);
	pb_free(record);
}

static struct raft_entry *add_self_entry(uint64_t term, uint64_t index, uint64_t raft_id,
					 const char *node_id, const char *addr)
{
	_cleanup_buf_ struct buf context = BUF_INIT, data = BUF_INIT;
	struct raft_change c = {.type = RAFT_ADD, .member = raft_id};
	Pb__RaftMember m = PB__RAFT_MEMBER__INIT;

	m.raft_id = raft_id;
	m.node_id = (char *)node_id;
	m.addr = (char *)addr;
	m.fine_ticks = true;
	pb_pack(&m, &context);
	c.context = context.data;
	c.context_size = context.len;
	raft_change_pack(&c, &data);
	return raft_entry_new(RAFT_CONF_CHANGE, term, index, data.data, data.len);
}

int raftd_bootstrap(struct raftd *r, uint64_t raft_id, const char *node_id, const char *addr,
		    struct err *err)
{
	_cleanup_buf_ struct buf member = BUF_INIT;
	struct raft_hard_state hard = {.term = 1, .commit = 1};
	struct raftlog_write w = {.hard = &hard, .n_entries = 1, .member = &member};
	struct raftd_member self = {.node_id = node_id, .addr = addr, .fine_ticks = true};
	struct raft_entry *e;
	int rc;

	if (r->raft)
		return err_set(err, -EEXIST, "the folder holds a raft log already");
	if (!raft_id)
		raft_id = (rng_u64(&r->rng) >> 1) + 1;
	self.raft_id = raft_id;
	write_down(raftd_join_response(raft_id, &self, 1, NULL, 0), &member);
	e = add_self_entry(1, 1, raft_id, node_id, addr);
	w.entries = &e;
	rc = raftlog_write(r->log, &w, err);
	raft_entry_put(e);
	return rc < 0 ? rc : start_from_log(r, err);
}

int raftd_joined(struct raftd *r, uint64_t raft_id, const char *node_id, const char *addr,
		 const struct raftd_member *members, size_t n_members, const uint64_t *removed,
		 size_t n_removed, struct err *err)
{
	_cleanup_free_ struct raftd_member *all = xcalloc(n_members + 1, sizeof(*all));
	_cleanup_buf_ struct buf member = BUF_INIT;
	struct raftlog_write w = {.member = &member};
	size_t n = 0;
	int rc;

	if (r->raft)
		return err_set(err, -EEXIST, "the folder holds a raft log already");
	if (!raft_id || n_members > RAFT_MEMBERS_MAX)
		return err_set(err, -EINVAL, "the leader's answer to the join makes no sense");
	for (size_t i = 0; i < n_members; i++) {
		if (members[i].raft_id != raft_id)
			all[n++] = members[i];
	}
	all[n++] = (struct raftd_member){
		.raft_id = raft_id, .node_id = node_id, .addr = addr, .fine_ticks = true};
	write_down(raftd_join_response(raft_id, all, n, removed, n_removed), &member);
	rc = raftlog_write(r->log, &w, err);
	return rc < 0 ? rc : start_from_log(r, err);
}

/* --- the only survivor --- */

/* Entries behind the log's end that remove all others and make sure that this one is a member. */
static struct raft_entry **lonely_entries(const struct raftd *r, uint64_t term, uint64_t index,
					  size_t *ret_n)
{
	const struct raft_conf *conf = raft_conf(r->raft);
	struct raft_entry **all = xcalloc(conf->n + 1, sizeof(*all));
	struct member *self = raftd_member(r, r->id);
	size_t n = 0;

	/* first itself: the last one of them must not go */
	if (!raft_conf_has(conf, r->id)) {
		all[n] = add_self_entry(term, index + n, r->id, self ? self->node_id : "",
					self ? self->addr : "");
		n++;
	}
	for (size_t i = 0; i < conf->n; i++) {
		_cleanup_buf_ struct buf data = BUF_INIT;
		struct raft_change c = {.type = RAFT_REMOVE, .member = conf->voters[i]};

		if (conf->voters[i] == r->id)
			continue;
		raft_change_pack(&c, &data);
		all[n] = raft_entry_new(RAFT_CONF_CHANGE, term, index + n, data.data, data.len);
		n++;
	}
	*ret_n = n;
	return all;
}

/* Raft anew over the log on disk, all of which counts as committed. */
static int reopen_committed(struct raftd *r, struct raft_entry **extra, size_t n_extra,
			    struct err *err)
{
	struct raft_hard_state hard = {.term = raft_term(r->raft) + 1,
				       .commit = raft_last_index(r->raft) + n_extra};
	struct raftlog_write w = {.hard = &hard, .entries = extra, .n_entries = n_extra};
	int rc = raftlog_write(r->log, &w, err);

	if (rc < 0)
		return rc;
	raft_free(r->raft);
	r->raft = NULL;
	return start_from_log(r, err);
}

int raftd_force_new_cluster(struct raftd *r, struct err *err)
{
	struct raft_entry **extra;
	size_t n;
	int rc;

	if (!r->raft)
		return err_set(err, -ENOENT, "this node has no raft log to make a swarm of");
	/* raft's memory and the disk are one while nothing is being written */
	raftd_disk_stop(r);
	raftd_disk_init(r);
	raft_free(r->raft);
	r->raft = NULL;
	rc = start_from_log(r, err);
	if (rc < 0)
		return rc;
	raftd_disk_stop(r);
	raftd_disk_init(r);
	/* what the log holds beyond the commit index it knows of was acknowledged, for all we know */
	rc = reopen_committed(r, NULL, 0, err);
	if (rc < 0)
		return rc;
	raftd_disk_stop(r);
	raftd_disk_init(r);
	extra = lonely_entries(r, max(raft_term(r->raft), (uint64_t)1),
			       raft_last_index(r->raft) + 1, &n);
	rc = reopen_committed(r, extra, n, err);
	for (size_t i = 0; i < n; i++)
		raft_entry_put(extra[i]);
	free(extra);
	return rc;
}
