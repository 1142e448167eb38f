// SPDX-License-Identifier: Apache-2.0
/*
 * Service records → names and the datapath's services; peer records → the datapath's endpoints.
 * Services that have changed are told in one go at the end of the loop's turn: fifty tasks that
 * start together are a few changes of a table.
 */
#include "net/records.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "net/net_impl.h"

enum { RECORDS_MAX = 65536, NAMES_MAX = 64, NAME_MAX_LEN = 255, PORTS_MAX = 256, KEY_SIZE = 24 };

struct record {
	char *key, *name, *service_name, *service_id;
	char **aliases, **task_aliases;
	uint32_t ip, vip;
	struct net_port *ports; /* names are not kept */
	size_t n_ports;
	bool disabled, local;
};

struct peer {
	uint32_t ip;
	uint8_t mac[6];
	char *vtep;
};

/*
 * A node that endpoints live on. One that gossip gave up is still let in for as long as networkdb
 * remembers it: its agent may be dead while its datapath goes on handing clients' packets to us.
 */
struct vtep_ref {
	struct nets *nets;
	char *addr;
	unsigned int refs;
	bool esp; /* it is or was in an encrypted network of ours: there are states */
	struct timer forget; /* while there are none */
};

enum { VTEP_FORGET_MS = 24 * 3600 * 1000 };

/* What is balanced: a VIP, or a published port. */
struct service {
	struct list_head dirty;
	struct network *network;
	char key[KEY_SIZE];
	struct dp_service id;
	struct record **records;
	size_t n;
};

static void flush_later(void *arg)
{
	struct nets *nets = arg;

	nets->flushing = false;
	records_flush(nets);
}

static void touch(struct service *s)
{
	struct nets *nets = s->network->nets;

	if (list_empty(&s->dirty))
		list_add_tail(&s->dirty, &nets->dirty);
	if (!nets->flushing) {
		nets->flushing = true;
		loop_defer(nets->opt.loop, flush_later, nets);
	}
}

static void service_free(struct service *s)
{
	list_del(&s->dirty);
	free(s->records);
	free(s);
}

static int by_ip(const void *a, const void *b)
{
	const struct record *x = *(struct record *const *)a, *y = *(struct record *const *)b;

	return x->ip < y->ip ? -1 : x->ip > y->ip;
}

static void tell_service(struct service *s)
{
	_cleanup_free_ struct dp_backend *backends = xcalloc(s->n, sizeof(*backends));
	struct nets *nets = s->network->nets;
	struct dp_service d = s->id;
	struct err err = ERR_INIT;

	if (!nets->opt.dp)
		return;
	/* every node sees the same ones, in the same order */
	qsort(s->records, s->n, sizeof(*s->records), by_ip);
	for (size_t i = 0; i < s->n && d.n_backends < DP_BACKENDS_MAX; i++) {
		const struct record *r = s->records[i];

		if (i && s->records[i - 1]->ip == r->ip)
			continue;
		backends[d.n_backends++] =
			(struct dp_backend){.addr = dp_ip(r->ip), .draining = r->disabled};
	}
	d.backends = backends;
	if (dp_service_set(nets->opt.dp, &d, &err))
		log_error("the service at %s in the network %s is not balanced as it should be: %s",
			  s->key, s->network->name, err.msg);
}

void records_flush(struct nets *nets)
{
	while (!list_empty(&nets->dirty)) {
		struct service *s = list_first(&nets->dirty, struct service, dirty);

		list_del(&s->dirty);
		if (s->n) {
			tell_service(s);
			continue;
		}
		if (nets->opt.dp)
			dp_service_del(nets->opt.dp, &s->id, NULL);
		map_del(&s->network->swarm->services, s->key);
		service_free(s);
	}
}

static void service_record(struct network *n, const char *key, const struct dp_service *id,
			   struct record *r, bool add)
{
	struct service *s = map_get(&n->swarm->services, key);

