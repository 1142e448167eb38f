#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a worker does with one task: states and their reasons, health, secrets and configs, ports
# in host mode, signals, and a killed agent that finds its tasks again.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }
states() { docker service ps --no-trunc --format '{{.CurrentState}} {{.Error}} {{.Ports}}' "$1"; }
shows() { states "$1" | grep -qE "$2"; } # SERVICE REGEX
ctr_of() { docker ps -q --filter "label=com.docker.swarm.service.name=$1" | head -1; }
in_task() { local s=$1; shift; docker exec "$(ctr_of "$s")" "$@"; }
create() { docker service create -q -d --no-resolve-image "$@"; }

check "a swarm of one" swarm_form 1 0
check "images" swarm_images n1

# the end
check "one that ends well" create --name good --restart-condition none alpine true
check "is complete" wait_for 30 shows good '^Complete '
check "one that fails" create --name bad --restart-condition none alpine sh -c 'exit 3'
check "says its exit code" wait_for 30 shows bad '^Failed .*task: non-zero exit \(3\)'
check "one without a program" create --name noexec --restart-condition none alpine /no/such/program
check "says what is missing" wait_for 30 shows noexec '^Failed .*(no such file|not found)'
check "one whose image nobody has" create --name noimage --restart-condition none nosuch/image
check "is rejected" wait_for 60 shows noimage '^Rejected .*No such image: nosuch/image'

# health
check "one that is healthy after a while" create --name slow --health-cmd 'test -e /tmp/well' --health-interval 300ms --health-retries 100 alpine sh -c 'while ! [ -e /tmp/go ]; do sleep 0.1; done; touch /tmp/well; exec tail -f /dev/null'
up() { [ -n "$(ctr_of "$1")" ]; }
check "its container runs" wait_for 30 up slow
check "the task is starting" wait_for 10 shows slow '^Starting '
check "it gets well" in_task slow touch /tmp/go
check "now it runs" wait_for 30 shows slow '^Running '
check "one that gets ill" create --name ill --restart-condition none --health-cmd 'test -e /tmp/well' --health-interval 300ms --health-retries 1 --health-start-period 0s alpine sh -c 'touch /tmp/well; trap "exit 0" TERM; while :; do sleep 0.1; done'
check "it runs" wait_for 30 shows ill '^Running '
check "it loses its health" in_task ill rm /tmp/well
check "and fails" wait_for 30 shows ill '^Failed .*unhealthy'
ended() { [ -z "$(ctr_of "$1")" ]; }
check "its container is stopped" wait_for 30 ended ill

# secrets and configs
secret() { printf 'treasure-%s' 4711 | docker secret create s1 -; }
config() { printf 'I am {{.Service.Name}} on {{.Node.Hostname}}' | docker config create --template-driver golang c1 -; }
check "a secret" secret
check "a config, which is a template" config
check "a service with both" create --name files --secret source=s1,target=key,uid=65534,gid=65534,mode=0400 --config source=c1,target=/etc/me alpine tail -f /dev/null
check "runs" wait_for 30 tasks_run n1 files 1
check "the secret is there" equals treasure-4711 in_task files cat /run/secrets/key
check "with owner and mode" equals "65534 65534 400" in_task files stat -c '%u %g %a' /run/secrets/key
check "the config is expanded" equals "I am files on n1" in_task files cat /etc/me
compound() { printf 'key={{secret "key"}} of {{env "WHO"}}\n{{- config `/etc/me` }}, {{.Service.Labels.l}}' | docker config create --template-driver golang c2 -; }
check "a config of the service's other files and variables" compound
check "is added" docker service update -q --no-resolve-image --config-add source=c2,target=/all --env-add 'WHO=task {{.Task.Slot}}' --label-add l=label files
check "is expanded with them" equals "key=treasure-4711 of task 1I am {{.Service.Name}} on {{.Node.Hostname}}, label" in_task files cat /all
check "a config of what is not there" bash -c "printf '{{secret \"none\"}}' | command docker -H unix://$(node_sock n1) config create --template-driver golang c3 -"
check "is a reason to reject" create --name lacks --restart-condition none --config source=c3,target=/x alpine true
check "which is said" wait_for 30 shows lacks '^Rejected .*secret target none not found'
not_on_disk() { sync; ! grep -rqs treasure-4711 "$LAB/n1/data"; }
check "the secret is on no disk" not_on_disk

# the node's own networks
check "a service on the node's network" docker service create -q --name onhost --no-resolve-image --network host alpine tail -f /dev/null
check "its hostname is the node's" equals "n1 host n1" eval 'docker inspect -f "{{.Config.Hostname}} {{.HostConfig.NetworkMode}}" "$(ctr_of onhost)" | tr "\n" " "; in_task onhost hostname'
check "it sees the node's links" says 10.77.0.11 in_task onhost ip addr show eth0
check "another on its bridge" docker service create -q --name onbridge --no-resolve-image --network bridge alpine tail -f /dev/null
check "is there" equals bridge eval 'docker inspect -f "{{.HostConfig.NetworkMode}}" "$(ctr_of onbridge)"'

# ports, signals
check "a port in host mode" create --name hosted --publish mode=host,published=8081,target=80 web
check "runs" wait_for 30 tasks_run n1 hosted 1
check "docker service ps shows it" wait_for 10 shows hosted '\*:8081->80/tcp'
check "it answers" wait_for 20 web_answers n1 8081
check "one with a signal of its own" create --name usr --stop-signal USR1 --stop-grace-period 60s --mount type=bind,src="$LAB",dst=/lab alpine sh -c 'trap "touch /lab/got-usr1; exit 0" USR1; while :; do sleep 0.1; done'
check "runs" wait_for 30 tasks_run n1 usr 1
check "goes" docker service rm usr
check "by that signal" wait_for 30 test -e "$LAB/got-usr1"
check "and is gone" wait_for 30 ended usr

# a killed agent
docker ps -q | sort > "$LAB/before"
agent_stop n1 KILL
agent_start n1
check "a killed agent leads again" wait_for 30 has_leader n1
same() { diff "$LAB/before" <(docker ps -q | sort); }
check "the containers are the same" wait_for 30 same
check "their tasks run" wait_for 30 tasks_run n1 files 1
victim=$(ctr_of files)
agent_stop n1 KILL
pid=$(pgrep -f "swarm-shim.*$victim" | head -1)
for c in $(cat /proc/"$pid"/task/"$pid"/children); do kill -KILL "$c"; done
agent_start n1
replaced() { local c; c=$(ctr_of files); [ -n "$c" ] && [[ $victim != "$c"* ]]; }
check "one that died meanwhile is replaced" wait_for 60 replaced
check "by one task" wait_for 60 tasks_run n1 files 1
check "which has its secret" equals treasure-4711 in_task files cat /run/secrets/key

docker service rm $(docker service ls -q) > /dev/null
check "no containers are left" wait_for 60 no_containers n1
check "leave" docker swarm leave --force
finish
