// SPDX-License-Identifier: Apache-2.0
/*
 * usage: gossip_bench_test [NODES]...
 *
 * What gossip costs a member, and how soon all know of a change, at several sizes. Without arguments
 * small sizes as a test; scripts/bench/nodes runs large ones. Time is simulated, but for the
 * processor's.
 */
#include <time.h>

#include "gossip_sim.h"

enum { IDLE_MS = 10000, CHANGES = 100, CUT_MS = 60000, LIMIT_MS = 120000 };

/* Each a member's share. */
struct figures {
	double bytes_s, messages_s, cpu_us_s; /* when nothing happens */
	double change_bytes; /* more than that, for each of many changes */
	double known_ms,
		lossy_ms; /* until all know of a change; with a tenth of the datagrams lost */
	double healed_ms,
		healed_known_ms; /* after a partition: who is there, what changed meanwhile */
};

static int n_tests, n_failed;

static void check(bool ok, const char *what)
{
	n_failed += !ok;
	printf("%sok %d %s\n", ok ? "" : "not ", ++n_tests, what);
}

static double cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static double until(struct sim *s, bool (*holds)(struct sim *s), const char *what)
{
	uint64_t begin = s->now_ms;

	check(run(s, LIMIT_MS, holds), what);
	return s->now_ms - begin;
}

static double known(struct sim *s, size_t at, const char *key, const char *what)
{
	put(s, at, key, "v");
	want_key = key, want = "v";
	return until(s, all_have, what);
}

static void idle(struct sim *s, struct figures *f)
{
	double members_s = s->n * (IDLE_MS / 1000.0), from = cpu_us();

	s->sent = s->bytes = 0;
	run(s, IDLE_MS, NULL);
	f->cpu_us_s = (cpu_us() - from) / members_s;
	f->bytes_s = s->bytes / members_s;
	f->messages_s = s->sent / members_s;
}

static void changes(struct sim *s, struct figures *f)
{
	uint64_t begin = s->now_ms;
	char key[16];

	s->bytes = 0;
	for (int i = 0; i < CHANGES; i++) {
		snprintf(key, sizeof(key), "c%d", i);
		put(s, i % s->n, key, "v");
		run(s, 50, NULL);
	}
	want_key = key, want = "v";
	until(s, all_have, "the last of many changes is known");
	f->change_bytes =
		((double)s->bytes / s->n - f->bytes_s * (s->now_ms - begin) / 1000) / CHANGES;
}

static struct figures measure(size_t n)
{
	struct sim *s = sim_new(n, 1);
	struct figures f = {0};

	preset_all(s);
	run(s, 2000, NULL);
	idle(s, &f);
	f.known_ms = known(s, 1, "k", "a change is known by all");
	changes(s, &f);
	s->loss_percent = 10;
	f.lossy_ms = known(s, 1, "lossy", "with a tenth of the datagrams lost, too");
	s->loss_percent = 0;
	for (size_t i = 0; i < s->n; i++)
		s->peers[i].side = i % 2;
	s->cut = true;
	run(s, CUT_MS, NULL);
	put(s, 0, "left", "v");
	run(s, 1000, NULL);
	s->cut = false;
	f.healed_ms = until(s, all_see_all, "after a partition all see all");
	want_key = "left", want = "v";
	f.healed_known_ms = f.healed_ms + until(s, all_have, "and what one side did");
	sim_free(s);
	return f;
}

static void tell(const char *what, double first, double this)
{
	printf("# %-44s %10.0f", what, this);
	if (first > 0)
		printf("  x%.2f", this / first);
	printf("\n");
}

int main(int argc, char **argv)
{
	static const size_t small[] = {10, 50};
	size_t n_sizes = argc > 1 ? (size_t)argc - 1 : ARRAY_SIZE(small);
	struct figures first = {0};

	for (size_t i = 0; i < n_sizes; i++) {
		uint64_t n = argc > 1 ? 0 : small[i];
		struct figures f;

		if (argc > 1 && (parse_u64(argv[i + 1], 2, 10000, &n) < 0)) {
			fprintf(stderr, "usage: gossip_bench_test [NODES]...  from 2 to 10000\n");
			return 2;
		}
		f = measure(n);
		tell("bytes a member and second, idle", first.bytes_s, f.bytes_s);
		tell("messages", first.messages_s, f.messages_s);
		tell("processor, us", first.cpu_us_s, f.cpu_us_s);
		tell("bytes a member and change", first.change_bytes, f.change_bytes);
		tell("ms until all know of a change", first.known_ms, f.known_ms);
		tell("with a tenth of the datagrams lost", first.lossy_ms, f.lossy_ms);
		tell("ms after a partition until all see all", first.healed_ms, f.healed_ms);
		tell("and know what changed meanwhile", first.healed_known_ms, f.healed_known_ms);
		if (!i)
			first = f;
	}
	printf("1..%d\n", n_tests);
	return n_failed != 0;
}
