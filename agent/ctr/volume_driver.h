/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volume drivers that are not built in: how volumes find one and what they ask of it. Plugins
 * provide them (plugin/plugin.h), so that ctr/ need not know plugins.
 * Source: docs.docker.com/engine/extend/plugins_volume; moby volume/drivers.
 */
#pragma once

#include <jansson.h>
#include <stdatomic.h>

#include "core/err.h"

enum { VOLUME_LIST_MAX = 10000 }; /* volumes that one driver may list */

/* One driver, as a thread may use it after the plugin has gone. */
struct volume_driver {
	char *name; /* "sshfs:latest"; of a legacy one without tag */
	char *address; /* plugin/client.h */
	/* paths below from, in the plugin, are below to on the node; NULL: they are the node's */
	char *root, *from, *to;
	unsigned int timeout_ms; /* for an answer; 0: the method's own */
	const atomic_bool *cancel; /* the agent ends: give up. Lives as long as the drivers */
	bool legacy; /* must be asked what it implements */
};

struct volume_drivers {
	void *arg;
	/*
	 * On the loop: the driver by name, with or without ":latest", for volume_driver_free(). NULL:
	 * "error looking up volume plugin x: …", -ENOENT or, for one that is disabled, -EBUSY.
	 */
	struct volume_driver *(*find)(void *arg, const char *name, struct err *err);
	/* On the loop: array of the names of those that can be asked now. */
	json_t *(*names)(void *arg);
	/* On any thread: one call, for at most timeout_ms; *ret (may be NULL) is the caller's. */
	int (*call)(const struct volume_driver *d, const char *method, json_t *request,
		    unsigned int patience_ms, unsigned int timeout_ms, json_t **ret,
		    struct err *err);
};

/* NULL is fine. */
void volume_driver_free(struct volume_driver *d);

/* All on a thread, blocking; d is borrowed. drivers: where it was found. */

/* Find the volume or make it. opts: object of strings or NULL. */
int volume_driver_create(const struct volume_drivers *drivers, const struct volume_driver *d,
			 const char *name, json_t *opts, struct err *err);
/*
 * -ENOENT "no such volume". *ret: {"Mountpoint" (on the node), "CreatedAt", "Status"} as far as it
 * says. wait: for a driver that is just starting.
 */
int volume_driver_get(const struct volume_drivers *drivers, const struct volume_driver *d,
		      const char *name, bool wait, json_t **ret, struct err *err);
/* Array of {"Name", "Mountpoint"}. */
int volume_driver_list(const struct volume_drivers *drivers, const struct volume_driver *d,
		       json_t **ret, struct err *err);
/* "local" or "global". */
const char *volume_driver_scope(const struct volume_drivers *drivers,
				const struct volume_driver *d);
/* id tells one use from another. *ret: the path on the node, malloc'd. */
int volume_driver_mount(const struct volume_drivers *drivers, const struct volume_driver *d,
			const char *name, const char *id, char **ret, struct err *err);
int volume_driver_unmount(const struct volume_drivers *drivers, const struct volume_driver *d,
			  const char *name, const char *id, struct err *err);
int volume_driver_remove(const struct volume_drivers *drivers, const struct volume_driver *d,
			 const char *name, struct err *err);
