#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What others change in the kernel behind the agent's back is named by `swarmctl datapath verify` and
# mended by --repair, while published ports answer; `events` shows changes, drops and flows as they
# happen.
#
#   client 10.77.0.2 ──┬── n1: manager, a task of web, a client in the same network
#                      └── n2: worker, a task of web
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
PATH=$PATH:/usr/sbin
docker() { d n1 "$@"; }
ctl() { "$BUILD/swarmctl" -H "unix://$(node_sock n1)" "$@"; }
MAPS=$LAB/n1/exec/bpf
bpf() { in_ns n1 bpftool "$@"; }

# Keys and values of maps as bpftool reads them: bytes in hexadecimal.
u32() { printf '%02x %02x %02x %02x ' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
u16be() { printf '%02x %02x ' $(($1 >> 8)) $(($1 & 255)); }
addr() { printf '00 00 00 00 00 00 00 00 00 00 ff ff %02x %02x %02x %02x ' ${1//./ }; }
nothing() { printf '00 %.0s' $(seq "$1"); }
change() { local map=$1; shift; bpf map update pinned "$MAPS/$map" "$@"; }
delete() { bpf map delete pinned "$MAPS/$1" key hex $2; }
value_of() { # MAP KEY
	# shellcheck disable=SC2086
	bpf -j map lookup pinned "$MAPS/$1" key hex $2 | jq -r '.value | map(ltrimstr("0x")) | join(" ")'
}
word() { # VALUE INDEX: the INDEX-th 32-bit number of a value
	local w
	read -r -a w <<< "$1"
	echo $((16#${w[$2 * 4 + 3]}${w[$2 * 4 + 2]}${w[$2 * 4 + 1]}${w[$2 * 4]}))
}

clean() { says "the kernel has all " ctl datapath verify; }
cannot_fetch() { ! in_ns client curl -sf -m 1 "http://10.77.0.11:8080/cgi-bin/id"; }
# verify exits with 1 and names it; --repair says it is mended and exits with 0; nothing is left.
mends() { # WHAT SENTENCE
	check "$1: named" refuses "$2" ctl datapath verify
	check "$1: mended" says "$2: mended" ctl datapath verify --repair
	check "$1: nothing is left" clean
}

check "a manager and a worker" swarm_form 1 1
check "images" swarm_images n1
check "an overlay network" docker network create -d overlay --subnet 10.99.0.0/24 front
check "a service, a task on each node" docker service create -d --name web --mode global --network front --publish 8080:80 web
check "runs" wait_for 60 tasks_run n1 web 2
check "a client on n1" docker service create -d --name client --network front --constraint node.hostname==n1 eon01/infinite
check "runs" wait_for 60 tasks_run n1 client 1
fetch() { in_ns client curl -sf -m 10 "http://10.77.0.11:8080/cgi-bin/id"; }
check "the port answers" wait_for 30 fetch
in_client() { d n1 exec "$(d n1 ps -q --filter name=client)" "$@"; }
in_network() { in_client timeout 5 wget -q -O - http://web/cgi-bin/id; }
check "the service answers in the network" wait_for 30 in_network
check "nothing differs" wait_for 30 clean

vni() { ctl --json datapath endpoints | jq "[.[] | select(.addr | startswith(\"10.99.0.\"))][0].vni"; }
VNI=$(vni)
endpoint() { # local|remote: of a task of web
	ctl --json datapath backends | jq -r '.[] | select(.kind == "vip") | .addr' > "$LAB/backends"
	ctl --json datapath endpoints | jq -r --argjson vni "$VNI" ".[] | select(.vni == \$vni and (.ifindex == 0) == ($1)) | .addr" |
		grep -Fxf "$LAB/backends" | head -1
}
remote=$(endpoint true)
here=$(endpoint false)
backends_sum() { equals 1021 eval "ctl --json datapath backends | jq '[.[] | select(.kind == \"published\") | .slots] | add'"; }
check "backends show their shares" backends_sum

delete endpoints "$(u32 "$VNI")$(addr "$remote")"
mends "an endpoint that was deleted" "endpoint $remote of network $VNI is missing"

key="$(u32 "$VNI")$(addr "$here")"
value=$(value_of endpoints "$key")
change endpoints key hex $key value hex ${value% * * * * * * * *} 02 42 01 02 03 04 00 00
mends "an endpoint that was changed" "endpoint $here of network $VNI has mac \"02:42:01:02:03:04\" instead of \"$(printf '02:42:%02x:%02x:%02x:%02x' ${here//./ })\""

change endpoints key hex $(u32 "$VNI") $(addr 10.99.0.200) value hex $(u32 1) $(u32 0) $(nothing 8) \
	$(addr 10.77.0.12) $(nothing 16) $(nothing 12) 02 42 0a 63 00 c8 00 00
mends "an endpoint too many" "endpoint 10.99.0.200 of network $VNI is there, and nobody wants it"

delete endpoints "$(u32 "$VNI")$(addr 10.99.0.1)"
mends "the gateway's address" "network $VNI does not answer for its gateway 10.99.0.1"

change endpoints key hex $(u32 "$VNI") $(addr 10.99.0.201) value hex $(u32 3) $(nothing 64)
mends "an address of the node that is none" "10.99.0.201 of network $VNI is taken, and nobody wants it"

delete peers "$(addr 10.77.0.12)"
mends "a peer that was deleted" "peer 10.77.0.12 is missing"

port="$(u16be 8080)06 00"
table=$(word "$(value_of ports "$port")" 1)
delete chunks "$(u32 "$table")$(u32 3)"
check "a chunk of 64 slots is gone: named" refuses "published port 8080/tcp has 64 of 1021 slots of its balancing table missing" ctl datapath verify
loses_some() { local i; for i in $(seq 200); do cannot_fetch && return; done; return 1; }
check "requests are lost by it" loses_some
check "a chunk of 64 slots is gone: mended" says ": mended" ctl datapath verify --repair
check "a chunk of 64 slots is gone: nothing is left" clean
all_answer() { local i; for i in $(seq 60); do fetch || return; done; }
check "and all requests are answered" all_answer

table=$(word "$(value_of ports "$port")" 1)
value=$(value_of chunks "$(u32 "$table")$(u32 0)")
read -r -a w <<< "$value"
change chunks key hex $(u32 "$table") $(u32 0) value hex $(addr 10.99.0.77) "${w[@]:16}"
mends "a slot with a strange backend" "published port 8080/tcp has 1 of 1021 slots of its balancing table missing or with another backend"

value=$(value_of ports "$port")
read -r -a w <<< "$value"
change ports key hex $port value hex "${w[@]:0:16}" $(u16be 81) 00 00
mends "a port with another target" "published port 8080/tcp has target 81 instead of 80"

delete ports "$port"
mends "a port that was deleted" "published port 8080/tcp is missing"

index=$(in_ns n1 ip -j link show eth0 | jq '.[0].ifindex')
detach() {
	if [ -e "/proc/$(lab_pid n1)/root$MAPS/link_$index" ]; then
		bpf link detach pinned "$MAPS/link_$index"
	else
		in_ns n1 tc filter del dev eth0 ingress
	fi
}
check "the uplink's program is taken off" detach
check "the port does not answer" cannot_fetch
mends "a program that was taken off" "link eth0 has not its BPF program attached"

value=$(value_of settings "00 00 00 00")
read -r -a w <<< "$value"
change settings key hex 00 00 00 00 value hex "${w[@]:0:8}" $(addr 10.77.0.99) "${w[@]:24}"
mends "other settings" "the settings (data path address, port, way of replies) are not this agent's"

in_ns n1 sysctl -qw net.ipv4.conf.lo.route_localnet=0
mends "a setting of the loopback" "net.ipv4.conf.lo.accept_local and route_localnet are not 1"
check "the port answers" all_answer
check "the service answers in the network" wait_for 10 in_network

# Events. The flag is the second word of the settings.
listened() { [ $(($(word "$(value_of settings "00 00 00 00")" 1) & 2)) != 0 ]; }
check "nobody listens" eval '! listened'
"$BUILD/swarmctl" -H "unix://$(node_sock n1)" datapath events > "$LAB/events" 2>&1 &
text=$!
"$BUILD/swarmctl" -H "unix://$(node_sock n1)" --json datapath events > "$LAB/events.json" 2>&1 &
json=$!
check "the programs tell while someone listens" wait_for 10 listened
# VXLAN from where no node is: flags, VNI, an Ethernet and an IPv4 header
strangers() { # COUNT
	in_ns client python3 -c "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range($1):
    s.sendto(bytes([8, 0, 0, 0, 0, 16, 1, 0] + [2] * 12 + [8, 0, 0x45] + [0] * 59), ('10.77.0.11', 4789))"
}
strangers 1
told() { grep -q "$1" "$LAB/events"; }
check "a drop is told" wait_for 10 told "drop .*VXLAN from an address that is no node of the swarm, on link eth0, "
fetch > /dev/null
check "a flow is told" wait_for 10 told "flow .*published: tcp 10.77.0.2:[0-9]* to 10.77.0.11:8080 becomes"
check "scaled" docker service scale -d client=0
check "a change is told" wait_for 60 told "del .*endpoint .* of network $VNI is deleted"
as_json() { jq -es 'map(select(.event == "flow" and .flow.dport == 8080 and .time)) | length > 0' "$LAB/events.json"; }
check "the same as JSON" wait_for 10 as_json
kill $text $json
check "a listener that goes costs nothing more" wait_for 10 eval '! listened'
"$BUILD/swarmctl" -H "unix://$(node_sock n1)" datapath events > "$LAB/events" 2>&1 &
text=$!
check "another listens" wait_for 10 listened
delete peers "$(addr 10.77.0.12)"
check "what is mended" says ": mended" ctl datapath verify --repair
check "is told" wait_for 10 told "repair .*peer 10.77.0.12 is missing: mended"
kill $text

# A listener that does not read: its lines fill the socket's buffers and what the agent keeps for it.
cat > "$LAB/slow.py" << 'END'
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.settimeout(30)
s.connect(sys.argv[1])
s.sendall(b"GET /agent/datapath/events HTTP/1.0\r\n\r\n")
open(sys.argv[2] + ".open", "w").close()
while not os.path.exists(sys.argv[2] + ".go"):
    time.sleep(0.05)
data = b""
while b"this listener is too slow" not in data:
    more = s.recv(1 << 20)
    if not more:
        sys.exit("the stream ended")
    data = data[-4096:] + more
print("told")
END
python3 "$LAB/slow.py" "$(node_sock n1)" "$LAB/slow" > "$LAB/slow.out" 2>&1 &
check "a slow listener" wait_for 10 eval 'test -e "$LAB/slow.open" && listened'
check "many drops" strangers 10000
touch "$LAB/slow.go"
check "is told that it lost some" wait_for 30 grep -qx told "$LAB/slow.out"
check "wrong usage" refuses "usage:" ctl datapath flows --repair
finish
