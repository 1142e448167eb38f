// SPDX-License-Identifier: Apache-2.0
/* What the BPF back end changes on the node besides programs. */
#include "datapath/bpf_impl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/vxlan.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define DEVICE "swarm-vxlan"

static struct nl_sock *route_socket(void)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (sk && nl_connect(sk, NETLINK_ROUTE)) {
		nl_socket_free(sk);
		sk = NULL;
	}
	return sk;
}

static int device_delete(struct nl_sock *sk)
{
	struct rtnl_link *l = rtnl_link_alloc();
	int rc;

	rtnl_link_set_name(l, DEVICE);
	rc = rtnl_link_delete(sk, l);
	rtnl_link_put(l);
	return rc;
}

/* Is it there, of this port? */
static bool device_is(struct nl_sock *sk, uint16_t port)
{
	struct rtnl_link *l = NULL;
	uint32_t have = 0;
	bool same;

	if (rtnl_link_get_kernel(sk, 0, DEVICE, &l))
		return false;
	same = rtnl_link_is_vxlan(l) && !rtnl_link_vxlan_get_port(l, &have) && have == port;
	rtnl_link_put(l);
	return same;
}

static int device_add(struct nl_sock *sk, uint16_t port, struct err *err)
{
	struct rtnl_link *l = rtnl_link_vxlan_alloc();
	int rc;

	rtnl_link_set_name(l, DEVICE);
	rtnl_link_set_flags(l, IFF_UP);
	rtnl_link_vxlan_set_port(l, port);
	rtnl_link_vxlan_set_learning(l, 0);
	rtnl_link_vxlan_set_collect_metadata(l, 1);
	rc = rtnl_link_add(sk, l, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(l);
	if (rc)
		return err_set(err, -EIO, "cannot make the link %s for UDP port %u: %s", DEVICE,
			       port, nl_geterror(rc));
	return 0;
}

int bpf_vxlan_device(uint16_t port, uint32_t *ret_ifindex, struct err *err)
{
	struct nl_sock *sk = route_socket();
	int rc = 0;

	if (!sk)
		return err_set(err, -EIO, "cannot open a route netlink socket");
	if (!device_is(sk, port)) {
		device_delete(sk);
		rc = device_add(sk, port, err);
	}
	nl_socket_free(sk);
	if (rc)
		return rc;
	*ret_ifindex = if_nametoindex(DEVICE);
	return *ret_ifindex ? 0 : err_errno(err, -errno, "the link %s is gone", DEVICE);
}

uint32_t bpf_vxlan_device_find(uint16_t port)
{
	struct nl_sock *sk = route_socket();
	uint32_t ifindex = sk && device_is(sk, port) ? if_nametoindex(DEVICE) : 0;

	nl_socket_free(sk);
	return ifindex;
}

void bpf_vxlan_device_remove(void)
{
	struct nl_sock *sk = route_socket();

	if (!sk)
		return;
	if (if_nametoindex(DEVICE))
		device_delete(sk);
	nl_socket_free(sk);
}

bool bpf_link_is_bridge(uint32_t ifindex)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq req = {.ifr_data = (void *)&info};

	if (fd < 0 || !if_indextoname(ifindex, req.ifr_name) || ioctl(fd, SIOCETHTOOL, &req))
		return false;
	return !strncmp(info.driver, "bridge", sizeof(info.driver));
}
