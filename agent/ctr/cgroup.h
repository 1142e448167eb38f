/* SPDX-License-Identifier: Apache-2.0 */
/* Cgroups by their path from the root, "/docker/<id>", on v1, v2 and hybrid hosts. On any thread. */
#pragma once

#include <sys/types.h>

#include "core/buf.h"

enum { CGROUP_HELD_MAX = 16 };

bool cgroup_is_v2(void);
/* Whether the root of a v1 controller has a file; no on v2. */
bool cgroup_v1_has(const char *controller, const char *file);
/* Whether weights of block I/O can be set. */
bool cgroup_has_io_weight(void);
/*
 * Hybrid hosts: the runtime refuses while controllers sit on the unified hierarchy beside v1's, so
 * hold those as v1 hierarchies. Returns how many descriptors were put into held; open is held.
 */
int cgroup_prepare(int held[CGROUP_HELD_MAX]);
/* Remove the cgroups of a container; kills what is left in them. Blocks for as long as that takes. */
void cgroup_remove(const char *cgroup);
/* Only where it is empty. */
void cgroup_remove_parent(const char *cgroup);
/* The controller counts on v1 only. malloc'd. */
char *cgroup_file(const char *controller, const char *cgroup, const char *file);
int cgroup_read(const char *controller, const char *cgroup, const char *file, struct buf *ret);
/* The number in a file, or behind the key in a file of "key number" lines; 0 when absent. */
uint64_t cgroup_value(const char *controller, const char *cgroup, const char *file,
		      const char *key);
int cgroup_write(const char *controller, const char *cgroup, const char *file, const char *value);
int cgroup_freeze(const char *cgroup, bool freeze);
unsigned int cgroup_oom_kills(const char *cgroup);
/* malloc'd array of the processes in it. */
size_t cgroup_pids(const char *cgroup, pid_t **ret);
