/* SPDX-License-Identifier: Apache-2.0 */
/* A name for a container that was given none: two words and an underscore. */
#pragma once

#include "core/rng.h"

/* malloc'd. */
char *name_make(struct rng *rng);
