#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A node changes its datapath's back end: never are both at work, "auto" stays with what is there, and
# nothing of either is left at the end. Where the module is loaded; elsewhere a named SKIP.
[ -d /sys/module/swarm ] || { echo "1..0 # SKIP no module swarm: scripts/vm, insmod build/kmod/swarm.ko"; exit; }
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
if [ -z "${DPCTL:-}" ]; then
	DPCTL=$PWD/build/selftests/datapath/dpctl
	make -s "${DPCTL#"$PWD/"}" || exit 1
fi

# Tell the node's datapath. usage: dp KIND COMMAND…
dp() {
	local kind=$1
	shift
	echo "$*" | in_ns n1 "$DPCTL" "$kind" "$LAB/n1" 10.77.0.11
}
# usage: is KIND: the back end that works, seen from outside
is() {
	local mounted='' device='' port
	in_ns n1 grep -q " $LAB/n1/bpf bpf " /proc/mounts && mounted=1
	in_ns n1 ip link show swarm-vxlan > /dev/null 2>&1 && device=1
	port=$(in_ns n1 ss -Hlun 'sport = :4789' | wc -l)
	echo "want $1: bpffs ${mounted:-0}, vxlan device ${device:-0}, sockets on 4789: $port"
	case $1 in
	bpf) [ "$mounted$device" = 11 ] ;;
	kmod) [ "$mounted$device" = '' ] && [ "$port" = 1 ] ;;
	none) [ "$mounted$device" = '' ] && [ "$port" = 0 ] ;;
	esac
}
sysctls() { in_ns n1 cat /proc/sys/net/ipv4/conf/lo/{accept_local,route_localnet} | tr -d '\n'; }
has_peer() { dp "$1" dump | jq -e '.peers | length == 1'; }
filters() { in_ns n1 tc filter show dev lo ingress | grep -c bpf; }

host_new n1 10.77.0.11 || exit 1
mkdir -p "$LAB/n1"
check "BPF begins" dp bpf peer 10.77.0.12
check "it is at work" is bpf
check "auto goes on with BPF" says '"10.77.0.12"' dp auto dump
check "the module takes over" dp kmod peer 10.77.0.12
check "BPF's programs, maps and device are gone" is kmod
check "none of its filters is left" equals 0 filters
check "the loopback is as both need it" equals 11 sysctls
check "auto goes on with the module" has_peer auto
check "it is still the module" is kmod
check "BPF takes over" dp bpf peer 10.77.0.12
check "the module's socket is gone" is bpf
check "the loopback stays as it was" equals 11 sysctls
check "BPF is taken away" dp bpf destroy
check "nothing is left" is none
check "the loopback is as it was before" equals 00 sysctls
finish
