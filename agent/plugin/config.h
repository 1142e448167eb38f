/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plugin says of itself (config.json) and what its user has set of it. Pure; JSON arguments
 * are borrowed, results are the caller's.
 * Source: Engine API "Plugin"; moby daemon/pkg/plugin/v2, backend_linux.go (computePrivileges).
 */
#pragma once

#include <jansson.h>

#include "core/err.h"

enum {
	PLUGIN_CONFIG_MAX = 1 << 20, /* bytes of a config.json */
	PLUGIN_LIST_MAX = 1000, /* entries of one of its lists */
};

/*
 * A configuration as its author wrote it (names in any case, much left out), with every field of
 * the API. -EINVAL names the field that has another type, climbs out of the plugin or is too long.
 */
int plugin_config_read(json_t *in, json_t **ret, struct err *err);
/* The settings that a plugin begins with: {"Mounts", "Env", "Args", "Devices"}. */
json_t *plugin_settings(json_t *config);
/*
 * docker plugin set: "NAME[.FIELD][=VALUE]" strings, applied to settings in place or not at all.
 * -EINVAL with dockerd's sentence for what is not there or not settable.
 */
int plugin_set(json_t *config, json_t *settings, json_t *args, struct err *err);
/* Array of {"Name", "Description", "Value"}: what the user has to grant. */
json_t *plugin_privileges(json_t *config);
/* Whether what was granted (an array, or NULL) is what is needed, in any order. */
int plugin_privileges_check(json_t *config, json_t *granted, struct err *err);
/* Whether it has an interface "docker.<capability>/…"; capability in lower case. */
bool plugin_has(json_t *config, const char *capability);
