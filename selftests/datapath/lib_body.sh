# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The conformance body of the datapath: namespaces, veths and real traffic, the same for every
# back end. To be sourced by a script that has set KIND; runs under selftests/lib.sh.
#
#      client 10.77.0.2 ── switch ──┬─ n1 10.77.0.11: a 10.0.1.11, b 10.0.1.12 (network 4097)
#                                   │                 w1 10.0.0.11 (ingress, 4096)
#                                   │                 br-x 172.30.0.1 ── x 172.30.0.2 (bridge)
#                                   ├─ n2 10.77.0.12: c 10.0.1.13, w2 10.0.0.12
#                                   │                 o 10.0.1.11 (network 4098: the same subnet)
#                                   └─ n3 10.77.0.13: no container
#
# An encrypted network 4099: s 10.0.2.11 on n1, t 10.0.2.13 on n2.
#
# VIP 10.0.1.2 of network 4097; published 8080/tcp and 5353/udp, target 80 and 53.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
# where nothing can be built (a guest on a read-only file system), DPCTL and TALK name the programs
if [ -z "${DPCTL:-}" ]; then
	DPCTL=$PWD/build/selftests/datapath/dpctl TALK=$PWD/build/selftests/datapath/talk
	make -s "${DPCTL#"$PWD/"}" "${TALK#"$PWD/"}" || exit 1
fi
VNI=4097 INGRESS=4096 OTHER=4098 SECRET=4099 MARK=0xd0c4e3
direct=

