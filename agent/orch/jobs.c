// SPDX-License-Identifier: Apache-2.0
/*
 * Replicated jobs: slots from 0, so many at a time, until so many are complete. A new iteration
 * of the job removes the tasks of the one before.
 * Source: swarmkit manager/orchestrator/jobs/replicated.
 */
#include <stdio.h>

#include "orch/orch_impl.h"
#include "wire/pb.h"

static bool is_free(const struct osvc *v, uint64_t number)
{
	char key[24];

	snprintf(key, sizeof(key), "%llu", (unsigned long long)number);
	return !slot_is_occupied(map_get(&v->slots, key));
}

bool job_reconcile(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc)
{
	const Pb__Cluster *cluster = store_cluster(store_tx_store(tx));
	const Pb__ReplicatedJob *job = svc->spec->replicated_job;
	uint64_t total = job ? job->total_completions : 0, live = v->n_live,
		 occupied = v->n_occupied;
	uint64_t at_once;

	if (job && !total)
		total = job->max_concurrent;
	at_once = job && job->max_concurrent ? job->max_concurrent : total;
	while (occupied < total && live < at_once) {
		uint64_t number;

		if (store_tx_full(tx))
			return false;
		while (!is_free(v, v->next_free))
			v->next_free++;
		number = v->next_free++;
		store_tx_create(
			tx, orch_task_new(o->rng, cluster, svc, number, "", store_tx_now_ns(tx)),
			NULL);
		live++;
		occupied++;
	}
	return true;
}
