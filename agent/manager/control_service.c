// SPDX-License-Identifier: Apache-2.0
/* Services and tasks. Source: swarmkit manager/controlapi/{service,task}.go, api/defaults. */
#include "manager/control_impl.h"
#include "orch/orch.h"

enum { STOP_GRACE_MS = 10000 };

/* swarmkit controlapi/service.go: ListServiceStatuses */
void control_service_status(struct store *store, const Pb__Service *s, Pb__ServiceStatus *ret)
{
	Pb__ServiceSpec__ModeCase mode = s->spec ? s->spec->mode_case : 0;
	uint64_t iteration = s->job_status && s->job_status->job_iteration
				     ? s->job_status->job_iteration->index
				     : 0;
	bool job = service_is_job(s);
	const Pb__Task *t;

	if (mode == PB__SERVICE_SPEC__MODE_REPLICATED)
		ret->desired_tasks = s->spec->replicated->replicas;
	for (struct store_iter i = store_tasks_of_service(store, s->id); (t = store_next(&i));) {
		Pb__TaskState state = t->status ? t->status->state : PB__TASK_STATE__NEW;

		if (job && (t->job_iteration ? t->job_iteration->index : 0) != iteration)
			continue;
		ret->running_tasks += state == PB__TASK_STATE__RUNNING;
		ret->completed_tasks += job && state == PB__TASK_STATE__COMPLETE;
		if (mode == PB__SERVICE_SPEC__MODE_GLOBAL)
			ret->desired_tasks += t->desired_state <= PB__TASK_STATE__RUNNING;
		else if (mode == PB__SERVICE_SPEC__MODE_GLOBAL_JOB)
			ret->desired_tasks += t->desired_state <= PB__TASK_STATE__COMPLETE &&
					      state != PB__TASK_STATE__COMPLETE;
	}
	if (mode == PB__SERVICE_SPEC__MODE_REPLICATED_JOB)
		ret->desired_tasks = s->spec->replicated_job->max_concurrent;
}

static void set_default_ms(Pb__Duration **field, int64_t ms)
{
	if (!*field)
		pb_set_duration(field, ms * 1000000);
}

static void default_update(Pb__UpdateConfig **u)
{
	if (!*u) {
		*u = pb_new(pb__update_config);
		(*u)->parallelism = 1;
	}
	set_default_ms(&(*u)->monitor, ORCH_MONITOR_MS);
}

void control_service_defaults(Pb__ServiceSpec *s)
{
	Pb__TaskSpec *t = pb_need(&s->task, pb__task_spec);

	if (t->runtime_case == PB__TASK_SPEC__RUNTIME_CONTAINER) {
		set_default_ms(&t->container->stop_grace_period, STOP_GRACE_MS);
		pb_need(&t->container->dns_config, pb__container_spec__dnsconfig);
	}
	pb_need(&t->resources, pb__resource_requirements);
	pb_need(&t->resources->limits, pb__resources);
	pb_need(&t->resources->reservations, pb__resources);
	if (!t->restart) {
		t->restart = pb_new(pb__restart_policy);
		t->restart->condition = PB__RESTART_POLICY__RESTART_CONDITION__ANY;
	}
	set_default_ms(&t->restart->delay, ORCH_RESTART_DELAY_MS);
	pb_need(&t->placement, pb__placement);
	default_update(&s->update);
	default_update(&s->rollback);
	pb_need(&s->endpoint, pb__endpoint_spec);
}

/* --- create --- */

static int check_create(void *request, struct err *err)
{
	Pb__CreateServiceRequest *r = request;

	return r->spec ? check_service_spec(r->spec, err) : control_no_argument(err);
}

static int create(struct control_job *job, struct store_tx *tx, struct err *err)
{
	Pb__CreateServiceRequest *r = job->request;
	Pb__ServiceSpec *spec = r->spec;
	struct store *store = store_tx_store(tx);
	Pb__Service *s;
	int rc = check_service_refs(store, spec, NULL, err);

	if (rc)
		return rc;
	if (store_find_name(store, STORE_SERVICE, spec->annotations->name))
		return grpc_err(err, GRPC_ALREADY_EXISTS,
				"name conflicts with an existing object: service %s already exists",
				spec->annotations->name);
	s = pb_new(pb__service);
	s->spec = pb_clone(spec);
	s->spec_version = pb_new(pb__version);
	if (service_is_job(s)) {
		s->job_status = pb_new(pb__job_status);
		s->job_status->job_iteration = pb_new(pb__version);
		pb_set_timestamp(&s->job_status->last_execution, store_tx_now_ns(tx));
	}
	return control_stage(job, tx, s, err);
}

