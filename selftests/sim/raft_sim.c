// SPDX-License-Identifier: Apache-2.0
/*
 * Random worlds: 3, 5 or 7 members under loss, delay, duplication, reordering, partitions, crashes
 * with lost and torn writes, slow disks, clocks that drift, processes that stand still, changes of
 * members, handed-on leadership. Then everything heals, and the members have to agree and to go on.
 * usage: raft_sim FIRST_SEED SEEDS [-v]
 */
#include <stdio.h>

#include "raft_world.h"

enum {
	FAULTS_US = 60 * 1000 * 1000,
	HEAL_US = 20 * 1000 * 1000,
	OP_TIMEOUT_US = 2000 * 1000,
	LATE_US = 1000 * 1000,
};

static uint64_t below(struct world *w, uint64_t n)
{
	return rng_below(&w->rng, n);
}

static struct host *any_host(struct world *w)
{
	return &w->hosts[1 + below(w, w->n_hosts)];
}

static void run_clients(struct world *w)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &w->clients[i];
		struct host *h = below(w, 4) ? world_leader(w) : any_host(w);

		if (c->kind != OP_NONE && w->now_us - c->begun_us < OP_TIMEOUT_US)
			continue;
		c->kind = OP_NONE;
		if (!h || !h->raft || h->stalled_until_us > w->now_us)
			continue;
		if (below(w, 3))
			client_write(w, c, h);
		else
			client_read(w, c, h);
	}
}

/* Change one member where a quorum of the rest is certain to be there once all is healed. */
static void change_members(struct world *w)
{
	struct host *l = world_leader(w);
	uint64_t id = 1 + below(w, w->n_hosts);
	const struct raft_conf *conf;

	if (!l)
		return;
	conf = raft_conf(l->raft);
	if (!raft_conf_has(conf, id))
		host_change(l, RAFT_ADD, id);
	else if (conf->n > 3)
		host_change(l, RAFT_REMOVE, id);
}

static void slow_or_quick_disk(struct world *w)
{
	any_host(w)->disk_us = below(w, 3) ? 5000 : 400000;
}

static void hand_on(struct world *w)
{
	struct host *l = world_leader(w);
	struct raft_event ev = {.type = RAFT_TRANSFER, .member = 1 + below(w, w->n_hosts)};

	if (l)
		host_event(l, &ev);
}

static void weather(struct world *w)
{
	w->loss = below(w, 3) ? 0 : below(w, 250);
	w->duplicate = below(w, 2) ? 0 : below(w, 100);
	w->delay_max_us = below(w, 3) ? 2000 : 1000 * (2 + below(w, 400));
	world_trace(w, "loss %u, duplicates %u, delay up to %u us", w->loss, w->duplicate,
		    w->delay_max_us);
}

static void one_way(struct world *w)
{
	uint64_t a = 1 + below(w, w->n_hosts), b = 1 + below(w, w->n_hosts);

	w->cut[a][b] = a != b;
}

static void fault(struct world *w)
{
	struct host *h = any_host(w);
	uint64_t side;

	switch (below(w, 13)) {
	case 0:
	case 1:
		host_crash(h);
		break;
	case 2:
		if ((h = world_leader(w)))
			host_crash(h);
		break;
	case 3:
	case 4:
	case 5:
		host_start(h);
		break;
	case 6:
		side = rng_u64(&w->rng);
		world_trace(w, "partition %llx", (unsigned long long)(side & 0x3ff));
		world_partition(w, side);
		break;
	case 7:
		world_heal(w);
		break;
	case 8:
		weather(w);
		break;
	case 9:
		slow_or_quick_disk(w);
		break;
	case 10:
		below(w, 2) ? hand_on(w) : one_way(w);
		break;
	case 11:
		change_members(w);
		break;
	case 12:
		host_stall(h, 1000 * (1 + below(w, 1000)));
		break;
	}
}

