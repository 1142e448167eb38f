// SPDX-License-Identifier: Apache-2.0
#include "logger/dest.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "loop/loop.h"

/* A receiver that does not answer is down after this; what hangs in a connection, too. */
enum { TIMEOUT_S = 30 };

struct log_dest {
	struct loop *loop;
	struct log_dest_ops ops;
	void *arg;
	struct log_address address;
	struct lookup *lookup; /* under way */
	struct sockaddr_storage to;
	socklen_t to_len;
	SSL_CTX *ctx;
	struct bufferevent *bev; /* of a stream */
	int fd; /* of datagrams */
	struct event *writable;
	struct evbuffer *waiting; /* datagrams, each behind its size_t */
	bool up, queued, closed;
	char why[300]; /* it is over */
};

struct lookup { /* on a worker: touches nothing else */
	struct log_dest *d; /* NULL: nobody waits any more; the loop's */
	char *host, port[8];
	int type, rc;
	struct sockaddr_storage to;
	socklen_t to_len;
};

static void name_of(const struct log_dest *d, struct buf *out)
{
	static const char *const kinds[] = {"unix", "unixgram", "udp", "tcp", "tcp"};
	_cleanup_buf_ struct buf url = BUF_INIT;

	log_address_print(&d->address, &url);
	buf_printf(out, "dial %s %s", kinds[d->address.proto], strstr(url.data, "://") + 3);
}

/* What has become of it, from the loop. */
static void tell(void *arg)
{
	struct log_dest *d = arg;
	char why[sizeof(d->why)];

	d->queued = false;
	if (d->closed) {
		free(d);
	} else if (*d->why) {
		/* down() may close it */
		memcpy(why, d->why, sizeof(why));
		d->ops.down(why, d->arg);
	} else {
		d->ops.up(d->arg);
	}
}

static void queue(struct log_dest *d)
{
	if (!d->queued)
		loop_defer(d->loop, tell, d);
	d->queued = true;
}

static void lost(struct log_dest *d, const char *why)
{
	_cleanup_buf_ struct buf name = BUF_INIT;

	if (*d->why)
		return;
	name_of(d, &name);
	snprintf(d->why, sizeof(d->why), "%s: %s", name.data, why);
	d->up = false;
	queue(d);
}

static void lost_errno(struct log_dest *d, const char *call, int error)
{
	char why[200];

	snprintf(why, sizeof(why), "%s: %s", call, strerror(error));
	for (char *p = why + strlen(call) + 2; *p; p++)
		*p = *p >= 'A' && *p <= 'Z' ? *p + 32 : *p;
	lost(d, why);
}

/* --- datagrams --- */

/* 0: sent, or lost for good; -EAGAIN: the receiver's queue is full. */
static int send_datagram(struct log_dest *d, const void *p, size_t size)
{
	for (int i = 0; i < 2; i++) {
		if (send(d->fd, p, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno == EAGAIN || errno == ENOBUFS)
			return -EAGAIN;
		/* over UDP, what became of an earlier one: nobody was there */
		if (errno != ECONNREFUSED || d->address.proto != LOG_UDP)
			break;
	}
	/* one that is too long is dropped, as any that UDP loses */
	if (errno != EMSGSIZE && d->address.proto != LOG_UDP)
		lost_errno(d, "write", errno);
	return 0;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct log_dest *d = arg;
	size_t size;

	(void)fd;
	(void)what;
	while (d->up && evbuffer_copyout(d->waiting, &size, sizeof(size)) == sizeof(size)) {
		unsigned char *p = evbuffer_pullup(d->waiting, sizeof(size) + size);

		if (send_datagram(d, p + sizeof(size), size))
			break;
		if (d->up)
			evbuffer_drain(d->waiting, sizeof(size) + size);
	}
	if (!d->up)
		return;
	if (evbuffer_get_length(d->waiting))
		event_add(d->writable, NULL);
	else
		d->ops.drained(d->arg);
}

static void open_datagrams(struct log_dest *d, int fd)
{
	d->fd = fd;
	d->waiting = evbuffer_new();
	d->writable = event_new(loop_base(d->loop), d->fd, EV_WRITE, on_writable, d);
	d->up = true;
	queue(d);
}

/* --- streams --- */

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct log_dest *d = arg;
	unsigned long tls;
	int error;

	if (what & BEV_EVENT_CONNECTED) {
		d->up = true;
		/* a receiver may vanish without a word */
		setsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_KEEPALIVE, &(int){1},
			   sizeof(int));
		/* from now on only what is to be sent has a time */
		bufferevent_set_timeouts(bev, NULL, &(struct timeval){TIMEOUT_S, 0});
		d->ops.up(d->arg);
		return;
	}
	tls = bufferevent_get_openssl_error(bev);
	error = EVUTIL_SOCKET_ERROR();
	if (what & BEV_EVENT_TIMEOUT)
		lost(d, "i/o timeout");
	else if (tls)
		lost(d, ERR_reason_error_string(tls) ? ERR_reason_error_string(tls) : "TLS failed");
	else if (what & BEV_EVENT_EOF)
		lost(d, "the receiver has closed the connection");
	else
		lost_errno(d, d->up ? "write" : "connect", error);
}

