#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where tasks go: constraints, preferences, global services, limits per node, resources, host
# ports, strategies, drained and paused nodes; and why they wait.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh

docker() { d n1 "$@"; }
run=(tail -f /dev/null)
# usage: create NAME FLAG…
create() {
	local name=$1
	shift
	docker service create -d --no-resolve-image --name "$name" "$@" alpine "${run[@]}" > /dev/null
}
# Nodes and how many wanted, running tasks of a service each has: "n1:2 n2:1".
spread() {
	docker service ps --filter desired-state=running --format '{{.Node}} {{.CurrentState}}' "$1" |
		awk '$2 == "Running" {n[$1]++} END {for (i in n) print i ":" n[i]}' | sort | tr '\n' ' ' | sed 's/ $//'
}
spread_is() { [ "$(spread "$1")" = "$2" ]; }
# The reasons that tasks of a service wait for.
reason() { docker service ps --no-trunc --format '{{.Error}}' "$1" | sort | uniq -c; }
reason_is() { [[ "$(reason "$1")" == *"$2"* ]]; }

# All COUNT tasks are on the same node.
fills_one() { [[ "$(spread "$1")" =~ ^n[0-9]:$2$ ]]; } # SERVICE COUNT
no_tasks_on() { [ "$(d "$1" ps -q | wc -l)" = 0 ]; }

# Three of the six run on n3, three on n1 and n2.
in_zones() { [[ "$(spread "$1")" =~ ^(n1:1 n2:2|n1:2 n2:1)\ n3:3$ ]]; }
# COUNT tasks run, none on n2.
off_n2() { [ "$(spread "$1" | grep -o ':[0-9]*' | tr -d : | paste -sd+ | bc)" = "$2" ] && [[ "$(spread "$1")" != *n2* ]]; }

form() {
	swarm_form 1 2 && for n in n1 n2 n3; do base_image $n || return; done
}
check "three nodes" form
check "labels" docker node update --label-add zone=east --label-add disk=ssd n1
check "labels" docker node update --label-add zone=east n2
check "labels" docker node update --label-add zone=west n3

check "spread" create even --replicas 6
check "two on each" wait_for 60 spread_is even "n1:2 n2:2 n3:2"
check "scale down" docker service scale -d even=3
check "one on each" wait_for 60 spread_is even "n1:1 n2:1 n3:1"

check "constraint on a label" create ssd --replicas 2 --constraint node.labels.disk==ssd
check "is kept" wait_for 60 spread_is ssd "n1:2"
check "constraint on the role" create workers --mode global --constraint node.role==worker
check "global services obey it" wait_for 60 spread_is workers "n2:1 n3:1"
check "constraint on the name" create named --constraint node.hostname!=n1 --constraint node.hostname!=n2
check "is kept" wait_for 60 spread_is named "n3:1"
check "bad constraints are refused" refuses "constraint expected one operator from" create bad --constraint node.labels.disk

check "preference" create zones --replicas 6 --placement-pref spread=node.labels.zone
check "half in each zone" wait_for 60 in_zones zones
check "limit per node" create capped --replicas 5 --replicas-max-per-node 1
check "is kept" wait_for 60 spread_is capped "n1:1 n2:1 n3:1"
check "the others say why" wait_for 30 reason_is capped "no suitable node (max replicas per node limit exceed)"

check "host port" create port --replicas 4 --publish mode=host,target=80,published=8099
check "one on each" wait_for 60 spread_is port "n1:1 n2:1 n3:1"
check "the others say why" wait_for 30 reason_is port "no suitable node (host-mode port already in use on 3 nodes)"

check "too much memory" create big --reserve-memory 900g
check "waits" equals Pending eval "docker service ps --format '{{.CurrentState}}' big | cut -d' ' -f1"
check "says why" wait_for 30 reason_is big "no suitable node (insufficient resources on 3 nodes)"
check "no such label" create nowhere --constraint node.labels.zone==north
check "says why" wait_for 30 reason_is nowhere "no suitable node (scheduling constraints not satisfied on 3 nodes)"
check "pause" docker node update --availability pause n3
check "which is counted" wait_for 30 reason_is nowhere "scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks"
check "a paused node keeps its tasks" spread_is even "n1:1 n2:1 n3:1"
check "and gets none" create paused --replicas 4
check "so the others have them" wait_for 60 spread_is paused "n1:2 n2:2"
check "the label appears" docker node update --label-add zone=north n2
check "and the task runs" wait_for 60 spread_is nowhere "n2:1"
check "unpause" docker node update --availability active n3

check "drain" docker node update --availability drain n2
check "its tasks move" wait_for 60 off_n2 even 3
check "global ones end" wait_for 60 spread_is workers "n3:1"
check "the node is empty" wait_for 60 no_tasks_on n2
check "activate" docker node update --availability active n2
check "global ones come back" wait_for 60 spread_is workers "n2:1 n3:1"

check "a label goes" docker node update --label-rm disk n1
check "and its tasks" wait_for 60 spread_is ssd ""
check "they say why" wait_for 30 reason_is ssd "no suitable node (scheduling constraints not satisfied on 3 nodes)"
check "binpack" create packed --replicas 4 --reserve-cpu 0.01 --label swarm.placement.strategy=binpack
check "fills one node" wait_for 60 fills_one packed 4
check "demanding a role" create managers --mode global --constraint node.role==manager
check "is kept" wait_for 60 spread_is managers "n1:1"
check "remove all" eval 'docker service rm $(docker service ls -q)'
for n in n1 n2 n3; do
	check "no containers on $n" wait_for 60 no_containers $n
done
finish
