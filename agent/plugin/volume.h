/* SPDX-License-Identifier: Apache-2.0 */
/* The volume drivers among plugins, as ctr/volume_driver.h wants them. */
#pragma once

struct plugins;

/* Fill plugins->drivers. */
void plugin_drivers_init(struct plugins *plugins);
