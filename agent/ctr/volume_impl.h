/* SPDX-License-Identifier: Apache-2.0 */
/* What volume.c and volume_remote.c share. */
#pragma once

#include "core/map.h"
#include "ctr/volume.h"
#include "ctr/volume_driver.h"

struct volume {
	struct volumes *volumes;
	char *name, *dir;
	char *data; /* the folder of a local one; the last mount of another */
	char *driver, *scope; /* NULL: local */
	json_t *opts, *labels;
	int64_t created_ns;
	bool anonymous;
	bool unclaimed; /* made for a container that is just being created */
	unsigned int users;
};

struct volumes {
	struct volumes_options opt;
	char *root;
	struct map by_name;
};

bool volume_name_valid(const char *name);
/* -EINVAL in dockerd's words. */
int volume_name_check(const char *name, struct err *err);
/* Known, not yet saved. opts, labels: borrowed or NULL. */
struct volume *volume_add(struct volumes *volumes, const char *name, json_t *opts, json_t *labels);
int volume_save(struct volume *v, struct err *err);
/* Frees it, and removes what is on disk of it. */
void volume_forget(struct volume *v);
void volume_emit(struct volume *v, const char *action);
/* "mount" (with use) or "unmount" (use NULL) by a container. */
void volume_emit_use(struct volume *v, const char *who, const struct volume_use *use);
