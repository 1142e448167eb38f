#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a leader was doing, the next one finishes: rolling updates, scaling, restarts, jobs,
# removal; and no task, address or port is given out twice.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh

# Managers that answer; the calls go to the first of them.
at() {
	local n
	for n in n1 n2 n3; do
		[ -e "$LAB/$n/pid" ] && { echo $n; return; }
	done
}
docker() { d "$(at)" "$@"; }
create() { # NAME FLAG…
	local name=$1
	shift
	docker service create -d --no-resolve-image --name "$name" "$@" alpine tail -f /dev/null > /dev/null
}
status() { docker service inspect -f '{{if .UpdateStatus}}{{.UpdateStatus.State}}: {{.UpdateStatus.Message}}{{end}}' "$1"; }
status_is() { [[ "$(status "$1")" == "$2"* ]]; }
runs() { tasks_run "$(at)" "$1" "$2"; } # SERVICE COUNT
# Running tasks of a service with a text in their environment. usage: with_env SERVICE TEXT COUNT
with_env() {
	local n=0 c m
	for m in n1 n2 n3; do
		[ -e "$LAB/$m/pid" ] || continue
		for c in $(d $m ps -q --filter "label=com.docker.swarm.service.name=$1"); do
			d $m inspect -f '{{.Config.Env}}' "$c" | grep -q "$2" && n=$((n + 1))
		done
	done
	[ $n = "$3" ]
}
some_with_env() { ! with_env "$1" "$2" 0; }
containers_of() { # SERVICE COUNT
	local n=0 m
	for m in n1 n2 n3; do
		[ -e "$LAB/$m/pid" ] && n=$((n + $(d $m ps -q --filter "label=com.docker.swarm.service.name=$1" | wc -l)))
	done
	[ $n = "$2" ]
}
kill_leader() {
	leader "$(at)" > "$LAB/lost"
	[ -s "$LAB/lost" ] && agent_stop "$(lost)" KILL
}
lost() { cat "$LAB/lost"; }
another_leads() { [ -n "$(leader "$(at)")" ] && [ "$(leader "$(at)")" != "$(lost)" ]; }
back() { agent_start "$(lost)" && wait_for 60 nodes_ready "$(at)" 3; }
# Addresses of live tasks on the networks: those that are there twice.
twice() {
	curl -s --unix-socket "$(node_sock "$(at)")" 'http://d/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D' |
		python3 -c 'import collections, json, sys
seen = collections.Counter(a for t in json.load(sys.stdin) for n in t.get("NetworksAttachments") or [] for a in n.get("Addresses") or [])
print(len(seen), [a for a in seen if seen[a] > 1])'
}
none_twice() { [[ "$(twice)" == *"[]" ]]; }

form() {
	local n
	swarm_form 3 0 && for n in n1 n2 n3; do base_image $n || return; done
}
check "three managers" form
check "a network" docker network create -d overlay back
check "a service" create web --replicas 9 --network back --stop-grace-period 1s --update-monitor 1s --update-delay 1s
check "runs" wait_for 90 runs web 9
check "an update begins" docker service update -d --no-resolve-image --env-add A=1 web
check "a first task is new" wait_for 60 some_with_env web A=1
check "the leader is killed" kill_leader
check "another leads" wait_for 30 another_leads
check "it is back" back
check "the update completes" wait_for 180 status_is web "completed"
check "nine run" wait_for 60 runs web 9
check "all new" wait_for 30 with_env web A=1 9
check "none is doubled" wait_for 60 containers_of web 9
check "no address is given twice" none_twice

check "scale up" docker service scale -d web=45
check "the leader is killed" kill_leader
check "another leads" wait_for 30 another_leads
# Not tasks_run: what the lost node had counts as running until it says otherwise.
running_by_node() {
	docker service ps --filter desired-state=running --format '{{.Node}} {{.CurrentState}}' web | awk '$2 == "Running" {n[$1]++} END {for (i in n) print n[i]}' | sort -n | tr '\n' ' '
}
all_on_two_nodes() {
	local a b rest
	read -r a b rest <<< "$(running_by_node)"
	[ -z "$rest" ] && [ $((${a:-0} + ${b:-0})) = 45 ]
}
check "all run, on two nodes" wait_for 120 all_on_two_nodes
check "no address is given twice" none_twice
check "it is back" back
check "none is doubled" wait_for 60 containers_of web 45

check "a job" docker service create -d --no-resolve-image --name job --mode replicated-job --replicas 8 --max-concurrent 2 alpine sleep 1
check "the leader is killed" kill_leader
check "another leads" wait_for 30 another_leads
completed() { [ "$(docker service ps --format '{{.CurrentState}}' job | grep -c '^Complete')" = 8 ]; }
check "the job completes" wait_for 120 completed
check "it is back" back

check "a published service" create port --publish 8080:80
check "removal begins" docker service rm web port
check "the leader is killed" kill_leader
check "another leads" wait_for 30 another_leads
check "it is back" back
check "nothing of it is left" wait_for 120 containers_of web 0
no_tasks() { [ -z "$(docker service ps -q web 2> /dev/null)" ] && [ "$(curl -s --unix-socket "$(node_sock "$(at)")" http://d/tasks | grep -o '"Slot"' | wc -l)" -le 8 ]; }
check "nor its tasks" wait_for 60 no_tasks
check "the port is free again" create port --publish 8080:80
check "and its service runs" wait_for 60 runs port 1
check "remove all" docker service rm port job
for n in n1 n2 n3; do check "no containers on $n" wait_for 60 no_containers $n; done
finish
