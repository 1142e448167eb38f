/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every way a packet can leave the datapath: one counter a reason, in both back ends. The names
 * are what swarmctl and the dumps print; append only, since the counters outlive the agent. From
 * SW_DROP_MALFORMED on all are drops.
 */
#pragma once

#define SW_REASONS(X)                                                                              \
	X(PASS, "pass: not ours, left to the stack")                                               \
	X(LOCAL, "delivered to a container of this node")                                          \
	X(REMOTE, "sent to another node over VXLAN")                                               \
	X(CLIENT, "reply sent to a client of a published port")                                    \
	X(HOST, "reply sent to a process of this node")                                            \
	X(ANSWERED, "ARP, echo or error answered by the datapath")                                 \
	X(DROP_MALFORMED, "drop: malformed or truncated headers")                                  \
	X(DROP_PROTOCOL, "drop: neither IPv4 nor ARP")                                             \
	X(DROP_NO_NETWORK, "drop: link or VNI of no known network")                                \
	X(DROP_SPOOFED, "drop: source address is not the endpoint's")                              \
	X(DROP_NO_ENDPOINT, "drop: no endpoint has this address")                                  \
	X(DROP_NO_BACKEND, "drop: the service has no backend")                                     \
	X(DROP_NO_FLOW, "drop: fragment whose first part was not seen")                            \
	X(DROP_FLOW_CLASH, "drop: two flows would have the same reply tuple")                      \
	X(DROP_TOO_BIG, "drop: larger than the path's MTU")                                        \
	X(DROP_REWRITE, "drop: the packet could not be rewritten")                                 \
	X(DROP_NO_ROUTE, "drop: no route to the other node")                                       \
	X(DROP_UNKNOWN_PEER, "drop: VXLAN from an address that is no node of the swarm")           \
	X(DROP_CLEARTEXT, "drop: VXLAN of an encrypted network that was not encrypted")            \
	X(DROP_NO_KEY, "drop: no key to encrypt with for the other node")

enum sw_reason {
#define X(name, text) SW_##name,
	SW_REASONS(X)
#undef X
		SW_REASON_COUNT,
};
