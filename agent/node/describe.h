/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node says of itself to the dispatcher: the scheduler's filters go by it. Reads this
 * machine's cores and memory. Source: SWARM-WIRE §2 "NodeDescription"; moby daemon/cluster/executor.
 */
#pragma once

#include <jansson.h>

#include "wire/types.pb-c.h"

struct describe_options {
	const char *hostname; /* NULL: this machine's */
	const json_t *labels; /* object of strings: --label; may be NULL */
	const json_t *generic; /* array of "KIND=VALUE": --node-generic-resource; may be NULL */
	const json_t
		*plugins; /* array of {"Type", "Name"}: plugins beside what is built in; or NULL */
	const char *roots, *cert; /* PEM, for tls_info; may be NULL */
};

/* The caller's, for pb_free(). */
Pb__NodeDescription *node_describe(const struct describe_options *opt);
