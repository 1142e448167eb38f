#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Joining with tokens, roles, availability, leaving and coming back; five nodes.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }

check "three managers and two workers" swarm_form 3 2
check "images, on n1 only" swarm_images n1
check "a leader and two reachable" wait_for 30 managers_are n1 3
check "a follower lists them too" wait_for 30 nodes_ready n2 5
check "a worker does not" refuses "Worker nodes can't be used to view or modify cluster state" d n4 node ls
check "a second swarm" refuses "already part of a swarm" d n4 swarm join --token SWMTKN-1-x "$(node_ip n1):2377"

check "50 replicas of an image that one node has" docker service create -d --name infinite_service --replicas 50 eon01/infinite
check "run" wait_for 120 tasks_run n1 infinite_service 50
for n in n1 n2 n3 n4 n5; do check "10 on $n" equals 10 running_on $n; done

check "drain" docker node update --availability drain n5
check "its tasks run elsewhere" wait_for 90 tasks_run n1 infinite_service 50
check "none on n5" wait_for 60 equals 0 running_on n5
check "pause n4" docker node update --availability pause n4
check "scale up" docker service scale -d infinite_service=56
check "run" wait_for 60 tasks_run n1 infinite_service 56
on_n4=$(running_on n4)
check "a paused node keeps its tasks" [ "$on_n4" -ge 10 ]
check "active again" docker node update --availability active n4
check "and n5" docker node update --availability active n5

status_of() { docker node inspect -f '{{.Spec.Role}} {{if .ManagerStatus}}{{.ManagerStatus.Reachability}}{{end}}' "$1"; }
role_is() { [ "$(status_of "$1")" = "$2" ]; }
check "promote n4" docker node promote n4
check "it is reachable" wait_for 30 role_is n4 "manager reachable"
check "and answers as a manager" wait_for 30 nodes_ready n4 5
check "demote n4" docker node demote n4
check "it is a worker" wait_for 30 role_is n4 "worker "
refused_there() { refuses "Worker nodes" d n4 node ls; }
check "and refuses as one" wait_for 30 refused_there

check "rotate the worker's token" docker swarm join-token --rotate worker
old=$(docker swarm join-token -q worker)
check "rotate again" docker swarm join-token -q --rotate worker
check "n5 leaves" d n5 swarm leave
down() { [ "$(docker node inspect -f '{{.Status.State}}' "$1")" = down ]; }
check "it is down" wait_for 30 down n5
check "a ready node is not removed" refuses "is not down and can't be removed" docker node rm n4
check "n5 is removed" docker node rm n5
check "a wrong token" refuses "invalid join token" d n5 swarm join --token SWMTKN-1-x "$(node_ip n1):2377"
check "an old token is refused" refuses "join token" d n5 swarm join --token "$old" "$(node_ip n1):2377"
check "n5 is inactive after that" equals inactive d n5 info -f '{{.Swarm.LocalNodeState}}'
check "n5 joins with the new one" d n5 swarm join --token "$(docker swarm join-token -q worker)" "$(node_ip n1):2377"
check "five nodes" wait_for 30 nodes_ready n1 5
check "rm" docker service rm infinite_service
for n in n1 n2 n3 n4 n5; do check "no containers on $n" wait_for 60 no_containers $n; done
check "labels" docker node update --label-add zone=a n5
check "are there" equals a docker node inspect -f '{{.Spec.Labels.zone}}' n5
finish
