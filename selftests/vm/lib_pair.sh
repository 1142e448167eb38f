# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests of two nodes that share networks, n1 (a manager) and n2, to be sourced after lib_swarm.sh.
# shellcheck disable=SC2034
nodes="n1 n2"

# The page of a task says which node it is on.
serve='mkdir /www; hostname > /www/index.html; exec httpd -f -p 80 -h /www'
address() { tasks_of "$1" "$2" | awk -v n="$3" '$1 == n {print $3}'; } # SERVICE NETWORK NODE
task() { d "$1" ps -q --filter "label=com.docker.swarm.service.name=$2" | head -1; } # NODE SERVICE
# Run in a node's task of a service. usage: on NODE SERVICE COMMAND…
on() {
	local n=$1 s=$2
	shift 2
	d "$n" exec "$(task "$n" "$s")" "$@"
}
fetch() { on "$1" "$2" timeout $((5 * SLOW)) wget -q -O - "$3"; } # NODE SERVICE URL
# Both pages are seen in some tries. usage: both NODE SERVICE URL
both() { for _ in 1 2 3 4; do fetch "$1" "$2" "$3"; done | sort -u | wc -l | grep -qx 2; }
# usage: has_addresses NODE SERVICE NAME COUNT
has_addresses() { [ "$(on "$1" "$2" nslookup "$3" 127.0.0.11 2> /dev/null | awk '/^Name:/ {seen = 1} seen && /^Address/ {print $NF}' | sort -u | wc -l)" = "$4" ]; }
pings() { on "$1" "$2" ping -c 1 -W "$SLOW" "$3"; } # NODE SERVICE ADDRESS

# A network with a task of the service s-NETWORK on each node, which reach each other by address, name
# and the service's address. usage: share NETWORK [OPTION…]
share() {
	local net=$1 n m
	shift
	check "the network $net" d n1 network create -d overlay "$@" "$net"
	check "a service in it" d n1 service create -d --no-resolve-image --name "s-$net" --hostname '{{.Node.Hostname}}' --mode global \
		--network "$net" alpine sh -c "$serve"
	check "a task runs on each node" wait_for 20 tasks_run n1 "s-$net" 2
	for n in n1 n2; do
		m=$([ $n = n1 ] && echo n2 || echo n1)
		check "$n: the other task answers pings" wait_for 10 pings $n "s-$net" "$(address "s-$net" "$net" $m)"
		check "$n: and requests" equals $m fetch $n "s-$net" "http://$(address "s-$net" "$net" $m)/"
		check "$n: tasks have their names" wait_for 10 has_addresses $n "s-$net" "tasks.s-$net" 2
		check "$n: the service has one address" wait_for 10 has_addresses $n "s-$net" "s-$net" 1
		check "$n: where both answer" wait_for 10 both $n "s-$net" "http://s-$net/"
	done
}

# Watch a node's link while a command runs: fails unless there is ESP, no VXLAN in the clear, and the
# text in no packet. usage: only_esp NODE TEXT COMMAND…
only_esp() {
	local n=$1 text=$2 rc=0
	shift 2
	rm -f "$LAB/watch.end"
	in_ns "$n" python3 -c '
import os, socket, sys
end, text = sys.argv[1], sys.argv[2].encode()
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("eth0", 0))
s.settimeout(0.2)
open(end + "gin", "w").close()
esp = clear = seen = 0
while not os.path.exists(end):
    try:
        p = s.recv(65536)
    except TimeoutError:
        continue
    if p[12:14] == b"\x08\0":
        esp += p[23] == 50
        clear += p[23] == 17 and p[36:38] == b"\x12\xb5"
        seen += text in p
print("ESP: %d, VXLAN in the clear: %d, with the text: %d" % (esp, clear, seen))
sys.exit(not esp or clear or seen)
' "$LAB/watch.end" "$text" > "$LAB/watch.out" 2>&1 &
	wait_for 5 test -e "$LAB/watch.endgin"
	"$@" || rc=1
	touch "$LAB/watch.end"
	wait $! || rc=1
	rm -f "$LAB/watch.endgin"
	cat "$LAB/watch.out"
	return $rc
}