# Tell a node's datapath. usage: dp NODE COMMAND…, or commands on stdin without COMMAND
dp() {
	local n=$1
	shift
	if [ $# -gt 0 ]; then
		echo "$*" | in_ns "$n" "$DPCTL" "$KIND" "$LAB/$n" "$(node_ip "$n")" $direct
	else
		in_ns "$n" "$DPCTL" "$KIND" "$LAB/$n" "$(node_ip "$n")" $direct
	fi
}

all_nodes() { # COMMAND…
	local pids=() p rc=0
	for p in n1 n2 n3; do
		dp $p "$@" &
		pids+=($!)
	done
	for p in "${pids[@]}"; do wait "$p" || rc=1; done
	return $rc
}
# The same for commands that may come together, kept until said. usage: later NODE COMMAND…
later() {
	local n=$1
	shift
	echo "$*" >> "$LAB/later.$n"
}
say_later() {
	local n
	for n in n1 n2 n3; do dp $n < "$LAB/later.$n" && rm "$LAB/later.$n" || return; done
}

node() {
	host_new "$1" "$(node_ip "$1")" || return
	mkdir -p "$LAB/$1"
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1
	{
		echo "clients eth0"
		for n in n1 n2 n3; do echo "peer $(node_ip $n)"; done
		echo "network $VNI - 10.0.1.1 10.0.1.1${1#n}0 1450"
		echo "network $OTHER - 10.0.1.1 10.0.1.1${1#n}0 1450"
		echo "network $SECRET encrypted 10.0.2.1 10.0.2.1${1#n}0 1424"
		echo "network $INGRESS ingress 10.0.0.1 10.0.0.1${1#n}0 1450"
	} >> "$LAB/later.$1"
}

# A container on a node. usage: container NAME NODE VNI ADDR [MTU]
container() {
	ns_new "$1" || return
	in_ns "$2" ip link add "h-$1" type veth peer name eth0 mtu "${5:-1450}" netns "$(lab_pid "$1")"
	in_ns "$2" ip link set "h-$1" up
	in_ns "$1" ip link set eth0 address "$(mac_of "$4")"
	in_ns "$1" ip addr add "$4/24" dev eth0
	in_ns "$1" ip link set eth0 up
	later "$2" "endpoint $3 $4 h-$1"
	later "$2" "container h-$1 $3 $4"
	for n in n1 n2 n3; do [ $n = "$2" ] || later $n "endpoint $3 $4 $(node_ip "$2")"; done
	if [ "$3" = $INGRESS ]; then
		in_ns "$1" ip route add default via 10.0.0.1 dev eth0 src "$4" table 100
		in_ns "$1" ip rule add pref 100 from "$4" lookup 100
		in_ns "$1" ip rule add pref 102 ipproto udp sport 53 lookup 100
	fi
}

mac_of() { printf '02:42:%02x:%02x:%02x:%02x' ${1//./ }; }

# Servers say their name and whom they see. usage: serve NAME
serve() { in_ns "$1" "$TALK" serve "$1"; }
# What a server says. usage: ask FROM ADDRESS PORT [OPTION OF TALK…]
ask() { in_ns "$1" "$TALK" "${@:4}" ask "$2" "$3"; }
# usage: ask_udp FROM ADDRESS PORT BYTES
ask_udp() { in_ns "$1" "$TALK" udp "$2" "$3" "$4"; }
# usage: bulk FROM ADDRESS BYTES
bulk() { in_ns "$1" timeout $((60 * SLOW)) "$TALK" bulk "$2" "$3"; }
reach() { in_ns "$1" ping -c1 -W3 -q "$2"; }
cannot() { ! "$@"; }
# The counter of a reason. usage: count NODE REASON
count() { dp "$1" stats | awk -v r="$2" '$1 == r {print $2}'; }
grows() { # NODE REASON COMMAND…
	local n=$1 r=$2 before
	before=$(count "$n" "$r")
	shift 2
	"$@" > /dev/null 2>&1
	echo "$r: $before, then $(count "$n" "$r")"
	[ "$(count "$n" "$r")" -gt "$before" ]
}
# How many different servers n connections meet. usage: different N FROM ADDRESS PORT
different() {
	ask "$2" "$3" "$4" -n "$1" | awk '{print $1}' | sort -u | tr '\n' ' '
}

setup() {
	node n1 && node n2 && node n3 || return
	container a n1 $VNI 10.0.1.11 && container b n1 $VNI 10.0.1.12 && container c n2 $VNI 10.0.1.13 || return
	container w1 n1 $INGRESS 10.0.0.11 && container w2 n2 $INGRESS 10.0.0.12 || return
	container o n2 $OTHER 10.0.1.11 || return
	container s n1 $SECRET 10.0.2.11 1424 && container t n2 $SECRET 10.0.2.13 1424 || return
	ns_new x || return
	in_ns n1 ip link add br-x type bridge
	in_ns n1 ip addr add 172.30.0.1/24 dev br-x
	in_ns n1 ip link set br-x up
	in_ns n1 ip link add h-x master br-x type veth peer name eth0 netns "$(lab_pid x)"
	in_ns n1 ip link set h-x up
	in_ns x ip addr add 172.30.0.2/24 dev eth0
	in_ns x ip link set eth0 up
	in_ns x ip route add default via 172.30.0.1
	later n1 clients br-x
	say_later || return
	for n in a b c o s t w1 w2; do serve $n || return; done
}

test_local() {
	check "a container reaches another of its node" reach a 10.0.1.12
	check "the gateway answers" reach a 10.0.1.1
	check "TCP within a node" equals "b 10.0.1.11" ask a 10.0.1.12 80
	check "20 MB within a node" equals 20000000 bulk a 10.0.1.12 20000000
	check "an unknown address is not reached" cannot reach a 10.0.1.99
	in_ns a ip addr add 10.0.1.50/24 dev eth0
	check "a false source address is dropped and counted" \
		grows n1 DROP_SPOOFED in_ns a ping -c1 -W1 -I 10.0.1.50 10.0.1.12
	in_ns a ip addr del 10.0.1.50/24 dev eth0
}

test_nodes() {
	check "a container reaches one of another node" reach a 10.0.1.13
	check "and is reached" reach c 10.0.1.11
	check "TCP between nodes" equals "c 10.0.1.11" ask a 10.0.1.13 80
	check "20 MB between nodes" equals 20000000 bulk a 10.0.1.13 20000000
	check "UDP between nodes" equals "100 c 10.0.1.11" ask_udp a 10.0.1.13 53 100
	check "UDP in fragments between nodes" equals "6000 c 10.0.1.11" ask_udp a 10.0.1.13 53 6000
	check "the same address in another network is another container" equals "a 10.0.1.13" ask c 10.0.1.11 80
	check "networks are isolated" cannot reach o 10.0.1.13
	dp n2 peer_del 10.77.0.11
	check "VXLAN of a stranger is dropped and counted" grows n2 DROP_UNKNOWN_PEER in_ns a ping -c1 -W1 10.0.1.13
	dp n2 peer 10.77.0.11
	in_ns a ip link set eth0 mtu 1500
	in_ns c ip link set eth0 mtu 1500
	check "an MTU too large for the underlay: 5 MB arrive" equals 5000000 bulk a 10.0.1.13 5000000
	check "and back" equals 5000000 bulk c 10.0.1.11 5000000
	in_ns a ip route flush cache	# of what the transfers have learnt
	check "too large a packet is answered" says "mtu = 1450" in_ns a ping -c1 -W2 -M do -s 1472 10.0.1.13
	in_ns a ip link set eth0 mtu 1450
	in_ns c ip link set eth0 mtu 1450
}

# What the agent tells xfrm: nothing with the mark leaves in the clear.
esp_required() { in_ns "$1" ip xfrm policy add dir out proto udp dport 4789 mark $MARK action block priority 1; }
# States both ways and the policy. usage: esp_keys NODE OTHER
esp_keys() {
	local from to key=0x000102030405060708090a0b0c0d0e0f00000007
	for from in "$1" "$2"; do
		to=$([ "$from" = "$1" ] && echo "$2" || echo "$1")
		in_ns "$1" ip xfrm state add src "$(node_ip "$from")" dst "$(node_ip "$to")" proto esp spi 0x100${from#n} mode transport \
			reqid $MARK aead 'rfc4106(gcm(aes))' $key 64 output-mark $MARK || return
	done
	in_ns "$1" ip xfrm policy add dir out src "$(node_ip "$1")/32" dst "$(node_ip "$2")/32" proto udp dport 4789 mark $MARK \
		tmpl src "$(node_ip "$1")" dst "$(node_ip "$2")" proto esp spi 0x100${1#n} reqid $MARK mode transport
}
no_esp() { in_ns "$1" ip xfrm state deleteall; in_ns "$1" ip xfrm policy deleteall; }
unseen() { # NODE REASON COMMAND…
	! grows "$@"
}
test_encrypted() {
	check "an encrypted network within a node" reach s 10.0.2.1
	if ! esp_required n1 || ! esp_required n2; then
		echo "# no xfrm here: encrypted networks are not tried"
		return
	fi
	check "without keys nothing gets through" cannot in_ns s ping -c1 -W1 10.0.2.13
	check "nor does it leave in the clear" unseen n2 DROP_CLEARTEXT in_ns s ping -c1 -W1 10.0.2.13
	dp n1 network $SECRET - 10.0.2.1 10.0.2.110 1424
	check "what comes in the clear is dropped and counted" grows n2 DROP_CLEARTEXT in_ns s ping -c1 -W1 10.0.2.13
	check "also in fragments, which the stack puts together" grows n2 DROP_CLEARTEXT clear_vxlan n1 n2 2000
	check "also that of the node's own processes" grows n2 DROP_CLEARTEXT clear_vxlan n2 n2 100
	dp n1 network $SECRET encrypted 10.0.2.1 10.0.2.110 1424
	if esp_keys n1 n2 && esp_keys n2 n1; then
		check "with keys a container is reached" reach s 10.0.2.13
		check "none of it in the clear" unseen n2 DROP_CLEARTEXT reach s 10.0.2.13
		check "TCP, encrypted" equals "t 10.0.2.11" ask s 10.0.2.13 80
		check "20 MB, encrypted" equals 20000000 bulk s 10.0.2.13 20000000
		check "UDP in fragments, encrypted" equals "6000 t 10.0.2.11" ask_udp s 10.0.2.13 53 6000
		in_ns s ip link set eth0 mtu 1500
		in_ns t ip link set eth0 mtu 1500
		check "an MTU too large for it: 5 MB arrive" equals 5000000 bulk s 10.0.2.13 5000000
		in_ns s ip link set eth0 mtu 1424
		in_ns t ip link set eth0 mtu 1424
	else
		echo "# no ESP here: nothing is sent in encrypted networks"
	fi
	no_esp n1
	no_esp n2
}
# A process sends UDP from s to t in VXLAN. usage: clear_vxlan FROM TO BYTES
clear_vxlan() {
	in_ns "$1" python3 - "$(node_ip "$2")" $SECRET "$3" <<- 'END'
		import socket, struct, sys
		to, vni, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
		src, dst = bytes((10, 0, 2, 11)), bytes((10, 0, 2, 13))
		udp = struct.pack("!HHHH", 5000, 53, 8 + size, 0) + bytes(size)
		ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, src, dst)
		s = sum(struct.unpack("!10H", ip))
		ip = ip[:10] + struct.pack("!H", ~(s + (s >> 16)) & 0xffff) + ip[12:]
		frame = b"\x02\x42" + dst + b"\x02\x42" + src + b"\x08\0" + ip + udp
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.sendto(struct.pack("!II", 0x08000000, vni << 8) + frame, (to, 4789))
	END
	wait_for 1 false # until it has arrived
}

test_vip() {
	all_nodes vip $VNI 10.0.1.2 10.0.1.12 || return
	check "a VIP answers" equals "b 10.0.1.11" ask a 10.0.1.2 80
	check "a VIP answers an echo" reach a 10.0.1.2
	check "a container reaches itself by a VIP, as its node" equals "b 10.0.1.110" ask b 10.0.1.2 80
	check "a VIP from another node" equals "b 10.0.1.13" ask c 10.0.1.2 80
	check "UDP to a VIP" equals "100 b 10.0.1.11" ask_udp a 10.0.1.2 53 100
	check "UDP to a VIP in fragments" equals "6000 b 10.0.1.11" ask_udp a 10.0.1.2 53 6000
	check "UDP to a VIP in fragments from another node" equals "6000 b 10.0.1.13" ask_udp c 10.0.1.2 53 6000
	check "20 MB to a VIP of another node" equals 20000000 bulk c 10.0.1.2 20000000
	check "a closed port of a VIP is refused at once" refuses "Connection refused" ask a 10.0.1.2 81
	check "so is one of another node" refuses "Connection refused" ask c 10.0.1.2 81
	check "a closed UDP port: the error finds its way" refuses "Connection refused" ask_udp c 10.0.1.2 54 1
	check "a port of two destinations: VIP and backend" two_ways
	all_nodes vip $VNI 10.0.1.2 10.0.1.12 10.0.1.13 || return
	check "two backends take turns" equals "b c " different 16 a 10.0.1.2 80
	all_nodes vip $VNI 10.0.1.2 10.0.1.12 10.0.1.13/1/drain || return
	check "a draining backend gets no new connection" equals "b " different 12 a 10.0.1.2 80
	all_nodes vip $VNI 10.0.1.2 || return
	check "without backends it is counted" grows n1 DROP_NO_BACKEND in_ns a timeout 1 "$TALK" ask 10.0.1.2 80
}

# One local port to two VIPs with the same backend.
two_ways() {
	all_nodes vip $VNI 10.0.1.3 10.0.1.12 || return
	hold a 10.0.1.2 80 4321 || return
	equals "b 10.0.1.11" ask a 10.0.1.3 80 -b 4321 || return
	release
}

# A connection that stays open, its answer in $LAB/held. usage: hold FROM ADDRESS PORT LOCALPORT
hold() {
	mkfifo "$LAB/fifo"
	: > "$LAB/held"
	in_ns "$1" "$TALK" -b "$4" hold "$2" "$3" < "$LAB/fifo" > "$LAB/held" 2>&1 &
	held=$!
	exec 9> "$LAB/fifo"
	wait_for 5 test -s "$LAB/held"
}
release() {
	exec 9>&-
	wait $held
	rm -f "$LAB/fifo"
}

test_published() {
	local n
	all_nodes publish tcp 8080 80 $INGRESS 10.0.0.12
	all_nodes publish tcp 9000 9000 $INGRESS 10.0.0.12
	all_nodes publish udp 5353 53 $INGRESS 10.0.0.12
	for n in n2 n1 n3; do
		check "a published port at $n${direct:+, direct}: the client's own address" equals "w2 10.77.0.2" ask client "$(node_ip $n)" 8080
		check "UDP at $n${direct:+ (direct)}" equals "100 w2 10.77.0.2" ask_udp client "$(node_ip $n)" 5353 100
		check "20 MB in at $n${direct:+ (direct)}" equals 20000000 bulk client "$(node_ip $n)" 20000000
		check "the node itself, by its address, at $n${direct:+ (direct)}" equals "w2 $(node_ip $n)" ask $n "$(node_ip $n)" 8080
		check "the node itself, by 127.0.0.1, at $n${direct:+ (direct)}" equals "w2 10.0.0.1${n#n}0" ask $n 127.0.0.1 8080
	done
	check "UDP in fragments at n2${direct:+ (direct)}" equals "4000 w2 10.77.0.2" ask_udp client 10.77.0.12 5353 4000
	check "a container of a bridge${direct:+ (direct)}" equals "w2 172.30.0.2" ask x 10.77.0.11 8080
	check "another node as client${direct:+ (direct)}" equals "w2 10.77.0.13" ask n3 10.77.0.11 8080
	check "the backend's node as client by another node${direct:+ (direct)}" equals "w2 10.77.0.12" ask n2 10.77.0.11 8080
	check "a closed port is refused${direct:+ (direct)}" refuses "Connection refused" closed_port
	check "one client port to two nodes${direct:+ (direct)}" two_nodes
}

closed_port() {
	all_nodes publish tcp 8081 81 $INGRESS 10.0.0.12
	ask client 10.77.0.13 8081
}
two_nodes() {
	hold client 10.77.0.11 8080 4322 || return
	equals "w2 10.77.0.2" ask client 10.77.0.13 8080 -b 4322 || return
	release
}

test_flows() {
	all_nodes publish tcp 8080 80 $INGRESS 10.0.0.11 10.0.0.12
	check "two backends take turns" equals "w1 w2 " different 16 client 10.77.0.13 8080
	hold client 10.77.0.13 8080 4400
	local server other
	server=$(awk '{print $1}' "$LAB/held")
	other=$([ "$server" = w1 ] && echo 10.0.0.12 || echo 10.0.0.11)
	all_nodes publish tcp 8080 80 $INGRESS "$other" "10.0.0.1${server#w}/1/drain"
	check "a connection stays while its backend drains ($server)" still_open
	check "the same balancing at every node" same_everywhere
	# the agents come back and say the same again
	for n in n1 n2 n3; do resync $n; done
	check "and through agents that start again" still_open
	# what the client sends comes in at another node from now on
	in_ns n1 ip addr add 10.77.0.13/32 dev lo
	in_ns client ip neigh replace 10.77.0.13 lladdr "$(in_ns n1 ip -o link show eth0 | sed 's,.*link/ether \([^ ]*\).*,\1,')" dev eth0 nud permanent
	check "and when its packets move to another node" still_open
	release
	in_ns client ip neigh del 10.77.0.13 dev eth0
	in_ns n1 ip addr del 10.77.0.13/32 dev lo
}
# The server reads what we say: a closed or lost connection would not take it.
still_open() {
	echo more >&9
	wait_for 5 _acknowledged
}
_acknowledged() { in_ns client ss -Htn "sport = :4400" | awk '{exit !($1 == "ESTAB" && $3 == 0)}'; }
same_everywhere() {
	local p n out
	for p in 5001 5002 5003 5004 5005 5006; do
		for n in n1 n2 n3; do
			in_ns $n ip addr add 10.99.0.1/32 dev lo 2> /dev/null
			in_ns client ip route replace 10.99.0.1 via "$(node_ip $n)"
			out=$(ask client 10.99.0.1 8080 -b $p -r)
			echo "$p $n $out"
		done
	done | tee "$LAB/same" | awk '{if (s[$1] && s[$1] != $3) bad = 1; s[$1] = $3} END {exit bad || NR != 18}' ||
		{ cat "$LAB/same"; return 1; }
}
# What an agent does after its start.
resync() {
	dp "$1" dump > "$LAB/dump.$1"
	{ echo sync_begin; said "$LAB/dump.$1"; echo sync_end; } | dp "$1"
	dp "$1" dump > "$LAB/dump2.$1"
}
# The commands that make what a dump shows.
said() {
	python3 - "$1" <<- 'END'
		import json, sys
		d = json.load(open(sys.argv[1]))
		for n in d["networks"]:
		    print("network", n["vni"], "ingress" if n["ingress"] else "encrypted" if n["encrypted"] else "-", n["gateway"], n["node_addr"] or "-", n["mtu"])
		names = {}
		for e in d["endpoints"]:
		    print("endpoint", e["vni"], e["addr"], e["node"] or "#%d" % e["ifindex"], e["host_addr"] or "")
		for p in d["peers"]:
		    print("peer", p)
		for s in d["services"]:
		    b = ["%s/%d%s" % (x["addr"], x["weight"], "/drain" if x["draining"] else "") for x in s["backends"]]
		    if s["kind"] == "vip":
		        print("vip", s["vni"], s["vip"], *b)
		    else:
		        print("publish", s["proto"], s["published"], s["target"], s["vni"], *b)
		for l in d["links"]:
		    if l["role"] == "container":
		        print("container", "#%d" % l["ifindex"], l["vni"], l["addr"])
		    elif l["role"] == "clients":
		        print("clients", "#%d" % l["ifindex"])
	END
}

# Looking inside: the same sentences from every back end.
test_inside() {
	all_nodes vip $VNI 10.0.1.2 10.0.1.12 10.0.1.13 || return
	dp n1 dump > "$LAB/dump.n1"
	check "backends have all slots" equals 1021 eval "dp n1 backends | jq '[.[] | select(.vip == \"10.0.1.2\") | .slots] | add'"
	check "nothing differs" equals "" verify n1
	printf '%s\n' "endpoint_del $VNI 10.0.1.13" "endpoint $VNI 10.0.1.77 10.77.0.12" "peer 10.77.0.99" \
		"vip $VNI 10.0.1.2 10.0.1.12/2" "link_del eth0" | dp n1
	local changed="VIP 10.0.1.2 of network $VNI has backend 10.0.1.12 with weight 2 instead of 1
VIP 10.0.1.2 of network $VNI lacks the backend 10.0.1.13
endpoint 10.0.1.13 of network $VNI is missing
endpoint 10.0.1.77 of network $VNI is there, and nobody wants it
link eth0 is missing
peer 10.77.0.99 is there, and nobody wants it"
	check "what was changed behind its back is named" equals "$changed" verify n1
	check "and mended" equals "${changed//$'\n'/$': mended\n'}: mended" verify n1 mend
	check "nothing differs after that" equals "" verify n1
	check "and TCP between nodes" equals "c 10.0.1.11" ask a 10.0.1.13 80
	local listener
	echo listen > "$LAB/listen"
	# no in_ns: it is dpctl itself that is ended
	nsenter -t "$(lab_pid n1)" -n -m -u -- "$DPCTL" "$KIND" "$LAB/n1" "$(node_ip n1)" $direct \
		< "$LAB/listen" > "$LAB/heard" &
	listener=$!
	disown $listener
	wait_for 10 grep -q listening "$LAB/heard"
	ask a 10.0.1.2 80 > /dev/null
	in_ns a ip addr add 10.0.1.50/24 dev eth0
	in_ns a ping -c1 -W1 -I 10.0.1.50 10.0.1.12 > /dev/null
	in_ns a ip addr del 10.0.1.50/24 dev eth0
	check "a flow is told" wait_for 10 heard "flow: vip: tcp 10.0.1.11:P to 10.0.1.2:80 becomes 10.0.1.11:P to 10.0.1.1[23]:80"
	check "a drop is told" wait_for 10 heard "drop: source address is not the endpoint's, on link h-a, [0-9]* bytes.*"
	kill $listener
}
verify() { # NODE [mend]
	{ echo "verify_begin ${2:-}"; said "$LAB/dump.$1"; echo verify_end; } | dp "$1" | LC_ALL=C sort
}
heard() { sed 's/10.0.1.11:[0-9]*/10.0.1.11:P/g' "$LAB/heard" | tee "$LAB/heard.p"; grep -qx "$1" "$LAB/heard.p"; }

test_sync() {
	local n
	for n in n1 n2; do
		resync $n
		check "what $n had is there again after a sync" cmp "$LAB/dump.$n" "$LAB/dump2.$n"
	done
	printf '%s\n' sync_begin "network $VNI - 10.0.1.1 10.0.1.130 1450" sync_end | dp n3
	check "a sync sweeps what is not said again" equals "1 0 0 0" summary n3
}
summary() {
	dp "$1" dump | python3 -c 'import json, sys; d = json.load(sys.stdin)
print(*[len(d[k]) for k in ("networks", "endpoints", "peers", "services")])'
}

test_end() {
	local n
	all_nodes destroy
	for n in n1 n2 n3; do check "nothing is left on $n" clean $n; done
}
clean() {
	local left
	left=$(in_ns "$1" grep " $LAB/" /proc/self/mountinfo
		in_ns "$1" ip -o link show type vxlan
		in_ns "$1" bpftool net show 2> /dev/null | grep -E 'sw_'
		[ "$(in_ns "$1" cat /proc/sys/net/ipv4/conf/lo/accept_local)" = 0 ] || echo accept_local)
	echo "$left"
	[ -z "$left" ]
}

body() {
	setup || { check "the nodes and containers are set up" false; finish; }
	test_local
	test_nodes
	test_encrypted
	test_vip
	test_published
	direct=direct
	all_nodes dump > /dev/null
	test_published
	direct=
	all_nodes dump > /dev/null
	test_flows
	test_sync
	test_inside
	test_end
}
