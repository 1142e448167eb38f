// SPDX-License-Identifier: Apache-2.0
/*
 * usage: sched_bench_test [NODES TASKS]...
 *
 * What the leader's components cost: placing tasks, following events, replacing a lost node's
 * tasks, at several sizes. Without arguments a small size as a test; scripts/bench/sched runs the
 * large ones. Times are of the processor, without raft and disk.
 */
#include "orch_sim.h"

#include <malloc.h>
#include <time.h>

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int n_tests, n_failed;

static void check(bool ok, const char *what)
{
	n_failed += !ok;
	printf("%sok %d %s\n", ok ? "" : "not ", ++n_tests, what);
}

static size_t running(const struct sim *s)
{
	const Pb__Task *t;
	size_t n = 0;

	for (struct store_iter it = store_all(s->store, STORE_TASK); (t = store_next(&it));)
		n += t->status->state == PB__TASK_STATE__RUNNING;
	return n;
}

/* The most and the fewest tasks on a ready node differ by at most one. */
static bool even(const struct sim *s)
{
	size_t least = SIZE_MAX, most = 0;
	const Pb__Node *n;

	for (struct store_iter it = store_all(s->store, STORE_NODE); (n = store_next(&it));) {
		size_t tasks = 0;
		const Pb__Task *t;

		if (n->status->state != PB__NODE_STATUS__STATE__READY)
			continue;
		for (struct store_iter k = store_tasks_of_node(s->store, n->id);
		     (t = store_next(&k));)
			tasks += t->status->state == PB__TASK_STATE__RUNNING;
		least = min(least, tasks);
		most = max(most, tasks);
	}
	return most - least <= 1;
}

static void report(const char *what, size_t nodes, size_t tasks, double s, size_t n,
		   const char *unit)
{
	printf("# %-34s %5zu nodes %6zu tasks: %8.3f s, %9.0f %s/s, %7.2f us each\n", what, nodes,
	       tasks, s, n / s, unit, s / n * 1e6);
}

/* One status report of a running task at a time, each its own commit. */
static void bench_status(struct sim *s, size_t nodes, size_t tasks)
{
	struct store_iter it = store_all(s->store, STORE_TASK);
	size_t n = min(tasks, (size_t)2000);
	double begin = cpu_s();

	for (size_t i = 0; i < n; i++) {
		Pb__Task *t = pb_clone(store_next(&it));

		pb_set_str(&t->status->message, "healthy");
		sim_put(s, t);
		sim_turn(s);
	}
	report("status report, commit and turn", nodes, tasks, cpu_s() - begin, n, "events");
}

/* What a snapshot costs the loop, a start from one, and how much memory a task takes. */
static void bench_snapshot(struct sim *s, size_t nodes, size_t tasks)
{
	_cleanup_buf_ struct buf data = BUF_INIT;
	struct store *copy = store_new();
	size_t used;
	double begin = cpu_s();

	store_save(s->store, NULL, &data);
	report("snapshot saved", nodes, tasks, cpu_s() - begin, tasks, "tasks");
	used = mallinfo2().uordblks;
	begin = cpu_s();
	check(store_restore(copy, data.data, data.len, NULL, NULL) == 0 &&
		      store_count(copy, STORE_TASK) == store_count(s->store, STORE_TASK),
	      "a snapshot is restored");
	report("snapshot restored", nodes, tasks, cpu_s() - begin, tasks, "tasks");
	printf("# a task takes %zu bytes of a snapshot and %zu of memory\n", data.len / tasks,
	       (size_t)(mallinfo2().uordblks - used) / tasks);
	store_free(copy);
}

static void bench_one_service(size_t nodes, size_t tasks)
{
	struct sim s;
	double begin;

	sim_init(&s, 1);
	sim_cluster(&s);
	sim_nodes(&s, nodes);
	sim_run(&s, 1000);
	begin = cpu_s();
	sim_put(&s, sim_new_service("web", tasks, false));
	sim_run(&s, 600000);
	report("one service: created to running", nodes, tasks, cpu_s() - begin, tasks,
	       "placements");
	check(running(&s) == tasks, "all replicas of one service run");
	check(even(&s), "they are spread evenly");
	bench_status(&s, nodes, tasks);
	bench_snapshot(&s, nodes, tasks);

	Pb__Node *down = sim_edit_node(&s, "node001");
	size_t lost = store_n_tasks_of_node(s.store, "node001");

	down->status->state = PB__NODE_STATUS__STATE__DOWN;
	map_put(&s.lost, "node001", &s);
	begin = cpu_s();
	sim_put(&s, down);
	sim_run(&s, 100000);
	report("a node is lost: tasks replaced", nodes, tasks, cpu_s() - begin, lost, "tasks");
	check(even(&s), "the tasks of a lost node are spread evenly");

	begin = cpu_s();
	sim_stop_leading(&s);
	sim_lead(&s);
	sim_run(&s, 10000);
	report("another leader takes over", nodes, tasks, cpu_s() - begin, tasks, "tasks");
	sim_done(&s);
}

static void bench_many_services(size_t nodes, size_t tasks)
{
	size_t services = tasks / 2;
	struct sim s;
	double begin;

	sim_init(&s, 1);
	sim_cluster(&s);
	sim_nodes(&s, nodes);
	sim_run(&s, 1000);
	begin = cpu_s();
	for (size_t i = 0; i < services; i++) {
		char id[32];

		snprintf(id, sizeof(id), "svc%zu", i);
		sim_put(&s, sim_new_service(id, 2, false));
	}
	sim_run(&s, 600000);
	report("services of two: created to running", nodes, tasks, cpu_s() - begin, services * 2,
	       "placements");
	check(running(&s) == services * 2, "all tasks of many services run");
	check(even(&s), "they are spread evenly");
	sim_done(&s);
}

static void bench_pending(size_t nodes, size_t tasks)
{
	Pb__Service *svc = sim_new_service("big", tasks, false);
	struct sim s;
	double begin;

	sim_init(&s, 1);
	sim_cluster(&s);
	sim_nodes(&s, nodes);
	sim_run(&s, 1000);
	svc->spec->task->placement = pb_new(pb__placement);
	pb_append_str(&svc->spec->task->placement->n_constraints,
		      &svc->spec->task->placement->constraints, "node.labels.none==such");
	sim_put(&s, svc);
	sim_run(&s, 60000);
	begin = cpu_s();
	for (int i = 0; i < 100; i++) {
		Pb__Node *n = sim_edit_node(&s, "node001");

		n->description->resources->memory_bytes++;
		sim_put(&s, n);
		sim_run(&s, 2000);
	}
	report("retry of a service that fits nowhere", nodes, tasks, cpu_s() - begin, 100,
	       "retries");
	sim_done(&s);
}

static void bench(size_t nodes, size_t tasks)
{
	bench_one_service(nodes, tasks);
	bench_many_services(nodes, tasks);
	bench_pending(nodes, tasks);
}

int main(int argc, char **argv)
{
	printf("TAP version 13\n");
	if (argc < 3)
		bench(50, 1000);
	for (int i = 1; i + 1 < argc; i += 2)
		bench(strtoull(argv[i], NULL, 10), strtoull(argv[i + 1], NULL, 10));
	printf("1..%d\n", n_tests);
	return n_failed != 0;
}