	if (!s) {
		if (!add)
			return;
		s = xcalloc(1, sizeof(*s));
		list_init(&s->dirty);
		s->network = n;
		s->id = *id;
		snprintf(s->key, sizeof(s->key), "%s", key);
		map_put(&n->swarm->services, key, s);
	}
	if (add) {
		s->id.target = id->target;
		s->records = xrealloc(s->records, (s->n + 1) * sizeof(*s->records));
		s->records[s->n++] = r;
	} else {
		for (size_t i = 0; i < s->n; i++)
			if (s->records[i] == r) {
				s->records[i] = s->records[--s->n];
				break;
			}
	}
	touch(s);
}

static void record_services(struct network *n, struct record *r, bool add)
{
	char key[KEY_SIZE];

	if (n->ingress) {
		for (size_t i = 0; i < r->n_ports; i++) {
			const struct net_port *p = &r->ports[i];
			struct dp_service id = {
				.kind = DP_PUBLISHED,
				.vni = n->swarm->vni,
				.proto = p->protocol,
				.published = p->published,
				.target = p->target,
			};

			snprintf(key, sizeof(key), "%s/%u", proto_name(p->protocol), p->published);
			service_record(n, key, &id, r, add);
		}
	} else if (r->vip) {
		struct dp_service id = {.kind = DP_VIP, .vni = n->swarm->vni, .vip = dp_ip(r->vip)};

		service_record(n, ip_format(r->vip, key), &id, r, add);
	}
}

/* "tasks.<name>" of a service or one of its aliases. */
static void task_name(void (*fn)(struct names *, const char *, uint32_t, bool), struct names *names,
		      const char *name, uint32_t ip)
{
	char text[NAME_MAX_LEN + 8];

	snprintf(text, sizeof(text), "tasks.%s", name);
	fn(names, text, ip, false);
}

static void record_names(struct network *n, struct record *r, bool add)
{
	void (*fn)(struct names *, const char *, uint32_t, bool) = add ? names_add4 : names_del4;
	struct names *names = &n->names;
	bool service = !str_empty(r->service_name);

	if (n->ingress)
		return; /* carries no names */
	fn(names, r->name, r->ip, true);
	for (char **a = r->task_aliases; a && *a; a++)
		fn(names, *a, r->ip, false);
	if (service && r->vip)
		fn(names, r->service_name, r->vip, true);
	else if (service && !r->disabled)
		fn(names, r->service_name, r->ip, false);
	if (service && !r->disabled)
		task_name(fn, names, r->service_name, r->ip);
	for (char **a = r->aliases; service && a && *a; a++) {
		if (r->vip || !r->disabled)
			fn(names, *a, r->vip ? r->vip : r->ip, false);
		if (!r->disabled)
			task_name(fn, names, *a, r->ip);
	}
}

static void record_free(struct record *r)
{
	if (!r)
		return;
	for (char **a = r->aliases; a && *a; a++)
		free(*a);
	for (char **a = r->task_aliases; a && *a; a++)
		free(*a);
	free(r->aliases);
	free(r->task_aliases);
	free(r->key);
	free(r->name);
	free(r->service_name);
	free(r->service_id);
	free(r->ports);
	free(r);
}

/* Bounded: what is too many or too long to be a name is left out. */
static char **copy_names(const char *const *names)
{
	size_t n = 0;
	char **copy;

	if (!names || !names[0])
		return NULL;
	copy = xcalloc(NAMES_MAX + 1, sizeof(*copy));
	for (; *names && n < NAMES_MAX; names++)
		if (strlen(*names) < NAME_MAX_LEN)
			copy[n++] = xstrdup(*names);
	return copy;
}

static struct record *record_new(const struct net_record *r, bool local, struct err *err)
{
	struct record *c;
	uint32_t ip, vip = 0;

