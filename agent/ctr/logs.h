/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a container's log (json-file, with its rotated files) from any point, and following it
 * while the container runs. On the loop's thread, a bounded piece at a time.
 *
 * Used by GET /containers/{id}/logs and by the logs of services. Source: Engine API
 * "ContainerLogs"; moby daemon/logger/jsonfilelog, loggerutils.
 */
#pragma once

#include "core/err.h"

struct ctr;
struct log_reader;

struct log_query {
	bool out, err; /* which streams */
	bool follow;
	int64_t since_ns; /* wall clock; 0: from the beginning */
	int64_t until_ns; /* 0: without end */
	int64_t tail; /* the last so many lines; -1: all */
};

/* A record: a line with its newline, or a piece of one longer than 16 KiB. Borrowed for the call. */
struct log_record {
	int stream; /* 1: stdout, 2: stderr */
	int64_t time_ns;
	const char *data;
	size_t len;
};

struct log_sink {
	void (*record)(const struct log_record *rec, void *arg);
	/* Behind the last record. The reader is still to be closed. Not called after logs_close(). */
	void (*end)(void *arg);
	void *arg;
};

/*
 * Calls come from the loop, never from inside of this call. Ends at the end of the log or, with
 * follow, when the container has ended (or is removed) and all is read. -EINVAL with the driver
 * none: "configured logging driver does not support reading".
 */
int logs_open(struct ctr *ctr, const struct log_query *query, const struct log_sink *sink,
	      struct log_reader **ret, struct err *err);
/* Back-pressure. logs_pause may be called by record(): no record follows until logs_resume. */
void logs_pause(struct log_reader *r);
void logs_resume(struct log_reader *r);
/* NULL is fine. May be called from end(); not from record(). */
void logs_close(struct log_reader *r);
