// SPDX-License-Identifier: Apache-2.0
/* A request handed on to another server. */
#include <strings.h>

#include "rpc/http_impl.h"
#include "rpc/relay.h"

static bool is_hop_header(const char *name, bool body_is_ours)
{
	if (!strcasecmp(name, "Connection") || !strcasecmp(name, "Keep-Alive"))
		return true;
	return body_is_ours &&
	       (!strcasecmp(name, "Content-Length") || !strcasecmp(name, "Transfer-Encoding") ||
		!strcasecmp(name, "Expect"));
}

void http_relay(struct http_req *req, int fd, const char *body, size_t len)
{
	_cleanup_buf_ struct buf head = BUF_INIT;
	struct event_base *base = loop_base(req->loop);
	struct bufferevent *client, *server;
	bool upgrade = req->upgrade;

	buf_printf(&head, "%s %s HTTP/1.1\r\n", req->method, req->target);
	for (size_t i = 0; i < req->headers.n; i++)
		if (!is_hop_header(req->headers.v[i].name, body))
			buf_printf(&head, "%s: %s\r\n", req->headers.v[i].name,
				   req->headers.v[i].value);
	if (body)
		buf_printf(&head, "Content-Length: %zu\r\n", len);
	buf_printf(&head, "Connection: %s\r\n\r\n", upgrade ? "Upgrade" : "close");
	client = http_req_take(req);
	if (!client) {
		close(fd);
		return;
	}
	evutil_make_socket_nonblocking(fd);
	server = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	bufferevent_write(server, head.data, head.len);
	if (body)
		bufferevent_write(server, body, len);
	relay_start(client, server, NULL, NULL);
}
