// SPDX-License-Identifier: Apache-2.0
/*
 * The containers and clients of the conformance body: a server that says its name and whom it
 * sees, and what asks it. One small program, since under emulation each that starts costs time.
 *
 *	talk serve NAME			in the background, once it listens: TCP 80 says "NAME PEER",
 *					9000 how many bytes came; UDP 53 says "BYTES NAME PEER"
 *	talk [OPTION] ask ADDR PORT	connect and print what the server says
 *	talk [OPTION] hold ADDR PORT	the same, then send what comes on standard input
 *	talk bulk ADDR BYTES		send zeros to port 9000 and print how many it says it has got
 *	talk udp ADDR PORT BYTES	send one datagram and print the answer
 *
 *	-b PORT  from this local port	-r  end connections with a reset	-n N  ask so often
 *
 * Waits five seconds for each step, times the variable SLOW. An error is the system's message.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define CONNS_MAX 1024

struct conn {
	int port;
	unsigned long long bytes;
};

static int local_port, reset, slow = 1;

static void die(const char *what)
{
	fprintf(stderr, "talk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static struct sockaddr_in address(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (ip && inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "talk: \"%s\" is no address\n", ip);
		exit(1);
	}
	return a;
}

/* Server */

static int listener(int port, int type)
{
	struct sockaddr_in a = address(NULL, port);
	int one = 1, fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&a, sizeof(a)) || (type == SOCK_STREAM && listen(fd, 256)))
		die("listen");
	return fd;
}

static const char *peer_of(const struct sockaddr_in *a)
{
	static char buf[INET_ADDRSTRLEN];

	return inet_ntop(AF_INET, &a->sin_addr, buf, sizeof(buf));
}

static int accept_one(int l, const char *name, int port)
{
	struct sockaddr_in a;
	socklen_t size = sizeof(a);
	int fd = accept4(l, (void *)&a, &size, SOCK_NONBLOCK);

	if (fd >= 0 && port == 80)
		dprintf(fd, "%s %s\n", name, peer_of(&a));
	return fd;
}

/* Returns whether the connection is still there. */
static int serve_one(int fd, struct conn *c)
{
	static char buf[256 << 10];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		c->bytes += n;
	if (n < 0 && errno == EAGAIN)
		return 1;
	if (n == 0 && c->port == 9000)
		dprintf(fd, "%llu\n", c->bytes);
	close(fd);
	return 0;
}

static void answer_datagrams(int fd, const char *name)
{
	static char buf[65536];
	struct sockaddr_in a;
	socklen_t size = sizeof(a);
	ssize_t n;

	while ((n = recvfrom(fd, buf, sizeof(buf), 0, (void *)&a, &size)) >= 0) {
		int len = snprintf(buf, sizeof(buf), "%zd %s %s\n", n, name, peer_of(&a));

		sendto(fd, buf, len, 0, (void *)&a, size);
	}
}

static void serve(const char *name)
{
	static struct pollfd p[CONNS_MAX];
	static struct conn conns[CONNS_MAX];
	nfds_t n = 3;

	p[0].fd = listener(80, SOCK_STREAM);
	p[1].fd = listener(9000, SOCK_STREAM);
	p[2].fd = listener(53, SOCK_DGRAM);
	conns[0].port = 80;
	conns[1].port = 9000;
	p[0].events = p[1].events = p[2].events = POLLIN;
	if (daemon(1, 0))
		die("daemon");
	while (poll(p, n, -1) > 0) {
		if (p[2].revents)
			answer_datagrams(p[2].fd, name);
		for (nfds_t i = 3; i < n; i++)
			while (i < n && p[i].revents && !serve_one(p[i].fd, &conns[i])) {
				p[i] = p[--n];
				conns[i] = conns[n];
			}
		for (int l = 0; l < 2; l++) {
			int fd = n < CONNS_MAX && p[l].revents
					 ? accept_one(p[l].fd, name, conns[l].port)
					 : -1;

			if (fd < 0)
				continue;
			p[n] = (struct pollfd){.fd = fd, .events = POLLIN};
			conns[n++] = (struct conn){.port = conns[l].port};
		}
	}
}

/* Client */

static int dial(const char *ip, int port, int type)
{
	struct sockaddr_in to = address(ip, port), from = address(NULL, local_port);
	struct timeval wait = {.tv_sec = 5 * slow};
	int one = 1, fd = socket(AF_INET, type, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (local_port && bind(fd, (void *)&from, sizeof(from)))
		die("bind");
	if (connect(fd, (void *)&to, sizeof(to))) {
		if (errno == EINPROGRESS) /* how SO_SNDTIMEO ends a connect */
			errno = ETIMEDOUT;
		die("connect");
	}
	return fd;
}

/* Print what comes, up to the first line's end or to the end of the connection. */
static void print_answer(int fd, int to_end)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		fwrite(buf, 1, n, stdout);
		if (!to_end && buf[n - 1] == '\n')
			break;
	}
	if (n < 0)
		die("read");
	fflush(stdout);
}

static void hang_up(int fd)
{
	struct linger none = {.l_onoff = 1};

	if (reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(fd);
}

static void ask(const char *ip, int port)
{
	int fd = dial(ip, port, SOCK_STREAM);

	shutdown(fd, SHUT_WR);
	print_answer(fd, 1);
	hang_up(fd);
}

static void hold(const char *ip, int port)
{
	int fd = dial(ip, port, SOCK_STREAM);
	char buf[4096];
	ssize_t n;

	print_answer(fd, 0);
	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) > 0)
		if (write(fd, buf, n) != n)
			die("write");
	hang_up(fd);
}

static void bulk(const char *ip, unsigned long long bytes)
{
	static char zeros[128 << 10];
	int fd = dial(ip, 9000, SOCK_STREAM);
	ssize_t n;

	for (; bytes; bytes -= n) {
		n = write(fd, zeros, bytes < sizeof(zeros) ? bytes : sizeof(zeros));
		if (n < 0)
			die("write");
	}
	shutdown(fd, SHUT_WR);
	print_answer(fd, 1);
}

static void udp(const char *ip, int port, size_t size)
{
	static char buf[65536];
	int fd = dial(ip, port, SOCK_DGRAM);
	ssize_t n;

	if (size > sizeof(buf) || send(fd, buf, size, 0) < 0)
		die("send");
	n = recv(fd, buf, sizeof(buf), 0);
	if (n < 0)
		die("receive");
	fwrite(buf, 1, n, stdout);
}

int main(int argc, char **argv)
{
	int o, times = 1;

	if (getenv("SLOW"))
		slow = atoi(getenv("SLOW"));
	while ((o = getopt(argc, argv, "b:rn:")) != -1) {
		if (o == 'b')
			local_port = atoi(optarg);
		else if (o == 'r')
			reset = 1;
		else if (o == 'n')
			times = atoi(optarg);
		else
			return 2;
	}
	argc -= optind;
	argv += optind;
	if (argc == 2 && !strcmp(argv[0], "serve"))
		serve(argv[1]);
	else if (argc == 3 && !strcmp(argv[0], "ask"))
		for (; times > 0; times--)
			ask(argv[1], atoi(argv[2]));
	else if (argc == 3 && !strcmp(argv[0], "hold"))
		hold(argv[1], atoi(argv[2]));
	else if (argc == 3 && !strcmp(argv[0], "bulk"))
		bulk(argv[1], strtoull(argv[2], NULL, 10));
	else if (argc == 4 && !strcmp(argv[0], "udp"))
		udp(argv[1], atoi(argv[2]), strtoul(argv[3], NULL, 10));
	else
		return 2;
	return 0;
}
