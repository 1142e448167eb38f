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

struct buf;
struct ctr;
struct log_reader;

/* A place in a log that survives rotation and the agent: a file, and bytes in it. */
struct log_position {
	uint64_t inode;
	int64_t offset;
};

struct log_query {
	bool out, err; /* which streams */
	bool follow;
	int64_t since_ns; /* wall clock; 0: from the beginning */
	int64_t until_ns; /* 0: without end */
	int64_t tail; /* the last so many lines; -1: all */
	/*
	 * Of the one who forwards it (may be NULL): start there, or at the oldest file when that place
	 * is no more; and read a log that users may not.
	 */
	const struct log_position *from;
};

/* A record: a line with its newline, or a piece of one longer than 16 KiB. Borrowed for the call. */
struct log_record {
	int stream; /* 1: stdout, 2: stderr */
	int64_t time_ns;
	const char *data;
	size_t len;
	const char *attributes; /* a JSON object's text; "" without any */
	size_t attributes_len;
};

/* The record's attributes as docker logs --details has them: "a=1,b=2". */
void log_record_details(const struct log_record *rec, struct buf *out);

struct log_sink {
	void (*record)(const struct log_record *rec, void *arg);
	/* Behind the last record. The reader is still to be closed. Not called after logs_close(). */
	void (*end)(void *arg);
	void *arg;
};

/*
 * Calls come from the loop, never from inside of this call. Ends at the end of the log or, with
 * follow, when the container has ended (or is removed) and all is read. -EINVAL with the driver
 * none and without a cache: "configured logging driver does not support reading".
 */
int logs_open(struct ctr *ctr, const struct log_query *query, const struct log_sink *sink,
	      struct log_reader **ret, struct err *err);
/* Behind the record that was told last. */
struct log_position logs_position(const struct log_reader *r);
/* Back-pressure. logs_pause may be called by record(): no record follows until logs_resume. */
void logs_pause(struct log_reader *r);
void logs_resume(struct log_reader *r);
/* NULL is fine. May be called from end(); not from record(). */
void logs_close(struct log_reader *r);
