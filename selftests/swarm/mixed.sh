#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A raft group of our managers and Docker's: what one side's leader commits the other side has,
# whoever leads next, and clients may ask any of them.
#
#   n1 agent   n2 agent   n3 dockerd     all managers of one swarm; ours lead
#   n4 dockerd   n5 agent                both managers of another, which dockerd leads
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
. selftests/lib_dockerd.sh

line() { grep -qxF "$1"; }
listed() { d "$1" "$2" ls --format '{{.Name}}' | line "$3"; } # AT KIND NAME
label() { d "$1" "$2" inspect -f '{{.Spec.Labels.a}}' "$3"; } # AT KIND NAME
replicas() { [ "$(d "$1" service ls --filter "name=$2" --format '{{.Replicas}}')" = "$3" ]; } # AT NAME WANT
runs() { [ "$(d "$1" service ps -f desired-state=running --format '{{.CurrentState}}' "$2" | grep -c '^Running')" = "$3" ]; }
env_of() { d "$1" service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Env}}' "$2"; } # AT NAME
make() { echo data | d "$1" "$2" create -l a=b "$3" - > /dev/null; } # AT KIND NAME
rotated_token() { # AT ROLE: the new one is the current one
	local new
	new=$(d "$1" swarm join-token -q --rotate "$2") && [[ $new == SWMTKN-1-* ]] && [ "$new" = "$(d "$1" swarm join-token -q "$2")" ]
}

leads() { [ "$(leader "$1")" = "$1" ]; }
is_worker() { [ "$(d "$1" info -f '{{.Swarm.ControlAvailable}}')" = false ]; }
unlock_keys_are_one() { # AT AT
	local key
	key=$(d "$1" swarm unlock-key -q) && [[ $key == SWMKEY-1-* ]] && [ "$key" = "$(d "$2" swarm unlock-key -q)" ]
}

# What clients do, at a manager that follows another one's leader; its tasks run there.
clients_at() { # AT LEADER
	local at=$1 kind
	echo "# clients of $at, while $2 leads"
	check "$at knows the leader" equals "$2" leader "$at"
	for kind in config secret; do
		check "$kind create" make "$at" $kind "$at-$kind"
		check "$kind ls" listed "$at" $kind "$at-$kind"
		check "$kind inspect" equals b label "$at" $kind "$at-$kind"
		check "it is there once" refuses "already exists" make "$at" $kind "$at-$kind"
	done
	check "config inspect shows its data" equals '"ZGF0YQo="' d "$at" config inspect -f '{{json .Spec.Data}}' "$at-config"
	check "network create" d "$at" network create -d overlay --subnet 10.99.0.0/24 "$at-net"
	check "network ls" listed "$at" network "$at-net"
	check "network inspect" equals 10.99.0.0/24 d "$at" network inspect -f '{{(index .IPAM.Config 0).Subnet}}' "$at-net"
	check "network rm" d "$at" network rm "$at-net"
	check "a network that is gone" refuses "not found" d "$at" network inspect "$at-net"
	check "service create" d "$at" service create -d --name "$at-web" --no-resolve-image --config "$at-config" \
		--secret "$at-secret" --constraint "node.hostname==$at" --stop-grace-period 1s alpine \
		sh -c 'echo spoken; sleep 1000'
	check "a service with a bad name" refuses "DNS name component" d "$at" service create -d --no-resolve-image --name a.b alpine
	check "service ps" wait_for 60 runs "$at" "$at-web" 1
	check "service ls" wait_for 10 replicas "$at" "$at-web" 1/1
	check "service logs" wait_for 20 says spoken d "$at" service logs "$at-web"
	check "service scale, until it is so" d "$at" service scale "$at-web=2"
	check "two run" wait_for 60 replicas "$at" "$at-web" 2/2
	check "service update" d "$at" service update -d --env-add A=B "$at-web"
	check "service inspect" equals "[A=B]" env_of "$at" "$at-web"
	check "service rollback" d "$at" service rollback -d "$at-web"
	check "it is as before" equals "[]" env_of "$at" "$at-web"
	check "a config in use" refuses "is in use" d "$at" config rm "$at-config"
	check "service rm" d "$at" service rm "$at-web"
	check "it is gone" refuses "no such service" d "$at" service inspect "$at-web"
	for kind in config secret; do
		check "$kind rm" wait_for 10 d "$at" $kind rm "$at-$kind"
	done
	check "node update" d "$at" node update --label-add a=b "$at"
	check "node inspect" equals b label "$at" node "$at"
	check "a manager stays" refuses "must be demoted" d "$at" node rm --force "$2"
	check "swarm join-token" rotated_token "$at" worker
	check "swarm update" d "$at" swarm update --task-history-limit 3 --autolock
	check "swarm unlock-key is the leader's" unlock_keys_are_one "$at" "$2"
	check "no lock any more" d "$at" swarm update --autolock=false
	check "swarm inspect" equals 3 d "$at" info -f '{{.Swarm.Cluster.Spec.Orchestration.TaskHistoryRetentionLimit}}'
}

check "our manager begins" swarm_form 1 0
token=$(d n1 swarm join-token -q manager)
check "a second one of ours" agent_start n2
check "joins" d n2 swarm join --token "$token" "$(node_ip n1):2377"
check "dockerd starts" dockerd_start n3
check "joins as a manager" d n3 swarm join --token "$token" "$(node_ip n1):2377"
check "three managers, all reachable" wait_for 60 managers_are n1 3
make_config() { echo x | d "$1" config create "$2" - > /dev/null; } # NODE NAME
check "a write by our leader" make_config n1 ours
base_image n3
clients_at n3 n1

# With n2 gone dockerd is needed for the quorum, and takes part in it.
agent_stop n2 KILL
check "a write with dockerd's vote" wait_for 30 make_config n1 both
has() { d "$1" config ls --format '{{.Name}}' | grep -qx "$2"; } # NODE NAME
agent_start n2
check "three again" wait_for 60 managers_are n1 3

# The next leader is n2 or n3, by whose clock runs out first.
agent_stop n1 KILL
next=
led() { for next in n2 n3; do [ "$(leader $next)" = $next ] && return; done; }
check "another one leads" wait_for 120 led
led
echo "# $next leads"
for c in ours both; do check "config $c is there" wait_for 30 has "$next" $c; done
check "a write by the next leader" wait_for 30 make_config "$next" next
agent_start n1
check "n1 is back" wait_for 120 managers_are "$next" 3
check "its leader still has everything" wait_for 30 has "$next" next

for n in n1 n2 n3; do agent_stop $n KILL; done
check "another dockerd starts" dockerd_start n4
check "and another of ours" agent_start n5
check "dockerd begins a swarm" d n4 swarm init --advertise-addr "$(node_ip n4)"
check "ours joins as a manager" d n5 swarm join --token "$(d n4 swarm join-token -q manager)" "$(node_ip n4):2377"
check "two managers" wait_for 60 managers_are n5 2
base_image n5
clients_at n5 n4

# The last of dockerd's managers goes: ours lead alone.
check "dockerd is demoted" d n5 node demote n4
check "ours leads" wait_for 120 leads n5
check "dockerd is a worker" wait_for 60 is_worker n4
check "its node is still ready" wait_for 60 nodes_ready n5 2
finish
