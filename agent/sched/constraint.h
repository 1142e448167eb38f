/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement constraints: "node.labels.zone == east". Keys node.id, .hostname, .ip (an address or
 * CIDR), .role, .platform.os, .platform.arch, node.labels.x and engine.labels.x; values compare
 * without regard to case. Pure. Source: swarmkit manager/constraint/constraint.go.
 */
#pragma once

#include "core/err.h"
#include "wire/objects.pb-c.h"

struct constraint {
	char *key;
	char *value;
	bool equal; /* "==", else "!=" */
};

struct constraints {
	struct constraint *v;
	size_t n;
};

/* Replaces *ret, which constraints_done() frees. -EINVAL with SwarmKit's sentence. */
int constraints_parse(char *const *exprs, size_t n, struct constraints *ret, struct err *err);
void constraints_done(struct constraints *c);
/* Whether the node satisfies all of them. */
bool constraints_match(const struct constraints *c, const Pb__Node *node);
