// SPDX-License-Identifier: Apache-2.0
/*
 * A call that only the leader can serve, handed on to it message by message as it is.
 * Source: swarmkit protobuf/plugin/raftproxy, ca/forward.go (metadata).
 */
#include <errno.h>

#include "rpc/grpc_impl.h"

enum { HIGH = 256 << 10 }; /* bytes waiting on one side before the other is held back */

struct proxy {
	struct grpc_call *call;
	struct grpc_stream *stream; /* NULL once closed */
};

static void on_request(struct grpc_call *call, const void *data, size_t size, void *arg)
{
	struct proxy *p = arg;

	if (!p->stream)
		return;
	grpc_stream_send_raw(p->stream, data, size);
	if (grpc_stream_unsent(p->stream) > HIGH)
		grpc_call_pause(call, true);
}

static void on_requests_end(struct grpc_call *call, void *arg)
{
	struct proxy *p = arg;

	(void)call;
	if (p->stream)
		grpc_stream_end(p->stream);
}

static void on_caller_gone(struct grpc_call *call, void *arg)
{
	struct proxy *p = arg;

	if (p->stream)
		grpc_stream_cancel(p->stream);
	free(p);
	grpc_finish(call, GRPC_CANCELLED, NULL);
}

static void on_caller_drained(struct grpc_call *call, void *arg)
{
	struct proxy *p = arg;

	(void)call;
	if (p->stream)
		grpc_stream_pause(p->stream, false);
}

static void on_reply(struct grpc_stream *s, const void *data, size_t size, void *arg)
{
	struct proxy *p = arg;

	grpc_call_send_raw(p->call, data, size);
	if (grpc_call_unsent(p->call) > HIGH)
		grpc_stream_pause(s, true);
}

static void on_replies_end(struct grpc_stream *s, enum grpc_status status, const char *text,
			   void *arg)
{
	struct proxy *p = arg;
	struct grpc_call *call = p->call;

	(void)s;
	free(p);
	grpc_finish(call, status, text);
}

static void on_leader_drained(struct grpc_stream *s, void *arg)
{
	struct proxy *p = arg;

	(void)s;
	grpc_call_pause(p->call, false);
}

static const struct grpc_call_raw_ops caller_ops = {
	.message = on_request,
	.end = on_requests_end,
};
static const struct grpc_raw_ops leader_ops = {
	.message = on_reply,
	.closed = on_replies_end,
	.drained = on_leader_drained,
};

void grpc_proxy(struct grpc_call *call, struct grpc_channel *leader)
{
	const struct grpc_peer *peer = grpc_call_peer(call);
	const char *before = grpc_call_metadata(call, "redirect");
	const char *const metadata[] = {
		"forwarded_cert",
		"true",
		"forwarded_cert_cn",
		peer->node_id,
		"forwarded_cert_org",
		peer->cluster_id,
		"forwarded_cert_ou",
		peer->role,
		"remote_addr",
		peer->addr,
		"redirect",
		peer->addr,
		NULL,
	};
	struct proxy *p = xcalloc(1, sizeof(*p));

	p->call = call;
	grpc_call_take_raw(call, &caller_ops, p);
	if (before) {
		_cleanup_free_ char *text =
			xasprintf("more than one redirect to leader from: %s", before);

		free(p);
		grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, text);
		return;
	}
	grpc_call_on_close(call, on_caller_gone, p);
	grpc_call_on_drain(call, on_caller_drained, p);
	p->stream = grpc_stream_open_raw(leader, grpc_call_path(call), &leader_ops, p,
					 grpc_call_timeout_ms(call), metadata);
}
