// SPDX-License-Identifier: Apache-2.0
/*
 * Scenarios in text (selftests/sim/raft/NAME.txt): what etcd's behaviour promises, and what the simulation found.
 * A line is a command; '#' begins a comment. Hosts are numbered from 1.
 *
 *   hosts N MEMBERS           first: N hosts, of which the first MEMBERS are members; all start
 *   options [no-prevote] [no-checkquorum] [seed=N] [snapshot=INTERVAL] [keep=N]   before hosts
 *   run MS                    let time pass
 *   campaign H                without waiting for the timeout
 *   write H [N]               propose N entries (1); fails the test when H does not lead
 *   refused H                 a proposal on H is refused
 *   read H ok|none            a linearizable read is answered within 2 s of the world, or is not
 *   crash H | start H
 *   cut A B | join A B        both ways; cut1 A B: only what A sends to B
 *   heal                      all connections
 *   add H M | remove H M      propose a change of members on H
 *   transfer H M
 *   lost H M                  H's connection from M breaks
 *   disk H US                 writes take up to so long
 *   stall H MS                H's process is not run for so long
 *   expect leader H           leads the newest term
 *   expect no-leader          nobody leads
 *   expect role H leader|follower|candidate|precandidate
 *   expect term H T | term>= H T
 *   expect applied-all        all members have applied the same, everything committed
 *   expect members H M…       H's membership
 *   expect committed>= N      entries committed in all
 *   expect first> H N         the log of H begins behind entry N: it was compacted
 */
#include "kselftest_harness.h"

#include <dirent.h>
#include <stdio.h>

#include "raft_world.h"

#define SCENARIOS "selftests/sim/raft"

struct scenario {
	const char *file;
	int line;
	struct world w;
	uint64_t seed, snapshot, keep;
	bool no_pre_vote, no_check_quorum, begun;
};

static bool fail(struct scenario *s, const char *what)
{
	fprintf(stderr, "# %s:%d: %s\n", s->file, s->line, what);
	for (size_t i = s->w.n_trace > 12 ? s->w.n_trace - 12 : 0; i < s->w.n_trace; i++)
		fprintf(stderr, "#   %s\n", s->w.trace[i % TRACE_LINES]);
	return false;
}

static struct host *host_at(struct scenario *s, const char *word)
{
	uint64_t id;

	return word && !parse_u64(word, 1, s->w.n_hosts, &id) ? &s->w.hosts[id] : NULL;
}

static bool begin(struct scenario *s, char **arg, int n)
{
	uint64_t hosts, members;

	if (n != 3 || parse_u64(arg[1], 1, HOSTS_MAX, &hosts) ||
	    parse_u64(arg[2], 1, hosts, &members))
		return fail(s, "hosts N MEMBERS");
	world_init(&s->w, s->seed, hosts, members);
	s->begun = true;
	s->w.pre_vote = !s->no_pre_vote;
	s->w.check_quorum = !s->no_check_quorum;
	if (s->snapshot)
		s->w.snapshot_interval = s->snapshot;
	if (s->keep)
		s->w.snapshot_keep = s->keep;
	for (uint64_t i = 1; i <= hosts; i++)
		host_start(&s->w.hosts[i]);
	return true;
}

static bool options(struct scenario *s, char **arg, int n)
{
	for (int i = 1; i < n; i++) {
		if (streq(arg[i], "no-prevote"))
			s->no_pre_vote = true;
		else if (streq(arg[i], "no-checkquorum"))
			s->no_check_quorum = true;
		else if (starts_with(arg[i], "seed="))
			s->seed = atoi(arg[i] + 5);
		else if (starts_with(arg[i], "snapshot="))
			s->snapshot = atoi(arg[i] + 9);
		else if (starts_with(arg[i], "keep="))
			s->keep = atoi(arg[i] + 5);
		else
			return fail(s, "no such option");
	}
	return true;
}

static bool expect_members(struct scenario *s, struct host *h, char **arg, int n)
{
	const struct raft_conf *conf = raft_conf(h->raft);

	if (conf->n != (size_t)n)
		return fail(s, "another number of members");
	for (int i = 0; i < n; i++) {
		if (!raft_conf_has(conf, atoi(arg[i])))
			return fail(s, "another member");
	}
	return true;
}

static bool expect(struct scenario *s, char **arg, int n)
{
	static const char *const roles[] = {"follower", "precandidate", "candidate", "leader"};
	const char *what = n > 1 ? arg[1] : "";
	struct host *h = n > 2 ? host_at(s, arg[2]) : NULL;
	uint64_t number = n > 3 ? atoi(arg[3]) : 0;
	char text[100];

	if (streq(what, "leader")) {
		if (world_leader(&s->w) == h && h)
			return true;
		snprintf(text, sizeof(text), "host %llu leads",
			 (unsigned long long)(world_leader(&s->w) ? world_leader(&s->w)->id : 0));
		return fail(s, text);
	}
	if (streq(what, "no-leader"))
		return !world_leader(&s->w) || fail(s, "there is a leader");
	if (streq(what, "applied-all"))
		return world_converged(&s->w) || fail(s, "the members have not applied the same");
	if (streq(what, "committed>="))
		return s->w.n_committed >= (uint64_t)atoi(n > 2 ? arg[2] : "0") ||
		       fail(s, "less is committed");
	if (!h || !h->raft)
		return fail(s, "no such host, or it is down");
	if (streq(what, "role"))
		return streq(roles[raft_role(h->raft)], arg[3]) ||
		       fail(s, roles[raft_role(h->raft)]);
	if (streq(what, "members"))
		return expect_members(s, h, arg + 3, n - 3);
	snprintf(text, sizeof(text), "term %llu, first entry %llu",
		 (unsigned long long)raft_term(h->raft),
		 (unsigned long long)raft_first_index(h->raft));
	if (streq(what, "term"))
		return raft_term(h->raft) == number || fail(s, text);
	if (streq(what, "term>="))
		return raft_term(h->raft) >= number || fail(s, text);
	if (streq(what, "first>"))
		return raft_first_index(h->raft) > number || fail(s, text);
	return fail(s, "no such expectation");
}

