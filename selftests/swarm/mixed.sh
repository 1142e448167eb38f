#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A raft group of our managers and Docker's: what one side's leader commits the other side has,
# whoever leads next.
#
#   n1 agent   n2 agent   n3 dockerd     all managers
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
. selftests/lib_dockerd.sh

check "our manager begins" swarm_form 1 0
token=$(d n1 swarm join-token -q manager)
check "a second one of ours" agent_start n2
check "joins" d n2 swarm join --token "$token" "$(node_ip n1):2377"
check "dockerd starts" dockerd_start n3
check "joins as a manager" d n3 swarm join --token "$token" "$(node_ip n1):2377"
check "three managers, all reachable" wait_for 60 managers_are n1 3
make_config() { echo x | d "$1" config create "$2" - > /dev/null; } # NODE NAME
check "a write by our leader" make_config n1 ours

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
finish
