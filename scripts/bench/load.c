// SPDX-License-Identifier: Apache-2.0
/*
 * Server and client of scripts/bench/datapath. The server does all of it; the client prints one
 * number.
 *
 *	load serve
 *	load stream ADDR SECONDS N	gigabit a second over N connections (port 7001)
 *	load datagrams ADDR SECONDS	64-byte datagrams a second that arrived (ports 7003, 7004)
 *	load turns ADDR SECONDS		mean round trip of one byte over TCP, µs (port 7002)
 *	load connect ADDR PORT SECONDS N	connections a second, each with one HTTP request
 *	load keep ADDR PORT SECONDS N	HTTP requests a second over N kept connections
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT_STREAM 7001
#define PORT_TURNS 7002
#define PORT_DATAGRAMS 7003
#define PORT_COUNT 7004
#define PORT_HTTP 80

static const char response[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (ip && inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die("address");
	return a;
}

static void start(void *(*fn)(void *), void *arg, pthread_t *ret)
{
	pthread_t t;

	if (pthread_create(ret ? ret : &t, NULL, fn, arg))
		die("thread");
}

static int listener(int port, int type)
{
	struct sockaddr_in a = address(NULL, port);
	int one = 1, fd = socket(AF_INET, type, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&a, sizeof(a)) || (type == SOCK_STREAM && listen(fd, 4096)))
		die("listen");
	return fd;
}

static int dial(const struct sockaddr_in *a)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (const void *)a, sizeof(*a)))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Server */

static void *drain(void *arg)
{
	static __thread char buf[256 << 10];
	int fd = (intptr_t)arg;

	while (read(fd, buf, sizeof(buf)) > 0)
		;
	close(fd);
	return NULL;
}

static void *echo(void *arg)
{
	int fd = (intptr_t)arg, one = 1;
	char c;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	while (read(fd, &c, 1) == 1 && write(fd, &c, 1) == 1)
		;
	close(fd);
	return NULL;
}

static void *accept_streams(void *arg)
{
	int fd = listener(PORT_STREAM, SOCK_STREAM), c;

	(void)arg;
	while ((c = accept(fd, NULL, NULL)) >= 0)
		start(drain, (void *)(intptr_t)c, NULL);
	return NULL;
}

static void *accept_turns(void *arg)
{
	int fd = listener(PORT_TURNS, SOCK_STREAM), c;

	(void)arg;
	while ((c = accept(fd, NULL, NULL)) >= 0)
		start(echo, (void *)(intptr_t)c, NULL);
	return NULL;
}

static atomic_ullong datagrams;

static void *count_datagrams(void *arg)
{
	int fd = listener(PORT_DATAGRAMS, SOCK_DGRAM);
	char buf[128];

	(void)arg;
	while (recv(fd, buf, sizeof(buf), 0) >= 0)
		datagrams++;
	return NULL;
}

static void *tell_datagrams(void *arg)
{
	int fd = listener(PORT_COUNT, SOCK_STREAM), c;

	(void)arg;
	while ((c = accept(fd, NULL, NULL)) >= 0) {
		uint64_t n = datagrams;

		if (write(c, &n, sizeof(n)) != sizeof(n))
			perror("write");
		close(c);
	}
	return NULL;
}

static void serve_http(void)
{
	int l = listener(PORT_HTTP, SOCK_STREAM), e = epoll_create1(0);
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = l}, got[256];
	char buf[4096];

	epoll_ctl(e, EPOLL_CTL_ADD, l, &ev);
	for (;;) {
		int n = epoll_wait(e, got, 256, -1);

		for (int i = 0; i < n; i++) {
			int fd = got[i].data.fd;

			if (fd == l) {
				fd = accept4(l, NULL, NULL, SOCK_NONBLOCK);
				ev.data.fd = fd;
				if (fd >= 0)
					epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
			} else if (read(fd, buf, sizeof(buf)) <= 0 ||
				   write(fd, response, sizeof(response) - 1) < 0) {
				close(fd);
			}
		}
	}
}

