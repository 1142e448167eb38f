// SPDX-License-Identifier: Apache-2.0
/* By which of its networks a sandbox reaches the rest of the world. */
#include <string.h>

#include "net/sandbox_impl.h"

static bool gives_gateway(const struct endpoint *e)
{
	const struct network *n = e->network;

	return n->driver->way && n->driver->way(n) != NET_WAY_NONE;
}

static bool gives_gateway6(const struct endpoint *e)
{
	return gives_gateway(e) && e->network->subnet6;
}

/* dockerd: by the names of the networks; docker_gwbridge is the last resort. */
static struct endpoint *choose(const struct sandbox *sb, bool (*gives)(const struct endpoint *e),
			       const struct endpoint *a, const struct endpoint *b)
{
	struct endpoint *e, *best = NULL;

	list_for_each (e, &sb->endpoints, in_sandbox)
		if (e != a && e != b && gives(e) &&
		    (!best || (best->hidden && !e->hidden) ||
		     (best->hidden == e->hidden &&
		      strcmp(e->network->name, best->network->name) < 0)))
			best = e;
	return best;
}

struct endpoint *sandbox_gateway_without(const struct sandbox *sb, bool six,
					 const struct endpoint *a, const struct endpoint *b)
{
	return choose(sb, six ? gives_gateway6 : gives_gateway, a, b);
}

struct endpoint *sandbox_gateway(const struct sandbox *sb)
{
	return sandbox_gateway_without(sb, false, NULL, NULL);
}

struct endpoint *sandbox_gateway6(const struct sandbox *sb)
{
	return sandbox_gateway_without(sb, true, NULL, NULL);
}

bool sandbox_needs_gwbridge(const struct sandbox *sb, const struct endpoint *without)
{
	struct endpoint *e;
	bool need = false;

	list_for_each (e, &sb->endpoints, in_sandbox) {
		if (e == without || e->hidden)
			continue;
		if (gives_gateway(e))
			return false;
		need |= e->network->swarm && !e->network->internal;
	}
	return need;
}

struct endpoint *sandbox_gwbridge(const struct sandbox *sb)
{
	struct endpoint *e;

	list_for_each (e, &sb->endpoints, in_sandbox)
		if (e->hidden)
			return e;
	return NULL;
}

int sandbox_gwbridge_join(struct sandbox *sb, struct endpoint **ret, struct err *err)
{
	struct endpoint_options opt = {0};
	struct network *n;
	int rc = nets_gwbridge(sb->nets, &n, err);

	if (!rc)
		rc = endpoint_new(sb, n, &opt, ret, err);
	if (!rc)
		(*ret)->hidden = true;
	return rc;
}

uint32_t sandbox_gwbridge_ip(const struct sandbox *sb)
{
	struct endpoint *gw = sandbox_gwbridge(sb);

	return gw ? gw->ip : 0;
}
