// SPDX-License-Identifier: Apache-2.0
#include "ctr/stats.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/sysinfo.h>

#include "core/when.h"
#include "ctr/ctr_impl.h"
#include "disk/file.h"

static const uint64_t unlimited = 1ull << 62;

static void put(json_t *o, const char *key, uint64_t v)
{
	json_object_set_new(o, key, json_integer(v > INT64_MAX ? INT64_MAX : v));
}

/* "key value" lines as fields. */
static json_t *stat_file(const char *controller, const char *cgroup, const char *file)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *o = json_object();

	if (cgroup_read(controller, cgroup, file, &text))
		return o;
	for (char *save, *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *space = strchr(line, ' ');

		if (!space)
			continue;
		*space = 0;
		put(o, line, strtoull(space + 1, NULL, 10));
	}
	return o;
}

/* All processors' time since boot. */
static uint64_t system_ns(void)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	unsigned long long v[8] = {0}, sum = 0;

	if (file_read("/proc/stat", 4 << 20, &text, NULL))
		return 0;
	sscanf(text.data, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", v, v + 1, v + 2, v + 3,
	       v + 4, v + 5, v + 6, v + 7);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		sum += v[i];
	return sum * (1000000000ull / sysconf(_SC_CLK_TCK));
}

static json_t *cpu_json(const char *cg)
{
	json_t *usage = json_object(), *throttle = json_object(), *o = json_object();

	if (cgroup_is_v2()) {
		json_t *st = stat_file("", cg, "cpu.stat");

		put(usage, "total_usage", ji(st, "usage_usec") * 1000);
		put(usage, "usage_in_kernelmode", ji(st, "system_usec") * 1000);
		put(usage, "usage_in_usermode", ji(st, "user_usec") * 1000);
		put(throttle, "periods", ji(st, "nr_periods"));
		put(throttle, "throttled_periods", ji(st, "nr_throttled"));
		put(throttle, "throttled_time", ji(st, "throttled_usec") * 1000);
		json_decref(st);
	} else {
		uint64_t tick = 1000000000ull / sysconf(_SC_CLK_TCK);

		put(usage, "total_usage", cgroup_value("cpuacct", cg, "cpuacct.usage", NULL));
		put(usage, "usage_in_kernelmode",
		    cgroup_value("cpuacct", cg, "cpuacct.stat", "system") * tick);
		put(usage, "usage_in_usermode",
		    cgroup_value("cpuacct", cg, "cpuacct.stat", "user") * tick);
		put(throttle, "periods", cgroup_value("cpu", cg, "cpu.stat", "nr_periods"));
		put(throttle, "throttled_periods",
		    cgroup_value("cpu", cg, "cpu.stat", "nr_throttled"));
		put(throttle, "throttled_time",
		    cgroup_value("cpu", cg, "cpu.stat", "throttled_time"));
	}
	json_object_set_new(o, "cpu_usage", usage);
	put(o, "system_cpu_usage", system_ns());
	put(o, "online_cpus", sysconf(_SC_NPROCESSORS_ONLN));
	json_object_set_new(o, "throttling_data", throttle);
	return o;
}

/* "max", or more than there is, means all there is. */
static uint64_t memory_limit(const char *cg)
{
	uint64_t limit = cgroup_is_v2() ? cgroup_value("", cg, "memory.max", NULL)
					: cgroup_value("memory", cg, "memory.limit_in_bytes", NULL);
	struct sysinfo si;
	uint64_t total;

	sysinfo(&si);
	total = (uint64_t)si.totalram * si.mem_unit;
	return limit && limit < total ? limit : total;
}

static json_t *memory_json(const char *cg)
{
	json_t *o = json_object();

	if (cgroup_is_v2()) {
		put(o, "usage", cgroup_value("", cg, "memory.current", NULL));
		json_object_set_new(o, "stats", stat_file("", cg, "memory.stat"));
	} else {
		put(o, "usage", cgroup_value("memory", cg, "memory.usage_in_bytes", NULL));
		put(o, "max_usage", cgroup_value("memory", cg, "memory.max_usage_in_bytes", NULL));
		put(o, "failcnt", cgroup_value("memory", cg, "memory.failcnt", NULL));
		json_object_set_new(o, "stats", stat_file("memory", cg, "memory.stat"));
	}
	put(o, "limit", memory_limit(cg));
	return o;
}

