/* SPDX-License-Identifier: Apache-2.0 */
/* Containers that a client puts on networks of the swarm (node/attach.h). */
#pragma once

#include "api/api.h"
#include "ctr/ctr.h"

/* Bring the swarm's networks that the container joins to this node, then go on in ready; or reply. */
void api_attach_networks(struct api_call *call, struct ctr *c,
			 void (*ready)(struct api_call *call, struct ctr *c));
/* Connect to a network of the swarm by its ID; done as for ctr_network_connect(), or a reply. */
void api_attach_connect(struct api_call *call, struct ctr *c, const char *network, json_t *endpoint,
			ctr_done done);
