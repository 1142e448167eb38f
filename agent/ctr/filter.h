/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiling a seccomp profile once, where the runtime would at each start (20 ms of work). It is
 * done by libseccomp, which comes with the runtime and is loaded when it is there.
 */
#pragma once

#include <jansson.h>

/*
 * The program for linux.seccomp as seccomp_default() makes it, in base64, for crun's annotation
 * run.oci.seccomp_bpf_data; malloc'd. NULL when it cannot be made. Any thread.
 */
char *filter_compile(json_t *profile);
