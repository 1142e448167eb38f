// SPDX-License-Identifier: Apache-2.0
#include "net/dns_sockets.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "dns_lookup.skel.h"
#include "net/netlink.h"

enum { DNS_ADDR = 0x7f00000b, DNS_PORT = 53 };

static int bound(int type, uint16_t port, struct err *err)
{
	struct sockaddr_in sa = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = {htonl(DNS_ADDR)},
	};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, rc;

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (!bind(fd, (void *)&sa, sizeof(sa)) && (type == SOCK_DGRAM || !listen(fd, 64)))
			return fd;
	}
	rc = err_errno(err, -errno, "cannot serve names at 127.0.0.11");
	if (fd >= 0)
		close(fd);
	return rc;
}

static int pair(struct dns_sockets *s, uint16_t port, struct err *err)
{
	s->udp = bound(SOCK_DGRAM, port, err);
	if (s->udp < 0)
		return s->udp;
	s->tcp = bound(SOCK_STREAM, port, err);
	return min(s->tcp, 0);
}

/* Steer port 53 to the pair. */
static int steer(struct dns_sockets *s)
{
	_cleanup_close_ int netns = netns_current();
	struct dns_lookup *l = dns_lookup__open_and_load();
	uint32_t udp = 0, tcp = 1;
	uint64_t fd = s->udp;
	int map;

	s->lookup = l;
	if (!l || netns < 0)
		return -EOPNOTSUPP;
	map = bpf_map__fd(l->maps.dns_sockets);
	if (bpf_map_update_elem(map, &udp, &fd, BPF_ANY))
		return -errno;
	fd = s->tcp;
	if (bpf_map_update_elem(map, &tcp, &fd, BPF_ANY))
		return -errno;
	l->links.dns_steer = bpf_program__attach_netns(l->progs.dns_steer, netns);
	if (!l->links.dns_steer)
		return -errno;
	s->raw = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	return s->raw < 0 ? -errno : 0;
}

int dns_sockets_open(struct dns_sockets *ret, struct err *err)
{
	struct dns_sockets s = DNS_SOCKETS_INIT;
	int rc = pair(&s, 0, err);

	if (!rc && steer(&s)) {
		dns_sockets_close(&s);
		rc = pair(&s, DNS_PORT, err);
	}
	if (rc) {
		dns_sockets_close(&s);
		return rc;
	}
	*ret = s;
	return 0;
}

void dns_sockets_close(struct dns_sockets *s)
{
	int *fds[] = {&s->udp, &s->tcp, &s->raw};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	if (s->lookup)
		dns_lookup__destroy(s->lookup);
	s->lookup = NULL;
}

void dns_sockets_send(const struct dns_sockets *s, const void *p, size_t size,
		      const struct sockaddr_in *to)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} head = {
		.ip =
			{
				.version = 4,
				.ihl = 5,
				.ttl = 64,
				.protocol = IPPROTO_UDP,
				.saddr = htonl(DNS_ADDR),
				.daddr = to->sin_addr.s_addr,
			},
		.udp =
			{
				.source = htons(DNS_PORT),
				.dest = to->sin_port,
				.len = htons(sizeof(struct udphdr) + size),
				/* no checksum: the packet does not leave the machine */
			},
	};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)p, size}};
	struct msghdr msg = {.msg_name = (void *)to,
			     .msg_namelen = sizeof(*to),
			     .msg_iov = iov,
			     .msg_iovlen = 2};

	if (s->raw < 0) {
		sendto(s->udp, p, size, 0, (void *)to, sizeof(*to));
		return;
	}
	if (size + sizeof(head) > UINT16_MAX)
		return;
	head.ip.tot_len = htons(sizeof(head) + size);
	sendmsg(s->raw, &msg, 0);
}
