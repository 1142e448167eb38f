// SPDX-License-Identifier: Apache-2.0
/* The kernel's side of a bridge network: the link, its address, its settings. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>

#include "net/net_impl.h"

void sysctl_set(const char *value, const char *fmt, ...)
{
	char path[128] = "/proc/sys/net/";
	size_t n = strlen(path);
	va_list ap;
	int fd;

	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - n, fmt, ap);
	va_end(ap);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, value, strlen(value));
	close(fd);
}

struct stale {
	uint32_t keep;
	unsigned int prefix;
	struct in_addr addrs[16];
	unsigned int prefixes[16];
	size_t n;
};

static void find_stale(struct in_addr addr, unsigned int prefix, void *arg)
{
	struct stale *s = arg;

	if ((ntohl(addr.s_addr) == s->keep && prefix == s->prefix) || s->n == ARRAY_SIZE(s->addrs))
		return;
	s->prefixes[s->n] = prefix;
	s->addrs[s->n++] = addr;
}

int bridge_make(struct rt *rt, const char *name, uint32_t addr, unsigned int prefix,
		unsigned int mtu, int *ret_index, struct err *err)
{
	struct in_addr a = {htonl(addr)};
	uint8_t mac[6] = {0x02, 0x42};
	struct stale stale = {.keep = addr, .prefix = prefix};
	struct rt_link link;
	int rc;

	/* a fixed address, or the bridge takes that of its lowest port and changes it with them */
	memcpy(mac + 2, &a, 4);
	rc = rt_link_get(rt, name, &link);
	if (rc == -ENODEV) {
		rc = rt_bridge_add(rt, name, mac, mtu);
		if (!rc)
			rc = rt_link_get(rt, name, &link);
	} else if (!rc && strcmp(link.kind, "bridge")) {
		return err_set(err, -EEXIST,
			       "the link %s exists and is no bridge: remove or rename it", name);
	}
	if (rc)
		return err_errno(err, rc, "cannot make the bridge %s", name);
	sysctl_set("1", "ipv6/conf/%s/disable_ipv6", name);
	sysctl_set("1", "ipv4/conf/%s/route_localnet", name);
	rt_addrs(rt, link.index, find_stale, &stale);
	for (size_t i = 0; i < stale.n; i++)
		rt_addr_del(rt, link.index, stale.addrs[i], stale.prefixes[i]);
	rc = rt_addr_add(rt, link.index, a, prefix);
	if (!rc)
		rc = rt_link_up(rt, link.index);
	if (rc)
		return err_errno(err, rc, "cannot set up the bridge %s", name);
	*ret_index = link.index;
	return 0;
}
