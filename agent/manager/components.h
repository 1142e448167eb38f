/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every leader runs on its store, in the order in which it runs: what one stages, those
 * after it see in the same transaction.
 */
#pragma once

#include "store/component.h"

extern const struct component_ops *const leader_components[];
extern const size_t n_leader_components;
