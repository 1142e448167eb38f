// SPDX-License-Identifier: Apache-2.0
#include "manager/keys.h"

#include <openssl/rand.h>

#include "wire/pb.h"

enum { KEY_SIZE = 16, KEYS_EACH = 3 };

static const char *const subsystems[] = {KEYS_GOSSIP, KEYS_IPSEC};

struct keys {
	struct store *store;
	uint64_t next_ms; /* 0: not known yet */
	bool missing; /* the cluster has too few */
};

static size_t count(const Pb__Cluster *c, const char *subsystem)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_network_bootstrap_keys; i++)
		n += !strcmp(c->network_bootstrap_keys[i]->subsystem, subsystem);
	return n;
}

static void add_key(Pb__Cluster *c, const char *subsystem)
{
	Pb__EncryptionKey *key = pb_new(pb__encryption_key);
	uint8_t bytes[KEY_SIZE];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		abort();
	pb_set_str(&key->subsystem, subsystem);
	pb_set_bytes(&key->key, bytes, sizeof(bytes));
	key->lamport_time = ++c->encryption_key_lamport_clock;
	pb_append(&c->n_network_bootstrap_keys, &c->network_bootstrap_keys, key);
}

static void drop_oldest(Pb__Cluster *c, const char *subsystem)
{
	Pb__EncryptionKey **v = c->network_bootstrap_keys;
	size_t oldest = c->n_network_bootstrap_keys;

	for (size_t i = 0; i < c->n_network_bootstrap_keys; i++)
		if (!strcmp(v[i]->subsystem, subsystem) &&
		    (oldest == c->n_network_bootstrap_keys ||
		     v[i]->lamport_time < v[oldest]->lamport_time))
			oldest = i;
	if (oldest == c->n_network_bootstrap_keys)
		return;
	pb_free(v[oldest]);
	memmove(&v[oldest], &v[oldest + 1], (--c->n_network_bootstrap_keys - oldest) * sizeof(*v));
}

static bool are_missing(const Pb__Cluster *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(subsystems); i++)
		if (count(c, subsystems[i]) < KEYS_EACH)
			return true;
	return false;
}

bool keys_init(Pb__Cluster *c)
{
	if (!are_missing(c))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(subsystems); i++)
		while (count(c, subsystems[i]) < KEYS_EACH)
			add_key(c, subsystems[i]);
	return true;
}

static void look(struct keys *k, const Pb__Cluster *c)
{
	k->missing = c && are_missing(c);
}

static void *keys_open(struct store *store, struct rng *rng)
{
	struct keys *k = xcalloc(1, sizeof(*k));

	(void)rng;
	k->store = store;
	look(k, store_cluster(store));
	return k;
}

static void keys_event(void *c, const struct store_event *ev, uint64_t now_ms)
{
	(void)now_ms;
	if (ev->kind == STORE_CLUSTER)
		look(c, ev->new);
}

static uint64_t keys_run(void *c, struct store_tx *tx, uint64_t now_ms)
{
	struct keys *k = c;
	const Pb__Cluster *cluster = store_cluster(store_tx_store(tx));
	bool rotate = k->next_ms && now_ms >= k->next_ms;
	Pb__Cluster *copy;

	if (!k->next_ms || rotate)
		k->next_ms = now_ms + KEYS_ROTATION_MS;
	if (!cluster || (!rotate && !are_missing(cluster)))
		return k->next_ms;
	copy = pb_clone(cluster);
	for (size_t i = 0; i < ARRAY_SIZE(subsystems) && rotate; i++) {
		while (count(copy, subsystems[i]) >= KEYS_EACH)
			drop_oldest(copy, subsystems[i]);
		add_key(copy, subsystems[i]);
	}
	keys_init(copy);
	if (!store_tx_update(tx, copy, NULL))
		k->missing = false;
	return k->next_ms;
}

static bool keys_dirty(void *c)
{
	return ((struct keys *)c)->missing;
}

const struct component_ops keys_component = {
	.name = "key manager",
	.open = keys_open,
	.close = free,
	.event = keys_event,
	.run = keys_run,
	.dirty = keys_dirty,
};