/* The members by the newest leader are equal, and a client is served. */
static void heal(struct world *w)
{
	uint64_t done, end = w->now_us + HEAL_US;

	world_trace(w, "all heals");
	world_heal(w);
	w->loss = w->duplicate = 0;
	w->delay_max_us = 2000;
	for (uint64_t i = 1; i <= w->n_hosts; i++) {
		w->hosts[i].disk_us = 5000;
		host_start(&w->hosts[i]);
	}
	done = w->n_ops_done;
	while (w->n_ops_done < done + 5) {
		world_run(w, 50000);
		run_clients(w);
		if (w->now_us > end)
			world_fail(w, "no client is served after everything has healed");
	}
	for (size_t i = 0; i < CLIENTS; i++)
		w->clients[i].kind = OP_NONE;
	while (!world_converged(w)) {
		world_run(w, 50000);
		if (w->now_us > end)
			world_fail(w, "the members do not agree after everything has healed");
	}
}

/*
 * Machines so busy that every process stands still again and again, for up to a second, while all
 * messages arrive: once the members know how late they are, who leads leads on.
 */
static void run_late(uint64_t seed, bool verbose)
{
	static struct world world;
	struct world *w = &world;
	uint64_t terms = 0;

	world_init(w, seed, 3, 3);
	w->verbose = verbose;
	for (uint64_t i = 1; i <= w->n_hosts; i++)
		host_start(&w->hosts[i]);
	while (w->now_us < FAULTS_US) {
		struct host *h = any_host(w);

		world_run(w, 1000 + below(w, 100000));
		run_clients(w);
		if (h->stalled_until_us <= w->now_us)
			host_stall(h, below(w, LATE_US));
		if (w->now_us < FAULTS_US / 4)
			terms = w->n_leaders;
		else if (w->n_leaders != terms)
			world_fail(w, "another one leads, though all were only late");
	}
	heal(w);
	world_done(w);
}

static uint64_t run(uint64_t seed, bool verbose)
{
	static const size_t sizes[] = {3, 5, 7};
	static struct world world;
	struct world *w = &world;
	size_t n = sizes[seed % 3];
	uint64_t ops;

	/* one more that may become a member */
	world_init(w, seed, n + 1, n);
	w->verbose = verbose;
	/* etcd's members may have either off; without them stale leaders last longer */
	w->check_quorum = seed % 4 != 1;
	w->pre_vote = seed % 8 >= 2;
	for (uint64_t i = 1; i <= w->n_hosts; i++)
		host_start(&w->hosts[i]);
	while (w->now_us < FAULTS_US) {
		world_run(w, 1000 + below(w, 40000));
		run_clients(w);
		if (!below(w, 8))
			fault(w);
		/* in some worlds the members change all the time */
		if (seed % 5 == 2 && !below(w, 10))
			change_members(w);
	}
	heal(w);
	ops = w->n_ops_done;
	if (verbose)
		printf("%llu steps, %llu operations, %llu entries, %llu terms\n",
		       (unsigned long long)w->n_steps, (unsigned long long)ops,
		       (unsigned long long)w->n_committed, (unsigned long long)w->n_leaders);
	world_done(w);
	return ops;
}

int main(int argc, char **argv)
{
	uint64_t first, n, ops = 0;
	bool verbose = argc > 3 && streq(argv[3], "-v");

	if (argc < 3 || parse_u64(argv[1], 0, UINT64_MAX, &first) ||
	    parse_u64(argv[2], 1, UINT32_MAX, &n)) {
		fprintf(stderr, "usage: raft_sim FIRST_SEED SEEDS [-v]\n");
		return 2;
	}
	printf("# raft: seed=%llu, %llu seeds\n", (unsigned long long)first, (unsigned long long)n);
	fflush(stdout);
	for (uint64_t i = 0; i < n; i++) {
		ops += run(first + i, verbose);
		if ((first + i) % 8 == 0)
			run_late(first + i, verbose);
	}
	printf("ok - raft: %llu seeds, %llu client operations\n", (unsigned long long)n,
	       (unsigned long long)ops);
	return 0;
}
