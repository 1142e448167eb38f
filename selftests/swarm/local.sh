#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Networks of the swarm that each node has for itself, by its own configuration of the same name. The
# driver is bridge, which every kernel has; selftests/vm/macvlan.sh shows the links of the others.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
check "a manager and a worker" swarm_form 1 1
check "images" base_image n1
check "on both" base_image n2
docker() { d n1 "$@"; }
create() { docker network create --scope swarm "$@"; }
check "no configuration on the manager" refuses 'configuration network "conf" does not exist' create -d bridge --config-from conf --attachable own
for n in n1 n2; do
	check "a configuration on $n" d $n network create --config-only --subnet "10.4${n#n}.0.0/24" --gateway "10.4${n#n}.0.1" conf
done
check "options are the configuration's" refuses "network driver options are not supported" create -d macvlan --config-from conf -o parent=eth0 x
check "subnets, too" refuses "user-specified configurations are not supported" create -d macvlan --config-from conf --subnet 10.45.0.0/24 x
check "a network of the swarm" create -d bridge --config-from conf --attachable own
check "inspect" equals "swarm bridge conf true" docker network inspect -f '{{.Scope}} {{.Driver}} {{.ConfigFrom.Network}} {{.Attachable}}' own
check "no node has it yet" equals "" d n2 network ls -q --filter name=own
check "a service on it" docker service create -d --no-resolve-image --name sv --mode global --network own alpine sleep 1000
check "runs on both nodes" wait_for 30 tasks_run n1 sv 2
ctr() { d "$1" ps -q --filter "label=com.docker.swarm.service.name=$2" | head -1; } # NODE SERVICE
address() { d "$1" inspect -f "{{.NetworkSettings.Networks.own.IPAddress}}" "$2"; } # NODE CONTAINER
for n in n1 n2; do
	check "$n: an address of the node's own subnet" equals "10.4${n#n}.0.2" address $n "$(ctr $n sv)"
	check "$n: and its gateway" says "default via 10.4${n#n}.0.1" d $n exec "$(ctr $n sv)" ip route
	check "$n: its configuration is in use" refuses 'configuration network "conf" is in use' d $n network rm conf
done
check "the worker shows it" equals "swarm bridge conf" d n2 network inspect -f '{{.Scope}} {{.Driver}} {{.ConfigFrom.Network}}' own
check "a container on the worker" d n2 run -d --name one --network own --ip 10.42.0.77 alpine sleep 1000
check "has the address asked for" equals 10.42.0.77 address n2 one
check "sees its neighbour by name" d n2 exec "$(ctr n2 sv)" ping -c 1 -W 5 one
agent_stop n2 KILL
check "the worker again" agent_start n2
check "after kill -9: the address" equals 10.42.0.77 address n2 one
check "and names" wait_for 10 d n2 exec "$(ctr n2 sv)" ping -c 1 -W 5 one
check "the tasks are the same" wait_for 30 tasks_run n1 sv 2
check "a network in use stays" refuses "in use" docker network rm own
check "remove the service" docker service rm sv
no_tasks() { [ -z "$(ctr n1 sv)$(ctr n2 sv)" ]; }
check "its tasks end" wait_for 40 no_tasks
gone() { [ -z "$(d "$1" network ls -q --filter driver=bridge --filter scope=swarm)" ]; }
check "the container's network stays" eval '! gone n2'
d n2 rm -f one > /dev/null
removed() { docker network rm own; }
check "remove the network" wait_for 30 removed
for n in n1 n2; do
	check "$n: it is gone" wait_for 30 gone $n
	check "$n: its configuration can go" d $n network rm conf
done
all_leave n2 n1
finish
