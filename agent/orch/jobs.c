// SPDX-License-Identifier: Apache-2.0
/*
 * Replicated jobs: slots from 0, so many at a time, until so many are complete. A new iteration
 * of the job removes the tasks of the one before.
 * Source: swarmkit manager/orchestrator/jobs/replicated.
 */
#include "orch/orch_impl.h"
#include "wire/pb.h"

bool job_reconcile(struct orch *o, struct store_tx *tx, struct osvc *v, const Pb__Service *svc)
{
	const Pb__ReplicatedJob *job = svc->spec->replicated_job;
	uint64_t total = job ? job->total_completions : 0, live = v->n_live,
		 occupied = v->n_occupied;
	uint64_t at_once;

	if (job && !total)
		total = job->max_concurrent;
	at_once = job && job->max_concurrent ? job->max_concurrent : total;
	for (; occupied < total && live < at_once; live++, occupied++)
		if (!slot_fill_next(o, tx, v, svc))
			return false;
	return true;
}
