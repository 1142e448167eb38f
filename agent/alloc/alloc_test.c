// SPDX-License-Identifier: Apache-2.0
#include "alloc/alloc.h"

#include <errno.h>
#include <stdio.h>

#include "alloc/ports.h"
#include "alloc/subnet.h"
#include "core/rng.h"
#include "wire/pb.h"

#include <kselftest_harness.h>

/* --- bitmaps and subnets --- */

TEST(bitmap_against_a_plain_array)
{
	struct bitmap b = {0};
	bool plain[300] = {false};
	struct rng r;

	rng_seed(&r, 7);
	for (int i = 0; i < 20000; i++) {
		uint64_t n = rng_below(&r, 300), got, low = 300;

		switch (rng_below(&r, 3)) {
		case 0:
			ASSERT_EQ(plain[n], bitmap_set(&b, n));
			plain[n] = true;
			break;
		case 1:
			ASSERT_EQ(plain[n], bitmap_clear(&b, n));
			plain[n] = false;
			break;
		default:
			for (uint64_t k = 300; k-- > 0;)
				if (!plain[k])
					low = k;
			ASSERT_EQ(low < 300, bitmap_lowest(&b, 0, 299, &got));
			if (low < 300)
				ASSERT_EQ(low, got);
			if (bitmap_take(&b, 10, 200, &got)) {
				ASSERT_TRUE(got >= 10 && got <= 200 && !plain[got]);
				plain[got] = true;
			} else {
				for (int k = 10; k <= 200; k++)
					ASSERT_TRUE(plain[k]);
			}
		}
	}
	bitmap_done(&b);
}

TEST(a_number_given_back_is_used_last)
{
	struct bitmap b = {0};
	uint64_t n;

	for (int i = 0; i < 4; i++)
		bitmap_take(&b, 0, 5, &n);
	bitmap_clear(&b, 1);
	bitmap_take(&b, 0, 5, &n);
	EXPECT_EQ(4, n);
	bitmap_take(&b, 0, 5, &n);
	EXPECT_EQ(5, n);
	bitmap_take(&b, 0, 5, &n);
	EXPECT_EQ(1, n);
	EXPECT_FALSE(bitmap_take(&b, 0, 5, &n));
	bitmap_done(&b);
}

TEST(pools_give_subnets_that_do_not_overlap)
{
	char *cidrs[] = {"192.0.2.0/24", "198.51.100.0/25"};
	struct pools p;
	struct cidr c, asked;
	char text[20];

	pools_init(&p);
	pools_set(&p, cidrs, 2, 26);
	ASSERT_EQ(0, cidr_parse("192.0.2.64/26", &asked));
	ASSERT_EQ(0, pools_reserve(&p, &asked, false, NULL));
	EXPECT_EQ(-EBUSY, pools_reserve(&p, &asked, false, NULL));
	ASSERT_EQ(0, pools_take(&p, &c, NULL));
	EXPECT_STREQ("192.0.2.0/26", cidr_format(&c, text));
	ASSERT_EQ(0, pools_take(&p, &c, NULL));
	EXPECT_STREQ("192.0.2.128/26", cidr_format(&c, text));
	pools_release(&p, &asked);
	ASSERT_EQ(0, pools_take(&p, &c, NULL));
	EXPECT_STREQ("192.0.2.64/26", cidr_format(&c, text));
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, pools_take(&p, &c, NULL));
	EXPECT_STREQ("198.51.100.64/26", cidr_format(&c, text));
	EXPECT_EQ(-ENOSPC, pools_take(&p, &c, NULL));
	pools_done(&p);
}

TEST(bad_addresses_are_refused)
{
	static const char *const bad[] = {
		"",	      "10.0.0",	     "10.0.0.0/33", "10.0.0.0/",
		"10.0.0.0/x", "300.0.0.0/8", "::1/64",	    "1.2.3.4.5.6.7.8.9/24"};
	struct cidr c;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT_EQ(-EINVAL, cidr_parse(bad[i], &c));
	EXPECT_EQ(-EINVAL, cidr_parse(NULL, &c));
}

/* --- the component --- */

FIXTURE(alloc)
{
	struct store *s;
	struct rng rng;
	void *c;
	uint64_t version, now_ms;
	struct store_watch watch;
};

