/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local volumes: folders <data_root>/volumes/<name>/_data, with opts.json beside for what the
 * user gave. A volume with the options type, device and o is mounted there while it is in use,
 * as dockerd's driver "local" does. All calls on the loop's thread.
 * Source: Engine API "Volume"; moby volume/local.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct events;
struct rng;
struct volumes;
struct volume;

struct volumes_options {
	struct events *events;
	struct rng *rng;
	const char *data_root;
};

int volumes_open(const struct volumes_options *opt, struct volumes **ret, struct err *err);
void volumes_free(struct volumes *volumes);

/*
 * Find or make a volume. name NULL or "": anonymous, 64 hex digits. driver NULL or "": local;
 * another one is -ENOENT with dockerd's sentence. opts and labels (borrowed, may be NULL) are
 * objects of strings. A volume that exists is returned as it is.
 */
int volume_create(struct volumes *volumes, const char *name, const char *driver, json_t *opts,
		  json_t *labels, struct volume **ret, struct err *err);
/* -ENOENT "get x: no such volume". */
struct volume *volume_find(struct volumes *volumes, const char *name, struct err *err);
/* In order of creation: start with NULL; NULL at the end. */
struct volume *volumes_next(struct volumes *volumes, struct volume *volume);
const char *volume_name(const struct volume *volume);
const char *volume_path(const struct volume *volume); /* the _data folder */
bool volume_anonymous(const struct volume *volume);
json_t *volume_labels(const struct volume *volume); /* borrowed, never NULL */
/* The Volume object of the API; the caller's. */
json_t *volume_inspect(const struct volume *volume);
/* Removes the folder. Use is the caller's to check. */
int volume_remove(struct volume *volume, struct err *err);
/*
 * Count users: the first one mounts a volume that has mount options, the last one unmounts it.
 * who (a container ID) names the user in the volume's mount and unmount events.
 */
int volume_mount(struct volume *volume, const char *who, struct err *err);
void volume_unmount(struct volume *volume, const char *who);
/* After a restart of the agent: note a user whose mount is in place already. */
void volume_adopt(struct volume *volume);
