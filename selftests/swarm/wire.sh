#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is on the wire between nodes: standard VXLAN with right checksums, packets that are too large
# answered instead of lost, fragments delivered.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }
task_on() { d "$1" ps -q --filter "label=com.docker.swarm.service.name=$2"; }
in_task() { # NODE SERVICE COMMAND…
	local n=$1 s=$2
	shift 2
	d "$n" exec "$(task_on "$n" "$s")" "$@"
}
address() { d "$1" inspect -f "{{(index .NetworkSettings.Networks \"$3\").IPAddress}}" "$(task_on "$1" "$2")"; }

check "a manager and a worker" swarm_form 1 1
check "images" swarm_images n1
check "a network of the usual size" docker network create -d overlay small
check "one whose containers have 1500 bytes, on an underlay that has no more" \
	docker network create -d overlay --opt com.docker.network.driver.mtu=1550 large
for net in small large; do
	docker service create -d --name "web-$net" --network $net --constraint node.hostname==n1 web > /dev/null
	docker service create -d --name "client-$net" --network $net --constraint node.hostname==n2 eon01/infinite > /dev/null
	check "services on $net" wait_for 60 tasks_run n1 "web-$net" 1
	check "run" wait_for 60 tasks_run n1 "client-$net" 1
done
check "1450 bytes" says "mtu 1450" in_task n2 client-small ip link show eth0
check "1500 bytes" says "mtu 1500" in_task n2 client-large ip link show eth0

fetch() { in_task n2 "client-$1" timeout 20 wget -q -O - "http://web-$1/big" | wc -c | grep -qx $((8 << 20)); }
check "the name resolves" wait_for 30 in_task n2 client-small nslookup web-small 127.0.0.11
in_ns n2 tshark -q -i eth0 -f "udp port 4789" -w "$LAB/capture" -c 2000 -a duration:60 > "$LAB/tshark.out" 2>&1 &
capturing() { [ -s "$LAB/capture" ]; }
tshark=$!
wait_for 20 grep -q "Capturing on" "$LAB/tshark.out"
check "a large transfer" fetch small
check "the capture has begun" wait_for 20 capturing
check "again" fetch small
kill -TERM $tshark 2> /dev/null
wait $tshark 2> /dev/null
count() { tshark -r "$LAB/capture" -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -Y "$1" 2> /dev/null | wc -l; }
at_least() { [ "$(count "$2")" -ge "$1" ]; }
check "tshark decodes VXLAN" at_least 100 "vxlan && tcp"
check "with the VNI of the network" at_least 100 "vxlan.vni >= 4096"
check "no outer IP checksum is wrong" equals 0 count 'ip.checksum.status == "Bad"'
# The kernel leaves the inner checksums of its own virtual links to the hardware: only the outer ones are on the wire.
check "no outer UDP checksum is wrong" equals 0 count 'udp.dstport == 4789 && udp.checksum != 0 && udp.checksum.status == "Bad" && !(udp.dstport != 4789)'
check "nothing else is on the port" equals 0 count "udp.dstport == 4789 && !vxlan"

check "a large transfer between containers of 1500 bytes" fetch large
# In a task's namespace, with a program of the host. usage: beside NODE SERVICE COMMAND…
beside() {
	local pid
	pid=$(d "$1" inspect -f '{{.State.Pid}}' "$(task_on "$1" "$2")")
	shift 2
	nsenter -t "$pid" -n -- "$@"
}
for net in small large; do
	ip=$(address n1 web-$net $net)
	rm -f "$LAB/got"
	beside n1 web-$net timeout 60 socat -u UDP-RECVFROM:9000 "OPEN:$LAB/got,creat,append" &
	# the first may be answered with the path's MTU instead of delivered
	sent() { head -c 4000 /dev/zero | beside n2 client-$net socat -u -b 4000 - "UDP-SENDTO:$ip:9000"; [ "$(stat -c %s "$LAB/got" 2> /dev/null)" = 4000 ]; }
	check "a datagram in fragments arrives whole on $net" wait_for 30 sent
done
finish
