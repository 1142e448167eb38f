/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of logger/ share. */
#pragma once

#include "core/fields.h"
#include "logger/logger.h"

/* "10m" and its like, as go-units' RAMInBytes has them. */
int log_parse_size(const char *text, int64_t *ret);
/* As Go's strconv.ParseBool; "" is false. */
int log_parse_bool(const char *key, json_t *opts, bool *ret, struct err *err);

struct logger {
	const struct log_driver *driver;
	struct log_address address;
	char *tag, *hostname;
	int pid;
	json_t *opts; /* a copy */
	struct buf fixed; /* what a driver says in every record, in its own form */
	size_t n_fixed; /* fields in it */
	bool async, sub_second, micro;
	size_t window;
	unsigned int retry_ms;
	uint64_t retries;
	int facility, level;
	enum syslog_format { SYSLOG_UNIX, SYSLOG_3164, SYSLOG_5424 } format;
	enum gelf_compression { GELF_GZIP, GELF_ZLIB, GELF_NONE } compression;
	uint64_t sequence;
	struct partial { /* by stream: a line that is longer than a record */
		bool open;
		unsigned int ordinal;
		int64_t id;
	} partial[2];
};

/* The place of a record in a long line. */
struct log_piece {
	bool part, last;
	unsigned int ordinal; /* from 1 */
	char id[33];
};

struct log_driver {
	const char *name;
	const char *const
		*keys; /* its options, NULL-terminated, beside tag, labels, env and the like */
	/* Check the options and take them over into l. */
	int (*configure)(struct logger *l, json_t *opts, struct err *err);
	/* What every record says, into l->fixed. */
	void (*describe)(struct logger *l, const struct log_source *src, json_t *attributes);
	void (*encode)(struct logger *l, const struct log_record_out *rec,
		       const struct log_piece *piece,
		       void (*emit)(const void *p, size_t size, void *arg), void *arg);
};

extern const struct log_driver log_syslog, log_journald, log_fluentd, log_gelf;

/*
 * "proto://host[:port]" or "unix:///path". -EINVAL when it is none of them. A port of 0 stands for
 * none given.
 */
int log_address_parse(const char *text, struct log_address *ret, struct err *err);
