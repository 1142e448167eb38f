/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain containers on attachable networks of the swarm: the leader is asked for an attachment, an
 * allocated task of its own kind; when the worker has got it, the network is on this node and the
 * container's address is known. Given back when the container has ended. Loop thread only.
 * Source: SWARM-WIRE §2 "Attach"; moby daemon/cluster/networks.go (AttachNetwork, DetachNetwork).
 */
#pragma once

#include "core/err.h"
#include "wire/objects.pb-c.h"

struct loop;
struct ctrs;
struct grpc_channel;
struct attachments;

struct attachments_options {
	struct loop *loop;
	struct ctrs *ctrs;
	/* The connection to a manager; NULL while there is none. */
	struct grpc_channel *(*channel)(void *arg);
	void *arg;
};

struct attachments *attachments_new(const struct attachments_options *opt);
/* Before the session's connection is closed. Those who wait get -ECANCELED. NULL is fine. */
void attachments_free(struct attachments *a);

/* ip4: the container's address, without prefix; borrowed. */
typedef void (*attached_fn)(const struct err *err /* NULL: well */, const char *ip4, void *arg);

/*
 * Have the network (a name or an ID) here for the container; ip4 (may be NULL) is the address it
 * wants. done is called once, from the loop. -ENOENT and -EPERM with dockerd's "Could not attach to
 * network x: …", -ETIME after 20 s.
 */
void attachments_add(struct attachments *a, const char *container_id, const char *network,
		     const char *ip4, attached_fn done, void *arg);
/* Give one back: docker network disconnect. */
void attachments_del(struct attachments *a, const char *container_id, const char *network);
/* The worker's on_attachment: an attachment has come, or was taken away. */
void attachments_task(struct attachments *a, const Pb__Task *task, bool ready);
/* The session has registered: attachments of containers that ended meanwhile are given back. */
void attachments_registered(struct attachments *a);
