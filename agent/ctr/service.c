// SPDX-License-Identifier: Apache-2.0
#include "ctr/ctr_impl.h"

void ctr_service(struct ctr *c, bool enable)
{
	if (c->sandbox && ctr_running(c))
		sandbox_service(c->sandbox, enable);
}
