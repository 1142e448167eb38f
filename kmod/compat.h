/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between the kernels from 6.1 on. */
#pragma once

#include <linux/netdevice.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#endif

/*
 * Count what is received by a veth's end without its driver. Whose counters are struct
 * pcpu_sw_netstats is told by the device since 6.7, and in 6.1's later versions.
 */
static inline void sw_compat_count_rx(struct net_device *dev, unsigned int size)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0) ||                                               \
	(LINUX_VERSION_CODE >= KERNEL_VERSION(6, 1, 90) &&                                         \
	 LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0))
	if (dev->pcpu_stat_type == NETDEV_PCPU_STAT_TSTATS)
		dev_sw_netstats_rx_add(dev, size);
#endif
}
