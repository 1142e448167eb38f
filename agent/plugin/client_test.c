// SPDX-License-Identifier: Apache-2.0
/* Answers of plugins, piece by piece, and a call over a socket. */
#include "plugin/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "core/fields.h"
#include "kselftest_harness.h"

static int whole(const char *text, bool eof, int *status, struct buf *body)
{
	buf_reset(body);
	return plugin_reply(text, strlen(text), eof, status, body);
}

TEST(replies)
{
	_cleanup_buf_ struct buf body = BUF_INIT;
	int status;

	EXPECT_EQ(0,
		  whole("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, &status, &body));
	EXPECT_EQ(200, status);
	EXPECT_STREQ("{}", body.data);
	EXPECT_EQ(0, whole("HTTP/1.1 500\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0"
			   "\r\n\r\n",
			   false, &status, &body));
	EXPECT_EQ(500, status);
	EXPECT_STREQ("{}", body.data);
	EXPECT_EQ(-EAGAIN, whole("HTTP/1.0 200 OK\r\n\r\n{", false, &status, &body));
	EXPECT_EQ(0, whole("HTTP/1.0 200 OK\r\n\r\n{", true, &status, &body));
	EXPECT_EQ(-EBADMSG,
		  whole("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", true, &status, &body));
	EXPECT_EQ(-EBADMSG, whole("HTTP/2 200 OK\r\n\r\n", false, &status, &body));
	EXPECT_EQ(-EBADMSG, whole("HTTP/1.1 20 OK\r\n\r\n", false, &status, &body));
	EXPECT_EQ(-EBADMSG, whole("", true, &status, &body));
	EXPECT_EQ(-EFBIG, whole("HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n", false,
				&status, &body));
}

TEST(every_prefix_waits_for_more)
{
	static const char text[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
				   "2\r\n{}\r\n0\r\n\r\n";
	_cleanup_buf_ struct buf body = BUF_INIT;
	int status;

	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		buf_reset(&body);
		EXPECT_EQ(-EAGAIN, plugin_reply(text, n, false, &status, &body));
	}
}

struct peer {
	int fd;
	const char *answer;
};

static void *serve(void *arg)
{
	struct peer *p = arg;
	int fd = accept(p->fd, NULL, NULL);
	char in[4096];

	if (read(fd, in, sizeof(in)) > 0)
		(void)!write(fd, p->answer, strlen(p->answer));
	close(fd);
	return NULL;
}

static int ask(const char *answer, json_t **ret, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_free_ char *address = NULL;
	struct plugin_call call = {.method = "Some.Call", .patience_ms = 1000, .timeout_ms = 5000};
	char dir[] = "/tmp/client_test.XXXXXX";
	struct peer p = {socket(AF_UNIX, SOCK_STREAM, 0), answer};
	pthread_t thread;
	int rc;

	if (!mkdtemp(dir))
		abort();
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/s", dir);
	if (bind(p.fd, (void *)&addr, sizeof(addr)) || listen(p.fd, 1))
		abort();
	pthread_create(&thread, NULL, serve, &p);
	call.address = address = xasprintf("unix://%s", addr.sun_path);
	rc = plugin_call(&call, ret, err);
	pthread_join(thread, NULL);
	close(p.fd);
	unlink(addr.sun_path);
	rmdir(dir);
	return rc;
}

TEST(calls)
{
	struct err err = ERR_INIT;
	json_t *doc;

	ASSERT_EQ(0, ask("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\":\"b\"}", &doc, &err));
	EXPECT_STREQ("b", js(doc, "a"));
	json_decref(doc);
	EXPECT_EQ(-EIO,
		  ask("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"Err\":\"no\"}", NULL, &err));
	EXPECT_STREQ("no", err.msg);
	EXPECT_EQ(-EIO, ask("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nwhat", NULL, &err));
	EXPECT_STREQ("Some.Call: what", err.msg);
	EXPECT_EQ(-EBADMSG, ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", NULL, &err));
	EXPECT_EQ(-EBADMSG, ask("nonsense\r\n\r\n", NULL, &err));
}

TEST(given_up)
{
	atomic_bool cancel = true;
	struct plugin_call call = {.address = "unix:///nowhere/at/all.sock",
				   .method = "Some.Call",
				   .patience_ms = 3600000,
				   .timeout_ms = 3600000,
				   .cancel = &cancel};
	struct err err = ERR_INIT;

	EXPECT_EQ(-EHOSTUNREACH, plugin_call(&call, NULL, &err)); /* at once */
}

TEST(nobody_listens)
{
	struct err err = ERR_INIT;

	EXPECT_EQ(-EHOSTUNREACH, plugin_listens("unix:///nowhere/at/all.sock", &err));
	EXPECT_EQ(-EPROTONOSUPPORT, plugin_listens("https://x:1", &err));
}

TEST_HARNESS_MAIN
