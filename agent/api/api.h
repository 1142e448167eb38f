/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Docker Engine API share: a call (one request on its way to a reply),
 * routes, parameters, filters and the form of errors. One file a resource.
 *
 * A call lives until its reply is ended by api_reply, api_reply_err, api_end or a hijack; see
 * rpc/http.h for what happens when the client goes. All on the loop's thread.
 * Source: the Engine API's OpenAPI file; moby api/server.
 */
#pragma once

#include <jansson.h>

#include "core/err.h"
#include "core/when.h"
#include "engine.h"
#include "rpc/http.h"

enum {
	API_VERSION_MIN = 124,
	API_VERSION_MAX = 156,
	API_PARAMS = 4,
	API_BODY_MAX = 4 << 20,
};

struct api_call {
	struct engine *engine;
	struct http_req *req;
	unsigned int version; /* 1.41 is 141 */
	const char *param[API_PARAMS]; /* the {parts} of the route's pattern */
	char *path; /* what param points into */
	void (*body_fn)(struct api_call *call, json_t *body);
	bool array_body; /* it must be a list */
	bool no_quorum; /* the swarm's store may not be current */
};

struct api_route {
	const char *method;
	/* "/containers/{name}/json"; a part "{name...}" takes the rest up to the literal after it */
	const char *pattern;
	void (*fn)(struct api_call *call);
};

/* Tables end with a zeroed route. */
extern const struct api_route api_system_routes[], api_container_routes[], api_exec_routes[],
	api_image_routes[], api_build_routes[], api_network_routes[], api_volume_routes[],
	api_swarm_routes[], api_node_routes[], api_service_routes[], api_task_routes[],
	api_secret_routes[], api_config_routes[], api_log_routes[], api_archive_routes[],
	api_plugin_routes[], api_disk_routes[], api_service_log_routes[], api_distribution_routes[];
/* api_swarm_routes are this node's (init, join, leave, unlock); these are the cluster's (inspect,
 * update, unlockkey), as nodes, services, tasks, secrets and configs are. */
extern const struct api_route api_cluster_routes[];
/* What Docker has no words for; unversioned. */
extern const struct api_route api_agent_routes[], api_datapath_routes[];

/* The handler of the HTTP server; arg is the engine. */
void api_handle(struct http_req *req, void *arg);
/* The HTTP status of a negative errno. */
int api_status(int code);

const char *api_query(struct api_call *call, const char *name);
/* moby's rule: absent, "", "0", "no", "false" and "none" are false. */
bool api_query_bool(struct api_call *call, const char *name, bool dflt);
/* A whole number; dflt when absent or empty. -EINVAL with a sentence otherwise. */
int api_query_i64(struct api_call *call, const char *name, int64_t dflt, int64_t *ret,
		  struct err *err);
/* The parameters h and w of a terminal's new size. */
int api_query_size(struct api_call *call, unsigned int *ret_rows, unsigned int *ret_cols,
		   struct err *err);
/* The decoded X-Registry-Auth as JSON text, malloc'd, or NULL. */
char *api_registry_auth(struct api_call *call);

/* Read a JSON body (NULL when there is none) and go on in fn; answers 400 itself when it is bad. */
void api_body(struct api_call *call, void (*fn)(struct api_call *call, json_t *body));
/* The same for a body that is a list. */
void api_body_list(struct api_call *call, void (*fn)(struct api_call *call, json_t *body));
/* For a body that may not be missing: -EINVAL when it is NULL. */
int api_need_body(const json_t *body, struct err *err);

/*
 * Go on in fn once this manager's store is current; at once on other nodes. Without a quorum: an
 * error (strict), or fn with call->no_quorum.
 */
void api_read_current(struct api_call *call, void (*fn)(struct api_call *call), bool strict);

/* End the call. body is stolen; NULL for none. */
void api_reply(struct api_call *call, int status, json_t *body);
void api_reply_err(struct api_call *call, const struct err *err);
/* A stream of JSON lines: begins the reply (200) with the first line. line is stolen. */
void api_line(struct api_call *call, json_t *line);
/* End a stream that api_line or http_start began, and the call. */
void api_end(struct api_call *call);
/* End a stream with dockerd's error line; a reply not begun yet becomes an error reply. */
void api_end_err(struct api_call *call, const struct err *err);
/*
 * The two callbacks of work that reports in JSON lines: api_line() of a borrowed line, and the end
 * of the stream, which is empty when there was no line. call is a struct api_call *.
 */
void api_on_line(json_t *line, void *call);
void api_stream_done(const struct err *err, void *call);
/* Frees the call after http_hijack took its request. */
void api_call_free(struct api_call *call);

/* The container that the route's first parameter names; NULL after answering 404 itself. */
struct ctr *api_ctr(struct api_call *call);
/* A reply without a body (204), or the error when err is not NULL; ends the call. */
void api_done(struct api_call *call, int status, const struct err *err);

/* Content type of a stream of output, and one piece of it: with Docker's 8-byte head unless tty. */
struct buf;
struct log_query;
const char *api_stream_type(struct api_call *call, bool tty);
void api_frame(struct buf *out, bool tty, int stream, const char *prefix, const char *data,
	       size_t len);
/* The parameters stdout, stderr, follow, tail, since and until. */
int api_log_query(struct api_call *call, struct log_query *q, struct err *err);

/* Bytes below a folder, without following links. Walks it: any thread. */
int64_t api_folder_size(const char *path);
/* The attributes of a prune event. */
json_t *api_reclaimed(int64_t size);

/* The JSON object of sets in the query parameter "filters", both of its historic forms. */
struct filters;
/* allowed: the NULL-terminated names; another one is -EINVAL "invalid filter 'x'". */
int api_filters(struct api_call *call, const char *const allowed[], struct filters **ret,
		struct err *err);
int filters_parse(const char *json, const char *const allowed[], struct filters **ret,
		  struct err *err);
void filters_free(struct filters *f);
bool filters_has(const struct filters *f, const char *name);
/* True when the filter is not set or holds the value. */
bool filters_match(const struct filters *f, const char *name, const char *value);
/* As filters_match, but a value that starts with one in the filter matches too. */
bool filters_match_prefix(const struct filters *f, const char *name, const char *value);
/* "key" or "key=value" in the filter against an object of strings (NULL: none). */
bool filters_match_labels(const struct filters *f, const char *name, const json_t *labels);
/* The n-th value of a filter, or NULL. */
const char *filters_value(const struct filters *f, const char *name, size_t n);
/* No "key" or "key=value" of the filter fits the labels: for "label!". */
bool filters_exclude_labels(const struct filters *f, const char *name, const json_t *labels);
/*
 * True when the filter is not set or a value, taken as an extended regular expression, is found in
 * the text. Expressions with counts ("{9}") or longer than 256 bytes are taken literally.
 */
bool filters_match_regex(const struct filters *f, const char *name, const char *text);
/* The filter "until" in ns since 1970: a time, or a duration ("10m") before now_ns. 0 when not set. */
int filters_until(const struct filters *f, int64_t now_ns, int64_t *ret, struct err *err);
/* A filter that is a truth value. -EINVAL for one that is not. */
int filters_bool(const struct filters *f, const char *name, bool dflt, bool *ret, struct err *err);
