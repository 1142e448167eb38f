// SPDX-License-Identifier: GPL-2.0-only
#include "flows.h"

#include <linux/jhash.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

/*
 * An entry is rcu, used_s, key, value: flows take two cache lines, of which a lookup that finds
 * another key reads the first one only. Entries are aligned to lines, so that the low bits of a
 * way's word are free for six bits of the hash: of other keys few are read at all.
 */
struct entry {
	struct rcu_head rcu;
	u32 used_s; /* of the last use, CLOCK_MONOTONIC; written once a second at most */
	u32 key[]; /* then the value */
};

#define ENTRY_ALIGN 64
#define TAG_MASK (ENTRY_ALIGN - 1UL)

/* So long the last packets of a flow that is over may still come. */
#define OVER_S 10

struct kind {
	const char *name;
	u32 key_words, value_size;
	bool (*is_over)(const void *value); /* NULL: never */
	void (*free)(struct rcu_head *rcu);
};

struct sw_flows {
	const struct kind *kind;
	struct kmem_cache *cache;
	u32 seed;
	u32 set_mask;
	u32 max;
	atomic_t len; /* without what is in recent */
	int __percpu *recent; /* less than RECENT_MAX either way */
	unsigned long ways[]; /* entry | tag; 0: empty */
};

#define RECENT_MAX 64

static struct kmem_cache *caches[2]; /* by enum sw_flows_kind */

static bool flow_is_over(const void *value)
{
	const struct sw_flow *f = value;

	return READ_ONCE(f->state) & (SW_FLOW_FIN | SW_FLOW_FIN_REPLY | SW_FLOW_RST);
}

static void free_flow(struct rcu_head *rcu)
{
	kmem_cache_free(caches[SW_FLOWS], container_of(rcu, struct entry, rcu));
}

static void free_fragment(struct rcu_head *rcu)
{
	kmem_cache_free(caches[SW_FRAGMENTS], container_of(rcu, struct entry, rcu));
}

static const struct kind flow_kind = {
	.name = "swarm_flow",
	.key_words = sizeof(struct sw_flow_key) / 4,
	.value_size = sizeof(struct sw_flow),
	.is_over = flow_is_over,
	.free = free_flow,
};

static const struct kind fragment_kind = {
	.name = "swarm_fragment",
	.key_words = sizeof(struct sw_fragment_key) / 4,
	.value_size = sizeof(struct sw_fragment),
	.free = free_fragment,
};

static const struct kind *const kinds[] = {
	[SW_FLOWS] = &flow_kind,
	[SW_FRAGMENTS] = &fragment_kind,
};

/* the key ends with the first cache line, at least with pointers of eight bytes */
static_assert(offsetof(struct entry, key) + sizeof(struct sw_flow_key) <= ENTRY_ALIGN);

int sw_flows_cache_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct kind *k = kinds[i];
		u32 size = offsetof(struct entry, key) + k->key_words * 4 + k->value_size;

		caches[i] = kmem_cache_create(k->name, size, ENTRY_ALIGN, 0, NULL);
		if (!caches[i]) {
			sw_flows_cache_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

void sw_flows_cache_exit(void)
{
	int i;

	rcu_barrier(); /* free_flow() and free_fragment() are of this module */
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		kmem_cache_destroy(caches[i]);
		caches[i] = NULL;
	}
}

struct sw_flows *sw_flows_new(enum sw_flows_kind kind, __u32 max)
{
	u32 n_ways = roundup_pow_of_two(max_t(u32, max, SW_WAYS)) * 2;
	struct sw_flows *t;

	t = kvzalloc(struct_size(t, ways, n_ways), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!t)
		return NULL;
	t->recent = alloc_percpu_gfp(int, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!t->recent) {
		kvfree(t);
		return NULL;
	}
	t->kind = kinds[kind];
	t->cache = caches[kind];
	t->seed = get_random_u32();
	t->set_mask = n_ways / SW_WAYS - 1;
	t->max = max;
	return t;
}

static u32 n_ways_of(const struct sw_flows *t)
{
	return (t->set_mask + 1) * SW_WAYS;
}

static struct entry *entry_of(unsigned long way)
{
	return (struct entry *)(way & ~TAG_MASK);
}

static void *value_of(const struct sw_flows *t, struct entry *e)
{
	return e->key + t->kind->key_words;
}

void sw_flows_free(struct sw_flows *t)
{
	u32 i;

	if (!t)
		return;
	for (i = 0; i < n_ways_of(t); i++) {
		if (t->ways[i])
			kmem_cache_free(t->cache, entry_of(t->ways[i]));
		if (!(i % 4096))
			cond_resched();
	}
	free_percpu(t->recent);
	kvfree(t);
}

