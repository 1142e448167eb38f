/* SPDX-License-Identifier: Apache-2.0 */
/* What skopeo says when it fails. Pure. */
#pragma once

#include "core/buf.h"

enum skopeo_failure {
	SKOPEO_UNKNOWN, /* the registry has no such thing */
	SKOPEO_DENIED,
	SKOPEO_OTHER,
};

/* Why, and in *ret the reason in words, malloc'd. text: its standard error. */
enum skopeo_failure skopeo_reason(const struct buf *text, char **ret);
