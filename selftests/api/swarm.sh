#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The swarm's resources with the docker CLI, on one node: services and their updates, tasks, logs,
# secrets, configs, networks, nodes, stacks, tokens and keys, events.
. "$(dirname "$0")/../lib.sh"
agent_start n1
sock=$(node_sock n1)
work=$LAB/work
mkdir -p "$work"
docker() { command timeout 60 docker -H "unix://$sock" "$@"; }
api() { curl -s -g -m 20 --unix-socket "$sock" "$@"; }
base_image n1
curl -sN --unix-socket "$sock" http://d/events > "$work/events" &
events=$!
docker swarm init --advertise-addr "$(node_ip n1)" > /dev/null

replicas() { [ "$(docker service ls --filter "name=$1" --format '{{.Replicas}}')" = "$2" ]; }
reaches() { wait_for 60 replicas "$1" "$2" || { docker service ps --no-trunc "$1"; return 1; }; }
field() { docker service inspect -f "$2" "$1"; }

# --- secrets and configs ---
check "create a secret" bash -c "echo -n top > $work/s && command docker -H unix://$sock secret create -l a=b s1 $work/s"
check "create a config" bash -c "echo -n conf > $work/c && command docker -H unix://$sock config create c1 $work/c"
check "list by label" equals s1 docker secret ls --filter label=a=b --format '{{.Name}}'
check "a config shows its data" equals conf docker config inspect -f '{{printf "%s" .Spec.Data}}' c1
check "a secret does not" equals "" docker secret inspect -f '{{printf "%s" .Spec.Data}}' s1

# --- a service, waited for ---
check "create a service and wait for it" docker service create --no-resolve-image --name web --replicas 2 --secret s1 \
	--config source=c1,target=/conf,mode=0444 --label tier=front --env 'WHO={{.Service.Name}}.{{.Task.Slot}}' \
	--limit-memory 32M --stop-grace-period 1s --update-monitor 500ms --rollback-monitor 500ms alpine sh -c 'echo I am $WHO; cat /run/secrets/s1 /conf; echo; echo oops >&2; exec sleep 1000'
check "it is listed with its tasks" replicas web 2/2
check "list by label" equals web docker service ls --filter label=tier=front --format '{{.Name}}'
check "list by mode" equals "" docker service ls --filter mode=global --format '{{.Name}}'
check "the status is in the list when asked for" equals 2 bash -c "curl -s --unix-socket $sock 'http://d/services?status=true' | jq '.[0].ServiceStatus.RunningTasks'"
check "defaults are inserted when asked for" equals 5000000000 bash -c "curl -s --unix-socket $sock 'http://d/services/web?insertDefaults=true' | jq .Spec.TaskTemplate.RestartPolicy.Delay"
check "tasks" equals "web.1 Running web.2 Running" bash -c "command docker -H unix://$sock service ps --format '{{.Name}} {{.DesiredState}}' web | sort | xargs"
check "tasks by node and state" equals 2 bash -c "command docker -H unix://$sock node ps -q --filter desired-state=running | wc -l"
check "a task by its ID" says '"ServiceID"' docker inspect --type task "$(docker service ps -q web | head -1)"

# --- logs ---
logged() { [ "$(docker service logs web 2>&1 | grep -c "$1")" = 2 ]; }
check "logs of a service" wait_for 20 logged "topconf"
check "placeholders were replaced" wait_for 20 logged "I am web.[12]"
check "each line names its task" says "web.1." docker service logs web
check "standard error comes as such" equals 2 bash -c "command docker -H unix://$sock service logs web 2>&1 >/dev/null | grep -c oops"
check "the last line of each" equals 2 bash -c "command docker -H unix://$sock service logs --tail 1 web 2>&1 | wc -l"
check "with times" says "T" docker service logs --timestamps --raw web
check "logs of a task" says "topconf" docker service logs "$(docker service ps -q web | head -1)"
docker service logs -f --raw web > "$work/follow" 2>&1 &
follow=$!

# --- update, roll back ---
check "scale" docker service scale web=3
check "three run" replicas web 3/3
check "a follower sees the new task's log" wait_for 20 grep -q 'web.3' "$work/follow"
kill $follow 2> /dev/null
before=$(docker service ps -q --filter desired-state=running web | sort)
check "update the environment" docker service update --env-add MORE=1 web
check "every task was replaced" equals 0 bash -c "comm -12 <(echo '$before') <(command docker -H unix://$sock service ps -q --filter desired-state=running web | sort) | wc -l"
check "the update is complete" equals completed field web '{{.UpdateStatus.State}}'
check "the previous spec is kept" equals "[WHO={{.Service.Name}}.{{.Task.Slot}}]" field web '{{.PreviousSpec.TaskTemplate.ContainerSpec.Env}}'
check "roll back" docker service rollback web
check "the environment is the old one" equals "[WHO={{.Service.Name}}.{{.Task.Slot}}]" field web '{{.Spec.TaskTemplate.ContainerSpec.Env}}'
check "the rollback is complete" equals rollback_completed field web '{{.UpdateStatus.State}}'
check "a stale version is refused" says "update out of sequence" api -X POST -H 'Content-Type: application/json' \
	-d '{"Name":"web","TaskTemplate":{"ContainerSpec":{"Image":"alpine"}}}' 'http://d/services/web/update?version=1'

