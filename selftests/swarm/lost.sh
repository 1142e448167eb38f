#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A worker dies, another is cut off: their tasks run elsewhere, and nothing is doubled on return.
# A manager alone on its side of a partition accepts no write and serves no stale read.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
docker() { d n1 "$@"; }
cut_off() { in_ns switch ip link set "to-$1" down; }
reconnect() { in_ns switch ip link set "to-$1" up; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

check "three managers and two workers" swarm_form 3 2
check "images" swarm_images n1
check "ten tasks" docker service create -d --name s --replicas 10 eon01/infinite
check "run" wait_for 90 tasks_run n1 s 10
for n in n1 n2 n3 n4 n5; do check "2 on $n" equals 2 running_on $n; done

# Running tasks that the managers know of on other nodes.
elsewhere() { [ "$(docker service ps --filter desired-state=running --format '{{.Node}} {{.CurrentState}}' s | grep -v "^$1 " | grep -c ' Running')" = 10 ]; }
from=$(now_ms)
agent_stop n5 KILL
_lab_kill_within "$(lab_pid n5)"
check "a dead worker's tasks run elsewhere" wait_for 30 elsewhere n5
took=$(($(now_ms) - from))
echo "# it took $took ms"
check "within 5 s, or 10 s on a busy machine" [ $took -lt 10000 ]
agent_start n5
check "n5 is ready again" wait_for 30 nodes_ready n1 5
check "nothing is doubled" wait_for 30 equals 0 running_on n5
check "ten tasks in all" wait_for 30 tasks_run n1 s 10

from=$(now_ms)
cut_off n4
check "a worker that is cut off: its tasks run elsewhere" wait_for 30 elsewhere n4
took=$(($(now_ms) - from))
echo "# it took $took ms"
check "within 5 s, or 10 s on a busy machine" [ $took -lt 10000 ]
reconnect n4
check "n4 is ready again" wait_for 60 nodes_ready n1 5
check "nothing is doubled" wait_for 60 equals 0 running_on n4
check "ten tasks run" wait_for 30 tasks_run n1 s 10

lead=$(leader n1)
cut_off "$lead"
others=()
for n in n1 n2 n3; do [ $n = "$lead" ] || others+=($n); done
new_leader() { local l; l=$(leader "${others[0]}"); [ -n "$l" ] && [ "$l" != "$lead" ]; }
check "the other side elects a leader" wait_for 30 new_leader
check "it takes a write" sh -c "echo x | DOCKER_HOST=unix://$(node_sock "${others[0]}") docker config create there -"
no_write() { ! echo x | timeout 10 env DOCKER_HOST="unix://$(node_sock "$lead")" docker config create alone - > /dev/null 2>&1; }
check "the one that is cut off takes none" no_write
no_read() { ! timeout 10 env DOCKER_HOST="unix://$(node_sock "$lead")" docker config ls > /dev/null 2>&1; }
check "and serves no stale read as current" wait_for 20 no_read
reconnect "$lead"
check "it comes back" wait_for 60 managers_are "${others[0]}" 3
both() { [ "$(d "$lead" config ls --format '{{.Name}}')" = there ]; }
check "with the others' write and not its own" wait_for 30 both
finish