static void on_sent(struct bufferevent *bev, void *arg)
{
	struct log_dest *d = arg;

	if (d->up && !evbuffer_get_length(bufferevent_get_output(bev)))
		d->ops.drained(d->arg);
}

/* What a receiver says is of no use here; reading tells of its end. */
static void on_said(struct bufferevent *bev, void *arg)
{
	(void)arg;
	evbuffer_drain(bufferevent_get_input(bev), SIZE_MAX);
}

static SSL *new_ssl(struct log_dest *d)
{
	SSL *ssl = SSL_new(d->ctx);
	X509_VERIFY_PARAM *param = ssl ? SSL_get0_param(ssl) : NULL;

	if (param && !X509_VERIFY_PARAM_set1_ip_asc(param, d->address.host)) {
		ERR_clear_error();
		X509_VERIFY_PARAM_set1_host(param, d->address.host, 0);
		SSL_set_tlsext_host_name(ssl, d->address.host);
	}
	return ssl;
}

/* fd: is connected, or -1 */
static void open_stream(struct log_dest *d, int fd)
{
	SSL *ssl = d->ctx ? new_ssl(d) : NULL;

	d->bev = ssl ? bufferevent_openssl_socket_new(
			       loop_base(d->loop), fd, ssl, BUFFEREVENT_SSL_CONNECTING,
			       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS)
		     : bufferevent_socket_new(loop_base(d->loop), fd,
					      BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	bufferevent_setcb(d->bev, on_said, on_sent, on_event, d);
	bufferevent_set_timeouts(d->bev, &(struct timeval){TIMEOUT_S, 0},
				 &(struct timeval){TIMEOUT_S, 0});
	bufferevent_enable(d->bev, EV_READ | EV_WRITE);
	if (fd >= 0) {
		bufferevent_set_timeouts(d->bev, NULL, &(struct timeval){TIMEOUT_S, 0});
		d->up = true;
		queue(d);
		return;
	}
	if (bufferevent_socket_connect(d->bev, (struct sockaddr *)&d->to, d->to_len))
		lost_errno(d, "connect", errno);
}

static int make_ctx(struct log_dest *d, const struct log_tls_options *o)
{
	d->ctx = SSL_CTX_new(TLS_client_method());
	if (!d->ctx)
		return -ENOMEM;
	SSL_CTX_set_min_proto_version(d->ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(d->ctx, o->skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
	if (o->ca ? !SSL_CTX_load_verify_file(d->ctx, o->ca)
		  : !SSL_CTX_set_default_verify_paths(d->ctx))
		return -EINVAL;
	if (o->cert && SSL_CTX_use_certificate_chain_file(d->ctx, o->cert) != 1)
		return -EINVAL;
	if (o->key && SSL_CTX_use_PrivateKey_file(d->ctx, o->key, SSL_FILETYPE_PEM) != 1)
		return -EINVAL;
	return 0;
}

/* --- opening --- */

/* Neither datagrams nor a socket of this machine make a connect wait. */
static void connect_now(struct log_dest *d, int type)
{
	int fd = socket(d->to.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && !connect(fd, (struct sockaddr *)&d->to, d->to_len)) {
		if (type == SOCK_STREAM)
			open_stream(d, fd);
		else
			open_datagrams(d, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (errno == EPROTOTYPE && type == SOCK_STREAM) /* as /dev/log mostly is */
		connect_now(d, SOCK_DGRAM);
	else
		lost_errno(d, "connect", errno);
}

static void connect_to(struct log_dest *d)
{
	switch (d->address.proto) {
	case LOG_TCP:
	case LOG_TLS:
		open_stream(d, -1);
		return;
	case LOG_UNIX:
		connect_now(d, SOCK_STREAM);
		return;
	default:
		connect_now(d, SOCK_DGRAM);
	}
}

static int resolve(struct lookup *l, int flags)
{
	struct addrinfo hints = {.ai_socktype = l->type, .ai_flags = flags | AI_NUMERICSERV},
			*found;
	int rc = getaddrinfo(l->host, l->port, &hints, &found);

	if (rc)
		return rc;
	memcpy(&l->to, found->ai_addr, found->ai_addrlen);
	l->to_len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

static void lookup_work(void *arg)
{
	struct lookup *l = arg;

	l->rc = resolve(l, 0);
}

static void lookup_done(void *arg)
{
	struct lookup *l = arg;
	struct log_dest *d = l->d;
	char why[200];

	if (d && l->rc) {
		snprintf(why, sizeof(why), "lookup %s: %s", l->host, gai_strerror(l->rc));
		lost(d, why);
	} else if (d) {
		d->to = l->to;
		d->to_len = l->to_len;
		connect_to(d);
	}
	if (d)
		d->lookup = NULL;
	free(l->host);
	free(l);
}

struct log_dest *log_dest_open(struct loop *loop, const struct log_address *address,
			       const struct log_tls_options *tls, const struct log_dest_ops *ops,
			       void *arg)
{
	struct log_dest *d = xcalloc(1, sizeof(*d));
	struct sockaddr_un *un = (struct sockaddr_un *)&d->to;
	struct lookup *l;

	d->loop = loop;
	d->ops = *ops;
	d->arg = arg;
	d->fd = -1;
	d->address = *address;
	d->address.host = xstrdup(address->host);
	if (address->proto == LOG_TLS && make_ctx(d, tls)) {
		lost(d,
		     "the files of syslog-tls-ca-cert, syslog-tls-cert and syslog-tls-key cannot "
		     "be used");
		return d;
	}
	if (address->proto <= LOG_UNIXGRAM) {
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", address->host);
		d->to_len = sizeof(*un);
		connect_to(d);
		return d;
	}
	l = xcalloc(1, sizeof(*l));
	l->host = xstrdup(address->host);
	l->type = address->proto == LOG_UDP ? SOCK_DGRAM : SOCK_STREAM;
	snprintf(l->port, sizeof(l->port), "%d", address->port);
	l->d = d;
	if (!resolve(l, AI_NUMERICHOST)) {
		lookup_done(l);
		return d;
	}
	d->lookup = l;
	loop_work(loop, lookup_work, lookup_done, l);
	return d;
}

void log_dest_close(struct log_dest *d)
{
	if (!d)
		return;
	if (d->lookup)
		d->lookup->d = NULL;
	if (d->bev)
		bufferevent_free(d->bev);
	if (d->writable)
		event_free(d->writable);
	if (d->waiting)
		evbuffer_free(d->waiting);
	if (d->fd >= 0)
		close(d->fd);
	SSL_CTX_free(d->ctx);
	log_address_done(&d->address);
	d->closed = true;
	if (!d->queued) /* else the call under way frees it */
		free(d);
}

int log_dest_send(struct log_dest *d, const void *p, size_t size)
{
	if (!d->up)
		return -ENOTCONN;
	if (d->bev) {
		bufferevent_write(d->bev, p, size);
		return 0;
	}
	if (!evbuffer_get_length(d->waiting) && !send_datagram(d, p, size))
		return d->up ? 0 : -ENOTCONN;
	evbuffer_add(d->waiting, &size, sizeof(size));
	evbuffer_add(d->waiting, p, size);
	event_add(d->writable, NULL);
	return 0;
}

size_t log_dest_unsent(const struct log_dest *d)
{
	return d->bev	    ? evbuffer_get_length(bufferevent_get_output(d->bev))
	       : d->waiting ? evbuffer_get_length(d->waiting)
			    : 0;
}