	if (!r->ip || ip_parse(r->ip, &ip) || !ip) {
		err_set(err, -EINVAL, "a record's address cannot be used: %s", r->ip ? r->ip : "");
		return NULL;
	}
	if (strlen(r->name ? r->name : "") > NAME_MAX_LEN ||
	    strlen(r->service_name ? r->service_name : "") > NAME_MAX_LEN ||
	    strlen(r->key) >= HEX_ID_SIZE || r->n_ports > PORTS_MAX) {
		err_set(err, -EINVAL, "a record of the address %s is too large", r->ip);
		return NULL;
	}
	/* "<nil>" and the like: none */
	if (r->vip && ip_parse(r->vip, &vip))
		vip = 0;
	c = xcalloc(1, sizeof(*c));
	c->key = xstrdup(r->key);
	c->name = xstrdup(r->name);
	c->service_name = xstrdup(r->service_name);
	c->service_id = xstrdup(r->service_id);
	c->aliases = copy_names(r->aliases);
	c->task_aliases = copy_names(r->task_aliases);
	c->ip = ip;
	c->vip = vip;
	c->disabled = r->disabled;
	c->local = local;
	c->ports = xcalloc(r->n_ports, sizeof(*c->ports));
	for (size_t i = 0; i < r->n_ports; i++) {
		const struct net_port *p = &r->ports[i];

		/* the datapath balances TCP and UDP */
		if ((p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP) && p->target &&
		    p->published)
			c->ports[c->n_ports++] =
				(struct net_port){NULL, p->protocol, p->target, p->published};
	}
	return c;
}

static bool same_names(char **a, char **b)
{
	for (; a && b && *a && *b; a++, b++)
		if (strcmp(*a, *b))
			return false;
	return (!a || !*a) && (!b || !*b);
}

static bool same_record(const struct record *a, const struct record *b)
{
	return a->ip == b->ip && a->vip == b->vip && a->disabled == b->disabled &&
	       a->local == b->local && streq(a->name, b->name) &&
	       streq(a->service_name, b->service_name) && same_names(a->aliases, b->aliases) &&
	       same_names(a->task_aliases, b->task_aliases) && a->n_ports == b->n_ports &&
	       !memcmp(a->ports, b->ports, a->n_ports * sizeof(*a->ports));
}

static int store(struct network *n, const struct net_record *r, bool local, struct err *err)
{
	struct record *new = record_new(r, local, err), *old;

	if (!new)
		return -EINVAL;
	old = map_get(&n->swarm->records, r->key);
	if (!old && n->swarm->records.len >= RECORDS_MAX) {
		record_free(new);
		return err_set(err, -ENOSPC, "the network %s has too many records", n->name);
	}
	if (old && (same_record(old, new) || (old->local && !local))) {
		record_free(new); /* known; or someone else's word about what is ours */
		return 0;
	}
	map_put(&n->swarm->records, r->key, new);
	/* in before out, so that a service is never without backends or name in between */
	record_names(n, new, true);
	record_services(n, new, true);
	if (old) {
		record_names(n, old, false);
		record_services(n, old, false);
		record_free(old);
	}
	return 0;
}

static void drop(struct network *n, const char *key, bool local)
{
	struct record *r = map_get(&n->swarm->records, key);

	if (!r || r->local != local)
		return;
	map_del(&n->swarm->records, key);
	record_names(n, r, false);
	record_services(n, r, false);
	record_free(r);
}

static struct network *swarm_network(struct nets *nets, const char *id, struct err *err)
{
	struct network *n;

	list_for_each (n, &nets->networks, node)
		if (n->swarm && streq(n->id, id))
			return n;
	err_set(err, -ENOENT, "network %s not found", id);
	return NULL;
}

