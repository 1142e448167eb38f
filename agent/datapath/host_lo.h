/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loopback's settings that both kernel back ends need: replies to the node's own processes come
 * in there with addresses of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Set accept_local and route_localnet of lo in the caller's network namespace. What was off is
 * added to *was, which is to be kept for host_lo_restore(): it may hold what a former call added.
 */
void host_lo_open(uint16_t *was);
/* Are both set? */
bool host_lo_is_open(void);
/* Put back what host_lo_open() changed. */
void host_lo_restore(uint16_t was);
