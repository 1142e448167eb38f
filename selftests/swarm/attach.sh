#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Plain containers on an attachable network of the swarm: names and addresses over two nodes, live
# connect and disconnect, the agent killed meanwhile, and that attachments are given back.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
check "a manager and a worker" swarm_form 1 1
docker_cli=$(command -v docker)
d() { # as lib's, with a deadline
	local n=$1
	shift
	DOCKER_BUILDKIT=0 timeout 60 "$docker_cli" -H "unix://$(node_sock "$n")" "$@"
}
check "images" base_image n1
check "on both" base_image n2
d n1 network create -d overlay --attachable open > /dev/null
d n1 network create -d overlay closed > /dev/null
check "a network that is not there" refuses "Could not attach to network nope" d n2 run --rm --network nope alpine true
check "one that is not attachable" refuses "not manually attachable" d n2 run --rm --network closed alpine true
check "nothing stays of a failed start" equals "" d n2 ps -aq
check "a container on the worker" d n2 run -d --name c2 --network open --network-alias two alpine sleep 1000
check "a container on the manager" d n1 run -d --name c1 --network open alpine sleep 1000
pings() { d n1 exec c1 ping -c 1 -W 2 "$1"; } # NAME
check "it reaches the other by name" wait_for 20 pings c2
check "and by alias" wait_for 20 pings two
check "a service on the network" d n1 service create -d --no-resolve-image --name sv --network open alpine sleep 1000
check "answers by its name" wait_for 40 pings sv
attachments() { curl -s -g --unix-socket "$(node_sock n1)" 'http://d/tasks?filters={"runtime":["attachment"]}' | jq length; }
check "two attachments" equals 2 attachments
ip=$(d n2 inspect -f '{{.NetworkSettings.Networks.open.IPAddress}}' c2)
check "the address is the swarm's" equals "10.0.1" echo "${ip%.*}"

d n2 run -d --name c3 alpine sleep 1000 > /dev/null
check "connect a running container" d n2 network connect open c3
check "it is reached" wait_for 20 pings c3
check "three attachments" equals 3 attachments
check "disconnect" d n2 network disconnect open c3
attached() { [ "$(attachments)" = "$1" ]; } # COUNT
check "its attachment is given back" wait_for 20 attached 2

agent_stop n2 KILL
agent_start n2
check "the container outlived the agent" equals true d n2 inspect -f '{{.State.Running}}' c2
check "and is still reached" wait_for 20 pings c2
check "its attachment is still there" equals 2 attachments
check "stop it" d n2 stop -t 0 c2
check "then it is not" wait_for 30 attached 1
check "start it again" d n2 start c2
check "it has an attachment again" equals 2 attachments
check "and is reached again" wait_for 20 pings c2
d n2 rm -f c2 c3 > /dev/null
d n1 rm -f c1 > /dev/null
d n1 service rm sv > /dev/null
check "all are given back" wait_for 30 attached 0
check "so the network can go" wait_for 30 d n1 network rm open
d n1 network rm closed > /dev/null
for n in n2 n1; do d $n swarm leave --force > /dev/null; d $n network rm docker_gwbridge > /dev/null 2>&1; agent_stop $n; done
check "nothing is left on the manager" node_leftovers n1
check "nor on the worker" node_leftovers n2
finish
