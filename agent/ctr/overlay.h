/* SPDX-License-Identifier: Apache-2.0 */
/* The root of a container as an overlay mount. Blocking; on a worker. */
#pragma once

#include "core/err.h"

struct overlay {
	const char *lowerdirs; /* "top:…:bottom"; "": none */
	const char *layers_dir; /* the folder that all of lowerdirs are in */
	const char *dir; /* the container's: rw/ and work/ are below */
	bool no_sync; /* need not survive a crash of the machine */
	bool lower_only; /* without what the container wrote */
	bool read_only;
};

/* Many layers make the thread leave the process' common working directory (CLONE_FS). */
int overlay_mount(const struct overlay *o, const char *at, struct err *err);
