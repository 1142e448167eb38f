#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A published service under a steady load at every node: a rolling update of all tasks, scaling down
# and up, a drained node, and the agents killed one after the other fail no request. A worker that is
# cut off gets no new flows within 2 s.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }
LOAD_RATE=${LOAD_RATE:-100}	# two cores do it all

check "three managers and a worker" swarm_form 3 1
check "images" swarm_images n1
check "ten tasks, published" docker service create -d --name web --replicas 10 --publish 8080:80 --stop-grace-period 20s web
check "run" wait_for 90 tasks_run n1 web 10
for n in n1 n2 n3 n4; do check "$n answers" wait_for 30 web_answers $n 8080; done

load_start 8080 n1 n2 n3 n4
check "the load goes on" load_goes_on 200
check "a rolling update" docker service update -d --update-parallelism 2 --update-order start-first --env-add A=b web
updated() { [ "$(docker service inspect -f '{{.UpdateStatus.State}}' web)" = completed ]; }
check "is complete" wait_for 180 updated
check "ten tasks run" wait_for 60 tasks_run n1 web 10
check "the load goes on" load_goes_on 100
check "scale to 3" docker service scale -d web=3
check "three run" wait_for 60 tasks_run n1 web 3
check "the load goes on" load_goes_on 100
check "scale to 20" docker service scale -d web=20
check "twenty run" wait_for 90 tasks_run n1 web 20
check "the load goes on" load_goes_on 100
check "drain n4" docker node update --availability drain n4
check "its tasks run elsewhere" wait_for 90 tasks_run n1 web 20
check "none is left there" wait_for 60 equals 0 running_on n4
check "active again" docker node update --availability active n4
for n in n1 n2 n3 n4; do
	agent_stop $n KILL
	agent_start $n
	check "$n, killed, is back" wait_for 60 nodes_ready n2 4
	check "the load goes on" load_goes_on 100
done
check "no request failed" load_stop

in_ns switch ip link set to-n4 down
wait_for 2 false
from_n4=$(d n4 ps -q | cut -c 1-12)
no_new_flows() {
	local i got
	for i in $(seq 60); do
		got=$(web_answers "n$((1 + i % 3))" 8080 | awk '{print $1}')
		[ -n "$got" ] || { echo "request $i failed"; return 1; }
		! grep -q "$got" <<< "$from_n4" || { echo "request $i went to n4"; return 1; }
	done
}
check "n4, cut off, gets no new flows after two seconds" no_new_flows
in_ns switch ip link set to-n4 up
check "it comes back" wait_for 60 nodes_ready n1 4
finish