static void on_event(const struct store_event *ev, void *arg)
{
	FIXTURE_DATA(alloc) *f = arg;

	if (f->c)
		alloc_component.event(f->c, ev, f->now_ms);
}

static struct store_tx *begin(FIXTURE_DATA(alloc) * f)
{
	return store_tx_begin(f->s, ++f->version, 1000000000);
}

static void commit(struct store_tx *tx)
{
	if (!store_tx_changes(tx)) {
		store_tx_abort(tx);
		return;
	}
	store_tx_seal(tx);
	store_tx_commit(tx);
}

static void settle(FIXTURE_DATA(alloc) * f)
{
	for (int i = 0; i < 20; i++) {
		struct store_tx *tx = begin(f);

		alloc_component.run(f->c, tx, f->now_ms);
		commit(tx);
	}
}

static void put(FIXTURE_DATA(alloc) * f, void *msg)
{
	struct store_tx *tx = begin(f);

	if (store_get(f->s, store_kind_of(msg), store_id(msg)))
		store_tx_update(tx, msg, NULL);
	else
		store_tx_create(tx, msg, NULL);
	commit(tx);
	settle(f);
}

static void drop(FIXTURE_DATA(alloc) * f, enum store_kind kind, const char *id)
{
	struct store_tx *tx = begin(f);

	store_tx_remove(tx, kind, id, NULL);
	commit(tx);
	settle(f);
}

static Pb__Network *network(const char *id, const char *subnet)
{
	Pb__Network *n = pb_new(pb__network);
	Pb__IPAMConfig *c;

	pb_set_str(&n->id, id);
	n->spec = pb_new(pb__network_spec);
	n->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&n->spec->annotations->name, id);
	if (!subnet)
		return n;
	n->spec->ipam = pb_new(pb__ipamoptions);
	c = pb_new(pb__ipamconfig);
	pb_set_str(&c->subnet, subnet);
	pb_append(&n->spec->ipam->n_configs, &n->spec->ipam->configs, c);
	return n;
}

static Pb__Node *node(const char *id)
{
	Pb__Node *n = pb_new(pb__node);

	pb_set_str(&n->id, id);
	return n;
}

static Pb__Service *service(const char *id, const char *net)
{
	Pb__Service *svc = pb_new(pb__service);
	Pb__NetworkAttachmentConfig *at;

	pb_set_str(&svc->id, id);
	svc->spec = pb_new(pb__service_spec);
	svc->spec->annotations = pb_new(pb__annotations);
	pb_set_str(&svc->spec->annotations->name, id);
	svc->spec->task = pb_new(pb__task_spec);
	svc->spec->endpoint = pb_new(pb__endpoint_spec);
	if (!net)
		return svc;
	at = pb_new(pb__network_attachment_config);
	pb_set_str(&at->target, net);
	pb_append(&svc->spec->task->n_networks, &svc->spec->task->networks, at);
	return svc;
}

static void publish(Pb__Service *svc, uint32_t target, uint32_t published)
{
	Pb__PortConfig *p = pb_new(pb__port_config);

	p->target_port = target;
	p->published_port = published;
	pb_append(&svc->spec->endpoint->n_ports, &svc->spec->endpoint->ports, p);
}

static Pb__Task *task(const char *id, const Pb__Service *svc)
{
	Pb__Task *t = pb_new(pb__task);

	pb_set_str(&t->id, id);
	pb_set_str(&t->service_id, svc->id);
	t->spec = pb_clone(svc->spec->task);
	t->status = pb_new(pb__task_status);
	t->desired_state = PB__TASK_STATE__RUNNING;
	return t;
}

static const char *address(const struct store *s, const char *task, size_t i)
{
	const Pb__Task *t = store_task(s, task);

	return t && i < t->n_networks && t->networks[i]->n_addresses ? t->networks[i]->addresses[0]
								     : "-";
}

FIXTURE_SETUP(alloc)
{
	Pb__Cluster *c = pb_new(pb__cluster);
	Pb__Network *ingress = network("ingress", NULL);

	self->s = store_new();
	self->now_ms = 1000;
	rng_seed(&self->rng, 1);
	self->c = alloc_component.open(self->s, &self->rng);
	self->watch.fn = on_event;
	self->watch.arg = self;
	store_watch(self->s, &self->watch);
	pb_set_str(&c->id, "cluster");
	put(self, c);
	ingress->spec->ingress = true;
	put(self, ingress);
	put(self, node("n1"));
}

