#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A manager that hangs, managers that all restart, a quorum that is lost for good and a swarm that
# goes on with its one survivor.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
agent_pid() { cat "$LAB/$1/pid"; }
config() { echo x | timeout 10 docker -H "unix://$(node_sock "$1")" config create "$2" - > /dev/null; } # NODE NAME
configs_are() { [ "$(d "$1" config ls --format '{{.Name}}' | sort | tr '\n' ' ')" = "$2" ]; } # NODE "NAMES "
another_leads() { local l; l=$(timeout 5 docker -H "unix://$(node_sock "$1")" node ls --format '{{.Hostname}} {{.ManagerStatus}}' | awk '$2 == "Leader" {print $1}'); [ -n "$l" ] && [ "$l" != "$2" ]; }

check "three managers" swarm_form 3 0
check "reach each other" wait_for 30 managers_are n1 3
check "a service" d n1 service create -d --name s --replicas 0 alpine
check "a write" config n1 a

lead=$(leader n1)
other=n2
[ "$lead" != n2 ] || other=n3
kill -STOP "$(agent_pid "$lead")"
check "the leader hangs: another leads" wait_for 60 another_leads $other "$lead"
check "a write" wait_for 30 config $other b
kill -CONT "$(agent_pid "$lead")"
check "it goes on: three are reachable" wait_for 60 managers_are "$lead" 3
check "and it has the write that it missed" wait_for 30 configs_are "$lead" "a b "

for n in n1 n2 n3; do agent_stop $n KILL; done
for n in n1 n2 n3; do agent_start $n; done
check "all restart at a time: a leader" wait_for 60 managers_are n1 3
for n in n1 n2 n3; do check "everything is there on $n" wait_for 30 configs_are $n "a b "; done

agent_stop n2 KILL
agent_stop n3 KILL
no_leader() { refuses "The swarm does not have a leader" d n1 config ls; }
check "two of three are gone: no leader" wait_for 30 no_leader
no_write() { ! config n1 never; }
check "and no write" no_write
check "a new cluster of the one" d n1 swarm init --force-new-cluster --advertise-addr "$(node_ip n1)"
check "leads" wait_for 30 equals n1 leader n1
check "with everything" wait_for 30 configs_are n1 "a b "
has_service() { [ "$(d n1 service ls --format '{{.Name}}')" = s ]; }
check "and the service" has_service
check "takes writes" wait_for 20 config n1 c
check "one manager" wait_for 20 managers_are n1 1
agent_stop n1
agent_start n1
check "also after a restart" wait_for 30 configs_are n1 "a b c "

# Who was left behind is no member any more; it comes back as a new one.
agent_start n2
token=$(d n1 swarm join-token -q manager)
check "n2 leaves what it knew" d n2 swarm leave --force
check "and joins" d n2 swarm join --token "$token" "$(node_ip n1):2377"
check "two managers" wait_for 60 managers_are n1 2
check "the new one has everything" wait_for 30 configs_are n2 "a b c "
finish
