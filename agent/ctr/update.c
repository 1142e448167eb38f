// SPDX-License-Identifier: Apache-2.0
/* docker update: limits of a container, also while it runs. */
#include <errno.h>
#include <stdio.h>

#include "ctr/ctr_impl.h"

static const char *const fields[] = {
	"Memory",   "MemorySwap", "MemoryReservation", "NanoCpus",  "CpuShares",   "CpuPeriod",
	"CpuQuota", "CpusetCpus", "CpusetMems",	       "PidsLimit", "BlkioWeight",
};

static int put(const char *controller, const struct ctr *c, const char *file, json_int_t v,
	       struct err *err)
{
	char text[32];
	int rc;

	snprintf(text, sizeof(text), "%lld", (long long)v);
	rc = cgroup_write(controller, c->cgroup, file, v < 0 && cgroup_is_v2() ? "max" : text);
	return rc ? err_errno(err, rc, "Cannot update container %s: %s", c->id, file) : 0;
}

/* A new limit below the old total, or the reverse: the kernel wants memory <= memory and swap. */
static int put_memory_v1(const struct ctr *c, json_int_t memory, json_int_t swap, struct err *err)
{
	_cleanup_free_ char *memsw =
		cgroup_file("memory", c->cgroup, "memory.memsw.limit_in_bytes");
	json_int_t now;
	int rc = 0;

	if (access(memsw, F_OK) || !swap)
		return memory ? put("memory", c, "memory.limit_in_bytes", memory, err) : 0;
	now = cgroup_value("memory", c->cgroup, "memory.memsw.limit_in_bytes", NULL);
	if (swap < 0 || swap > now) {
		rc = put("memory", c, "memory.memsw.limit_in_bytes", swap, err);
		return rc || !memory ? rc : put("memory", c, "memory.limit_in_bytes", memory, err);
	}
	if (memory)
		rc = put("memory", c, "memory.limit_in_bytes", memory, err);
	return rc ? rc : put("memory", c, "memory.memsw.limit_in_bytes", swap, err);
}

static int apply_v1(const struct ctr *c, json_t *host, struct err *err)
{
	json_int_t period = ji(host, "CpuPeriod"), quota = ji(host, "CpuQuota");
	int rc = put_memory_v1(c, ji(host, "Memory"), ji(host, "MemorySwap"), err);

	if (ji(host, "NanoCpus")) {
		period = 100000;
		quota = ji(host, "NanoCpus") / 10000;
	}
	if (!rc && ji(host, "MemoryReservation"))
		rc = put("memory", c, "memory.soft_limit_in_bytes", ji(host, "MemoryReservation"),
			 err);
	if (!rc && ji(host, "CpuShares"))
		rc = put("cpu", c, "cpu.shares", ji(host, "CpuShares"), err);
	if (!rc && period)
		rc = put("cpu", c, "cpu.cfs_period_us", period, err);
	if (!rc && quota)
		rc = put("cpu", c, "cpu.cfs_quota_us", quota, err);
	if (!rc && ji(host, "PidsLimit"))
		rc = ji(host, "PidsLimit") > 0
			     ? put("pids", c, "pids.max", ji(host, "PidsLimit"), err)
			     : cgroup_write("pids", c->cgroup, "pids.max", "max");
	return rc;
}

