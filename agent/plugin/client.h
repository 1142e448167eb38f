/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls to a plugin: POST /METHOD with a JSON object, answered by one. Blocking, for threads of
 * their own. What a plugin answers is bounded: PLUGIN_REPLY_MAX bytes, and a time.
 * Source: docs.docker.com/engine/extend/plugin_api; moby pkg/plugins/client.go.
 */
#pragma once

#include <jansson.h>
#include <stdatomic.h>

#include "core/buf.h"
#include "core/err.h"

enum { PLUGIN_REPLY_MAX = 4 << 20 };

struct plugin_call {
	const char *address; /* "unix:///path", "tcp://host:port" or "http://host:port" */
	const char *method; /* "VolumeDriver.Mount" */
	json_t *request; /* borrowed, or NULL: no body */
	unsigned int patience_ms; /* how long nobody may listen at the address */
	unsigned int timeout_ms; /* for the answer, once connected */
	const atomic_bool *cancel; /* nobody waits any more, give up; or NULL */
	int status; /* out: of the answer; 0 when none came */
};

/*
 * *ret (may be NULL) is the caller's object. An answer with another status than 200, or with a text
 * in "Err", is -EIO with that text; no answer is -EHOSTUNREACH, a malformed one -EBADMSG.
 */
int plugin_call(struct plugin_call *call, json_t **ret, struct err *err);
/* Whether somebody listens at the address; else -EHOSTUNREACH. */
int plugin_listens(const char *address, struct err *err);
/*
 * Pure: the answer in the bytes read so far. 0 when it is whole (*body is appended to), -EAGAIN
 * when more must come, -EBADMSG, -EFBIG. eof: no more comes.
 */
int plugin_reply(const char *data, size_t len, bool eof, int *ret_status, struct buf *body);
