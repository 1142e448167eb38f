/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the node's links and tells the datapath which of them clients and peers come in by:
 * hardware, bonds, VLANs, veths of others and bridges; not ports of bridges or bonds, and not the
 * links of our containers. Loop's thread.
 */
#pragma once

#include "core/err.h"

struct nets;
struct uplinks;

int uplinks_new(struct nets *nets, struct uplinks **ret, struct err *err);
/* Tell the datapath all that it has been told. NULL is fine. */
void uplinks_resync(struct uplinks *u);
void uplinks_free(struct uplinks *u);
