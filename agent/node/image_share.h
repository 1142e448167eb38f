/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from the other nodes of the swarm, for those that no registry has: asked for by name or
 * digest over mutual TLS with the node certificates, on gossip's TCP port.
 *
 * The asker opens TLS and sends one line of JSON, {"image": "name or digest"}. The answer is one
 * line, {"id": …} followed by the image's archive (docker save's) until the end of the stream, or
 * {"error": …}, or {"busy": true}: a node serves a few askers at once, and nodes that have fetched
 * an image serve it in turn. Loading checks every digest. All calls on the loop's thread.
 */
#pragma once

#include "core/err.h"

struct loop;
struct rng;
struct images;
struct image;
struct image_share;
struct tls;

struct image_share_options {
	struct loop *loop;
	struct rng *rng;
	struct images *images;
	uint16_t port; /* 0: 7946 */
	/* Addresses of the other nodes: start with *pos = 0; NULL at the end. */
	const char *(*peers)(size_t *pos, void *arg);
	/* This node's credentials at the moment, borrowed; NULL: none yet. */
	struct tls *(*tls)(void *arg);
	void *arg;
};

struct image_share *image_share_new(const struct image_share_options *opt);
/* Fetches under way end with an error; NULL is fine. */
void image_share_free(struct image_share *s);
/* An accepted connection; fd is taken over. */
void image_share_accept(struct image_share *s, int fd);
/*
 * Fetch from whoever has it. done comes once, from the loop; those who ask for the same image
 * share one fetch. -ENOENT when no node has it.
 */
void image_share_fetch(struct image_share *s, const char *ref,
		       void (*done)(const struct err *err, struct image *img, void *arg),
		       void *arg);
