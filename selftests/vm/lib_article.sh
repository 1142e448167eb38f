#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The article on three managers, in a virtual machine: an image is built, a service created and
# scaled, tasks find each other, a published port answers at every node, and nothing is left over.
# To be run by its wrappers in the guest; in the environment:
#   DATAPATH   bpf or kmod
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
. selftests/vm/lib_log.sh
docker() { d n1 "$@"; }
nodes="n1 n2 n3"
ips() { for n in $nodes; do node_ip "$n"; done; }
running_are() { local n; for n in $nodes; do running_on "$n"; done | xargs | grep -qx "$1"; }
# Names that the web service's tasks on $nodes answer with at a node. usage: web_names NODE COUNT
web_names() { for _ in 1 2 3 4 5 6; do web_answers "$1" 8080 | cut -d' ' -f1; done | sort -u | wc -l | grep -qx "$2"; }
fetch() { in_task client timeout $((5 * SLOW)) wget -q -O - "$1"; }
datapath() { "$BUILD/swarmctl" -H "unix://$(node_sock "$1")" datapath status | awk '$1 == "datapath" {print $2}'; }

if [ "$DATAPATH" = kmod ]; then
	check "the module loads" insmod "$BUILD/kmod/swarm.ko"
fi
for n in $nodes; do check "the agent of $n" agent_start "$n" --datapath="$DATAPATH"; done
check "images, built on n1 only" swarm_images n1
check "docker images" says eon01/infinite docker images

check "swarm init" says "docker swarm join --token SWMTKN-1-" docker swarm init --advertise-addr "$(node_ip n1)"
token=$(docker swarm join-token -q manager)
for n in n2 n3; do
	check "$n joins" says "as a manager" d "$n" swarm join --token "$token" "$(node_ip n1):2377"
done
check "three nodes are ready" wait_for 30 nodes_ready n1 3
check "a leader and two reachable" wait_for 30 managers_are n1 3
for n in $nodes; do check "$n has the datapath $DATAPATH" equals "$DATAPATH" datapath "$n"; done

check "service create" docker service create --detach=false --name infinite_service eon01/infinite
check "docker ps on one node" running_are "1 0 0\|0 1 0\|0 0 1"
check "service scale to 2" docker service scale -d infinite_service=2
check "two run" wait_for 30 tasks_run n1 infinite_service 2
check "service scale to 6" docker service scale -d infinite_service=6
check "six run" wait_for 30 tasks_run n1 infinite_service 6
check "docker ps: two on each node" running_are "2 2 2"

check "an overlay network" docker network create -d overlay shop
check "a published service on n1 and n2" docker service create -d --no-resolve-image --name web --replicas 2 --network shop \
	--publish 8080:80 --constraint node.hostname!=n3 web
check "a client on n3" docker service create -d --no-resolve-image --name client --network shop \
	--constraint node.hostname==n3 eon01/infinite
check "the service runs" wait_for 30 tasks_run n1 web 2
check "the client runs" wait_for 30 tasks_run n1 client 1
for n in $nodes; do
	check "the published port answers at $n, which shows the client" wait_for 30 says 10.77.0.2 web_answers "$n" 8080
	check "both tasks answer there" wait_for 30 web_names "$n" 2
done
check "no task of it is on n3" equals "" d n3 ps -q --filter label=com.docker.swarm.service.name=web
check "it answers n3 itself" in_ns n3 curl -sf -m $((5 * SLOW)) "http://$(node_ip n3):8080/cgi-bin/id"
check "the name has one address, the service's" wait_for 20 n_addresses client web 1
check "its tasks have two" wait_for 20 n_addresses client tasks.web 2
check "the service answers by its name" fetch http://web/cgi-bin/id
check "with the caller's own address" says "$(tasks_of client shop | awk '{print $3}')" fetch http://web/cgi-bin/id
big() { fetch http://web/big | wc -c; }
check "a large reply" equals $((8 << 20)) big

agent_stop n3 KILL
check "without its agent n3 answers still" web_names n3 2
check "the agent of n3 is back" agent_start n3 --datapath="$DATAPATH"
check "three nodes are ready" wait_for 30 nodes_ready n3 3
# an agent that is away for long counts as lost: its tasks may be others now, but no more of them
none_twice() { [ "$(for n in $nodes; do running_on "$n"; done | awk '{n += $1} END {print n}')" = 9 ]; }
check "six tasks run" wait_for 30 tasks_run n1 infinite_service 6
check "the client runs" wait_for 30 tasks_run n1 client 1
check "none runs twice" wait_for 30 none_twice
check "the published port answers at n3" wait_for 30 says 10.77.0.2 web_answers n3 8080
check "the service answers by its name" wait_for 20 fetch http://web/cgi-bin/id
elections() { cat "$LAB"/n?/agent.log | grep -c 'raft: leader of term'; }
check "a slow machine is no reason for an election" equals 1 elections
lost() { grep -h 'heartbeat failure' "$LAB"/n?/agent.log; }
check "nor for losing a node" equals "" lost

check "service rm" docker service rm infinite_service web client
empty() { no_containers n1 && no_containers n2 && no_containers n3; }
check "no containers are left" wait_for 60 empty
check "network rm" docker network rm shop
all_leave n3 n2 n1
if [ "$DATAPATH" = kmod ]; then
	check "the module unloads" rmmod swarm
fi
check "the kernel has no complaint" log_is_clean
echo "# $(cut -d' ' -f1 /proc/uptime) s since the machine's start"
finish
