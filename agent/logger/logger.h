/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log drivers: which there are, what their options mean, and how each of them writes a record.
 * json-file, local and none are the monitor's alone (ctr/shim_proto.h). syslog, journald, fluentd
 * and gelf send records elsewhere: what is here makes their bytes, logger/dest.h carries them, and
 * ctr/forward.h reads the records from the log that the monitor keeps for every container.
 *
 * Pure, but for the zone of local time. Source: moby daemon/logger and its drivers; RFC 3164,
 * RFC 5424, RFC 5425; systemd's "Native Journal Protocol"; Fluentd's "Forward Protocol
 * Specification v1"; Graylog's GELF 1.1.
 */
#pragma once

#include <jansson.h>

#include "core/buf.h"
#include "core/err.h"

/* The names of all drivers, NULL-terminated; "none" is the last. */
const char *const *logger_drivers(void);
/* Whether it sends records elsewhere. */
bool logger_is_remote(const char *driver);

/*
 * A LogConfig at a container's creation or as the daemon's default: opts is an object, of strings if
 * it is well. -EINVAL in dockerd's words.
 */
int logger_check(const char *driver, json_t *opts, struct err *err);

/* What the log is that the monitor writes. */
struct log_file_limits {
	int64_t size; /* bytes a file; 0: without end */
	int files;
	bool readable; /* by docker logs */
};
int logger_limits(const char *driver, json_t *opts, struct log_file_limits *ret, struct err *err);

/* What a driver may say of a container. All borrowed. */
struct log_source {
	const char *id, *name, *image_id, *image_name, *command;
	int64_t created_ns;
	json_t *labels; /* object of strings, may be NULL */
	json_t *env; /* array of "NAME=value", may be NULL */
};

/* Labels and environment that the options labels, labels-regex, env and env-regex select: a new object. */
int logger_attributes(const struct log_source *src, json_t *opts, json_t **ret, struct err *err);
/* The option tag with its {{.Name}} and the like expanded; NULL or "": fallback is. */
int logger_tag(const struct log_source *src, json_t *opts, const char *fallback, struct buf *out,
	       struct err *err);
/*
 * The attributes that json-file keeps with each record, as a JSON object's text (malloc'd), or NULL
 * without any.
 */
int logger_file_attributes(const char *driver, const struct log_source *src, json_t *opts,
			   char **ret, struct err *err);
/* Attributes as docker logs --details shows them: "a=1,b=x%20y", in order of names. */
void logger_details(json_t *attributes, struct buf *out);

/* --- drivers that send records elsewhere --- */

struct log_address {
	enum log_proto { LOG_UNIX, LOG_UNIXGRAM, LOG_UDP, LOG_TCP, LOG_TLS } proto;
	char *host; /* a name or an address; the path of a socket */
	int port;
};
void log_address_done(struct log_address *a);
/* "tcp://127.0.0.1:514", for messages. */
void log_address_print(const struct log_address *a, struct buf *out);

struct log_tls_options {
	const char *ca, *cert, *key; /* files; NULL: the system's, none */
	bool skip_verify;
};

struct log_record_out {
	int stream; /* 1: stdout, 2: stderr */
	int64_t time_ns;
	const char *line; /* without its newline */
	size_t len;
	bool partial; /* the line goes on in the next record of the stream */
};

struct logger;

/*
 * The driver of one container. hostname and pid: what messages give as their origin; copied, as is
 * all of src and opts.
 */
int logger_new(const char *driver, const struct log_source *src, json_t *opts, const char *hostname,
	       int pid, struct logger **ret, struct err *err);
void logger_free(struct logger *l); /* NULL is fine */
const struct log_address *logger_address(const struct logger *l);
struct log_tls_options logger_tls(const struct logger *l);
/* A start does not wait for the receiver. */
bool logger_async(const struct logger *l);
/* Bytes that may be on their way to the receiver, ms between tries to connect, and how many tries. */
size_t logger_window(const struct logger *l);
unsigned int logger_retry_ms(const struct logger *l);
uint64_t logger_retries(const struct logger *l);
/*
 * Encode a record: emit is called with each datagram, or with pieces of the stream. Nothing is
 * emitted for what the driver does not carry (GELF: empty lines).
 */
void logger_encode(struct logger *l, const struct log_record_out *rec,
		   void (*emit)(const void *p, size_t size, void *arg), void *arg);
