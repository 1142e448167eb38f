/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a monitor (ctr/shim_proto.h) and hearing its answer. */
#pragma once

#include <sys/types.h>

struct loop;
struct monitor;

/*
 * Spawn a monitor: options are "KEY=VALUE" strings, NULL-terminated. Returns the reading end of the
 * pipe of its answers, or -errno; *ret_pid is a child to be reaped. On any thread.
 */
int monitor_spawn(const char *shim, const char *const options[], pid_t *ret_pid);

/*
 * Watch what monitor_spawn() returned (both are taken over). held is called when it waits for
 * SHIM_GO. done is called once: with the PID of what it runs, or 0 and the reason.
 */
void monitor_watch(struct loop *loop, int fd, pid_t pid, void (*held)(void *arg),
		   void (*done)(pid_t pid, const char *why, void *arg), void *arg);

/*
 * What a monitor noted in the file name of its folder dir: "pid", of what it runs, or "shim", its
 * own. 0: nothing that can be read. On any thread.
 */
pid_t monitor_pid(const char *dir, const char *name);

/*
 * How what a monitor of the folder dir ran came to its end, by its note "exit", which it leaves before
 * it ends itself. heard: the exit code that the monitor told, or -1. Returns the noted exit code,
 * else heard, else 255: the monitor was killed, or the machine went down. ret_ns, unless NULL: when, in
 * ns since 1970, or 0. On any thread.
 */
int monitor_exit_code(const char *dir, int heard, long long *ret_ns);
