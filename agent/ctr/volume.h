/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes. Local ones are folders <data_root>/volumes/<name>/_data, with opts.json beside for what the
 * user gave. A volume with the options type, device and o is mounted there while it is in use,
 * as dockerd's driver "local" does. The others are a plugin's (ctr/volume_driver.h): opts.json says
 * whose, and what asks the plugin ends in a callback, from the loop, never from inside the call.
 * All calls on the loop's thread.
 * Source: Engine API "Volume"; moby volume/local, volume/service.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct events;
struct rng;
struct volumes;
struct volume;
struct volume_drivers;

struct volumes_options {
	struct loop *loop;
	const struct volume_drivers *drivers; /* borrowed for the volumes' life; NULL: none */
	struct events *events;
	struct rng *rng;
	const char *data_root;
};

int volumes_open(const struct volumes_options *opt, struct volumes **ret, struct err *err);
void volumes_free(struct volumes *volumes);

/*
 * Find or make a volume. name NULL or "": anonymous, 64 hex digits. driver NULL or "": local;
 * another one's volumes must be there (volume_make, volumes_provide), else -ENOENT with dockerd's
 * sentence. opts and labels (borrowed, may be NULL) are objects of strings. A volume that exists is
 * returned as it is; -EEXIST when it is another driver's.
 */
int volume_create(struct volumes *volumes, const char *name, const char *driver, json_t *opts,
		  json_t *labels, struct volume **ret, struct err *err);
/* -ENOENT "get x: no such volume". */
struct volume *volume_find(struct volumes *volumes, const char *name, struct err *err);
/* In order of creation: start with NULL; NULL at the end. */
struct volume *volumes_next(struct volumes *volumes, struct volume *volume);
const char *volume_name(const struct volume *volume);
/* The _data folder; of a plugin's the place it was mounted at last, or "". */
const char *volume_path(const struct volume *volume);
const char *volume_driver_name(const struct volume *volume); /* "local", "sshfs:latest" */
bool volume_local(const struct volume *volume);
/* How many volumes are known to be of a driver, by its full name. */
unsigned int volumes_of_driver(struct volumes *volumes, const char *driver);
bool volume_anonymous(const struct volume *volume);
json_t *volume_labels(const struct volume *volume); /* borrowed, never NULL */
/* The Volume object of the API; the caller's. */
json_t *volume_inspect(const struct volume *volume);
/* Removes a local one's folder. Use is the caller's to check. */
int volume_remove(struct volume *volume, struct err *err);
/*
 * Count users of a local volume: the first one mounts one that has mount options, the last one unmounts it.
 * who (a container ID) names the user in the volume's mount and unmount events, use says where.
 */
struct volume_use;
int volume_mount(struct volume *volume, const char *who, const struct volume_use *use,
		 struct err *err);
void volume_unmount(struct volume *volume, const char *who);
/* After a restart of the agent: note a user whose mount is in place already. */
void volume_adopt(struct volume *volume);

/* --- volumes of plugins, and those that may be one's (volume_remote.c) --- */

/* v: the volume, or NULL with err. status: what its driver says of it, or NULL; both borrowed. */
typedef void (*volume_found)(const struct err *err, struct volume *v, json_t *status, void *arg);
typedef void (*volume_done)(const struct err *err /* NULL: well */, void *arg);

/* volume_create() with any driver; without one, a volume that some driver has is found, too. */
void volume_make(struct volumes *volumes, const char *name, const char *driver, json_t *opts,
		 json_t *labels, volume_found done, void *arg);
/* Find a volume, with the drivers when it is not known. */
void volume_look_up(struct volumes *volumes, const char *name, volume_found done, void *arg);
/*
 * Remove a volume of any driver. force: forget it also when its driver fails. done may be NULL.
 * Use is the caller's to check.
 */
void volume_delete(struct volumes *volumes, const char *name, bool force, volume_done done,
		   void *arg);
/* All volumes as Volume objects, and warnings about drivers that could not be asked. Borrowed. */
void volumes_list(struct volumes *volumes, void (*done)(json_t *list, json_t *warnings, void *arg),
		  void *arg);
/*
 * What a container's creation (body: POST /containers/create, image_config: of its image or NULL)
 * needs of drivers, so that ctr_create() finds it. false: nothing, done is not called. done comes
 * once all volumes are there, and ctr_create() is to be called in it: anonymous ones that it does
 * not take are removed behind it.
 */
bool volumes_provide(struct volumes *volumes, json_t *body, json_t *image_config, volume_done done,
		     void *arg);

/* One use of a volume by a container. Strings are the caller's. */
struct volume_use {
	const char *target, *propagation; /* propagation may be NULL */
	bool rw;
	/* of a plugin's */
	char *volume, *id; /* id tells it from other uses */
	char *source; /* out: the path on the node, malloc'd */
};
/* Mount all or none; uses is borrowed until done. */
void volumes_attach(struct volumes *volumes, struct volume_use *uses, size_t n, const char *who,
		    volume_done done, void *arg);
/* Unmount; done comes also when the driver fails, which is logged. */
void volumes_detach(struct volumes *volumes, struct volume_use *uses, size_t n, const char *who,
		    volume_done done, void *arg);
