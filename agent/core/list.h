/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intrusive doubly linked list, with the names of the kernel's <linux/list.h>. A head and a
 * node are the same type; a node that is in no list points at itself.
 */
#pragma once

#include "core/util.h"

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)                                                                       \
	{                                                                                          \
		&(name), &(name)                                                                   \
	}

static inline void list_init(struct list_head *h)
{
	h->next = h->prev = h;
}

static inline bool list_empty(const struct list_head *h)
{
	return h->next == h;
}

static inline void list_add_before(struct list_head *n, struct list_head *at)
{
	n->prev = at->prev;
	n->next = at;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_add_tail(struct list_head *n, struct list_head *h)
{
	list_add_before(n, h);
}

static inline void list_add(struct list_head *n, struct list_head *h)
{
	list_add_before(n, h->next);
}

/* Leaves the node pointing at itself, so that deleting twice is harmless. */
static inline void list_del(struct list_head *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(h, type, member) list_entry((h)->next, type, member)
#define list_for_each(pos, h, member)                                                              \
	for (pos = list_entry((h)->next, __typeof__(*pos), member); &pos->member != (h);           \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))
/* The body may delete and free pos. */
#define list_for_each_safe(pos, tmp, h, member)                                                    \
	for (pos = list_entry((h)->next, __typeof__(*pos), member),                                \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);                          \
	     &pos->member != (h);                                                                  \
	     pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))
