// SPDX-License-Identifier: Apache-2.0
#include "net/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "core/buf.h"
#include "disk/file.h"

struct ports {
	uint16_t next; /* dynamic port to try first */
};

struct ports *ports_new(void)
{
	return xcalloc(1, sizeof(struct ports));
}

void ports_free(struct ports *ports)
{
	free(ports);
}

static void dynamic_range(uint16_t *lo, uint16_t *hi)
{
	_cleanup_buf_ struct buf text = BUF_INIT;
	unsigned int a, b;

	*lo = 32768;
	*hi = 60999;
	if (file_read("/proc/sys/net/ipv4/ip_local_port_range", 64, &text, NULL) ||
	    sscanf(text.data, "%u %u", &a, &b) != 2 || !a || a > b || b > 65535)
		return;
	*lo = a;
	*hi = b;
}

/* A descriptor, or a negative errno. */
static int reserve(uint8_t proto, struct in_addr addr, uint16_t port)
{
	int type = proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM, one = 1, small = 1;
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = addr, .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	/* without SCTP in the kernel nobody else can have the port either */
	if (fd < 0)
		return proto == IPPROTO_SCTP ? -ENOPROTOOPT : -errno;
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(fd, (void *)&sa, sizeof(sa)) || (type == SOCK_STREAM && listen(fd, 1))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

int ports_reserve(struct ports *ports, uint8_t proto, struct in_addr addr, uint16_t first,
		  uint16_t last, int *ret_fd, uint16_t *ret_port, struct err *err)
{
	bool dynamic = !first;
	char text[INET_ADDRSTRLEN];
	uint16_t port;
	int fd = -EADDRINUSE;

	if (dynamic) {
		dynamic_range(&first, &last);
		port = ports->next >= first && ports->next <= last ? ports->next : first;
	} else {
		port = first;
	}
	for (uint32_t left = (uint32_t)last - first + 1; left; left--) {
		fd = reserve(proto, addr, port);
		if (fd != -EADDRINUSE)
			break;
		port = port == last ? first : port + 1;
	}
	if (dynamic)
		ports->next = port == last ? first : port + 1;
	inet_ntop(AF_INET, &addr, text, sizeof(text));
	if (fd == -ENOPROTOOPT)
		fd = -1;
	else if (fd == -EADDRINUSE && dynamic)
		return err_set(err, fd, "all ports are allocated");
	else if (fd == -EADDRINUSE)
		return err_set(err, fd, "Bind for %s:%u failed: port is already allocated", text,
			       port);
	else if (fd < 0)
		return err_errno(err, fd, "failed to bind host port %s:%u", text, port);
	*ret_fd = fd;
	*ret_port = port;
	return 0;
}
