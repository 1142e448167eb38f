/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of a websocket, as a stream of bytes: what the client's messages hold, one after
 * the other, and messages of what is written. On the loop's thread. Source: RFC 6455.
 */
#pragma once

#include <stdbool.h>

#include "core/err.h"

struct bufferevent;
struct http_req;
struct loop;

/* -EINVAL: the request does not ask for a websocket, or not rightly. */
int websocket_check(struct http_req *req, struct err *err);
/*
 * After websocket_check(): answer 101 and end the request. Returns the caller's bufferevent, disabled
 * and without callbacks; NULL when the client has gone. When the client says goodbye or goes, it reads
 * an end; freeing it says goodbye to the client. text: messages are declared to be text, not binary.
 */
struct bufferevent *http_websocket(struct http_req *req, struct loop *loop, bool text);
