// SPDX-License-Identifier: Apache-2.0
/* Who the members are. One change at a time, in effect when applied (Raft §4.1; etcd). */
#include "raft/raft_impl.h"
#include "wire/pb.h"
#include "wire/raftpb.pb-c.h"

void raft_change_pack(const struct raft_change *c, struct buf *ret)
{
	Raftpb__ConfChange pc = RAFTPB__CONF_CHANGE__INIT;

	pc.has_id = pc.has_type = pc.has_node_id = true;
	pc.id = c->id;
	pc.type = (Raftpb__ConfChangeType)c->type;
	pc.node_id = c->member;
	if (c->context_size) {
		pc.has_context = true;
		pc.context = (ProtobufCBinaryData){c->context_size, (uint8_t *)c->context};
	}
	pb_pack(&pc.base, ret);
}

int raft_change_unpack(const void *data, size_t size, struct raft_change *ret)
{
	_cleanup_pb_ Raftpb__ConfChange *pc = pb_unpack(raftpb__conf_change, data, size);
	const uint8_t *context;

	if (!pc || pc->type < 0 ||
	    pc->type > RAFTPB__CONF_CHANGE_TYPE__CONF_CHANGE_ADD_LEARNER_NODE)
		return -EBADMSG;
	*ret = (struct raft_change){
		.type = (enum raft_change_type)pc->type, .id = pc->id, .member = pc->node_id};
	if (pc->context.len) {
		/* the last occurrence of the field counts; find its bytes in data */
		context = memmem(data, size, pc->context.data, pc->context.len);
		ret->context = context;
		ret->context_size = pc->context.len;
	}
	return 0;
}

static size_t place(const struct raft_conf *conf, uint64_t id)
{
	size_t i = 0;

	while (i < conf->n && conf->voters[i] < id)
		i++;
	return i;
}

bool raft_conf_has(const struct raft_conf *conf, uint64_t id)
{
	size_t i = place(conf, id);

	return i < conf->n && conf->voters[i] == id;
}

bool raft_conf_add(struct raft_conf *conf, uint64_t id)
{
	size_t i = place(conf, id);

	if (i < conf->n && conf->voters[i] == id)
		return true;
	if (conf->n == RAFT_MEMBERS_MAX)
		return false;
	memmove(&conf->voters[i + 1], &conf->voters[i], (conf->n - i) * sizeof(id));
	conf->voters[i] = id;
	conf->n++;
	return true;
}

void raft_conf_del(struct raft_conf *conf, uint64_t id)
{
	size_t i = place(conf, id);

	if (i == conf->n || conf->voters[i] != id)
		return;
	conf->n--;
	memmove(&conf->voters[i], &conf->voters[i + 1], (conf->n - i) * sizeof(id));
}

/* Carry the progress of members that stay over to the new order. */
static void carry_progress(struct raft *r, const struct raft_conf *conf)
{
	struct raft_progress *next = xcalloc(max(conf->n, (size_t)1), sizeof(*next));

	for (size_t i = 0; i < conf->n; i++) {
		struct raft_progress *old = raft_progress_of(r, conf->voters[i]);

		if (old) {
			next[i] = *old;
			old->inflight = NULL;
			continue;
		}
		raft_progress_init(&next[i], conf->voters[i],
				   max(raft_log_last(&r->log), (uint64_t)1), r->opt.max_inflight);
		/* it has just asked to join */
		next[i].heard = true;
	}
	for (size_t i = 0; i < r->conf.n; i++)
		raft_progress_done(&r->progress[i]);
	free(r->progress);
	r->progress = next;
}

/* Bits that are indexed by place in the old membership, moved to the new. */
static uint64_t carry_bits(uint64_t bits, const struct raft_conf *old, const struct raft_conf *conf)
{
	uint64_t out = 0;

	for (size_t i = 0; i < conf->n; i++) {
		size_t j = place(old, conf->voters[i]);

		if (j < old->n && old->voters[j] == conf->voters[i] && bits & (1ULL << j))
			out |= 1ULL << i;
	}
	return out;
}

void raft_set_conf(struct raft *r, const struct raft_conf *conf)
{
	carry_progress(r, conf);
	r->voted = carry_bits(r->voted, &r->conf, conf);
	r->granted = carry_bits(r->granted, &r->conf, conf);
	for (size_t i = 0; i < r->n_reads; i++)
		r->reads[i].acks = carry_bits(r->reads[i].acks, &r->conf, conf);
	r->conf = *conf;
}

/* A leader after the members changed: quorums may be smaller, a new member wants the log. */
static void leader_changed(struct raft *r)
{
	if (raft_member_index(r, r->opt.id) < 0) {
		/* tell the others how far it is committed, then let them choose */
		raft_broadcast_append(r);
		raft_become_follower(r, r->term, 0);
		return;
	}
	if (raft_maybe_commit(r)) {
		raft_broadcast_append(r);
	} else {
		for (size_t i = 0; i < r->conf.n; i++) {
			if (r->conf.voters[i] != r->opt.id)
				raft_send_append(r, &r->progress[i], false);
		}
	}
	if (r->transferee && raft_member_index(r, r->transferee) < 0)
		r->transferee = 0;
}

void raft_apply_change(struct raft *r, const struct raft_entry *e)
{
	struct raft_conf conf = r->conf;
	struct raft_change c;

	if (e->type != RAFT_CONF_CHANGE || raft_change_unpack(e->data, e->size, &c) < 0 ||
	    !c.member)
		return;
	switch (c.type) {
	case RAFT_ADD:
	case RAFT_ADD_LEARNER:
		raft_conf_add(&conf, c.member);
		break;
	case RAFT_REMOVE:
		raft_conf_del(&conf, c.member);
		break;
	case RAFT_UPDATE:
		return;
	}
	if (conf.n == r->conf.n)
		return;
	raft_set_conf(r, &conf);
	if (r->role == RAFT_LEADER)
		leader_changed(r);
}
