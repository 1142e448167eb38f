#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The root certificate is rotated while the swarm works: every node renews, none is lost, old join
# tokens are worth nothing afterwards; and once more, to a root that the user brings.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }

root_of() { cat "$LAB/$1/data/swarm/certificates/swarm-root-ca.crt"; }
rotated() { [ "$(docker info -f '{{.Swarm.Cluster.RootRotationInProgress}}')" = false ]; }
has_root() { [ "$(root_of "$1")" = "$(docker swarm ca)" ]; } # NODE
leaf_verifies() { # NODE
	local dir=$LAB/$1/data/swarm/certificates
	openssl verify -CAfile "$dir/swarm-root-ca.crt" -untrusted "$dir/swarm-node.crt" "$dir/swarm-node.crt"
}

join_with() { # NODE TOKEN
	[ -e "$LAB/$1/pid" ] || agent_start "$1" || return
	d "$1" swarm join --token "$2" "$(node_ip n1):2377"
}

check "three managers and a worker" swarm_form 3 1
base_image n1
base_image n4
check "a service" docker service create -d --name s --no-resolve-image --replicas 2 \
	--constraint node.role==worker alpine sleep 1000
check "it runs" wait_for 60 tasks_run n1 s 2
before=$(d n4 ps -q --no-trunc | sort)
old=$(docker swarm ca) token=$(docker swarm join-token -q worker)

check "the root is rotated" docker swarm ca --rotate -d
check "to the end" wait_for 60 rotated
check "it is a new one" [ "$(docker swarm ca)" != "$old" ]
for n in n1 n2 n3 n4; do
	check "$n has it" wait_for 30 has_root $n
	check "and a certificate by it" wait_for 30 leaf_verifies $n
done
check "all nodes are there" wait_for 30 nodes_ready n1 4
check "all managers too" wait_for 30 managers_are n1 3
check "the containers have not noticed" equals "$before" bash -c "docker -H unix://$(node_sock n4) ps -q --no-trunc | sort"
check "the old token is refused" refuses "does not match" join_with n5 "$token"
check "the new one is good" join_with n5 "$(docker swarm join-token -q worker)"
check "five nodes" wait_for 30 nodes_ready n1 5

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj /CN=ours \
	-keyout "$LAB/ours.key" -out "$LAB/ours.crt" 2> /dev/null
check "to a root of our own" docker swarm ca --rotate -d --ca-cert "$LAB/ours.crt" --ca-key "$LAB/ours.key"
check "to the end" wait_for 60 rotated
check "it is ours" equals "$(cat "$LAB/ours.crt")" docker swarm ca
for n in n1 n2 n3 n4 n5; do check "$n has it" wait_for 30 has_root $n; done
agent_stop n2
agent_start n2
check "a manager that starts again takes part" wait_for 30 managers_are n1 3
check "all nodes are there" wait_for 30 nodes_ready n1 5
finish
