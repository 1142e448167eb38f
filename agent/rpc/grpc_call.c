// SPDX-License-Identifier: Apache-2.0
/* One call at the server: from its headers to its status. */
#include <errno.h>
#include <stdio.h>

#include "core/log.h"
#include "rpc/grpc_server_impl.h"
#include "wire/pb.h"

enum { HEADERS_KEPT_MAX = 48 };

static struct grpc_call *call_of(struct h2_stream *s)
{
	return container_of(s, struct grpc_call, s);
}

static void call_free(struct grpc_call *call)
{
	list_del(&call->node);
	h2_stream_done(&call->s);
	timer_done(&call->deadline);
	for (size_t i = 0; i < call->n_headers; i++) {
		free(call->headers[i].name);
		free(call->headers[i].value);
	}
	free(call->headers);
	free(call->path);
	grpc_caller_put(call->caller);
	free(call);
}

static void put_if_over(struct grpc_call *call)
{
	if (call->closed && (call->finished || !call->handed))
		call_free(call);
}

static void tell_gone(struct grpc_call *call)
{
	void (*fn)(struct grpc_call * call, void *arg) = call->on_close;

	if (call->gone)
		return;
	call->gone = true;
	call->on_close = NULL;
	if (fn && !call->finished)
		fn(call, call->on_close_arg);
}

/* The server's own answer, before or instead of a handler. */
static void refuse(struct grpc_call *call, enum grpc_status status, const char *text)
{
	h2_stream_status(&call->s, status, text);
}

void grpc_call_abort(struct grpc_call *call, enum grpc_status status, const char *text)
{
	if (call->closed || call->gone)
		return;
	h2_stream_status(&call->s, status, text);
	tell_gone(call);
}

static void on_deadline(void *arg)
{
	grpc_call_abort(arg, GRPC_DEADLINE_EXCEEDED, GRPC_SAYS_DEADLINE);
}

static int on_header(struct h2_stream *s, const char *name, size_t name_size, const char *value,
		     size_t value_size)
{
	struct grpc_call *call = call_of(s);
	struct grpc_call_header *h;
	char text[16];

	if (h2_is(name, name_size, ":path")) {
		free(call->path);
		call->path = xstrndup(value, value_size);
	} else if (h2_is(name, name_size, ":method")) {
		call->post = h2_is(value, value_size, "POST");
	} else if (h2_is(name, name_size, "content-type")) {
		call->grpc = value_size >= 16 && !memcmp(value, "application/grpc", 16);
	} else if (h2_is(name, name_size, "grpc-timeout")) {
		uint64_t ms;

		snprintf(text, sizeof(text), "%.*s", (int)min(value_size, sizeof(text) - 1), value);
		if (value_size >= sizeof(text) || grpc_timeout_parse(text, &ms))
			return -EINVAL;
		call->has_deadline = true;
		call->deadline_ms = loop_now_ms() + ms;
	} else if (name_size && name[0] != ':') {
		if (call->n_headers >= HEADERS_KEPT_MAX)
			return -EOVERFLOW;
		call->headers = xrealloc(call->headers, (call->n_headers + 1) * sizeof(*h));
		h = &call->headers[call->n_headers++];
		h->name = xstrndup(name, name_size);
		h->value = xstrndup(value, value_size);
	}
	return 0;
}

/* Serve it here, or hand it on to the leader. */
static void route(struct grpc_call *call)
{
	struct grpc_channel *leader = NULL;
	struct grpc_server *server = call->server;

	if (!call->m->method->to_leader || !server->opt.leader)
		return;
	if (server->opt.leader(&leader, server->opt.arg)) {
		refuse(call, GRPC_UNAVAILABLE, GRPC_SAYS_NO_LEADER);
		return;
	}
	if (leader)
		grpc_proxy(call, leader);
}

static void on_headers(struct h2_stream *s, bool end)
{
	struct grpc_call *call = call_of(s);
	struct err err = ERR_INIT;

	(void)end;
	if (call->m || s->has_status)
		return; /* trailers of a client mean nothing */
	if (!call->post) {
		h2_stream_http_error(s, "405");
		return;
	}
	if (!call->grpc) {
		h2_stream_http_error(s, "415");
		return;
	}
	if (!call->server) {
		refuse(call, GRPC_UNAVAILABLE, "the server stops");
		return;
	}
	call->m = map_get(&call->server->methods, call->path ? call->path : "");
	if (!call->m) {
		_cleanup_free_ char *text =
			xasprintf("unknown method %s", call->path ? call->path : "");

		refuse(call, GRPC_UNIMPLEMENTED, text);
		return;
	}
	if (grpc_authorize(call, &err)) {
		log_info("grpc: %s of %s was refused: %s", call->path, call->caller->addr, err.msg);
		refuse(call, GRPC_PERMISSION_DENIED, err.msg);
		return;
	}
	if (call->has_deadline) {
		uint64_t now = loop_now_ms();

		timer_init(&call->deadline, call->server->opt.loop, on_deadline, call);
		timer_set(&call->deadline, call->deadline_ms > now ? call->deadline_ms - now : 0);
	}
	route(call);
}

