// SPDX-License-Identifier: Apache-2.0
/* Raft's promises (Raft figure 3.2), looked at after every step. */
#include "raft_world.h"

struct entry_seen {
	uint64_t index, term, prev_term;
	struct raft_entry *entry;
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

uint64_t hash_entry(uint64_t hash, const struct raft_entry *e)
{
	hash = mix(hash ^ e->index) + mix(e->term + 7) + e->type;
	for (size_t i = 0; i < e->size; i++)
		hash = hash * 31 + e->data[i];
	return mix(hash);
}

static bool same(const struct raft_entry *a, const struct raft_entry *b)
{
	return a->index == b->index && a->term == b->term && a->type == b->type &&
	       a->size == b->size && !memcmp(a->data, b->data, a->size);
}

/* --- log matching: an index and a term name one entry and all before it --- */

static void grow_seen(struct world *w)
{
	struct entry_seen **old = w->seen;
	size_t n = w->seen_alloc;

	w->seen_alloc = n ? 2 * n : 1024;
	w->seen = xcalloc(w->seen_alloc, sizeof(*w->seen));
	for (size_t i = 0; i < n; i++) {
		size_t at;

		if (!old[i])
			continue;
		at = mix(old[i]->index * 1000003 + old[i]->term) % w->seen_alloc;
		while (w->seen[at])
			at = (at + 1) % w->seen_alloc;
		w->seen[at] = old[i];
	}
	free(old);
}

static void check_entry(struct host *h, struct raft_entry *e, uint64_t prev_term)
{
	struct world *w = h->w;
	struct entry_seen *s;
	size_t at;

	if (2 * (w->n_seen + 1) > w->seen_alloc)
		grow_seen(w);
	at = mix(e->index * 1000003 + e->term) % w->seen_alloc;
	while ((s = w->seen[at]) && (s->index != e->index || s->term != e->term))
		at = (at + 1) % w->seen_alloc;
	if (s) {
		if (!same(s->entry, e) || s->prev_term != prev_term)
			world_fail(
				w,
				"logs do not match: host %llu has another entry %llu of term %llu",
				(unsigned long long)h->id, (unsigned long long)e->index,
				(unsigned long long)e->term);
		return;
	}
	s = xmalloc(sizeof(*s));
	*s = (struct entry_seen){e->index, e->term, prev_term, raft_entry_get(e)};
	w->seen[at] = s;
	w->n_seen++;
}

void check_persist(struct host *h, const struct raft_update *u)
{
	for (size_t i = 0; i < u->n_entries; i++)
		check_entry(h, u->entries[i],
			    i ? u->entries[i - 1]->term
			      : raft_term_at(h->raft, u->entries[0]->index - 1));
}

/* --- state machine safety --- */

static void grow_committed(struct world *w, uint64_t index)
{
	while (w->committed_alloc <= index + 1) {
		uint64_t n = w->committed_alloc ? 2 * w->committed_alloc : 1024;

		w->committed = xrealloc(w->committed, n * sizeof(*w->committed));
		w->hashes = xrealloc(w->hashes, n * sizeof(*w->hashes));
		w->committed_alloc = n;
	}
}

void check_apply(struct host *h, const struct raft_entry *e)
{
	struct world *w = h->w;

	if (e->index != h->state.applied + 1)
		world_fail(w, "host %llu applies entry %llu after %llu", (unsigned long long)h->id,
			   (unsigned long long)e->index, (unsigned long long)h->state.applied);
	h->state.applied++;
	h->state.hash = hash_entry(h->state.hash, e);
	grow_committed(w, e->index);
	if (e->index > w->n_committed) {
		w->committed[e->index - 1] = raft_entry_get((struct raft_entry *)e);
		w->hashes[e->index] = h->state.hash;
		w->n_committed = e->index;
	} else if (w->hashes[e->index] != h->state.hash) {
		world_fail(w, "host %llu applied something else as entry %llu",
			   (unsigned long long)h->id, (unsigned long long)e->index);
	}
}

void check_restore(struct host *h)
{
	struct world *w = h->w;

	if (h->state.applied > w->n_committed || w->hashes[h->state.applied] != h->state.hash)
		world_fail(w, "host %llu restored a state nobody had at entry %llu",
			   (unsigned long long)h->id, (unsigned long long)h->state.applied);
}

/* --- elections --- */

static void check_leader(struct host *h)
{
	struct world *w = h->w;
	uint64_t term = raft_term(h->raft), last = w->n_committed;

	if (raft_role(h->raft) != RAFT_LEADER || h->lead_term == term)
		return;
	h->lead_term = term;
	while (w->n_leaders <= term) {
		w->leaders = xrealloc(w->leaders, (w->n_leaders + 1) * sizeof(*w->leaders));
		w->leaders[w->n_leaders++] = 0;
	}
	if (w->leaders[term] && w->leaders[term] != h->id)
		world_fail(w, "term %llu has two leaders, %llu and %llu", (unsigned long long)term,
			   (unsigned long long)w->leaders[term], (unsigned long long)h->id);
	w->leaders[term] = h->id;
	world_trace(w, "host %llu leads term %llu", (unsigned long long)h->id,
		    (unsigned long long)term);
	/* leader completeness: all that was ever applied is in its log */
	if (last && last >= raft_first_index(h->raft) && w->committed[last - 1] &&
	    w->committed[last - 1]->term < term &&
	    raft_term_at(h->raft, last) != w->committed[last - 1]->term)
		world_fail(w, "host %llu leads term %llu without entry %llu, which is committed",
			   (unsigned long long)h->id, (unsigned long long)term,
			   (unsigned long long)last);
}

void check_step(struct host *h)
{
	struct world *w = h->w;

	if (!h->raft)
		return;
	if (raft_term(h->raft) < h->seen_term)
		world_fail(w, "the term of host %llu went back", (unsigned long long)h->id);
	if (raft_commit(h->raft) < h->seen_commit)
		world_fail(w, "the commit index of host %llu went back", (unsigned long long)h->id);
	if (raft_commit(h->raft) > raft_last_index(h->raft))
		world_fail(w, "host %llu committed what it does not have",
			   (unsigned long long)h->id);
	h->seen_term = raft_term(h->raft);
	h->seen_commit = raft_commit(h->raft);
	check_leader(h);
}

/* --- the clients' history is linearizable --- */

/*
 * Every operation has a version: of a write its index, of a read the index of the state that it
 * saw. They are one order; it is the order of time as well if no operation is of an older version
 * than one that had ended before it began.
 */
void check_client_done(struct world *w, struct client *c, uint64_t version)
{
	if (version < c->floor || (c->kind == OP_WRITE && version == c->floor))
		world_fail(w, "a %s begun after version %llu was seen is of version %llu",
			   c->kind == OP_READ ? "read" : "write", (unsigned long long)c->floor,
			   (unsigned long long)version);
	if (c->kind == OP_WRITE) {
		w->acked = xrealloc(w->acked, (w->n_acked + 1) * sizeof(*w->acked));
		w->acked[w->n_acked++] = (struct acked){c->id, version};
	}
	w->max_version = max(w->max_version, version);
	w->n_ops_done++;
	c->kind = OP_NONE;
}

/* At the end: each write that was answered is where the answer said. */
void check_done(struct world *w)
{
	for (size_t i = 0; i < w->n_acked; i++) {
		const struct acked *a = &w->acked[i];
		const struct raft_entry *e =
			a->index <= w->n_committed ? w->committed[a->index - 1] : NULL;
		uint64_t op;

		if (e && e->size == sizeof(op)) {
			memcpy(&op, e->data, sizeof(op));
			if (op == a->op)
				continue;
		}
		world_fail(w, "write %llu was acknowledged and is lost", (unsigned long long)a->op);
	}
	for (uint64_t i = 0; i < w->n_committed; i++)
		raft_entry_put(w->committed[i]);
	for (size_t i = 0; i < w->seen_alloc; i++) {
		if (w->seen[i])
			raft_entry_put(w->seen[i]->entry);
		free(w->seen[i]);
	}
	free(w->committed);
	free(w->hashes);
	free(w->seen);
	free(w->leaders);
	free(w->acked);
}
