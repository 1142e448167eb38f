#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The article on one node: init, create, scale, a published port, kill -9 in the middle, and
# nothing left at the end.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
agent_start n1
docker() { d n1 "$@"; }
ip=$(node_ip n1)

check "images" swarm_images n1
check "no swarm yet" refuses "This node is not a swarm manager" docker node ls
check "a bad advertise address" refuses "advertise address must be" docker swarm init --advertise-addr nosuch0
check "nothing came of it" equals inactive docker info -f '{{.Swarm.LocalNodeState}}'
check "init" says "docker swarm join --token SWMTKN-1-" docker swarm init --advertise-addr "$ip"
check "a second init" refuses "already part of a swarm" docker swarm init --advertise-addr "$ip"
check "node ls" says "Leader" docker node ls
check "info" equals "active true 1 1" docker info -f '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.Nodes}} {{.Swarm.Managers}}'
check "create" docker service create -d --name infinite_service eon01/infinite
check "one task runs" wait_for 30 tasks_run n1 infinite_service 1
check "docker ps shows it" says "infinite_service.1." docker ps
check "scale to 2" docker service scale -d infinite_service=2
check "two tasks run" wait_for 30 tasks_run n1 infinite_service 2
check "a published service" docker service create -d --name web --replicas 3 --publish 8080:80 web
check "its tasks run" wait_for 60 tasks_run n1 web 3
check "it answers another host" wait_for 30 web_answers n1 8080
check "with the client's address" says "10.77.0.2" web_answers n1 8080
check "it answers the node itself" in_ns n1 curl -sf -m 5 "http://$ip:8080/cgi-bin/id"
check "also at 127.0.0.1" in_ns n1 curl -sf -m 5 http://127.0.0.1:8080/cgi-bin/id

load_start 8080 n1
check "scale to 50" docker service scale -d infinite_service=50
agent_stop n1 KILL
agent_start n1
check "killed in the middle of scaling, 50 tasks run" wait_for 90 tasks_run n1 infinite_service 50
check "no more containers than tasks" equals 53 running_on n1
check "the load goes on" load_goes_on 200
check "no request was lost" load_stop

check "update" docker service update -d --env-add A=b infinite_service
check "rm" docker service rm infinite_service web
check "no containers" wait_for 60 no_containers n1
check "leave needs force" refuses "--force" docker swarm leave
check "leave" docker swarm leave --force
check "inactive" equals inactive docker info -f '{{.Swarm.LocalNodeState}}'
for n in docker_gwbridge; do docker network rm $n > /dev/null 2>&1; done
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
