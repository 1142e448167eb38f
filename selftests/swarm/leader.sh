#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The leading manager is killed again and again under a client that writes and one that reads: no
# accepted write is missing, no read is stale, and another one leads soon. A write while nobody leads
# waits for the next leader.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh
. selftests/lib_writer.sh
kills=${KILLS:-20}

check "three managers" swarm_form 3 0
check "reach each other" wait_for 30 managers_are n1 3
writer_start "$(node_sock n1)" "$(node_sock n2)" "$(node_sock n3)"
check "writes are accepted" wait_for 20 writes_reach 20

# The others' leader, when NODE is down.
new_leader() { local l; l=$(leader "$1"); [ -n "$l" ] && [ "$l" != "$2" ]; }
all_three() { managers_are n1 3 && managers_are n2 3 && managers_are n3 3; }
kill_leader() {
	local lead other
	wait_for 30 has_leader n1 || { echo "no leader"; return 1; }
	lead=$(leader n1)
	other=n1
	[ "$lead" != n1 ] || other=n2
	agent_stop "$lead" KILL
	echo x | timeout 20 docker -H "unix://$(node_sock "$other")" config create "k$lead$(writes_accepted)" - > /dev/null ||
		{ echo "a write without $lead is refused"; return 1; }
	wait_for 30 new_leader $other "$lead" || { echo "no new leader after $lead"; return 1; }
	wait_for 30 writes_reach $(($(writes_accepted) + 5)) || { echo "no writes after $lead"; return 1; }
	agent_start "$lead" || return
	wait_for 60 all_three || { echo "$lead does not come back"; d $other node ls; tail -5 "$LAB/$lead/agent.log"; return 1; }
}
for i in $(seq "$kills"); do
	check "kill -9 the leader, $i" kill_leader
done
check "writes go on" wait_for 20 writes_reach $(($(writes_accepted) + 20))
writer_stop
gap=$(longest_gap_ms)
echo "# $(writes_accepted) accepted writes, $(wc -l < "$LAB/reads") reads, longest gap $gap ms"
check "the longest gap is under 2 s" [ "$gap" -lt 2000 ]
for n in n1 n2 n3; do
	missing_at() { d "$1" config ls --format '{{.Name}}' | writes_missing; }
	check "no accepted write is missing on $n" equals 0 missing_at $n
done
no_stale() { [ ! -s "$LAB/stale" ] || { sort "$LAB/stale" | uniq -c | head; return 1; }; }
check "no read was stale" no_stale

# A leader takes a change that nobody hears of; the next one leads already when it is heard again.
lead=$(leader n1)
other=n1
[ "$lead" != n1 ] || other=n2
in_ns switch ip link set "to-$lead" down
(echo x | timeout 60 docker -H "unix://$(node_sock "$lead")" config create lost - > "$LAB/lost" 2>&1; echo $? >> "$LAB/lost") &
check "the leader is cut off: another leads" wait_for 30 new_leader $other "$lead"
in_ns switch ip link set "to-$lead" up
created() { [ "$(tail -n 1 "$LAB/lost")" = 0 ] || { cat "$LAB/lost"; return 1; }; }
check "what it was asked for meanwhile is asked of the next leader" wait_for 30 created
once() { [ "$(d "$1" config ls -q --filter name=lost | wc -l)" = 1 ]; }
for n in n1 n2 n3; do check "and is there once, on $n" wait_for 10 once $n; done

check "the leadership is handed on when the leader is demoted" d n1 node demote "$(leader n1)"
two() { for n in n1 n2 n3; do managers_are $n 2 && return; done; }
check "two managers are left" wait_for 60 two
finish
