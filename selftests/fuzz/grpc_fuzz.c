// SPDX-License-Identifier: Apache-2.0
/* What a stranger may send to a manager's port 2377, inside TLS: HTTP/2, gRPC, the CA's requests. */
#include <event2/bufferevent_ssl.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "manager/ca_server.h"
#include "manager/test_env.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct test_env env;
static struct tls *stranger;

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev, (void)arg;
	if (!(what & BEV_EVENT_CONNECTED))
		loop_stop(env.loop);
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(bev);

	(void)arg;
	evbuffer_drain(in, evbuffer_get_length(in));
}

static void open_env(void)
{
	test_env_open(&env);
	timer_cancel(&env.guard);
	ca_server_lead(ca_server_new(&env.env), true);
	assert(!tls_new(env.root, NULL, NULL, &stranger, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct bufferevent *bev;

	if (!env.loop)
		open_env();
	sin.sin_port = htons(atoi(strchr(env.addr, ':') + 1));
	bev = bufferevent_openssl_socket_new(loop_base(env.loop), -1,
					     tls_connect_ssl(stranger, "swarm-ca", "h2"),
					     BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(bev, on_read, NULL, on_event, NULL);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
	bufferevent_write(bev, data, size);
	bufferevent_socket_connect(bev, (struct sockaddr *)&sin, sizeof(sin));
	test_run_ms(&env, 50); /* or until the server has had enough */
	bufferevent_free(bev);
	test_run_ms(&env, 1);
	return 0;
}
