// SPDX-License-Identifier: Apache-2.0
#include "plugin/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "core/fields.h"
#include "loop/loop.h"
#include "wire/http1.h"

enum { RETRY_MIN_MS = 10, RETRY_MAX_MS = 500, CHUNK = 64 << 10, CONNECT_MS = 5000, PIECE_MS = 200 };

#define MEDIA_TYPE "application/vnd.docker.plugins.v1.2+json"

/* --- the connection --- */

/* Paths are longer than an address takes: the folder is gone through by its descriptor. */
static int connect_unix(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = CONNECT_MS / 1000};
	_cleanup_free_ char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	_cleanup_close_ int at = -1;
	int fd, rc;

	if (!slash)
		return -EINVAL;
	*slash++ = 0;
	at = open(*dir ? dir : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at < 0)
		return -errno;
	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/%s", at, slash) >=
	    (int)sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* one that listens but takes no connections does not hold the thread */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	rc = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	if (rc)
		close(fd);
	return rc ? rc : fd;
}

static int connect_one(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	struct pollfd p = {fd, POLLOUT, 0};
	socklen_t size = sizeof(error);

	if (fd < 0)
		return -errno;
	if (connect(fd, a->ai_addr, a->ai_addrlen) && errno != EINPROGRESS)
		error = errno;
	else if (poll(&p, 1, CONNECT_MS) <= 0)
		error = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error)
		close(fd);
	return error ? -error : fd;
}

static int connect_tcp(const char *where)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list, *a;
	_cleanup_free_ char *host = xstrndup(where, strcspn(where, "/"));
	char *colon = strrchr(host, ':');
	int fd = -EHOSTUNREACH;

	if (!colon)
		return -EINVAL;
	*colon++ = 0;
	if (getaddrinfo(host, colon, &hints, &list))
		return -EHOSTUNREACH;
	for (a = list; a && fd < 0; a = a->ai_next)
		fd = connect_one(a);
	freeaddrinfo(list);
	return fd;
}

static int connect_any(const char *address)
{
	if (starts_with(address, "unix://"))
		return connect_unix(address + 7);
	if (starts_with(address, "tcp://"))
		return connect_tcp(address + 6);
	if (starts_with(address, "http://"))
		return connect_tcp(address + 7);
	return -EPROTONOSUPPORT;
}

static bool cancelled(const struct plugin_call *call)
{
	return call->cancel && atomic_load(call->cancel);
}

/* Wait for events in pieces, so that a call can be given up. -ETIMEDOUT, -ECANCELED. */
static int wait_fd(const struct plugin_call *call, int fd, short events, uint64_t until)
{
	for (;;) {
		struct pollfd p = {fd, events, 0};
		uint64_t now = loop_now_ms();

		if (cancelled(call))
			return -ECANCELED;
		if (now >= until)
			return -ETIMEDOUT;
		if (poll(&p, 1, min(until - now, (uint64_t)PIECE_MS)) > 0)
			return 0;
	}
}

static int connect_patiently(const struct plugin_call *call, struct err *err)
{
	const char *address = call->address;
	uint64_t until = loop_now_ms() + call->patience_ms;
	unsigned int pause_ms = RETRY_MIN_MS;

	for (;;) {
		int fd = connect_any(address);

		if (fd >= 0)
			return fd;
		if (fd == -EPROTONOSUPPORT)
			return err_set(err, fd,
				       "the plugin's address %s is not spoken to: only unix://, "
				       "tcp:// and http:// are",
				       address);
		if (loop_now_ms() + pause_ms > until || cancelled(call))
			return err_set(err, -EHOSTUNREACH, "dial %s: %s", address, strerror(-fd));
		poll(NULL, 0, pause_ms);
		pause_ms = min(pause_ms * 2, (unsigned int)RETRY_MAX_MS);
	}
}

