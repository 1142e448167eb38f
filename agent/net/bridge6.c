// SPDX-License-Identifier: Apache-2.0
/* IPv6 of a bridge network: its address, forwarding, its part of the firewall. */
#include <errno.h>

#include "net/net_impl.h"

int bridge6_up(struct network *n, struct err *err)
{
	const struct ip6_range *r = subnet6_range(n->subnet6);
	struct fw_bridge b = {
		.name = n->bridge,
		.subnet = r->base,
		.prefix = r->prefix,
		.internal = n->internal,
		.masquerade = n->masquerade && n->nets->opt.ip_masq && !n->internal,
		.icc = n->icc,
	};
	int rc;

	/* as dockerd: the node is a router from now on, and takes no advertisements for itself */
	sysctl_set("1", "ipv6/conf/default/forwarding");
	sysctl_set("1", "ipv6/conf/all/forwarding");
	rc = rt_addr6_add(n->nets->rt, n->bridge_index, &n->gateway6, r->prefix);
	if (rc == -EOPNOTSUPP || rc == -EAFNOSUPPORT || rc == -EACCES)
		return err_set(
			err, rc,
			"the network %s cannot have IPv6: the node's kernel is without it, or "
			"it is off there (net.ipv6.conf.all.disable_ipv6)",
			n->name);
	if (rc)
		return err_errno(err, rc, "cannot give the bridge %s an IPv6 address", n->bridge);
	return firewall_bridge_set(n->nets->fw, &b, err);
}