static void on_message(struct h2_stream *s, const void *data, size_t size)
{
	struct grpc_call *call = call_of(s);
	const struct grpc_method *m;
	_cleanup_pb_ void *msg = NULL;

	if (s->has_status || call->finished || !call->m)
		return;
	if (call->raw) {
		call->raw->message(call, data, size, call->raw_arg);
		return;
	}
	m = call->m->method;
	if (call->handed && (m->kind == GRPC_UNARY || m->kind == GRPC_SERVER_STREAM))
		return; /* one request only */
	msg = pb_unpack_desc(m->request, data, size);
	if (!msg) {
		grpc_call_abort(call, GRPC_INTERNAL, GRPC_SAYS_UNMARSHAL);
		return;
	}
	call->handed = true;
	m->fn(call, msg, call->m->arg);
}

static void on_end(struct h2_stream *s)
{
	struct grpc_call *call = call_of(s);
	const struct grpc_method *m;

	if (s->has_status || call->finished || !call->m)
		return;
	if (call->raw) {
		call->raw->end(call, call->raw_arg);
		return;
	}
	m = call->m->method;
	if (m->kind == GRPC_CLIENT_STREAM) {
		call->handed = true;
		m->fn(call, NULL, call->m->arg);
	} else if (!call->handed) {
		refuse(call, GRPC_INTERNAL, "grpc: the request is missing");
	}
}

static void on_bad(struct h2_stream *s, enum grpc_status status, const char *text)
{
	struct grpc_call *call = call_of(s);

	log_warn("grpc: %s of %s was cut off: %s", call->path ? call->path : "a call",
		 call->caller->addr, text);
	grpc_call_abort(call, status, text);
}

static void on_drained(struct h2_stream *s)
{
	struct grpc_call *call = call_of(s);

	if (call->on_drain && !call->finished)
		call->on_drain(call, call->on_drain_arg);
}

static void on_closed(struct h2_stream *s, uint32_t h2_error, const char *why)
{
	struct grpc_call *call = call_of(s);

	(void)why;
	call->closed = true;
	call->silent = h2_error == H2_CONN_SILENT;
	call->lost = call->silent || h2_error == H2_CONN_LOST;
	timer_cancel(&call->deadline);
	if (!call->handed || call->finished) {
		call_free(call);
		return;
	}
	/* the handler may finish it in there, which frees it */
	if (!call->gone)
		tell_gone(call);
}

const struct h2_stream_ops grpc_call_ops = {
	.header = on_header,
	.headers = on_headers,
	.message = on_message,
	.end = on_end,
	.bad = on_bad,
	.drained = on_drained,
	.closed = on_closed,
};

/* --- for handlers --- */

const struct grpc_peer *grpc_call_peer(const struct grpc_call *call)
{
	return &call->peer;
}

const char *grpc_call_metadata(const struct grpc_call *call, const char *name)
{
	for (size_t i = 0; i < call->n_headers; i++)
		if (!strcmp(call->headers[i].name, name))
			return call->headers[i].value;
	return NULL;
}

const char *grpc_call_path(const struct grpc_call *call)
{
	return call->path;
}

uint32_t grpc_call_timeout_ms(const struct grpc_call *call)
{
	uint64_t now = loop_now_ms();

	if (!call->has_deadline)
		return 0;
	return call->deadline_ms > now ? min(call->deadline_ms - now, (uint64_t)UINT32_MAX) : 1;
}

void grpc_send(struct grpc_call *call, const void *msg)
{
	if (call->closed)
		return;
	h2_stream_respond(&call->s);
	h2_stream_write(&call->s, msg);
}

void grpc_call_send_raw(struct grpc_call *call, const void *data, size_t size)
{
	if (call->closed)
		return;
	h2_stream_respond(&call->s);
	h2_stream_write_raw(&call->s, data, size);
}

void grpc_finish(struct grpc_call *call, enum grpc_status status, const char *text)
{
	call->finished = true;
	if (!call->closed)
		h2_stream_status(&call->s, status, text ? text : "");
	put_if_over(call);
}

void grpc_reply(struct grpc_call *call, const void *msg)
{
	if (!call->closed && !call->s.out_end)
		h2_stream_write(&call->s, msg);
	grpc_finish(call, GRPC_OK, NULL);
}

void grpc_fail(struct grpc_call *call, const struct err *err)
{
	const char *text;
	enum grpc_status status = grpc_err_status(err, &text);

	grpc_finish(call, status, text);
}

void grpc_call_on_close(struct grpc_call *call, void (*fn)(struct grpc_call *call, void *arg),
			void *arg)
{
	call->on_close = fn;
	call->on_close_arg = arg;
}

bool grpc_call_gone(const struct grpc_call *call)
{
	return call->gone || call->closed;
}

bool grpc_call_lost(const struct grpc_call *call)
{
	return call->lost;
}

bool grpc_call_silent(const struct grpc_call *call)
{
	return call->silent;
}

size_t grpc_call_unsent(const struct grpc_call *call)
{
	return call->closed ? 0 : h2_stream_unsent(&call->s);
}

void grpc_call_on_drain(struct grpc_call *call, void (*fn)(struct grpc_call *call, void *arg),
			void *arg)
{
	call->on_drain = fn;
	call->on_drain_arg = arg;
}

void grpc_call_pause(struct grpc_call *call, bool pause)
{
	if (!call->closed)
		h2_stream_pause(&call->s, pause);
}

void grpc_call_set_data(struct grpc_call *call, void *data)
{
	call->data = data;
}

void *grpc_call_data(const struct grpc_call *call)
{
	return call->data;
}

void grpc_call_take_raw(struct grpc_call *call, const struct grpc_call_raw_ops *ops, void *arg)
{
	call->handed = true;
	call->raw = ops;
	call->raw_arg = arg;
}
