// SPDX-License-Identifier: Apache-2.0
#include "net/ports.h"

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
static int reserve(uint8_t proto, const struct in6_addr *addr, uint16_t port)
{
	int type = proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM, one = 1, small = 1;
	bool six = !inaddr_is4(addr);
	struct sockaddr_storage sa;
	socklen_t size = inaddr_socket(addr, port, &sa);
	int fd = socket(sa.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	/* without SCTP in the kernel nobody else can have the port either */
	if (fd < 0)
		return proto == IPPROTO_SCTP ? -ENOPROTOOPT : -errno;
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else if (!six)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (bind(fd, (void *)&sa, size) || (type == SOCK_STREAM && listen(fd, six ? 128 : 1))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* At all addresses or at none. *ret_at: which one it failed at. */
static int reserve_all(uint8_t proto, const struct in6_addr *addrs, size_t n, uint16_t port,
		       int *ret_fds, size_t *ret_at)
{
	int fds[PORTS_ADDRS_MAX];

	for (size_t i = 0; i < n; i++) {
		fds[i] = reserve(proto, &addrs[i], port);
		if (fds[i] == -ENOPROTOOPT)
			fds[i] = -1;
		else if (fds[i] < 0) {
			int rc = fds[i];

			*ret_at = i;
			while (i--)
				if (fds[i] >= 0)
					close(fds[i]);
			return rc;
		}
	}
	memcpy(ret_fds, fds, n * sizeof(*fds));
	return 0;
}

bool ports_have_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int ports_reserve(struct ports *ports, uint8_t proto, const struct in6_addr *addrs, size_t n,
		  uint16_t first, uint16_t last, int *ret_fds, uint16_t *ret_port, struct err *err)
{
	bool dynamic = !first;
	char text[INET6_ADDRSTRLEN];
	uint16_t port;
	size_t at = 0;
	int rc = -EADDRINUSE;

	assert(n && n <= PORTS_ADDRS_MAX);
	if (dynamic) {
		dynamic_range(&first, &last);
		port = ports->next >= first && ports->next <= last ? ports->next : first;
	} else {
		port = first;
	}
	for (uint32_t left = (uint32_t)last - first + 1; left; left--) {
		rc = reserve_all(proto, addrs, n, port, ret_fds, &at);
		if (rc != -EADDRINUSE)
			break;
		port = port == last ? first : port + 1;
	}
	if (dynamic)
		ports->next = port == last ? first : port + 1;
	inaddr_format(&addrs[at], text);
	if (rc == -EADDRINUSE && dynamic)
		return err_set(err, rc, "all ports are allocated");
	if (rc == -EADDRINUSE)
		return err_set(err, rc, "Bind for %s:%u failed: port is already allocated", text,
			       port);
	if (rc)
		return err_errno(err, rc, "failed to bind host port %s:%u", text, port);
	*ret_port = port;
	return 0;
}
