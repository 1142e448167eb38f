#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Swarms of our nodes and Docker's: dockerd joins our manager as a worker, our agent joins dockerd's.
# Either runs a task of a service without networks, reports on it, updates it and takes it down.
#
#   n1 agent (manager)  ←  n2 dockerd (worker)
#   n3 dockerd (manager) ←  n4 agent (worker)
. "$(dirname "$0")/../lib.sh"
. selftests/lib_dockerd.sh

running() { # NODE SERVICE WANT
	[ "$(d "$1" service ps -q -f desired-state=running --format '{{.CurrentState}}' "$2" | grep -c .)" = "$3" ] &&
		[ "$(d "$1" service ps -f desired-state=running --format '{{.CurrentState}}' "$2" | grep -c '^Running')" = "$3" ]
}
on_node() { # MANAGER SERVICE HOSTNAME WANT
	[ "$(d "$1" service ps -f desired-state=running --format '{{.Node}} {{.CurrentState}}' "$2" | grep -c "^$3 Running")" = "$4" ]
}
containers() { # NODE WANT
	[ "$(d "$1" ps -q | grep -c .)" = "$2" ]
}
ready() { # MANAGER HOSTNAME
	[ "$(d "$1" node inspect -f '{{.Status.State}}' "$2")" = ready ]
}
rotated() { # MANAGER
	[ "$(d "$1" info -f '{{.Swarm.Cluster.RootRotationInProgress}}')" = false ]
}
state_is() { # MANAGER HOSTNAME STATE
	[ "$(d "$1" node inspect -f '{{.Status.State}}' "$2")" = "$3" ]
}

# The same for both: MANAGER WORKER
swarm_of() {
	local m=$1 w=$2 token
	check "$m: a swarm begins" d "$m" swarm init --advertise-addr "$(node_ip "$m")"
	token=$(d "$m" swarm join-token -q worker)
	check "$w joins it" d "$w" swarm join --token "$token" "$(node_ip "$m"):2377"
	check "$w is ready" wait_for 30 ready "$m" "$w"
	check "a service of two tasks" d "$m" service create -d --name web --no-resolve-image --replicas 2 \
		--restart-delay 100ms --stop-grace-period 1s alpine sleep 1000
	check "both run, one on each node" wait_for 60 running "$m" web 2
	check "the worker runs its own" wait_for 30 on_node "$m" web "$w" 1
	check "as a container" wait_for 10 containers "$w" 1
	check "a task that speaks, on the worker" d "$m" service create -d --name speaker --no-resolve-image \
		--constraint "node.hostname==$w" alpine sh -c 'while :; do echo spoken; sleep 1; done'
	check "is heard at the manager" wait_for 60 says spoken d "$m" service logs speaker
	check "more" d "$m" service scale -d web=4
	check "four run" wait_for 60 running "$m" web 4
	check "two on the worker" wait_for 30 on_node "$m" web "$w" 2
	check "an update" d "$m" service update -d --update-parallelism 0 --env-add A=B web
	check "the worker has new tasks" wait_for 60 new_tasks "$w" A=B 2
	check "a task dies" d "$w" kill "$(d "$w" ps -q | head -1)"
	check "and is replaced" wait_for 60 running "$m" web 4
	check "the root certificate is rotated" d "$m" swarm ca --rotate -d
	check "also on the worker" wait_for 60 rotated "$m"
	check "which is ready" wait_for 30 ready "$m" "$w"
	check "its task is still heard" wait_for 60 says spoken d "$m" service logs speaker
	check "the worker is drained" d "$m" node update --availability drain "$w"
	check "and empty" wait_for 60 containers "$w" 0
	check "the service goes on elsewhere" wait_for 60 on_node "$m" web "$m" 4
	check "the worker is used again" d "$m" node update --availability active "$w"
	check "a secret" bash -c "echo hidden | docker -H unix://$(node_sock "$m") secret create token -"
	check "a task that needs it, on the worker" d "$m" service create -d --name keeper --no-resolve-image \
		--constraint "node.hostname==$w" --secret token alpine sleep 1000
	check "it runs" wait_for 60 running "$m" keeper 1
	check "it can read it" equals hidden secret_text "$w"
	check "services go" d "$m" service rm web keeper speaker
	check "the worker is empty" wait_for 60 containers "$w" 0
	check "the worker leaves" d "$w" swarm leave
	check "the manager notices" wait_for 60 state_is "$m" "$w" down
	check "and forgets it" d "$m" node rm "$w"
}

new_tasks() { # NODE ENV WANT
	local c n=0
	for c in $(d "$1" ps -q); do
		d "$1" inspect -f '{{.Config.Env}}' "$c" | grep -q "$2" && n=$((n + 1))
	done
	[ $n = "$3" ]
}
secret_text() { d "$1" exec "$(d "$1" ps -q -f name=keeper)" cat /run/secrets/token; }

agent_start n1 && dockerd_start n2 || exit 1
base_image n1
base_image n2
swarm_of n1 n2

dockerd_start n3 && agent_start n4 || exit 1
base_image n3
base_image n4
swarm_of n3 n4

finish
