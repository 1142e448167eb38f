#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The module while everything changes under live traffic: objects set and deleted, namespaces
# destroyed, the module unloaded and loaded, its bounds and its memory. For a virtual machine with
# the module's kernel, where selftests/kmod/run.sh starts it; it unloads and loads swarm.ko.
# usage: selftests/kmod/stress.sh
#   ROUND_S=10          seconds of each part
#   KO_DEBUG=…, KO=…    the module; one that was built with DEBUG=1 can make allocations fail
#
#      client 10.77.0.2 ── switch ──┬─ n1 10.77.0.11: a 10.0.1.11, w1 10.0.0.11
#                                   └─ n2 10.77.0.12: c 10.0.1.13, w2 10.0.0.12
#
# VIP 10.0.1.2 (a, c), published 5353/udp (w1, w2).
KIND=kmod
. "$(dirname "$0")/../datapath/lib_body.sh"
. selftests/vm/lib_log.sh
ROUND_S=${ROUND_S:-10} KO=${KO_DEBUG:-${KO:-$PWD/build/kmod/swarm.ko}}
UDP="python3 $PWD/selftests/kmod/udp.py"

config() { # NODE
	local own=${1#n}
	echo "clients eth0"
	echo "peer 10.77.0.11"
	echo "peer 10.77.0.12"
	echo "network $VNI - 10.0.1.1 10.0.1.1${own}0 1450"
	echo "network $INGRESS ingress 10.0.0.1 10.0.0.1${own}0 1450"
	if [ "$1" = n1 ]; then
		printf '%s\n' "endpoint $VNI 10.0.1.11 h-a" "container h-a $VNI 10.0.1.11"
		printf '%s\n' "endpoint $INGRESS 10.0.0.11 h-w1" "container h-w1 $INGRESS 10.0.0.11"
		printf '%s\n' "endpoint $VNI 10.0.1.13 10.77.0.12" "endpoint $INGRESS 10.0.0.12 10.77.0.12"
	else
		printf '%s\n' "endpoint $VNI 10.0.1.13 h-c" "container h-c $VNI 10.0.1.13"
		printf '%s\n' "endpoint $INGRESS 10.0.0.12 h-w2" "container h-w2 $INGRESS 10.0.0.12"
		printf '%s\n' "endpoint $VNI 10.0.1.11 10.77.0.11" "endpoint $INGRESS 10.0.0.11 10.77.0.11"
	fi
	echo "vip $VNI 10.0.1.2 10.0.1.11 10.0.1.13"
	echo "publish udp 5353 53 $INGRESS 10.0.0.11 10.0.0.12"
}
configure() { config n1 | dp n1 && config n2 | dp n2; }

# A container's namespace and link, not yet told to the datapath. usage: veth NAME NODE ADDR GATEWAY
veth() {
	ns_new "$1" || return
	in_ns "$2" ip link add "h-$1" type veth peer name eth0 mtu 1450 netns "$(lab_pid "$1")"
	in_ns "$2" ip link set "h-$1" up
	in_ns "$1" ip link set eth0 address "$(mac_of "$3")"
	in_ns "$1" ip addr add "$3/24" dev eth0
	in_ns "$1" ip link set eth0 up
	in_ns "$1" ip route add default via "$4" dev eth0
	in_ns "$1" $UDP serve 53 < /dev/null > "$LAB/serve-$1" 2>&1 &
	wait_for 10 _listens "$1" || { cat "$LAB/serve-$1"; return 1; }
}
_listens() { in_ns "$1" ss -Hlun "sport = :53" | grep -q .; }

# QEMU may go on with the instructions from before the kernel rewrote some, for ever, on a CPU that
# came by while they were a breakpoint (seen with 7.2, "-accel tcg,thread=multi"). The kernel rewrites
# its packets' path when a kind of hook or of tunnel is first and last used: here one stays.
hold_hooks() {
	ns_new holder && in_ns holder ip link add vx type vxlan id 1 dstport 4790 && in_ns holder ip link set vx up &&
		in_ns holder nft 'add table netdev t; add chain netdev t c { type filter hook ingress device "lo" priority 0; }'
}

setup() {
	local n
	hold_hooks || return
	for n in n1 n2; do
		host_new $n "$(node_ip $n)" || return
		mkdir -p "$LAB/$n"
		in_ns $n sysctl -qw net.ipv4.ip_forward=1
	done
	veth a n1 10.0.1.11 10.0.1.1 && veth c n2 10.0.1.13 10.0.1.1 || return
	veth w1 n1 10.0.0.11 10.0.0.1 && veth w2 n2 10.0.0.12 10.0.0.1 || return
	configure
}

answers() { # FROM HOST:PORT: most of what is sent
	local sent answered
	read -r sent answered < <(in_ns "$1" $UDP flood 0.5 "$2")
	[ "$sent" -gt 0 ] && [ $((answered * 2)) -gt "$sent" ]
}
all_answers() { answers a 10.0.1.2:53 && answers client 10.77.0.11:5353 && answers client 10.77.0.12:5353; }

# Start floods through the VIP and both entry nodes; they end by themselves. usage: floods SECONDS
floods() {
	flooding=()
	in_ns a $UDP flood "$1" 10.0.1.2:53 10.0.1.13:53 > /dev/null &
	flooding+=($!)
	in_ns client $UDP flood "$1" 10.77.0.11:5353 10.77.0.12:5353 > /dev/null &
	flooding+=($!)
}
floods_end() { wait "${flooding[@]}"; }

# Objects beside those of the traffic, and the service of the traffic with other weights.
changes() {
	local i
	for ((i = 1; i <= 100; i++)); do
		echo "network $((5000 + i)) - 10.9.0.1 10.9.0.2 1450"
		echo "endpoint $((5000 + i)) 10.9.0.$i 10.77.0.12"
		echo "endpoint $VNI 10.0.1.$((100 + i)) 10.77.0.12"
		echo "vip $VNI 10.0.1.3 10.0.1.11/$i 10.0.1.$((100 + i))"
		echo "vip $VNI 10.0.1.2 10.0.1.11/$i 10.0.1.13/$((1 + i % 7))"
		echo "publish tcp $((9000 + i)) 80 $INGRESS 10.0.0.11 10.0.0.12/3/drain"
		echo "peer 10.77.1.$i"
		echo "endpoint_del $VNI 10.0.1.$((100 + i))"
		echo "vip_del $VNI 10.0.1.3"
		echo "publish_del tcp $((9000 + i))"
		echo "peer_del 10.77.1.$i"
		echo "endpoint_del $((5000 + i)) 10.9.0.$i"
		echo "network_del $((5000 + i))"
	done
}
# Change a node's objects again and again. usage: churn NODE SECONDS FILE
churn() {
	local end=$((SECONDS + $2)) n=0
	while [ $SECONDS -lt $end ]; do
		dp "$1" < "$3" > /dev/null || return
		n=$((n + 1))
	done
	echo "$n rounds on $1"
	[ $n -gt 0 ]
}

part_changes() {
	local p1 p2 p3
	changes > "$LAB/changes"
	printf '%s\n' "link_del h-c" "container h-c $VNI 10.0.1.13" "link_del eth0" "clients eth0" \
		"endpoint_del $VNI 10.0.1.13" "endpoint $VNI 10.0.1.13 h-c" > "$LAB/links"
	floods $((ROUND_S + 2))
	churn n1 "$ROUND_S" "$LAB/changes" > "$LAB/churn1" 2>&1 & p1=$!
	churn n1 "$ROUND_S" "$LAB/changes" > "$LAB/churn2" 2>&1 & p2=$!
	churn n2 "$ROUND_S" "$LAB/links" > "$LAB/churn3" 2>&1 & p3=$!
	wait $p1
	check "two writers change the objects of one node" ended $? "$LAB/churn1"
	wait $p2
	check "at the same time" ended $? "$LAB/churn2"
	wait $p3
	check "links and endpoints of the traffic come and go" ended $? "$LAB/churn3"
	floods_end
	configure
	check "traffic flows after the changes" wait_for 30 all_answers
	check "the log has nothing of it" log_is_clean
}
ended() { # STATUS FILE
	cat "$2"
	return "$1"
}

# A node ends with its links, flows and socket while packets go through it.
part_namespaces() {
	local i=0 end=$((SECONDS + ROUND_S))
	while [ $SECONDS -lt $end ]; do
		host_new n3 10.77.0.13 && mkdir -p "$LAB/n3" || break
		config n1 | sed "s/h-a$/10.77.0.11/; s/h-w1$/10.77.0.11/; /^container/d" | dp n3 || break
		in_ns client $UDP flood 1 10.77.0.13:5353 > /dev/null & flooding=($!)
		wait_for 10 _has_received n3 100 || break # so that it is in the middle of it
		kill "$(lab_pid n3)"
		wait_for 10 _link_is_gone to-n3 || break
		rm "$LAB/ns/n3"
		floods_end
		i=$((i + 1))
	done
	check "namespaces end under load" [ $i -gt 0 -a ! -e "$LAB/ns/n3" ]
	check "traffic of the others flows" wait_for 30 all_answers
	check "the log has nothing of it" log_is_clean
}
_has_received() { [ "$(in_ns "$1" cat /proc/net/dev | awk '$1 == "eth0:" {print $3}')" -ge "$2" ]; } # NODE PACKETS
_link_is_gone() { ! in_ns switch ip link show "$1"; }

part_reload() {
	local i=0 end=$((SECONDS + ROUND_S)) rc=0
	floods $((ROUND_S + 5))
	while [ $rc = 0 ] && [ $SECONDS -lt $end ]; do
		rmmod swarm && insmod "$KO" && configure || rc=1
		i=$((i + 1))
	done
	check "the module is unloaded and loaded with live traffic" [ $rc = 0 -a $i -gt 0 ]
	floods_end
	check "traffic flows after $i times" wait_for 30 all_answers
	check "the log has nothing of it" log_is_clean
}

# usage: many VNI
many() {
	local i
	echo "network $1 - 10.200.0.1 10.200.0.2 1450"
	for ((i = 256; i < 4256; i++)); do echo "endpoint $1 10.200.$((i / 256)).$((i % 256)) 10.77.0.12"; done
	for ((i = 0; i < 100; i++)); do echo "vip $1 10.201.0.$i 10.200.1.1 10.200.1.$((2 + i))"; done
}
part_memory() {
	local before with after
	ns_new n4 && mkdir -p "$LAB/n4" || return
	many 6000 > "$LAB/many"
	dp n4 < "$LAB/many" && dp n4 destroy # what is allocated once
	before=$(kernel_memory_kb)
	dp n4 < "$LAB/many"
	with=$(kernel_memory_kb)
	for _ in 1 2 3; do dp n4 destroy && dp n4 < "$LAB/many" || return; done
	dp n4 destroy
	after=$(kernel_memory_kb)
	check "4000 endpoints and 100 VIPs take at most 8 MB ($((with - before)) kB)" \
		[ $((with - before)) -lt 8192 ]
	check "and give them back, also after three times ($((after - before)) kB)" \
		[ $((after - before)) -lt $(((with - before) / 2)) ]
}

part_bounds() {
	check "another network than the 4096th is refused with the cure" refuses "delete unused ones" full_networks
	check "published ports are bounded by the settings" refuses "raise ports-max" full_ports
	check "backends are bounded" refuses "at most 1024 backends" full_backends
	dp n4 destroy
	check "the log has nothing of it" log_is_clean
}
full_networks() { local i; for ((i = 1; i <= 4097; i++)); do echo "network $i - 10.9.0.1 - 1450"; done | dp n4; }
full_ports() {
	{
		echo "network 1 ingress 10.9.0.1 - 1450"
		for ((i = 1; i <= 513; i++)); do echo "publish tcp $i 80 1"; done
	} | dp n4
}
full_backends() {
	{
		echo "network 2 - 10.9.0.1 - 1450"
		printf 'vip 2 10.9.0.3'
		for ((i = 0; i < 1025; i++)); do printf ' 10.9.%d.%d' $((1 + i / 250)) $((1 + i % 250)); done
		echo
	} | dp n4
}

# Of a build with DEBUG=1: one of seven allocations fails while objects and flows are made.
part_failures() {
	local p=/sys/module/swarm/parameters/fail_every refused=0
	[ -e $p ] || { skip "allocations that fail are only refused" "of swarm.ko DEBUG=1"; return; }
	floods "$ROUND_S"
	echo 7 > $p
	for _ in {1..10}; do
		dp n4 < "$LAB/many" > "$LAB/refused" 2>&1 || refused=$((refused + 1))
		configure > /dev/null 2>&1
	done
	echo 0 > $p
	floods_end
	check "allocations that fail are refused with a reason" says "Cannot allocate memory" cat "$LAB/refused"
	check "and refused only ($refused of 10 runs)" dp n4 < "$LAB/many"
	dp n4 destroy
	configure
	check "traffic flows after them" wait_for 30 all_answers
	check "the log has nothing of it" log_is_clean
}

skip() { n_tests=$((n_tests + 1)) && echo "ok $n_tests - $1 # SKIP no $2"; }

# The module in place of one that may be loaded.
load() {
	modprobe -a udp_tunnel ip6_udp_tunnel
	! grep -q '^swarm ' /proc/modules || rmmod swarm
	insmod "$KO"
}
check "the module is loaded" load
log_is_clean > /dev/null # what was before is others'
setup_failed() { cat "$LAB/setup" && false; }
if setup > "$LAB/setup" 2>&1; then
	check "traffic flows" wait_for 30 all_answers
	part_changes
	part_namespaces
	part_reload
	part_memory
	part_bounds
	part_failures
else
	check "the nodes and containers are set up" setup_failed
fi
lab_down
mkdir -p "$LAB/ns"
check "the module is unloaded at the end" rmmod swarm
check "the log has nothing of it" log_is_clean
finish
