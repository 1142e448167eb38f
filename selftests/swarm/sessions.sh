#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Managers die, one after the other, cut off or killed: workers find another, none is taken for
# dead, and no container notices.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh

cut_off() { in_ns switch ip link set "to-$1" down; }
reconnect() { in_ns switch ip link set "to-$1" up; }
ids() { for n in n4 n5; do d $n ps -q --no-trunc; done | sort; }
same_ids() { [ "$(ids)" = "$before" ]; }
# A worker counts as ready all the time while a command runs. usage: steady AT COMMAND…
workers_ready() { [ "$(d "$1" node ls --format '{{.Hostname}} {{.Status}}' | grep -cE '^n[45] Ready')" = 2 ]; }
new_leader() { local l; l=$(leader "$1"); [ -n "$l" ] && [ "$l" != "$2" ]; }
went_down() { grep -hE 'dispatcher: node .*\(10\.77\.0\.1[45]\) is down' "$LAB"/n[123]/agent.log; }
service_works() { # AT: a change reaches the workers through whichever manager they have
	n_update=$((n_update + 1))
	d "$1" service create -d -q --name "probe$n_update" --no-resolve-image --replicas 2 \
		--constraint node.role==worker alpine sleep 1000 > /dev/null &&
		wait_for 60 tasks_run "$1" "probe$n_update" 2 && d "$1" service rm "probe$n_update" > /dev/null
}
n_update=0

check "three managers and two workers" swarm_form 3 2
base_image n4
base_image n5
check "a service on the workers" d n1 service create -d --name s --no-resolve-image --replicas 6 \
	--constraint node.role==worker alpine sleep 1000
check "it runs" wait_for 60 tasks_run n1 s 6
before=$(ids)

lead=$(leader n1)
others=()
for n in n1 n2 n3; do [ $n = "$lead" ] || others+=($n); done
cut_off "${others[0]}"
check "a follower is cut off: work goes on" service_works "$lead"
check "the workers are ready" wait_for 60 workers_ready "$lead"
reconnect "${others[0]}"
check "it is back" wait_for 60 managers_are "$lead" 3

agent_stop "${others[1]}" KILL
check "a follower is killed: work goes on" service_works "$lead"
check "the workers are ready" wait_for 60 workers_ready "$lead"
agent_start "${others[1]}"
check "it is back" wait_for 60 managers_are "$lead" 3

agent_stop "$lead" KILL
check "the leader is killed: another leads" wait_for 60 new_leader "${others[0]}" "$lead"
check "the workers are ready" wait_for 60 workers_ready "${others[0]}"
check "work goes on" service_works "${others[0]}"
agent_start "$lead"
check "it is back" wait_for 60 managers_are "${others[0]}" 3
check "no worker was taken for dead" equals "" went_down
check "the containers have not noticed" wait_for 30 same_ids
finish