FIXTURE_TEARDOWN(alloc)
{
	alloc_component.close(self->c);
	store_unwatch(&self->watch);
	store_free(self->s);
}

/* Another leader: everything in use is found in the store. */
static void takeover(FIXTURE_DATA(alloc) * f)
{
	alloc_component.close(f->c);
	f->c = alloc_component.open(f->s, &f->rng);
	settle(f);
}

TEST_F(alloc, gateways_go_before_reserved_addresses)
{
	Pb__Network *n = network("aux", "10.9.0.0/24");
	Pb__IPAMConfig *c = n->spec->ipam->configs[0];

	pb_set_label(&c->n_reserved, &c->reserved, "printer", "10.9.0.5");
	put(self, n);
	EXPECT_STREQ("10.9.0.1", store_network(self->s, "aux")->ipam->configs[0]->gateway);
}

TEST_F(alloc, networks_get_subnets_and_vnis)
{
	const Pb__Network *n = store_network(self->s, "ingress");

	EXPECT_STREQ("10.0.0.0/24", n->ipam->configs[0]->subnet);
	EXPECT_STREQ("10.0.0.1", n->ipam->configs[0]->gateway);
	EXPECT_STREQ("overlay", n->driver_state->name);
	EXPECT_STREQ("4096", pb_label(n->driver_state->options, n->driver_state->n_options,
				      ALLOC_VNI_OPTION));
	EXPECT_STREQ("10.0.0.2/24", store_node(self->s, "n1")->attachments[0]->addresses[0]);
	EXPECT_EQ(4789, store_node(self->s, "n1")->vxlan_udp_port);
	put(self, network("back", NULL));
	n = store_network(self->s, "back");
	EXPECT_STREQ("10.0.1.0/24", n->ipam->configs[0]->subnet);
	EXPECT_STREQ("4097", pb_label(n->driver_state->options, n->driver_state->n_options,
				      ALLOC_VNI_OPTION));
	put(self, network("same", "10.0.1.128/25"));
	/* What the user chose may be chosen twice: each network has a VNI of its own. */
	ASSERT_NE(NULL, store_network(self->s, "same")->driver_state);
	EXPECT_STREQ("10.0.1.129", store_network(self->s, "same")->ipam->configs[0]->gateway);
	takeover(self);
	put(self, network("third", NULL));
	EXPECT_STREQ("10.0.2.0/24", store_network(self->s, "third")->ipam->configs[0]->subnet);
	/* Half of what comes back is in use still. */
	drop(self, STORE_NETWORK, "back");
	put(self, network("fourth", NULL));
	EXPECT_STREQ("10.0.3.0/24", store_network(self->s, "fourth")->ipam->configs[0]->subnet);
	drop(self, STORE_NETWORK, "same");
	put(self, network("fifth", NULL));
	EXPECT_STREQ("10.0.1.0/24", store_network(self->s, "fifth")->ipam->configs[0]->subnet);
}

TEST_F(alloc, services_get_addresses_and_ports)
{
	Pb__Service *svc = service("web", "back");
	const Pb__Service *got;

	publish(svc, 80, 8080);
	publish(svc, 443, 0);
	put(self, svc);
	EXPECT_EQ(NULL, store_service(self->s, "web")->endpoint);
	put(self, network("back", NULL));
	got = store_service(self->s, "web");
	ASSERT_NE(NULL, got->endpoint);
	ASSERT_EQ(2, got->endpoint->n_virtual_ips);
	EXPECT_STREQ("10.0.0.3/24", got->endpoint->virtual_ips[0]->addr);
	EXPECT_STREQ("10.0.1.2/24", got->endpoint->virtual_ips[1]->addr);
	EXPECT_EQ(8080, got->endpoint->ports[0]->published_port);
	EXPECT_EQ(30000, got->endpoint->ports[1]->published_port);

	put(self, task("t1", got));
	EXPECT_EQ(PB__TASK_STATE__PENDING, store_task(self->s, "t1")->status->state);
	EXPECT_STREQ("pending task scheduling", store_task(self->s, "t1")->status->message);
	EXPECT_STREQ("10.0.0.4/24", address(self->s, "t1", 0));
	EXPECT_STREQ("10.0.1.3/24", address(self->s, "t1", 1));
	EXPECT_EQ(2, store_task(self->s, "t1")->endpoint->n_virtual_ips);

	/* A changed spec keeps what it can. */
	svc = pb_clone(store_service(self->s, "web"));
	publish(svc, 9000, 0);
	put(self, svc);
	got = store_service(self->s, "web");
	EXPECT_STREQ("10.0.1.2/24", got->endpoint->virtual_ips[1]->addr);
	EXPECT_EQ(30000, got->endpoint->ports[1]->published_port);
	EXPECT_EQ(30001, got->endpoint->ports[2]->published_port);

	takeover(self);
	svc = service("other", "back");
	publish(svc, 80, 0);
	put(self, svc);
	EXPECT_EQ(30002, store_service(self->s, "other")->endpoint->ports[0]->published_port);
	EXPECT_STREQ("10.0.1.4/24",
		     store_service(self->s, "other")->endpoint->virtual_ips[1]->addr);
}

