// SPDX-License-Identifier: Apache-2.0
#include "manager/components.h"

#include "alloc/alloc.h"
#include "manager/keys.h"
#include "orch/orch.h"
#include "sched/sched.h"

const struct component_ops *const leader_components[] = {
	&enforcer_component, &orch_component,  &reaper_component,
	&alloc_component,    &sched_component, &keys_component,
};
const size_t n_leader_components = sizeof(leader_components) / sizeof(leader_components[0]);