int plugin_listens(const char *address, struct err *err)
{
	struct plugin_call call = {.address = address};
	int fd = connect_patiently(&call, err);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/* --- the answer --- */

int plugin_reply(const char *data, size_t len, bool eof, int *ret_status, struct buf *body)
{
	struct http1_chunks chunks = {0};
	struct http1_head *head = xmalloc(sizeof(*head));
	int used = http1_parse_response(data, len, head), rc = 0;
	bool chunked = head->chunked, has_length = head->has_length;
	uint64_t want = head->content_length;

	if (used > 0)
		*ret_status = head->status;
	free(head);
	if (used < 0)
		return -EBADMSG;
	if (!used)
		return eof ? -EBADMSG : -EAGAIN;
	data += used;
	len -= used;
	if (has_length && want > PLUGIN_REPLY_MAX)
		return -EFBIG;
	if (!chunked) {
		if (len < want || (!has_length && !eof))
			return eof ? -EBADMSG : -EAGAIN;
		buf_add(body, data, has_length ? want : len);
		return 0;
	}
	buf_reset(body);
	while (!chunks.done) {
		struct http1_str piece = {NULL, 0};
		int n = http1_chunks_feed(&chunks, data, len, &piece);

		if (n < 0)
			return -EBADMSG;
		if (!n) {
			rc = eof ? -EBADMSG : -EAGAIN;
			break;
		}
		buf_add(body, piece.p, piece.len);
		data += n;
		len -= n;
	}
	return rc;
}

static int send_all(const struct plugin_call *call, int fd, const char *p, size_t n, uint64_t until)
{
	while (n) {
		ssize_t w = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (w < 0 && errno == EAGAIN) {
			int rc = wait_fd(call, fd, POLLOUT, until);

			if (rc)
				return rc;
			continue;
		}
		if (w < 0 && errno != EINTR)
			return -errno;
		p += max(w, (ssize_t)0);
		n -= max(w, (ssize_t)0);
	}
	return 0;
}

static int receive(struct plugin_call *call, int fd, uint64_t until, struct buf *body)
{
	_cleanup_buf_ struct buf in = BUF_INIT;

	for (;;) {
		int rc = wait_fd(call, fd, POLLIN, until);
		ssize_t n;

		if (rc)
			return rc;
		buf_grow(&in, CHUNK);
		n = recv(fd, in.data + in.len, CHUNK, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return -errno;
		in.len += n;
		in.data[in.len] = 0;
		if (in.len > PLUGIN_REPLY_MAX + HTTP1_HEAD_MAX)
			return -EFBIG;
		buf_reset(body);
		rc = plugin_reply(in.data, in.len, !n, &call->status, body);
		if (rc != -EAGAIN)
			return rc;
	}
}

static int exchange(struct plugin_call *call, int fd, struct buf *body)
{
	_cleanup_buf_ struct buf out = BUF_INIT;
	char *text = call->request ? json_dumps(call->request, JSON_COMPACT) : NULL;
	uint64_t until = loop_now_ms() + call->timeout_ms;
	int rc;

	buf_printf(&out,
		   "POST /%s HTTP/1.1\r\nHost: plugin.moby.localhost\r\nUser-Agent: swarm-agent\r\n"
		   "Accept: " MEDIA_TYPE "\r\nContent-Type: " MEDIA_TYPE "\r\n"
		   "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		   call->method, text ? strlen(text) : 0, text ? text : "");
	free(text);
	rc = send_all(call, fd, out.data, out.len, until);
	return rc ? rc : receive(call, fd, until, body);
}

/* What the plugin says in words: "Err" of an object, else the text itself. */
static int refused(const struct plugin_call *call, const struct buf *body, json_t *doc,
		   struct err *err)
{
	const char *said = json_string_value(json_member(doc, "Err"));

	if (call->status == 200 && str_empty(said))
		return 0;
	if (call->status == 200)
		return err_set(err, -EIO, "%.900s", said);
	return err_set(err, -EIO, "%s: %.800s", call->method, !str_empty(said) ? said : body->data);
}

int plugin_call(struct plugin_call *call, json_t **ret, struct err *err)
{
	_cleanup_close_ int fd = connect_patiently(call, err);
	_cleanup_buf_ struct buf body = BUF_INIT;
	json_t *doc;
	int rc;

	call->status = 0;
	if (fd < 0)
		return fd;
	rc = exchange(call, fd, &body);
	if (rc)
		return err_errno(err, rc == -EBADMSG || rc == -EFBIG ? rc : -EHOSTUNREACH,
				 "%s: the plugin at %s gave no answer that can be used",
				 call->method, call->address);
	doc = json_loadb(body.data, body.len, 0, NULL);
	rc = refused(call, &body, doc, err);
	if (!rc && !json_is_object(doc))
		rc = err_set(err, -EBADMSG, "%s: the plugin at %s answered no JSON object",
			     call->method, call->address);
	if (rc || !ret)
		json_decref(doc);
	else
		*ret = doc;
	return rc;
}