TEST_F(alloc, a_port_goes_to_one_service)
{
	Pb__Service *svc = service("a", NULL);

	publish(svc, 80, 80);
	put(self, svc);
	svc = service("b", NULL);
	publish(svc, 80, 80);
	put(self, svc);
	EXPECT_EQ(NULL, store_service(self->s, "b")->endpoint);
	put(self, task("t", store_service(self->s, "b")));
	EXPECT_EQ(PB__TASK_STATE__NEW, store_task(self->s, "t")->status->state);
	EXPECT_NE(0, strlen(store_task(self->s, "t")->status->err));
	drop(self, STORE_SERVICE, "a");
	ASSERT_NE(NULL, store_service(self->s, "b")->endpoint);
	EXPECT_EQ(PB__TASK_STATE__PENDING, store_task(self->s, "t")->status->state);
	EXPECT_STREQ("", store_task(self->s, "t")->status->err);
}

TEST_F(alloc, addresses_come_back)
{
	Pb__Task *t;
	char id[16];

	put(self, network("small", "192.0.2.0/29"));
	put(self, service("s", "small"));
	/* six addresses: gateway, VIP, four tasks */
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "t%d", i);
		put(self, task(id, store_service(self->s, "s")));
	}
	EXPECT_STREQ("192.0.2.6/29", address(self->s, "t3", 0));
	EXPECT_STREQ("-", address(self->s, "t4", 0));
	EXPECT_STREQ("no available IPv4 addresses on network small",
		     store_task(self->s, "t4")->status->err);
	t = pb_clone(store_task(self->s, "t1"));
	t->desired_state = PB__TASK_STATE__SHUTDOWN;
	t->status->state = PB__TASK_STATE__SHUTDOWN;
	put(self, t);
	EXPECT_STREQ("192.0.2.4/29", address(self->s, "t4", 0));
	takeover(self);
	put(self, task("t5", store_service(self->s, "s")));
	EXPECT_STREQ("-", address(self->s, "t5", 0));
	drop(self, STORE_TASK, "t2");
	EXPECT_STREQ("192.0.2.5/29", address(self->s, "t5", 0));
}

TEST_F(alloc, nodes_have_an_address_where_tasks_are)
{
	Pb__Task *t;

	put(self, network("back", NULL));
	put(self, service("s", "back"));
	put(self, task("t", store_service(self->s, "s")));
	ASSERT_EQ(1, store_node(self->s, "n1")->n_attachments);
	t = pb_clone(store_task(self->s, "t"));
	pb_set_str(&t->node_id, "n1");
	t->status->state = PB__TASK_STATE__ASSIGNED;
	put(self, t);
	ASSERT_EQ(2, store_node(self->s, "n1")->n_attachments);
	EXPECT_STREQ("10.0.1.4/24", store_node(self->s, "n1")->attachments[1]->addresses[0]);
	t = pb_clone(store_task(self->s, "t"));
	t->desired_state = PB__TASK_STATE__SHUTDOWN;
	t->status->state = PB__TASK_STATE__SHUTDOWN;
	put(self, t);
	EXPECT_EQ(2, store_node(self->s, "n1")->n_attachments);
	self->now_ms += ALLOC_LINGER_MS;
	settle(self);
	EXPECT_EQ(1, store_node(self->s, "n1")->n_attachments);
}

TEST_HARNESS_MAIN