/* v1: "MAJ:MIN Read N" lines; v2: "MAJ:MIN rbytes=N wbytes=N rios=N wios=N …". */
static void add_io(json_t *bytes, json_t *ops, const char *cg)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	static const char *const v1_files[] = {"blkio.throttle.io_service_bytes_recursive",
					       "blkio.throttle.io_serviced_recursive"};
	json_t *const out[] = {bytes, ops};
	unsigned int maj, min_;
	unsigned long long v[4];
	char op[16];

	if (cgroup_is_v2()) {
		cgroup_read("", cg, "io.stat", &text);
		for (char *save, *line = strtok_r(text.data, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (sscanf(line, "%u:%u rbytes=%llu wbytes=%llu rios=%llu wios=%llu", &maj,
				   &min_, v, v + 1, v + 2, v + 3) != 6)
				continue;
			for (int i = 0; i < 4; i++)
				json_array_append_new(out[i / 2],
						      json_pack("{s:i, s:i, s:s, s:I}", "major",
								maj, "minor", min_, "op",
								i % 2 ? "write" : "read", "value",
								(json_int_t)v[i]));
		}
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		buf_reset(&text);
		cgroup_read("blkio", cg, v1_files[i], &text);
		for (char *save, *line = strtok_r(text.data, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (sscanf(line, "%u:%u %15s %llu", &maj, &min_, op, v) != 4)
				continue;
			for (char *p = op; *p; p++)
				*p = tolower(*p);
			json_array_append_new(out[i], json_pack("{s:i, s:i, s:s, s:I}", "major",
								maj, "minor", min_, "op", op,
								"value", (json_int_t)v[0]));
		}
	}
}

static json_t *io_json(const char *cg)
{
	json_t *bytes = json_array(), *ops = json_array();

	add_io(bytes, ops, cg);
	return json_pack("{s:o, s:o, s:n, s:n, s:n, s:n, s:n, s:n}", "io_service_bytes_recursive",
			 bytes, "io_serviced_recursive", ops, "io_queue_recursive",
			 "io_service_time_recursive", "io_wait_time_recursive",
			 "io_merged_recursive", "io_time_recursive", "sectors_recursive");
}

static json_t *pids_json(const char *cg)
{
	uint64_t max_pids = cgroup_value("pids", cg, "pids.max", NULL);
	json_t *o = json_object();

	put(o, "current", cgroup_value("pids", cg, "pids.current", NULL));
	put(o, "limit", max_pids ? max_pids : unlimited);
	return o;
}

static json_t *networks_json(const struct ctr *c)
{
	static const char *const names[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
					    NULL,	NULL,	      NULL,	   NULL,
					    "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};
	_cleanup_free_ char *path = xasprintf("/proc/%d/net/dev", c->pid);
	_cleanup_buf_ struct buf text = BUF_INIT;
	json_t *out = json_object();

	if (!c->pid || !strcmp(js(c->host, "NetworkMode"), "host") ||
	    file_read(path, 1 << 20, &text, NULL))
		return out;
	for (char *save, *line = strtok_r(text.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':'), *p;
		json_t *o;

		if (!colon)
			continue;
		*colon = 0;
		line += strspn(line, " ");
		if (!strcmp(line, "lo"))
			continue;
		o = json_object();
		p = colon + 1;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			uint64_t v = strtoull(p, &p, 10);

			if (names[i])
				put(o, names[i], v);
		}
		json_object_set_new(out, line, o);
	}
	return out;
}

json_t *ctr_stats(struct ctr *c, json_t *prev)
{
	char now[40];
	json_t *o =
		json_pack("{s:s, s:s, s:o, s:s, s:i, s:s}", "id", c->id, "read",
			  time_format(loop_wall_ns(), now), "name", json_sprintf("/%s", c->name),
			  "preread", "0001-01-01T00:00:00Z", "num_procs", 0, "os_type", "linux");

	if (!ctr_running(c) || !c->cgroup) {
		static const char *const empty[] = {"pids_stats",   "blkio_stats", "storage_stats",
						    "memory_stats", "cpu_stats",   "precpu_stats"};

		json_object_set_new(o, "read", json_string("0001-01-01T00:00:00Z"));
		for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
			json_object_set_new(o, empty[i], json_object());
		for (size_t i = 4; i < 6; i++)
			json_object_set_new(
				o, empty[i],
				json_loads("{\"cpu_usage\":{\"total_usage\":0,\"usage_in_"
					   "kernelmode\":0,"
					   "\"usage_in_usermode\":0},\"throttling_data\":{"
					   "\"periods\":0,"
					   "\"throttled_periods\":0,\"throttled_time\":0}}",
					   0, NULL));
		return o;
	}
	json_object_set_new(o, "pids_stats", pids_json(c->cgroup));
	json_object_set_new(o, "blkio_stats", io_json(c->cgroup));
	json_object_set_new(o, "storage_stats", json_object());
	json_object_set_new(o, "cpu_stats", cpu_json(c->cgroup));
	json_object_set_new(o, "memory_stats", memory_json(c->cgroup));
	json_object_set_new(o, "networks", networks_json(c));
	if (json_object_get(prev, "cpu_stats")) {
		json_object_set(o, "precpu_stats", json_object_get(prev, "cpu_stats"));
		json_object_set(o, "preread", json_object_get(prev, "read"));
	} else {
		json_object_set_new(
			o, "precpu_stats",
			json_loads("{\"cpu_usage\":{\"total_usage\":0,\"usage_in_kernelmode\":0,"
				   "\"usage_in_usermode\":0},\"throttling_data\":{\"periods\":0,"
				   "\"throttled_periods\":0,\"throttled_time\":0}}",
				   0, NULL));
	}
	return o;
}

/* --- top --- */

struct top {
	struct loop *loop;
	char *args;
	pid_t *pids;
	size_t n_pids;
	void (*done)(const struct err *err, json_t *doc, void *arg);
	void *arg;
	struct err err;
	json_t *doc;
};

static bool is_ours(const struct top *t, long pid)
{
	for (size_t i = 0; i < t->n_pids; i++)
		if (t->pids[i] == pid)
			return true;
	return false;
}

/* The fields of a line; the last one takes the rest. */
static json_t *fields(const char *line, size_t most)
{
	json_t *out = json_array();
	const char *p = line;

	while (*(p += strspn(p, " \t"))) {
		size_t n = json_array_size(out) + 1 == most ? strlen(p) : strcspn(p, " \t");

		while (n && p[n - 1] == ' ')
			n--;
		json_array_append_new(out, json_stringn_nocheck(p, n));
		p += n;
	}
	return out;
}

static void parse_ps(struct top *t, char *text)
{
	json_t *titles = NULL, *rows = json_array(), *row, *v;
	size_t at = SIZE_MAX, i;

	for (char *save, *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (!titles) {
			titles = fields(line, SIZE_MAX);
			json_array_foreach (titles, i, v)
				if (!strcmp(json_string_value(v), "PID"))
					at = i;
			continue;
		}
		row = fields(line, json_array_size(titles));
		v = json_array_get(row, at);
		if (v && is_ours(t, atol(json_string_value(v))))
			json_array_append(rows, row);
		json_decref(row);
	}
	if (at == SIZE_MAX) {
		err_set(&t->err, -EIO, "Couldn't find PID field in ps output");
		json_decref(titles);
		json_decref(rows);
		return;
	}
	t->doc = json_pack("{s:o, s:o}", "Titles", titles, "Processes", rows);
}

static void top_work(void *arg)
{
	struct top *t = arg;
	_cleanup_buf_ struct buf out = BUF_INIT, said = BUF_INIT;
	const char *argv[34] = {"ps"};
	int n = 1, rc;

	for (char *save, *a = strtok_r(t->args, " ", &save); a && n < 33;
	     a = strtok_r(NULL, " ", &save))
		argv[n++] = a;
	rc = run_program(argv, NULL, &out, &said);
	if (rc) {
		while (said.len && said.data[said.len - 1] == '\n')
			said.data[--said.len] = 0;
		err_set(&t->err, rc < 0 ? rc : -EIO, "error running ps: %s",
			rc < 0 ? strerror(-rc) : said.data);
		return;
	}
	parse_ps(t, out.data);
}

static void top_done(void *arg)
{
	struct top *t = arg;

	t->done(t->err.code ? &t->err : NULL, t->doc, t->arg);
	json_decref(t->doc);
	free(t->args);
	free(t->pids);
	free(t);
}

void ctr_top(struct ctr *c, const char *ps_args,
	     void (*done)(const struct err *err, json_t *doc, void *arg), void *arg)
{
	struct top *t = xcalloc(1, sizeof(*t));

	t->done = done;
	t->arg = arg;
	t->args = xstrdup(str_empty(ps_args) ? "-ef" : ps_args);
	if (!ctr_running(c) || !c->cgroup) {
		err_set(&t->err, -EBUSY, "container %s is not running", c->id);
		loop_defer(c->ctrs->opt.loop, top_done, t);
		return;
	}
	t->n_pids = cgroup_pids(c->cgroup, &t->pids);
	loop_work(c->ctrs->opt.loop, top_work, top_done, t);
}
