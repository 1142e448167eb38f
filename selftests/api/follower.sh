#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The API of a manager that does not lead, of a worker, and of a manager without a quorum.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
check "three managers and a worker" swarm_form 3 1
docker_cli=$(command -v docker)
d() { # as lib's, with a deadline
	local n=$1
	shift
	DOCKER_BUILDKIT=0 timeout 60 "$docker_cli" -H "unix://$(node_sock "$n")" "$@"
}
for n in n1 n2 n3 n4; do base_image $n; done
lead=$(leader n1)
f=n2
[ "$lead" = n2 ] && f=n3
curl -sN --unix-socket "$(node_sock $f)" http://d/events > "$LAB/events" &
events=$!

# -- a follower does what the leader does
check "nodes" equals 4 bash -c "$docker_cli -H unix://$(node_sock $f) node ls -q | wc -l"
check "a network" d $f network create -d overlay net
check "is there at once" equals net d $f network inspect -f '{{.Name}}' net
check "a secret with a body" bash -c "head -c 300000 /dev/zero | tr '\0' x | $docker_cli -H unix://$(node_sock $f) secret create big -"
check "is there at once, too" equals big d $f secret ls --format '{{.Name}}'
check "a service, waited for" d $f service create --no-resolve-image --name sv --replicas 4 --network net --secret big \
	alpine sh -c 'echo "hello $(wc -c < /run/secrets/big)"; exec sleep 1000'
check "its tasks are spread" equals 4 bash -c "$docker_cli -H unix://$(node_sock $f) service ps --format '{{.Node}}' sv | sort -u | wc -l"
logs() { [ "$(d $f service logs --raw sv | sort -u)" = "hello 300000" ] && [ "$(d $f service logs --raw sv | wc -l)" = 4 ]; }
check "logs from all nodes" wait_for 20 logs
check "logs of one task" equals "hello 300000" d $f service logs --raw "$(d $f service ps -q sv | head -1)"
check "update" d $f service update --replicas 2 sv
check "a stale version" says "update out of sequence" curl -s -X POST -H 'Content-Type: application/json' --unix-socket "$(node_sock $f)" \
	-d '{"Name":"sv","TaskTemplate":{"ContainerSpec":{"Image":"alpine"}}}' 'http://d/services/sv/update?version=1'
check "bad JSON is refused" says "invalid JSON" curl -s -X POST -H 'Content-Type: application/json' --unix-socket "$(node_sock $f)" -d '{' http://d/services/create
check "a network in use" refuses "in use by service" d $f network rm net
check "label a node" d $f node update --label-add a=b n4
check "the token" says SWMTKN-1- d $f swarm join-token -q worker
told() { grep -q "$1" "$LAB/events"; }
check "its events tell of services" wait_for 20 told '"Type":"service"'
check "remove" d $f service rm sv

# -- a worker
check "a worker lists no services" refuses "This node is not a swarm manager. Worker nodes" d n4 service ls
check "nor creates networks of the swarm" refuses "This node is not a swarm manager" d n4 network create -d overlay x
check "it knows the managers" equals "active false" d n4 info -f '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}'
check "and says what it is" says "Swarm: active/worker" curl -sI --unix-socket "$(node_sock n4)" http://d/_ping

# -- a node that is gone
d n1 service create -d --no-resolve-image --name every --mode global alpine sh -c 'echo here; exec sleep 1000' > /dev/null
check "a task on every node" wait_for 60 tasks_run n1 every 4
# a node that comes back may have a new task beside the old one
all_logs() { [ "$(d $f service logs every | sed -n 's/.*@\(n[0-9]\) .*here/\1/p' | sort -u | wc -l)" = "$1" ]; } # NODES
check "four logs" wait_for 20 all_logs 4
agent_stop n4 KILL
check "the log of a lost node is missing, and said to be" wait_for 30 refuses "is not available" d $f service logs --raw every
agent_start n4
check "it is there again with the node" wait_for 60 all_logs 4
d n1 service rm every > /dev/null

# -- one manager of three
kill $events 2> /dev/null
for n in n2 n3; do agent_stop $n KILL; done
alone() { d n1 service ls 2>&1 | grep -q 'does not have a leader'; }
check "without a quorum nothing is read" wait_for 30 alone
check "nor written" refuses "does not have a leader" d n1 network create -d overlay y
check "the node's own networks are listed" says bridge d n1 network ls
check "and its containers" d n1 ps
for n in n2 n3; do agent_start $n; done
back() { d n1 service ls; }
check "with one, it is" wait_for 60 back
for n in n4 n3 n2 n1; do agent_stop $n; done
finish