/* --- update --- */

static bool is_rollback(const Pb__UpdateServiceRequest *r)
{
	return r->rollback == PB__UPDATE_SERVICE_REQUEST__ROLLBACK__PREVIOUS;
}

static int check_update(void *request, struct err *err)
{
	Pb__UpdateServiceRequest *r = request;

	if (is_rollback(r))
		return 0;
	return r->spec ? check_service_spec(r->spec, err) : control_no_argument(err);
}

static int check_change(const Pb__Service *old, const Pb__ServiceSpec *spec, struct err *err)
{
	if (strcmp(spec->annotations->name, store_name(old)))
		return grpc_err(err, GRPC_UNIMPLEMENTED, "renaming services is not supported");
	if (old->spec && old->spec->mode_case != spec->mode_case)
		return grpc_err(err, GRPC_UNIMPLEMENTED, "service mode change is not allowed");
	return 0;
}

static void swap_with_previous(Pb__Service *s, int64_t now_ns)
{
	Pb__ServiceSpec *spec = s->spec;
	Pb__Version *version = s->spec_version;

	s->spec = s->previous_spec;
	s->spec_version = s->previous_spec_version;
	s->previous_spec = spec;
	s->previous_spec_version = version;
	pb_free(s->update_status);
	s->update_status = pb_new(pb__update_status);
	s->update_status->state = PB__UPDATE_STATUS__UPDATE_STATE__ROLLBACK_STARTED;
	pb_set_str(&s->update_status->message, "manually requested rollback");
	pb_set_timestamp(&s->update_status->started_at, now_ns);
}

static void take_spec(Pb__Service *s, const Pb__ServiceSpec *spec)
{
	pb_free(s->previous_spec);
	pb_free(s->previous_spec_version);
	s->previous_spec = s->spec;
	s->previous_spec_version = s->spec_version;
	s->spec = pb_clone(spec);
	/* not comparable with the service's own version, which the commit raises */
	s->spec_version = pb_clone(s->meta->version);
	pb_free(s->update_status);
	s->update_status = NULL;
}

static int update(struct control_job *job, struct store_tx *tx, struct err *err)
{
	Pb__UpdateServiceRequest *r = job->request;
	struct store *store = store_tx_store(tx);
	const Pb__Service *old;
	Pb__Service *s;
	int rc = control_find_version(job, r->id, r->version, (const void **)&old, err);

	if (!rc && is_rollback(r)) {
		/* what the previous spec refers to may be gone */
		_cleanup_pb_ Pb__ServiceSpec *was = pb_clone(old->previous_spec);

		rc = was ? check_service_refs(store, was, r->id, err)
			 : grpc_err(err, GRPC_FAILED_PRECONDITION,
				    "service %s does not have a previous spec", r->id);
	} else if (!rc) {
		rc = check_service_refs(store, r->spec, r->id, err);
		if (!rc)
			rc = check_change(old, r->spec, err);
	}
	if (rc)
		return rc;
	s = pb_clone(old);
	if (is_rollback(r))
		swap_with_previous(s, store_tx_now_ns(tx));
	else
		take_spec(s, r->spec);
	if (s->job_status) {
		pb_need(&s->job_status->job_iteration, pb__version)->index++;
		pb_set_timestamp(&s->job_status->last_execution, store_tx_now_ns(tx));
	}
	return control_stage(job, tx, s, err);
}

const struct control_method control_service_methods[] = {
	{CONTROL_PATH("CreateService"), &pb__create_service_request__descriptor,
	 &pb__service_reply__descriptor, STORE_SERVICE, check_create, NULL, create},
	{CONTROL_PATH("UpdateService"), &pb__update_service_request__descriptor,
	 &pb__service_reply__descriptor, STORE_SERVICE, check_update, NULL, update},
	{CONTROL_PATH("RemoveService"), &pb__object_request__descriptor, &pb__nothing__descriptor,
	 STORE_SERVICE, NULL, NULL, control_remove},
	{CONTROL_PATH("RemoveTask"), &pb__object_request__descriptor, &pb__nothing__descriptor,
	 STORE_TASK, NULL, NULL, control_remove},
	{0},
};