int records_set(struct nets *nets, const struct net_record *r, struct err *err)
{
	struct network *n = swarm_network(nets, r->network_id, err);
	int rc;

	if (!n)
		return -ENOENT;
	rc = store(n, r, false, err);
	if (!rc && r->vtep && r->mac && !map_has(&n->swarm->peers, r->key))
		rc = records_peer_set(nets, r->network_id, r->key, r->ip, r->mac, r->vtep, err);
	return rc;
}

void records_del(struct nets *nets, const char *network_id, const char *key)
{
	struct network *n = swarm_network(nets, network_id, NULL);

	if (n)
		drop(n, key, false);
}

static void peer_free(struct peer *p)
{
	free(p->vtep);
	free(p);
}

static void vtep_free(struct vtep_ref *v)
{
	timer_done(&v->forget);
	free(v->addr);
	free(v);
}

static int esp_add(struct vtep_ref *v, struct err *err)
{
	struct in_addr a;
	int rc;

	if (v->esp || !v->nets->opt.dp)
		return 0;
	if (inet_pton(AF_INET, v->addr, &a) != 1)
		return err_set(err, -EAFNOSUPPORT,
			       "a peer's address cannot be used in an encrypted network: %s",
			       v->addr);
	rc = ipsec_peer_set(v->nets->ipsec, a, err);
	v->esp = !rc;
	return rc;
}

static void esp_del(struct vtep_ref *v)
{
	struct in_addr a;

	if (v->esp && inet_pton(AF_INET, v->addr, &a) == 1)
		ipsec_peer_del(v->nets->ipsec, a);
	v->esp = false;
}

static void vtep_forget(void *arg)
{
	struct vtep_ref *v = arg;
	struct nets *nets = v->nets;
	struct dp_addr a;

	map_del(&nets->vteps, v->addr);
	esp_del(v);
	if (nets->opt.dp && !dp_addr_parse(v->addr, &a))
		dp_peer_del(nets->opt.dp, &a, NULL);
	vtep_free(v);
}

static void vtep_put(struct nets *nets, const char *vtep)
{
	struct vtep_ref *v = map_get(&nets->vteps, vtep);

	if (v && !--v->refs)
		timer_set(&v->forget, VTEP_FORGET_MS);
}

static int vtep_get(struct network *n, const char *vtep, struct err *err)
{
	struct nets *nets = n->nets;
	struct vtep_ref *v = map_get(&nets->vteps, vtep);
	struct dp_addr a;
	int rc = 0;

	if (!v) {
		if (nets->opt.dp) {
			rc = dp_addr_parse(vtep, &a);
			rc = rc ? err_set(err, -EINVAL, "a peer's address cannot be used: %s", vtep)
				: dp_peer_set(nets->opt.dp, &a, err);
		}
		if (rc)
			return rc;
		v = xcalloc(1, sizeof(*v));
		v->nets = nets;
		v->addr = xstrdup(vtep);
		timer_init(&v->forget, nets->opt.loop, vtep_forget, v);
		map_put(&nets->vteps, vtep, v);
	}
	v->refs++;
	timer_cancel(&v->forget);
	rc = n->encrypted ? esp_add(v, err) : 0;
	if (rc)
		vtep_put(nets, vtep);
	return rc;
}

static bool is_local(const struct network *n, uint32_t ip)
{
	const struct endpoint *e;

	list_for_each (e, &n->endpoints, in_network)
		if (e->ip == ip && e->up)
			return true;
	return false;
}

static int peer_to_dp(struct network *n, const struct peer *p, struct err *err)
{
	struct dp_endpoint e = {.vni = n->swarm->vni, .addr = dp_ip(p->ip)};

	if (!n->nets->opt.dp || is_local(n, p->ip))
		return 0;
	memcpy(e.mac, p->mac, 6);
	if (dp_addr_parse(p->vtep, &e.node))
		return err_set(err, -EINVAL, "a peer's address cannot be used: %s", p->vtep);
	return dp_endpoint_set(n->nets->opt.dp, &e, err);
}

