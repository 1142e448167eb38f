/* SPDX-License-Identifier: Apache-2.0 */
/* Names of processor architectures: images and Docker's API use Go's, uname(2) has its own. */
#pragma once

#include <stdbool.h>

#include "core/err.h"

/* The one that this program is built for, by Go's name. */
#if defined(__x86_64__)
#define ARCH_NAME "amd64"
#elif defined(__aarch64__)
#define ARCH_NAME "arm64"
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH_NAME "riscv64"
#else
#error "name this architecture in core/arch.h and ctr/seccomp.c"
#endif

/* Go's name for one of uname's; itself when it has no other. */
const char *arch_name(const char *machine);
/* Whether a platform, "OS[/ARCH[/VARIANT]]" in any case, is this machine's. */
bool arch_is_platform(const char *platform);
/* "OS", "ARCH" or "OS/ARCH[/VARIANT]" in any case; -EINVAL in dockerd's words when it is none. */
int arch_platform_check(const char *platform, struct err *err);