# --- global services and jobs ---
check "a global service" docker service create --no-resolve-image --name every --mode global alpine sleep 1000
check "it has one task a node" replicas every 1/1
check "a job" docker service create --no-resolve-image --name job --mode replicated-job --replicas 2 --restart-condition none alpine true
check "the job is done" says "(2/2 completed)" docker service ls --filter name=job
check "remove" docker service rm every job

# --- networks ---
check "an overlay network" docker network create -d overlay --attachable --subnet 10.99.0.0/24 --label x=y --opt com.docker.network.driver.mtu=1400 ov
check "it is listed once" equals ov docker network ls --filter scope=swarm --filter label=x=y --format '{{.Name}}'
check "it has a network number" says vxlanid_list docker network inspect ov
check "its subnet is as given" equals 10.99.0.0/24 docker network inspect -f '{{(index .IPAM.Config 0).Subnet}}' ov
check "prune leaves what is used and takes what is not" says ov docker network prune -f
check "ingress stays" says ingress docker network ls

# --- stacks ---
cat > "$work/stack.yml" << 'END'
version: "3.8"
services:
  app:
    image: alpine
    command: sleep 1000
    deploy: {replicas: 2}
    configs: [text]
    networks: [back]
configs:
  text: {file: ./c}
networks:
  back: {}
END
check "deploy a stack" docker stack deploy --resolve-image never -c "$work/stack.yml" st
check "its service is there" equals st_app docker stack services --format '{{.Name}}' st
check "its network is there" says st_back docker network ls --filter label=com.docker.stack.namespace=st
check "deploying again changes nothing" equals 2 bash -c "command docker -H unix://$sock stack deploy --resolve-image never -c $work/stack.yml st > /dev/null 2>&1; command docker -H unix://$sock stack ps st -q | wc -l"
check "remove the stack" docker stack rm st

# --- nodes, the swarm ---
check "label a node" docker node update --label-add zone=a "$(docker node ls -q)"
check "filter by node label" equals 1 bash -c "command docker -H unix://$sock node ls -q --filter node.label=zone=a | wc -l"
check "node inspect" equals "manager active ready true" docker node inspect -f '{{.Spec.Role}} {{.Spec.Availability}} {{.Status.State}} {{.ManagerStatus.Leader}}' self
old=$(docker swarm join-token -q worker)
docker swarm join-token -q --rotate worker > "$work/token"
check "rotate the worker token" bash -c "[ \"\$(cat $work/token)\" != $old ]"
check "the manager's is the same digest" says "${old%-*}" docker swarm join-token -q manager
check "task history" equals 3 bash -c "command docker -H unix://$sock swarm update --task-history-limit 3 > /dev/null; curl -s --unix-socket $sock http://d/swarm | jq .Spec.Orchestration.TaskHistoryRetentionLimit"
check "autolock gives a key" says SWMKEY-1- docker swarm update --autolock=true
check "which is shown again" says SWMKEY-1- docker swarm unlock-key -q
check "and rotated" says SWMKEY-1- docker swarm unlock-key -q --rotate
check "autolock off" docker swarm update --autolock=false
check "info says who manages" equals "active true 1" docker info -f '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{.Swarm.Managers}}'
check "ping says so" says "Swarm: active/manager" api -I http://d/_ping

# --- long lists ---
docker service create -d --no-resolve-image --name many --replicas 300 --constraint node.labels.none==such alpine > /dev/null
tasks='http://d/tasks?filters={"service":["many"]}'
all_listed() { [ "$(api "$tasks" | jq -r 'length, (map(.ID) | unique | length)' | paste -sd' ')" = "300 300" ]; }
check "300 tasks are listed, each once" wait_for 30 all_listed
check "with all they have" equals 300 jq 'map(select(.Spec.ContainerSpec.Image and .Slot and .CreatedAt)) | length' <(api "$tasks")
api "$tasks" | head -c 5000 > /dev/null
check "a client that goes in the middle" all_listed
check "and it is removed" docker service rm many

# --- events ---
check "remove a service" docker service rm web
event() { jq -e -s --arg t "$1" --arg a "$2" --arg n "$3" 'map(select(.Type == $t and .Action == $a and .Actor.Attributes.name == $n and .scope == "swarm")) | length > 0' "$work/events"; }
for e in "secret create s1" "config create c1" "service create web" "service update web" "service remove web" \
	"network create ov" "network remove ov" "node update n1"; do
	check "event: $e" wait_for 10 event $e
done
check "an update's event tells the replicas" jq -e -s 'map(select(.Actor.Attributes["replicas.new"] == "3")) | length > 0' "$work/events"
kept() { docker events --since 1h --until "$(date +%s.%N)" --format '{{.Type}} {{.Action}}' "$@" | sort -u | paste -sd,; }
check "those of a service are its containers', too" says "container start,service create" kept --filter service=job --filter event=create --filter event=start
check "those of an image are its containers', too" equals "container die" kept --filter image=alpine --filter event=die
kill $events 2> /dev/null
docker swarm leave --force > /dev/null
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
