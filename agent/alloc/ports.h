/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Published ports of services: which service holds which, dynamic ones from 30000 to 32767.
 * Pure. Source: swarmkit manager/allocator/portallocator.go.
 */
#pragma once

#include "alloc/bitmap.h"
#include "core/err.h"
#include "core/map.h"
#include "wire/types.pb-c.h"

enum { PORT_DYNAMIC_FIRST = 30000, PORT_DYNAMIC_LAST = 32767, PORT_PROTOCOLS = 3 };

struct ports {
	struct map owner; /* "protocol/port" → ID of the service, malloc'd */
	struct bitmap used[PORT_PROTOCOLS];
};

void ports_init(struct ports *p);
void ports_done(struct ports *p);
/* The service takes a port of the routing mesh. -EBUSY, *err names who has it. */
int ports_claim(struct ports *p, const Pb__PortConfig *port, const char *service_id,
		struct err *err);
/* Nothing happens when another service has it. */
void ports_release(struct ports *p, const Pb__PortConfig *port, const char *service_id);
/* A free dynamic port, claimed. -ENOSPC. */
int ports_take(struct ports *p, Pb__PortConfig__Protocol protocol, const char *service_id,
	       uint32_t *ret, struct err *err);
