#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A client whose packets move from one entry node to another in the middle of a download keeps its
# connection, and so does one that has been quiet: flows of TCP have no time-out.
#
#   client 10.77.0.2 ── route to 10.99.0.1 ──┬── n1 ┐
#                                            └── n2 ┴── overlay ── a task on n3
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }
any=10.99.0.1	# an address that every node has, as behind a router with equal-cost routes

check "a manager and two workers" swarm_form 1 2
check "images" swarm_images n1
check "two tasks, on n3" docker service create -d --name web --replicas 2 --constraint node.hostname==n3 --publish 8080:80 web
check "run" wait_for 60 tasks_run n1 web 2
for n in n1 n2; do in_ns $n ip addr add $any/32 dev lo; done
via() { in_ns client ip route replace $any/32 via "$(node_ip "$1")"; }
via n1
fetch() { in_ns client curl -sf -m 60 "http://$any:8080/cgi-bin/id"; }
check "the address answers through n1" wait_for 30 fetch
via n2
check "and through n2" wait_for 30 fetch

# A download of 8 MiB, 64 KiB at a time; the route changes while it runs.
cat > "$LAB/slow.py" << 'END'
import socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.settimeout(30)
s.connect((sys.argv[1], 8080))
s.sendall(b"GET /big HTTP/1.0\r\n\r\n")
with open(sys.argv[2], "wb", buffering=0) as f:
    while data := s.recv(65536):
        f.write(data)
        time.sleep(len(data) / 1.6e6)
END
in_ns client python3 "$LAB/slow.py" $any "$LAB/big" &
download=$!
has() { [ "$(stat -c %s "$LAB/big" 2> /dev/null || echo 0)" -ge "$1" ]; }
check "a download through n1 begins" wait_for 20 has 500000
via n2
at=$(stat -c %s "$LAB/big")
check "it goes on through n2" wait_for 20 has $((at + 1000000))
via n1
at=$(stat -c %s "$LAB/big")
check "and again through n1" wait_for 20 has $((at + 1000000))
wait $download
check "it ends well" [ $? = 0 ]
check "and is complete" has $((8 << 20))

# A connection that says nothing meanwhile. The kernel's bridge and conntrack forget one after their
# time-outs; a flow here has a time only if it is UDP's.
cat > "$LAB/quiet.py" << 'END'
import os, socket, sys, time
addr, flag = sys.argv[1], sys.argv[2]
s = socket.create_connection((addr, 8080), 10)
s.sendall(b"GET /cgi-bin/id HTTP/1.0\r\n")
open(flag + ".open", "w").close()
end = time.monotonic() + 60
while not os.path.exists(flag + ".go") and time.monotonic() < end:
    time.sleep(0.05)
s.sendall(b"\r\n")
print(s.recv(65536).decode().splitlines()[0])
END
in_ns client python3 "$LAB/quiet.py" $any "$LAB/quiet" > "$LAB/quiet.out" 2>&1 &
quiet=$!
check "a connection is open and quiet" wait_for 20 test -e "$LAB/quiet.open"
flows() { "$BUILD/swarmctl" -H "unix://$(node_sock "$1")" --json datapath flows; }
timed() { flows "$1" | jq -e '[.[] | select(.proto == 6 and has("timeout"))] | length == 0'; }
check "its flow at the entry node has no time-out" timed n1
check "nor at the task's node" timed n3
via n2
touch "$LAB/quiet.go"
wait $quiet
check "it goes on, through the other node" [ $? = 0 ]
check "with an answer" grep -q "200 OK" "$LAB/quiet.out"
finish