/* Client */

static volatile int stop;
static atomic_ullong total;
static struct sockaddr_in target;
static int kept;

static void *send_stream(void *arg)
{
	static __thread char buf[128 << 10];
	int fd = dial(&target);
	ssize_t n;

	(void)arg;
	while (!stop && (n = write(fd, buf, sizeof(buf))) > 0)
		total += n;
	close(fd);
	return NULL;
}

static void exchange(int fd)
{
	char buf[256];

	if (write(fd, request, sizeof(request) - 1) < 0 || read(fd, buf, sizeof(buf)) <= 0)
		die("request");
	total++;
}

static void *ask(void *arg)
{
	int fd = kept ? dial(&target) : -1;

	(void)arg;
	while (!stop) {
		if (!kept)
			fd = dial(&target);
		exchange(fd);
		if (!kept) {
			/* without TIME_WAIT, for ports run out otherwise */
			struct linger none = {.l_onoff = 1};

			setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
			close(fd);
		}
	}
	return NULL;
}

static double run(void *(*fn)(void *), int n, double seconds)
{
	pthread_t t[256];
	double begin, took;
	uint64_t first;

	for (int i = 0; i < n && i < 256; i++)
		start(fn, NULL, &t[i]);
	usleep(200000); /* slow start is not what is measured */
	first = total;
	begin = now();
	usleep(seconds * 1e6);
	took = now() - begin;
	first = total - first;
	stop = 1;
	return first / took;
}

static uint64_t arrived(const char *ip)
{
	struct sockaddr_in a = address(ip, PORT_COUNT);
	uint64_t n = 0;
	int fd = dial(&a);

	if (read(fd, &n, sizeof(n)) != sizeof(n))
		die("count");
	close(fd);
	return n;
}

static void send_datagrams(const char *ip, double seconds)
{
	struct sockaddr_in a = address(ip, PORT_DATAGRAMS);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t before = arrived(ip);
	double begin = now();
	char buf[64] = {0};

	connect(fd, (void *)&a, sizeof(a));
	do {
		for (int i = 0; i < 64; i++)
			send(fd, buf, sizeof(buf), 0);
	} while (now() - begin < seconds);
	printf("%.0f\n", (arrived(ip) - before) / (now() - begin));
}

static void take_turns(const char *ip, double seconds)
{
	struct sockaddr_in a = address(ip, PORT_TURNS);
	int fd = dial(&a);
	double begin = now();
	uint64_t n = 0;
	char c = 0;

	for (; now() - begin < seconds; n++)
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1)
			die("turn");
	printf("%.2f\n", (now() - begin) / n * 1e6);
}

int main(int argc, char **argv)
{
	struct rlimit many = {65536, 65536};

	setrlimit(RLIMIT_NOFILE, &many);
	if (argc == 2 && !strcmp(argv[1], "serve")) {
		start(accept_streams, NULL, NULL);
		start(accept_turns, NULL, NULL);
		start(count_datagrams, NULL, NULL);
		start(tell_datagrams, NULL, NULL);
		serve_http();
	} else if (argc == 5 && !strcmp(argv[1], "stream")) {
		target = address(argv[2], PORT_STREAM);
		printf("%.2f\n", run(send_stream, atoi(argv[4]), atof(argv[3])) * 8 / 1e9);
	} else if (argc == 4 && !strcmp(argv[1], "datagrams")) {
		send_datagrams(argv[2], atof(argv[3]));
	} else if (argc == 4 && !strcmp(argv[1], "turns")) {
		take_turns(argv[2], atof(argv[3]));
	} else if (argc == 6) {
		kept = !strcmp(argv[1], "keep");
		target = address(argv[2], atoi(argv[3]));
		printf("%.0f\n", run(ask, atoi(argv[5]), atof(argv[4])));
	} else {
		return 2;
	}
	fflush(stdout);
	_exit(0);
}