/* Out of the tables and, if it still stands for its address, out of the datapath. */
static void peer_drop(struct network *n, const char *key)
{
	struct peer *p = map_del(&n->swarm->peers, key);
	struct dp_addr a;
	char ip[16];

	if (!p)
		return;
	ip_format(p->ip, ip);
	if (map_get(&n->swarm->peers_by_ip, ip) == p) {
		map_del(&n->swarm->peers_by_ip, ip);
		a = dp_ip(p->ip);
		if (n->nets->opt.dp && !is_local(n, p->ip))
			dp_endpoint_del(n->nets->opt.dp, n->swarm->vni, &a, NULL);
	}
	vtep_put(n->nets, p->vtep);
	peer_free(p);
}

int records_peer_set(struct nets *nets, const char *network_id, const char *key,
		     const char *ip_cidr, const char *mac, const char *vtep, struct err *err)
{
	struct network *n = swarm_network(nets, network_id, err);
	struct peer *p, *old;
	uint8_t m[6];
	char text[16];
	uint32_t ip;
	int rc;

	if (!n)
		return -ENOENT;
	if (ip_parse(ip_cidr, &ip) || !ip || strlen(key) >= HEX_ID_SIZE || strlen(vtep) > 45 ||
	    sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &m[0], &m[1], &m[2], &m[3], &m[4],
		   &m[5]) != 6)
		return err_set(err, -EINVAL, "a peer's record cannot be used: %s %s %s", ip_cidr,
			       mac, vtep);
	old = map_get(&n->swarm->peers, key);
	if (old && old->ip == ip && !memcmp(old->mac, m, 6) && streq(old->vtep, vtep))
		return 0;
	if (!old && n->swarm->peers.len >= RECORDS_MAX)
		return err_set(err, -ENOSPC, "the network %s has too many peers", n->name);
	rc = vtep_get(n, vtep, err);
	if (rc)
		return rc;
	p = xcalloc(1, sizeof(*p));
	p->ip = ip;
	memcpy(p->mac, m, 6);
	p->vtep = xstrdup(vtep);
	rc = peer_to_dp(n, p, err);
	if (rc) {
		vtep_put(nets, vtep);
		peer_free(p);
		return rc;
	}
	map_put(&n->swarm->peers_by_ip, ip_format(ip, text), p);
	peer_drop(n, key);
	map_put(&n->swarm->peers, key, p);
	return 0;
}

void records_peer_del(struct nets *nets, const char *network_id, const char *key)
{
	struct network *n = swarm_network(nets, network_id, NULL);

	if (n)
		peer_drop(n, key);
}

static void tell_local(struct network *n, const struct record *r)
{
	const struct records_watch *w = &n->nets->watch;
	char ip[16], vip[16], mac[18];
	struct net_record out = {
		.network_id = n->id,
		.key = r->key,
		.name = r->name,
		.service_name = r->service_name,
		.service_id = r->service_id,
		.ip = ip_format(r->ip, ip),
		.vip = r->vip ? ip_format(r->vip, vip) : NULL,
		.mac = mac,
		.aliases = (const char *const *)r->aliases,
		.task_aliases = (const char *const *)r->task_aliases,
		.ports = r->ports,
		.n_ports = r->n_ports,
		.disabled = r->disabled,
	};
	struct endpoint *e;

	snprintf(mac, sizeof(mac), "02:42:%02x:%02x:%02x:%02x", r->ip >> 24, r->ip >> 16 & 255,
		 r->ip >> 8 & 255, r->ip & 255);
	list_for_each (e, &n->endpoints, in_network)
		if (streq(e->id, r->key))
			snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", e->mac[0],
				 e->mac[1], e->mac[2], e->mac[3], e->mac[4], e->mac[5]);
	if (w->local)
		w->local(&out, false, w->arg);
}

int records_local_set(struct network *n, const struct net_record *r, struct err *err)
{
	int rc = store(n, r, true, err);

	if (!rc)
		tell_local(n, map_get(&n->swarm->records, r->key));
	return rc;
}