static u32 now_s(void)
{
	return (u32)ktime_get_seconds();
}

static void len_add(struct sw_flows *t, int n)
{
	int recent = this_cpu_add_return(*t->recent, n);

	if (recent >= RECENT_MAX || recent <= -RECENT_MAX)
		atomic_add(this_cpu_xchg(*t->recent, 0), &t->len);
}

__u32 sw_flows_len(const struct sw_flows *t)
{
	int cpu, len = atomic_read(&t->len);

	for_each_possible_cpu(cpu)
		len += READ_ONCE(*per_cpu_ptr(t->recent, cpu));
	return max(len, 0);
}

/* The set of a key, and what its ways' words have in the low bits. */
static unsigned long *set_of(struct sw_flows *t, const u32 *key, unsigned long *ret_tag)
{
	u32 hash = jhash2(key, t->kind->key_words, t->seed);

	*ret_tag = hash >> 26; /* bits that do not choose the set */
	return t->ways + (hash & t->set_mask) * SW_WAYS;
}

static bool is_key(const struct sw_flows *t, const struct entry *e, const u32 *key)
{
	u32 i, differ = 0;

	for (i = 0; i < t->kind->key_words; i++)
		differ |= e->key[i] ^ key[i];
	return !differ;
}

/* The word of a way if the key is in it, else 0. */
static unsigned long match(const struct sw_flows *t, const unsigned long *way, unsigned long tag,
			   const u32 *key)
{
	/* pairs with cmpxchg(): the entry is complete, by the dependency of its address */
	unsigned long w = READ_ONCE(*way);

	if (!w || (w & TAG_MASK) != tag || !is_key(t, entry_of(w), key))
		return 0;
	return w;
}

static int find_way(const struct sw_flows *t, const unsigned long *set, unsigned long tag,
		    const u32 *key, unsigned long *ret_word)
{
	int i;

	for (i = 0; i < SW_WAYS; i++) {
		*ret_word = match(t, &set[i], tag, key);
		if (*ret_word)
			return i;
	}
	return -1;
}

static void *find(struct sw_flows *t, const u32 *key)
{
	unsigned long *set, tag, w;
	struct entry *e;
	u32 now;

	RCU_LOCKDEP_WARN(!rcu_read_lock_any_held(), "flows are looked up within rcu_read_lock()");
	if (!t)
		return NULL;
	set = set_of(t, key, &tag);
	if (find_way(t, set, tag, key, &w) < 0)
		return NULL;
	e = entry_of(w);
	now = now_s();
	if (READ_ONCE(e->used_s) != now)
		WRITE_ONCE(e->used_s, now);
	return value_of(t, e);
}

struct sw_flow *sw_flow_find(struct sw_flows *t, const struct sw_flow_key *key)
{
	return find(t, (const u32 *)key);
}

struct sw_fragment *sw_fragment_find(struct sw_flows *t, const struct sw_fragment_key *key)
{
	return find(t, (const u32 *)key);
}

/* Of a set: the flow that is over and the one of any kind that are unused for longest. */
struct victims {
	int over, oldest; /* ways, or -1 */
};

static struct victims find_victims(const struct sw_flows *t, const unsigned long words[SW_WAYS])
{
	struct victims v = {-1, -1};
	u32 now = now_s(), over_s = OVER_S, oldest_s = 0, age;
	int i;

	for (i = 0; i < SW_WAYS; i++) {
		struct entry *e = entry_of(words[i]);

		if (!e)
			continue;
		age = now - READ_ONCE(e->used_s);
		if ((s32)age < 0) /* another CPU's clock is ahead */
			age = 0;
		if (v.oldest < 0 || age > oldest_s) {
			v.oldest = i;
			oldest_s = age;
		}
		if (age >= over_s && t->kind->is_over && t->kind->is_over(value_of(t, e))) {
			v.over = i;
			over_s = age + 1;
		}
	}
	return v;
}

/*
 * The way for a new entry, and its word: 0, or of the one that goes. A set's share is half its
 * ways. Beyond that flows that are over go first; when the table is full, others too.
 */
static int choose(const struct sw_flows *t, const unsigned long *set, unsigned long *ret_word)
{
	unsigned long words[SW_WAYS];
	int i, used = 0, chosen = -1;
	struct victims v;

	for (i = 0; i < SW_WAYS; i++) {
		words[i] = READ_ONCE(set[i]);
		if (words[i])
			used++;
		else if (chosen < 0)
			chosen = i;
	}
	if (used >= SW_WAYS / 2) {
		v = find_victims(t, words);
		if (v.over >= 0)
			chosen = v.over;
		else if (chosen < 0 || atomic_read(&t->len) >= t->max)
			chosen = v.oldest;
	}
	*ret_word = words[chosen];
	return chosen;
}

