// SPDX-License-Identifier: Apache-2.0
#include "alloc/ports.h"

#include <errno.h>
#include <stdio.h>

void ports_init(struct ports *p)
{
	*p = (struct ports){0};
}

void ports_done(struct ports *p)
{
	const char *key;
	char *owner;

	map_for_each (&p->owner, key, owner)
		free(owner);
	map_done(&p->owner);
	for (size_t i = 0; i < PORT_PROTOCOLS; i++)
		bitmap_done(&p->used[i]);
}

static void key_of(char buf[32], unsigned int protocol, uint32_t port)
{
	snprintf(buf, 32, "%u/%u", protocol, port);
}

static bool is_valid(unsigned int protocol, uint32_t port)
{
	return protocol < PORT_PROTOCOLS && port && port <= 65535;
}

int ports_claim(struct ports *p, const Pb__PortConfig *port, const char *service_id,
		struct err *err)
{
	const char *owner;
	char key[32];

	if (!is_valid(port->protocol, port->published_port))
		return err_set(err, -EINVAL, "port %u is invalid", port->published_port);
	key_of(key, port->protocol, port->published_port);
	owner = map_get(&p->owner, key);
	if (owner && strcmp(owner, service_id))
		return err_set(err, -EBUSY, "port %u is already in use by service %s",
			       port->published_port, owner);
	if (owner)
		return 0;
	map_put(&p->owner, key, xstrdup(service_id));
	if (port->published_port >= PORT_DYNAMIC_FIRST && port->published_port <= PORT_DYNAMIC_LAST)
		bitmap_set(&p->used[port->protocol], port->published_port);
	return 0;
}

void ports_release(struct ports *p, const Pb__PortConfig *port, const char *service_id)
{
	char key[32], *owner;

	if (!is_valid(port->protocol, port->published_port))
		return;
	key_of(key, port->protocol, port->published_port);
	owner = map_get(&p->owner, key);
	if (!owner || strcmp(owner, service_id))
		return;
	map_del(&p->owner, key);
	free(owner);
	bitmap_clear(&p->used[port->protocol], port->published_port);
}

int ports_take(struct ports *p, Pb__PortConfig__Protocol protocol, const char *service_id,
	       uint32_t *ret, struct err *err)
{
	uint64_t port;
	char key[32];

	if ((unsigned int)protocol >= PORT_PROTOCOLS ||
	    !bitmap_take(&p->used[protocol], PORT_DYNAMIC_FIRST, PORT_DYNAMIC_LAST, &port))
		return err_set(err, -ENOSPC, "no dynamic port is left: all of %d to %d are in use",
			       PORT_DYNAMIC_FIRST, PORT_DYNAMIC_LAST);
	key_of(key, protocol, port);
	map_put(&p->owner, key, xstrdup(service_id));
	*ret = port;
	return 0;
}
