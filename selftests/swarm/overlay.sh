#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Overlay networks on five nodes: service discovery and VIPs across nodes, published ports at
# every node, two networks with the same subnet that do not see each other.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }
nodes="n1 n2 n3 n4 n5"

# Different tasks that answer at a name. usage: answers_of SERVICE URL
answers_of() { for _ in $(seq 40); do in_task "$1" timeout 3 wget -q -O - "$2" | awk '{print $1}'; done | sort | uniq -c; }
meets() { [ "$(answers_of "$1" "$2" | wc -l)" = "$3" ]; } # SERVICE URL COUNT

check "three managers and two workers" swarm_form 3 2
check "images" swarm_images n1
check "an overlay network" docker network create -d overlay front
check "a service on it, a task on each node" docker service create -d --name web --network front --mode global --publish 8080:80 web
check "runs" wait_for 90 tasks_run n1 web 5
check "a client on it" docker service create -d --name client --network front --constraint node.hostname==n4 eon01/infinite
check "runs" wait_for 60 tasks_run n1 client 1

check "the name has one address, the service's" wait_for 20 n_addresses client web 1
check "its tasks have five" wait_for 20 n_addresses client tasks.web 5
every_task() {
	local n id ip
	tasks_of web front > "$LAB/tasks"
	while read -r n id ip; do
		in_task client timeout 5 wget -q -O /dev/null "http://$ip/cgi-bin/id" || { echo "$ip on $n does not answer"; return 1; }
	done < "$LAB/tasks"
}
check "every task answers a task on another node" wait_for 30 every_task
check "the service's address leads to all of them" wait_for 60 meets client http://web/cgi-bin/id 5
check "with the caller's own address" says "$(tasks_of client front | awk '{print $3}')" in_task client timeout 5 wget -q -O - http://web/cgi-bin/id
check "a large reply" equals $((8 << 20)) in_task client sh -c 'timeout 10 wget -q -O - http://web/big | wc -c'
for n in $nodes; do
	check "the published port answers at $n, which shows the client" wait_for 30 says 10.77.0.2 web_answers $n 8080
done
check "names of other networks are not known" refuses "" in_task client nslookup nosuchname 127.0.0.11

# the same subnet twice: each sees its own
for net in one two; do
	check "network $net" docker network create -d overlay --subnet 10.99.0.0/24 $net
done
for net in one two; do
	check "service $net" docker service create -d --name web-$net --network $net --replicas 2 --hostname "$net-{{.Task.Slot}}" web
	check "client of $net" docker service create -d --name client-$net --network $net eon01/infinite
	check "they run" wait_for 60 tasks_run n1 web-$net 2
	check "the client runs" wait_for 60 tasks_run n1 client-$net 1
done
only_own() { # NETWORK
	local ip ips
	ips=$(tasks_of "web-$1" "$1" | awk '{print $3}')
	[ "$(wc -w <<< "$ips")" = 2 ] || { echo "not two addresses: $ips"; return 1; }
	for ip in $ips; do
		in_task "client-$1" timeout 5 wget -q -O - "http://$ip/cgi-bin/id" | grep -q "^$1-" || { echo "$ip is not of $1"; return 1; }
	done
}
for net in one two; do
	check "tasks of $net answer in $net" wait_for 30 only_own $net
done
check "one does not know web-two" refuses "" in_task client-one nslookup web-two 127.0.0.11
check "two does not know web-one" refuses "" in_task client-two nslookup web-one 127.0.0.11

# dnsrr: no address of the service's own
check "a dnsrr service" docker service create -d --name rr --network front --replicas 3 --endpoint-mode dnsrr web
check "runs" wait_for 60 tasks_run n1 rr 3
check "its name has three addresses" wait_for 20 n_addresses client rr 3

# what goes is forgotten everywhere
check "scaled down" docker service scale -d rr=1
check "one is left" wait_for 30 n_addresses client rr 1
check "services go" docker service rm web client rr web-one web-two client-one client-two
empty() { wait_for 60 no_containers "$1" || { d "$1" ps -a; tail -20 "$LAB/$1/agent.log"; return 1; }; }
for n in $nodes; do check "no containers on $n" empty $n; done
check "networks go" docker network rm front one two
gone() { ! d "$1" network ls --format '{{.Name}}' | grep -qxE 'front|one|two'; }
for n in $nodes; do check "no network left on $n" wait_for 30 gone $n; done
finish
