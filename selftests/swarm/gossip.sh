#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Our gossip and Docker's, in one swarm: each sees the other's members, takes the other's table
# entries, and notices who is gone.
#
#   n1 agent (manager)   n2 dockerd (worker)   n3 agent (worker)
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
. selftests/lib_dockerd.sh

log_says() { grep -qE "$2" "$LAB/$1"; } # FILE REGEX
joined() { log_says n2/agent.log "/10\.77\.0\.$1, joined gossip cluster"; }

agent_start n1 && agent_start n3 || exit 1
check "dockerd starts" dockerd_start n2 --debug
check "a swarm" d n1 swarm init --advertise-addr "$(node_ip n1)"
token=$(d n1 swarm join-token -q worker)
for n in n2 n3; do check "$n joins" d $n swarm join --token "$token" "$(node_ip n1):2377"; done
check "three nodes are ready" wait_for 60 nodes_ready n1 3

for n in 11 13; do
	check "dockerd sees 10.77.0.$n as a member" wait_for 60 joined $n
done
if in_ns client ip link add vx type vxlan id 1 dstport 4789 dev eth0; then
	# what our nodes publish of the ingress network, taken from the tables
	check "it has our address of the ingress network" wait_for 60 log_says n2/agent.log 'Neighbor entry added for IP:10\.77\.0\.11'
fi
n3=$(cat "$LAB/n3/pid")
kill -STOP "$n3"
check "one of ours is silent: dockerd gives it up" wait_for 90 log_says n2/agent.log '/10\.77\.0\.13, left gossip cluster'
check "so do we" wait_for 90 log_says n1/agent.log 'gossip: the node at 10\.77\.0\.13 does not answer'
kill -CONT "$n3"
back() { [ "$(grep -c '/10\.77\.0\.13, joined gossip cluster' "$LAB/n2/agent.log")" -ge 2 ]; }
check "it is back" wait_for 90 back
agent_stop n2 KILL
check "dockerd is killed: we notice" wait_for 90 log_says n1/agent.log 'gossip: the node at 10\.77\.0\.12 does not answer'
complaints() { ! grep -E 'memberlist: (Failed|Decrypt|.*(unknown|corrupt))|\[ERR\]' "$LAB/n2/agent.log" | grep -v 'Push/Pull\|no route\|refused\|timeout\|ping'; }
check "dockerd found nothing wrong with our messages" complaints
finish
