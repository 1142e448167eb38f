#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Autolock: a restarted manager waits for the unlock key; the key rotates; force-new-cluster.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }

check "three managers" swarm_form 3 0
check "a config that is to last" sh -c 'echo kept | DOCKER_HOST=unix://'"$(node_sock n1)"' docker config create kept -'
check "autolock" says "SWMKEY-1-" docker swarm update --autolock=true
key=$(docker swarm unlock-key -q)
sealed() { ! grep -q "BEGIN PRIVATE KEY" "$LAB/$1/data/swarm/certificates/swarm-node.key"; }
for n in n1 n2 n3; do check "the TLS key of $n is sealed" wait_for 20 sealed $n; done
# The key of the raft log lay open until now: it is changed, and the log with it.
new_dek() { grep -q "the raft log has a new key" "$LAB/$1/agent.log" && ! grep -q '"next"' "$LAB/$1/data/swarm/raft/keys.json"; }
for n in n1 n2 n3; do check "the raft log of $n has a new key" wait_for 20 new_dek $n; done

state_is() { [ "$(d "$1" info -f '{{.Swarm.LocalNodeState}}')" = "$2" ]; }
agent_stop n3
agent_start n3
check "n3 is locked after a restart" state_is n3 locked
check "it says so" refuses "Swarm is encrypted and needs to be unlocked" d n3 node ls
check "so does docker info" says "needs to be unlocked" d n3 info -f '{{.Swarm.Error}}'
check "leaving needs force" refuses "Please unlock it first or use" d n3 swarm leave
unlock() { printf '%s\n' "$2" | d "$1" swarm unlock; }
check "a wrong key" refuses "invalid" unlock n3 SWMKEY-1-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
check "still locked" state_is n3 locked
check "the right one" unlock n3 "$key"
check "n3 is back" wait_for 30 managers_are n1 3
check "it answers" wait_for 30 nodes_ready n3 3

check "rotate the key" says "SWMKEY-1-" docker swarm unlock-key --rotate
new=$(docker swarm unlock-key -q)
check "it is another" [ "$new" != "$key" ]
rotated() { grep -c "successfully rotated KEK" "$LAB/$1/agent.log" | grep -qx 2; }
check "n2 has applied it" wait_for 20 rotated n2
agent_stop n2
agent_start n2
check "n2 is locked" state_is n2 locked
check "the old key does not open it" refuses "invalid" unlock n2 "$key"
check "the new one does" unlock n2 "$new"
check "n2 is back" wait_for 30 managers_are n1 3

check "no autolock any more" docker swarm update --autolock=false
unsealed() { grep -q "BEGIN PRIVATE KEY" "$LAB/$1/data/swarm/certificates/swarm-node.key"; }
check "n3 is not sealed" wait_for 20 unsealed n3
agent_stop n3
agent_start n3
check "n3 starts without a key" wait_for 30 managers_are n1 3

agent_stop n2 KILL
agent_stop n3 KILL
lost() { docker node ls 2>&1 | grep -q "does not have a leader"; }
check "without a quorum there is no leader" wait_for 30 lost
write() { echo x | docker config create no -; }
check "nor a write" refuses "does not have a leader" write
check "force-new-cluster" docker swarm init --force-new-cluster --advertise-addr "$(node_ip n1)"
check "the config is there" says kept docker config ls
check "it takes writes" docker service create -d --name s --replicas 0 alpine
check "one manager is left" wait_for 30 managers_are n1 1
finish