static void retire(struct sw_flows *t, unsigned long word)
{
	call_rcu(&entry_of(word)->rcu, t->kind->free);
}

static bool take_out(struct sw_flows *t, unsigned long *way, unsigned long word)
{
	if (cmpxchg(way, word, 0) != word)
		return false;
	len_add(t, -1);
	retire(t, word);
	return true;
}

/*
 * The new word is in set[at]. Another CPU may have put the same key into another way, since both
 * found none; cmpxchg() is a full barrier, so that at least one of them sees the other's here. What
 * has to be new withdraws when it sees another; else the first way's stays.
 */
static int settle(struct sw_flows *t, unsigned long *set, int at, unsigned long word, bool only_new)
{
	const u32 *key = entry_of(word)->key;
	unsigned long other;
	int i;

	for (i = 0; i < SW_WAYS; i++) {
		if (i == at)
			continue;
		/* until it is gone, since it may be replaced meanwhile */
		while ((other = match(t, &set[i], word & TAG_MASK, key))) {
			if (only_new || i < at) {
				take_out(t, &set[at], word);
				return only_new ? -EEXIST : 0;
			}
			take_out(t, &set[i], other);
		}
	}
	return 0;
}

/* A put is tried again when another CPU changed the way that it chose. */
#define PUT_TRIES 16

/* Takes the entry over. */
static int put_entry(struct sw_flows *t, struct entry *e, bool only_new)
{
	unsigned long *set, tag, word, old;
	int try, at, rc = -EBUSY;

	set = set_of(t, e->key, &tag);
	word = (unsigned long)e | tag;
	for (try = 0; try < PUT_TRIES; try++) {
		at = find_way(t, set, tag, e->key, &old);
		if (at >= 0 && only_new) {
			rc = -EEXIST;
			break;
		}
		if (at < 0)
			at = choose(t, set, &old);
		if (cmpxchg(&set[at], old, word) != old)
			continue;
		if (old)
			retire(t, old);
		else
			len_add(t, 1);
		return settle(t, set, at, word, only_new);
	}
	kmem_cache_free(t->cache, e); /* nobody has seen it */
	return rc;
}

static int put(struct sw_flows *t, const u32 *key, const void *value, u32 used_s, bool only_new)
{
	struct entry *e;

	RCU_LOCKDEP_WARN(!rcu_read_lock_any_held(), "flows are changed within rcu_read_lock()");
	e = t ? kmem_cache_alloc(t->cache, GFP_ATOMIC | __GFP_NOWARN) : NULL;
	if (!e)
		return -ENOMEM;
	e->used_s = used_s;
	memcpy(e->key, key, t->kind->key_words * 4);
	memcpy(value_of(t, e), value, t->kind->value_size);
	return put_entry(t, e, only_new);
}

int sw_flow_put(struct sw_flows *t, const struct sw_flow_key *key, const struct sw_flow *flow,
		bool only_new)
{
	return put(t, (const u32 *)key, flow, now_s(), only_new);
}

int sw_fragment_put(struct sw_flows *t, const struct sw_fragment_key *key,
		    const struct sw_fragment *fragment)
{
	return put(t, (const u32 *)key, fragment, now_s(), false);
}

bool sw_flow_next(struct sw_flows *t, __u64 *cursor, struct sw_flow_key *key, struct sw_flow *ret,
		  __u32 *unused_s)
{
	struct entry *e = NULL;
	u64 i;

	rcu_read_lock();
	for (i = *cursor; t && i < n_ways_of(t) && !e; i++)
		e = entry_of(READ_ONCE(t->ways[i]));
	if (e) {
		*cursor = i - 1;
		memcpy(key, e->key, sizeof(*key));
		memcpy(ret, value_of(t, e), sizeof(*ret));
		*unused_s = max_t(s32, now_s() - READ_ONCE(e->used_s), 0);
	}
	rcu_read_unlock();
	return e;
}

void sw_flows_copy(struct sw_flows *from, struct sw_flows *to)
{
	struct entry *e;
	u32 i;

	for (i = 0; i < n_ways_of(from); i++) {
		rcu_read_lock();
		e = entry_of(READ_ONCE(from->ways[i]));
		if (e)
			put(to, e->key, value_of(from, e), READ_ONCE(e->used_s), true);
		rcu_read_unlock();
		if (!(i % 4096))
			cond_resched();
	}
}

#ifdef DEBUG
void sw_flows_age(struct sw_flows *t, __u32 seconds)
{
	u32 i;

	for (i = 0; i < n_ways_of(t); i++) {
		if (t->ways[i])
			entry_of(t->ways[i])->used_s -= seconds;
	}
}
#endif