static int apply_v2(const struct ctr *c, json_t *host, struct err *err)
{
	json_int_t memory = ji(host, "Memory"), swap = ji(host, "MemorySwap"),
		   shares = ji(host, "CpuShares");
	json_int_t period = ji(host, "CpuPeriod"), quota = ji(host, "CpuQuota");
	char text[64];
	int rc = 0;

	if (memory)
		rc = put("", c, "memory.max", memory, err);
	snprintf(text, sizeof(text), "%lld", (long long)max(swap - memory, (json_int_t)0));
	if (!rc && swap) /* a kernel without swap has no such file */
		cgroup_write("", c->cgroup, "memory.swap.max", swap < 0 ? "max" : text);
	if (!rc && ji(host, "MemoryReservation"))
		rc = put("", c, "memory.low", ji(host, "MemoryReservation"), err);
	if (!rc && shares) /* as the runtimes map [2, 262144] to [1, 10000] */
		rc = put("", c, "cpu.weight", 1 + (shares - 2) * 9999 / 262142, err);
	if (ji(host, "NanoCpus")) {
		period = 100000;
		quota = ji(host, "NanoCpus") / 10000;
	}
	if (!rc && (period || quota)) {
		period = period ? period : 100000;
		if (quota > 0)
			snprintf(text, sizeof(text), "%lld %lld", (long long)quota,
				 (long long)period);
		else
			snprintf(text, sizeof(text), "max %lld", (long long)period);
		rc = cgroup_write("", c->cgroup, "cpu.max", text);
	}
	if (!rc && ji(host, "PidsLimit"))
		rc = put("", c, "pids.max", ji(host, "PidsLimit"), err);
	return rc;
}

static int apply(const struct ctr *c, json_t *host, struct err *err)
{
	const char *cpus = js(host, "CpusetCpus"), *mems = js(host, "CpusetMems");
	int rc = cgroup_is_v2() ? apply_v2(c, host, err) : apply_v1(c, host, err);

	if (!rc && *cpus)
		rc = cgroup_write("cpuset", c->cgroup, "cpuset.cpus", cpus);
	if (!rc && *mems)
		rc = cgroup_write("cpuset", c->cgroup, "cpuset.mems", mems);
	return rc && err && !err->code ? err_errno(err, rc, "Cannot update container %s", c->id)
				       : rc;
}

int ctr_update(struct ctr *c, json_t *body, struct err *err)
{
	json_t *policy = json_object_get(body, "RestartPolicy"), *host, *v, *limits = json_object();
	struct err local = ERR_INIT;
	int rc;

	err = err ? err : &local;
	if (c->removing || c->status == CTR_DEAD) {
		json_decref(limits);
		return err_set(err, -EBUSY,
			       "Cannot update container %s: Container is marked for removal and "
			       "cannot be \"update\".",
			       c->id);
	}
	rc = ctr_check_host_types(body, err);
	if (rc) {
		json_decref(limits);
		return rc;
	}
	host = json_deep_copy(c->host);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		v = json_object_get(body, fields[i]);
		if ((json_is_integer(v) && json_integer_value(v)) ||
		    (json_is_string(v) && *json_string_value(v))) {
			json_object_set(host, fields[i], v);
			json_object_set(limits, fields[i], v);
		}
	}
	if (ji(limits, "Memory") && !ji(limits, "MemorySwap") && ji(host, "MemorySwap") > 0 &&
	    ji(host, "MemorySwap") < ji(limits, "Memory")) {
		json_decref(host);
		json_decref(limits);
		return err_set(err, -EINVAL,
			       "Cannot update container %s: Memory limit should be smaller than "
			       "already set memoryswap "
			       "limit, update the memoryswap at the same time",
			       c->id);
	}
	if (*js(policy, "Name")) {
		if (jb(host, "AutoRemove") && strcmp(js(policy, "Name"), "no")) {
			json_decref(host);
			json_decref(limits);
			return err_set(err, -EINVAL,
				       "Restart policy cannot be updated because AutoRemove is "
				       "enabled for the container");
		}
		json_object_set_new(host, "RestartPolicy",
				    json_pack("{s:s, s:I}", "Name", js(policy, "Name"),
					      "MaximumRetryCount",
					      ji(policy, "MaximumRetryCount")));
	}
	rc = ctr_check_limits(host, err);
	if (!rc && ctr_running(c) && c->cgroup)
		rc = apply(c, limits, err);
	json_decref(limits);
	if (rc) {
		json_decref(host);
		return rc;
	}
	json_decref(c->host);
	c->host = host;
	rc = ctr_save(c, err);
	if (!rc)
		ctr_emit(c, "update", NULL);
	return rc;
}
