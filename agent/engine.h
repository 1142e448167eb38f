/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that one daemon owns, opened in order and closed in reverse. */
#pragma once

#include "core/err.h"
#include "core/rng.h"

struct loop;
struct events;
struct options;
struct images;
struct volumes;
struct plugins;
struct nets;
struct ctrs;
struct dp;
struct swarm;

struct engine {
	struct loop *loop;
	struct events *events;
	struct rng rng;
	struct options *options;
	char id[64]; /* of the engine, kept in <data_root>/engine-id */
	char hostname[65];
	struct dp *dp;
	struct images *images;
	struct plugins *plugins;
	struct volumes *volumes;
	struct nets *nets;
	struct ctrs *ctrs;
	struct swarm *swarm; /* never NULL; may be inactive */
};

/* Open all modules below the data and exec roots; containers that run are picked up again. */
int engine_open(struct engine *e, struct options *options, struct err *err);
/* Close them. Containers and the datapath go on; with none left, nothing stays behind. */
void engine_close(struct engine *e);