void records_local_del(struct network *n, const char *key)
{
	const struct records_watch *w = &n->nets->watch;
	struct net_record gone = {.network_id = n->id, .key = key};

	drop(n, key, true);
	if (w->local)
		w->local(&gone, true, w->arg);
}

void records_tell_network(struct network *n, bool joined)
{
	const struct records_watch *w = &n->nets->watch;

	if (w->network)
		w->network(n->id, joined, w->arg);
}

void records_tell_peer(struct network *n, const char *key, uint32_t ip, const uint8_t mac[6],
		       bool removed)
{
	const struct records_watch *w = &n->nets->watch;
	char cidr[24], text[16], m[18];

	if (!w->peer)
		return;
	snprintf(cidr, sizeof(cidr), "%s/%u", ip_format(ip, text),
		 ipam_subnet_range(n->subnet)->prefix);
	snprintf(m, sizeof(m), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
		 mac[4], mac[5]);
	w->peer(n->id, key, cidr, m, removed, w->arg);
}

void records_watch(struct nets *nets, const struct records_watch *watch)
{
	struct network *n;

	nets->watch = watch ? *watch : (struct records_watch){0};
	if (!watch)
		return;
	list_for_each (n, &nets->networks, node) {
		struct record *r;
		const char *key;

		if (!n->swarm)
			continue;
		records_tell_network(n, true);
		swarm_net_tell_peers(n);
		map_for_each (&n->swarm->records, key, r)
			if (r->local)
				tell_local(n, r);
	}
}

void records_resync(struct network *n)
{
	const char *key;
	struct service *s;
	struct peer *p;

	map_for_each (&n->swarm->peers_by_ip, key, p)
		peer_to_dp(n, p, NULL);
	map_for_each (&n->swarm->services, key, s)
		touch(s);
}

void records_vteps_clear(struct nets *nets)
{
	struct vtep_ref *v;
	const char *vtep;

	map_for_each (&nets->vteps, vtep, v)
		if (!v->refs)
			vtep_forget(v);
}

void records_vteps_resync(struct nets *nets)
{
	struct vtep_ref *v;
	const char *vtep;
	struct dp_addr a;

	map_for_each (&nets->vteps, vtep, v)
		if (!dp_addr_parse(vtep, &a))
			dp_peer_set(nets->opt.dp, &a, NULL);
}

void records_vteps_plain(struct nets *nets)
{
	struct vtep_ref *v;
	const char *vtep;

	map_for_each (&nets->vteps, vtep, v)
		esp_del(v);
}

/* Everything of other nodes, also from the datapath; what is ours has gone before. */
void records_leave(struct network *n)
{
	struct record *r;
	struct peer *p;
	const char *key;

	map_for_each (&n->swarm->peers, key, p)
		peer_drop(n, key);
	map_for_each (&n->swarm->records, key, r) {
		record_names(n, r, false);
		record_services(n, r, false);
		map_del(&n->swarm->records, key);
		record_free(r);
	}
	records_flush(n->nets);
}

void records_free(struct network *n)
{
	struct record *r;
	struct service *s;
	struct peer *p;
	const char *key;

	if (!n->swarm)
		return;
	map_for_each (&n->swarm->records, key, r)
		record_free(r);
	map_for_each (&n->swarm->services, key, s)
		service_free(s);
	map_for_each (&n->swarm->peers, key, p)
		peer_free(p);
	map_done(&n->swarm->records);
	map_done(&n->swarm->services);
	map_done(&n->swarm->peers);
	map_done(&n->swarm->peers_by_ip);
	free(n->swarm);
	n->swarm = NULL;
}

void records_done(struct nets *nets)
{
	struct vtep_ref *v;
	const char *key;

	map_for_each (&nets->vteps, key, v)
		vtep_free(v);
	map_done(&nets->vteps);
}
