#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An encrypted network of two nodes in a virtual machine: what is on the wire, what is refused, an agent
# that is killed, and that nothing is left. To be run by its wrappers in the guest; in the environment:
#   DATAPATH   bpf or kmod
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
. selftests/vm/lib_pair.sh
. selftests/vm/lib_log.sh

if [ "$DATAPATH" = kmod ]; then
	check "the module loads" insmod "$BUILD/kmod/swarm.ko"
fi
check "two nodes" swarm_form 1 1 --datapath="$DATAPATH"
check "images" base_image n1
share secret --opt encrypted
peer=$(address s-secret secret n2)
check "the MTU leaves room for it" equals 1424 on n1 s-secret cat /sys/class/net/eth0/mtu
check "between the nodes it is encrypted" only_esp n2 HTTP/1. fetch n1 s-secret "http://$peer/"
big() { on n1 s-secret sh -c "timeout $((20 * SLOW)) wget -q -O - http://$peer/big | wc -c"; }
check "a large page" on n2 s-secret dd if=/dev/zero of=/www/big bs=1M count=4
check "arrives" equals $((4 << 20)) big

# VXLAN in the clear for that network, as a process of n1 could send it.
ctl() { "$BUILD/swarmctl" -H "unix://$(node_sock "$1")" "${@:2}"; }
dropped() { ctl n2 datapath stats | awk '$3 == "DROP_CLEARTEXT" {print $1}'; }
was=$(dropped)
vni=$(d n1 network inspect -f '{{index .Options "com.docker.network.driver.overlay.vxlanid_list"}}' secret)
in_ns n1 python3 - "$(node_ip n2)" "$vni" << 'END2'
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(struct.pack("!II", 0x08000000, int(sys.argv[2]) << 8) + bytes(12) + b"\x08\0E" + bytes(60), (sys.argv[1], 4789))
END2
drops_one() { [ "$(dropped)" -gt "${was:-0}" ]; }
check "what comes in the clear is dropped and counted" wait_for 10 drops_one

# An agent that is away for as long as it takes to start here counts as lost, so its tasks are others
# afterwards; what it has set in the kernel has to be the same, and untouched.
set_up() {
	in_ns n2 ip -s xfrm state | awk '/^src/ {print} /proto esp/ {print $4} /add .* use/ {print $2, $3}' | sort
	in_ns n2 ip xfrm policy
}
set_up > "$LAB/before"
agent_stop n2 KILL
set_up > "$LAB/without"
check "its agent is killed, and what it has set stays" diff "$LAB/before" "$LAB/without"
check "it comes back" agent_start n2 --datapath="$DATAPATH"
check "the nodes are ready" wait_for 30 nodes_ready n1 2
check "a task runs on each node" wait_for 20 tasks_run n1 s-secret 2
set_up > "$LAB/after"
check "states and policies are untouched" diff "$LAB/before" "$LAB/after"
answers() { [ "$(fetch n1 s-secret "http://$(address s-secret secret n2)/")" = n2 ]; }
check "its task answers" wait_for 10 answers
check "encrypted as before" only_esp n2 HTTP/1. fetch n1 s-secret "http://$(address s-secret secret n2)/"

# Somebody flushes IPsec.
flushed() {
	local before
	before=$(dropped)
	in_ns n1 ip xfrm policy deleteall
	! on n1 s-secret ping -c 3 -W "$SLOW" "$(address s-secret secret n2)" || return
	echo "dropped in the clear at n2: $before, then $(dropped)"
	[ "$(dropped)" = "$before" ]
}
check "without policies nothing leaves, in the clear or not" flushed

keys() { in_ns n1 ip xfrm state | awk '/aead/ {print substr($3, 3, 32)}' | sort -u; }
told() {
	local k
	for k in $(keys); do
		grep -l "$k" "$LAB"/n?/agent.log
		{ d n1 network inspect secret; d n1 swarm inspect 2> /dev/null; d n1 info; ctl n1 datapath networks; } | grep "$k"
	done
}
check "three keys" equals 3 eval 'keys | wc -l'
check "which nobody is told" equals "" told

check "the service goes" d n1 service rm s-secret
states() { in_ns "$1" ip xfrm state | grep -c ^src; }
no_states() { [ "$(states n1) $(states n2)" = "0 0" ]; }
check "states go with the last task" wait_for 30 no_states
check "the network goes" d n1 network rm secret
all_leave n2 n1
if [ "$DATAPATH" = kmod ]; then
	check "the module unloads" rmmod swarm
fi
check "the kernel has no complaint" log_is_clean
finish
