/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states and policies of the kernel's IPsec that are ours: ESP in transport mode between two IPv4
 * addresses, for UDP with the mark of swarm/esp.h. Those of others are neither seen nor touched.
 *
 * Calls are synchronous and return 0 or a negative errno; adding what is there already in the same
 * way, and removing what is absent, is 0. Keys are in no message. Source: linux/xfrm.h.
 */
#pragma once

#include <netinet/in.h>

#include "core/err.h"

struct xfrm;

enum { XFRM_KEY_SIZE = 16 };

struct xfrm_sa {
	struct in_addr src, dst;
	uint32_t spi;
};

/* In the calling thread's network namespace. -EPROTONOSUPPORT: the kernel has none. */
int xfrm_open(struct xfrm **ret, struct err *err);
void xfrm_close(struct xfrm *x);

/*
 * AES-GCM with an ICV of 8 bytes; the salt is the SPI, as Docker has it. A state with this SPI and
 * another key is replaced. -EPROTONOSUPPORT or -ENOSYS: the kernel has no ESP, or not this cipher.
 */
int xfrm_state_add(struct xfrm *x, const struct xfrm_sa *sa, const uint8_t key[XFRM_KEY_SIZE],
		   struct err *err);
int xfrm_state_del(struct xfrm *x, const struct xfrm_sa *sa);
/* UDP to this port with the mark takes this state; in place of a former policy, without a gap. */
int xfrm_policy_set(struct xfrm *x, const struct xfrm_sa *sa, uint16_t port, struct err *err);
int xfrm_policy_del(struct xfrm *x, const struct xfrm_sa *sa, uint16_t port);
/* UDP with the mark that no other policy takes is dropped. */
int xfrm_require(struct xfrm *x, struct err *err);

/* A state, or (port not 0) a policy: true to remove it. xfrm_require()'s has no addresses. */
typedef bool (*xfrm_judge_fn)(const struct xfrm_sa *sa, uint16_t port, void *arg);
/* Show all that are ours to the judge, policies first, and remove what it says. */
int xfrm_judge(struct xfrm *x, xfrm_judge_fn fn, void *arg, struct err *err);
