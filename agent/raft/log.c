// SPDX-License-Identifier: Apache-2.0
#include "raft/raft_impl.h"

void raft_log_done(struct raft_log *l)
{
	raft_log_truncate(l, l->base + 1);
	free(l->ents);
	l->ents = NULL;
	l->alloc = 0;
}

struct raft_entry *raft_log_at(const struct raft_log *l, uint64_t index)
{
	return index > l->base && index <= raft_log_last(l) ? l->ents[index - l->base - 1] : NULL;
}

bool raft_log_term(const struct raft_log *l, uint64_t index, uint64_t *ret)
{
	struct raft_entry *e = raft_log_at(l, index);

	if (e)
		*ret = e->term;
	else if (index == l->base)
		*ret = l->base_term;
	else
		*ret = 0;
	return e || index == l->base;
}

uint64_t raft_log_last_term(const struct raft_log *l)
{
	return l->n ? l->ents[l->n - 1]->term : l->base_term;
}

bool raft_log_matches(const struct raft_log *l, uint64_t index, uint64_t term)
{
	uint64_t ours;

	return raft_log_term(l, index, &ours) && ours == term;
}

bool raft_log_up_to_date(const struct raft_log *l, uint64_t index, uint64_t term)
{
	uint64_t ours = raft_log_last_term(l);

	return term > ours || (term == ours && index >= raft_log_last(l));
}

void raft_log_push(struct raft_log *l, struct raft_entry *e)
{
	assert(e->index == raft_log_last(l) + 1);
	if (l->n == l->alloc) {
		l->alloc = l->alloc ? l->alloc * 2 : 64;
		l->ents = xrealloc(l->ents, l->alloc * sizeof(*l->ents));
	}
	l->ents[l->n++] = e;
}

void raft_log_truncate(struct raft_log *l, uint64_t index)
{
	while (l->n && raft_log_last(l) >= index)
		raft_entry_put(l->ents[--l->n]);
	l->stable = min(l->stable, raft_log_last(l));
}

void raft_log_compact(struct raft_log *l, uint64_t index)
{
	size_t n;

	if (index <= l->base)
		return;
	assert(index <= l->applied);
	n = index - l->base;
	l->base_term = l->ents[n - 1]->term;
	for (size_t i = 0; i < n; i++)
		raft_entry_put(l->ents[i]);
	memmove(l->ents, l->ents + n, (l->n - n) * sizeof(*l->ents));
	l->n -= n;
	l->base = index;
}

void raft_log_restore(struct raft_log *l, uint64_t index, uint64_t term)
{
	raft_log_truncate(l, l->base + 1);
	l->base = l->committed = index;
	l->base_term = term;
	/* stable and applied follow when the snapshot is durable and handed out */
	l->stable = l->applied = index;
}

uint64_t raft_log_conflict(const struct raft_log *l, uint64_t index, uint64_t term,
			   uint64_t *ret_term)
{
	for (; index > 0; index--) {
		if (!raft_log_term(l, index, ret_term) || *ret_term <= term)
			return index;
	}
	*ret_term = 0;
	return 0;
}

size_t raft_log_fit(const struct raft_log *l, uint64_t index, size_t max_size)
{
	size_t size = 0, n = 0;

	for (struct raft_entry *e; (e = raft_log_at(l, index + n)); n++) {
		/* index, term, type and their tags */
		size += e->size + 24;
		if (n && size > max_size)
			break;
	}
	return n;
}
