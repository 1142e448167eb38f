/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of log records to their receiver: a connection, or a socket for datagrams, that never
 * blocks the loop. It is tried once: who wants it again after its end opens another one. Names are
 * looked up on a worker. Loop thread only; callbacks come from the loop, never from inside of a call.
 */
#pragma once

#include "logger/logger.h"

struct loop;
struct log_dest;

struct log_dest_ops {
	/* It takes records. */
	void (*up)(void *arg);
	/* It could not be reached, or has ended; why names it, in the words of Go's net.Dial. The
	 * destination is still to be closed, which may be done here. */
	void (*down)(const char *why, void *arg);
	/* All that was sent is the kernel's. Not called for what never had to wait. */
	void (*drained)(void *arg);
};

/* Connect. The options (borrowed for the call) are of use for LOG_TLS. */
struct log_dest *log_dest_open(struct loop *loop, const struct log_address *address,
			       const struct log_tls_options *tls, const struct log_dest_ops *ops,
			       void *arg);
/* NULL is fine. What is not yet sent is dropped. */
void log_dest_close(struct log_dest *d);
/*
 * A datagram, or a piece of the stream. Copied. -ENOTCONN when it is not up, or no more by this: down()
 * comes or has come.
 */
int log_dest_send(struct log_dest *d, const void *p, size_t size);
/* Bytes that wait. */
size_t log_dest_unsent(const struct log_dest *d);