static bool do_write(struct scenario *s, struct host *h, int n, bool accepted)
{
	struct client c = {0};

	for (int i = 0; i < n; i++) {
		if ((client_write(&s->w, &c, h) == 0) != accepted)
			return fail(s, accepted ? "the proposal is refused"
						: "the proposal is not refused");
		world_run(&s->w, 500);
	}
	return true;
}

static bool do_read(struct scenario *s, struct host *h, bool answered)
{
	struct client *c = &s->w.clients[0];
	uint64_t done = s->w.n_ops_done;

	client_read(&s->w, c, h);
	for (int i = 0; i < 200 && c->kind == OP_READ; i++)
		world_run(&s->w, 10000);
	c->kind = OP_NONE;
	return (s->w.n_ops_done > done) == answered ||
	       fail(s, answered ? "the read is not answered" : "the read is answered");
}

static void set_cut(struct scenario *s, struct host *a, struct host *b, bool cut, bool both)
{
	s->w.cut[a->id][b->id] = cut;
	if (both)
		s->w.cut[b->id][a->id] = cut;
}

static bool host_command(struct scenario *s, char **arg, int n)
{
	struct host *h = host_at(s, n > 1 ? arg[1] : NULL), *o = host_at(s, n > 2 ? arg[2] : NULL);
	struct raft_event ev = {.type = RAFT_CAMPAIGN, .member = o ? o->id : 0};
	const char *cmd = arg[0];

	if (!h || (!h->raft && !streq(cmd, "start")))
		return fail(s, "no such host, or it is down");
	if (streq(cmd, "crash"))
		host_crash(h);
	else if (streq(cmd, "start"))
		host_start(h);
	else if (streq(cmd, "campaign"))
		host_event(h, &ev);
	else if (streq(cmd, "write"))
		return do_write(s, h, n > 2 ? atoi(arg[2]) : 1, true);
	else if (streq(cmd, "refused"))
		return do_write(s, h, 1, false);
	else if (streq(cmd, "read"))
		return do_read(s, h, n > 2 && streq(arg[2], "ok"));
	else if (streq(cmd, "disk"))
		h->disk_us = n > 2 ? atoi(arg[2]) : 0;
	else if (streq(cmd, "stall"))
		host_stall(h, 1000 * (uint64_t)(n > 2 ? atoi(arg[2]) : 0));
	else if (!o)
		return fail(s, "no such command, or it wants another host");
	else if (streq(cmd, "cut") || streq(cmd, "cut1"))
		set_cut(s, h, o, true, streq(cmd, "cut"));
	else if (streq(cmd, "join"))
		set_cut(s, h, o, false, true);
	else if (streq(cmd, "add") || streq(cmd, "remove"))
		host_change(h, streq(cmd, "add") ? RAFT_ADD : RAFT_REMOVE, o->id);
	else if (streq(cmd, "transfer") || streq(cmd, "lost"))
		ev.type = streq(cmd, "lost") ? RAFT_LOST : RAFT_TRANSFER, host_event(h, &ev);
	else
		return fail(s, "no such command");
	return true;
}

static bool command(struct scenario *s, char *line)
{
	char *arg[16], *at = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \t\n", &at); w && *w != '#' && n < 16;
	     w = strtok_r(NULL, " \t\n", &at))
		arg[n++] = w;
	if (!n)
		return true;
	if (streq(arg[0], "options"))
		return options(s, arg, n);
	if (streq(arg[0], "hosts"))
		return begin(s, arg, n);
	if (!s->begun)
		return fail(s, "hosts come first");
	if (streq(arg[0], "run")) {
		world_run(&s->w, 1000 * (uint64_t)atoi(n > 1 ? arg[1] : "0"));
		return true;
	}
	if (streq(arg[0], "heal")) {
		world_heal(&s->w);
		return true;
	}
	if (streq(arg[0], "expect"))
		return expect(s, arg, n);
	return host_command(s, arg, n);
}

static bool run_file(const char *name)
{
	_cleanup_free_ char *path = xasprintf(SCENARIOS "/%s", name);
	struct scenario *s = xcalloc(1, sizeof(*s));
	FILE *f = fopen(path, "re");
	char line[200];
	bool ok = f;

	s->file = name;
	s->seed = 1;
	while (ok && fgets(line, sizeof(line), f)) {
		s->line++;
		ok = command(s, line);
	}
	if (s->begun)
		world_done(&s->w);
	if (f)
		fclose(f);
	free(s);
	return ok;
}

static int is_scenario(const struct dirent *d)
{
	return ends_with(d->d_name, ".txt");
}

TEST(scenarios)
{
	struct dirent **files;
	int n = scandir(SCENARIOS, &files, is_scenario, alphasort), failed = 0;

	ASSERT_GT(n, 0);
	for (int i = 0; i < n; i++) {
		if (!run_file(files[i]->d_name)) {
			fprintf(stderr, "# %s fails\n", files[i]->d_name);
			failed++;
		}
		free(files[i]);
	}
	free(files);
	fprintf(stderr, "# %d scenarios\n", n);
	EXPECT_EQ(0, failed);
}

TEST_HARNESS_MAIN
