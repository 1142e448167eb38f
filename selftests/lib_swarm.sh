# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests with a swarm, to be sourced after lib.sh: forming one, and conditions to wait for.

# Images eon01/infinite and web on a node. web answers /cgi-bin/id with its hostname and the
# client's address, /big with 8 MiB.
swarm_images() { # NODE
	local n=$1 work=$LAB/images
	base_image "$n"
	mkdir -p "$work/infinite" "$work/web"
	printf 'FROM alpine\nENTRYPOINT tail -f /dev/null\n' > "$work/infinite/Dockerfile"
	cat > "$work/web/id" << 'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n%s %s\n' "$(hostname)" "$REMOTE_ADDR"
END
	chmod +x "$work/web/id"
	cat > "$work/web/Dockerfile" << 'END'
FROM alpine
COPY id /www/cgi-bin/id
RUN dd if=/dev/zero of=/www/big bs=1M count=8 2> /dev/null
CMD ["httpd", "-f", "-p", "80", "-h", "/www"]
END
	d "$n" build -q -t eon01/infinite "$work/infinite" > /dev/null && d "$n" build -q -t web "$work/web" > /dev/null
}

# A swarm led by n1. usage: swarm_form MANAGERS WORKERS [FLAG…]   nodes n1…
swarm_form() {
	local managers=$1 workers=$2 i token out
	shift 2
	for i in $(seq $((managers + workers))); do
		agent_start "n$i" "$@" || return
	done
	d n1 swarm init --advertise-addr "$(node_ip n1)" > /dev/null || return
	token=$(d n1 swarm join-token -q manager)
	for i in $(seq 2 "$managers"); do
		out=$(d "n$i" swarm join --token "$token" "$(node_ip n1):2377") || return
		# the CLI asks the node right after: one that does not know its leader yet says "a worker"
		[[ $out == *"as a manager"* ]] || { echo "n$i: $out"; return 1; }
	done
	token=$(d n1 swarm join-token -q worker)
	for i in $(seq $((managers + 1)) $((managers + workers))); do
		d "n$i" swarm join --token "$token" "$(node_ip n1):2377" > /dev/null || return
	done
	wait_for 30 nodes_ready n1 $((managers + workers))
}

nodes_ready() { [ "$(d "$1" node ls --format '{{.Status}}' | grep -c Ready)" = "$2" ]; } # AT COUNT
# Nodes leave the swarm and end, and nothing is left on them. usage: all_leave NODE…
all_leave() {
	local n
	for n in "$@"; do
		check "$n leaves" d "$n" swarm leave --force
		d "$n" network rm docker_gwbridge > /dev/null 2>&1
		agent_stop "$n"
		check "nothing is left on $n" node_leftovers "$n"
	done
}
# Containers that run on a node.
running_on() { d "$1" ps -q | wc -l; }
# COUNT tasks of a service run, as the manager AT knows.  usage: tasks_run AT SERVICE COUNT
tasks_run() {
	[ "$(d "$1" service ps --filter desired-state=running --format '{{.CurrentState}}' "$2" | grep -c '^Running')" = "$3" ] &&
		[ "$(d "$1" service ls --filter "name=$2" --format '{{.Name}} {{.Replicas}}' | awk -v s="$2" '$1 == s {print $2}')" = "$3/$3" ]
}
# The leader as NODE tells: prints its name.
leader() { d "$1" node ls --format '{{.Hostname}} {{.ManagerStatus}}' | awk '$2 == "Leader" {print $1}'; }
has_leader() { [ -n "$(leader "$1")" ]; }
# The managers that n1… the others reach: "Leader" and "Reachable" lines.
reachable_managers() { d "$1" node ls --format '{{.ManagerStatus}}' | grep -cE 'Leader|Reachable'; }
managers_are() { [ "$(reachable_managers "$1")" = "$2" ]; } # AT COUNT
no_containers() { [ -z "$(d "$1" ps -aq)" ]; }
# Of a service's tasks on $nodes: "node container-id address-on-network" lines. usage: tasks_of SERVICE NETWORK
tasks_of() {
	local n id
	for n in $nodes; do
		for id in $(d "$n" ps -q --filter "label=com.docker.swarm.service.name=$1"); do
			echo "$n $id $(d "$n" inspect -f "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$id")"
		done
	done
}
# Run in the first task of a service on $nodes. usage: in_task SERVICE COMMAND…
in_task() {
	local n id service=$1
	shift
	for n in $nodes; do
		id=$(d "$n" ps -q --filter "label=com.docker.swarm.service.name=$service" | head -1)
		[ -z "$id" ] || { d "$n" exec "$id" "$@"; return; }
	done
	return 1
}
# The addresses that a name has for a task, sorted. usage: resolves SERVICE NAME
resolves() { in_task "$1" nslookup "$2" 127.0.0.11 2> /dev/null | awk '/^Name:/ {seen = 1} seen && /^Address/ {print $NF}' | sort -u; }
n_addresses() { [ "$(resolves "$1" "$2" | wc -l)" = "$3" ]; } # SERVICE NAME COUNT
# An answer of the published web service. usage: web_answers NODE PORT
web_answers() { in_ns client curl -sf -m $((5 * SLOW)) "http://$(node_ip "$1"):$2/cgi-bin/id"; }

# Requests in the background at a steady rate, 200 a second unless LOAD_RATE says otherwise, to each
# node in turn. usage: load_start PORT NODE…
load_start() {
	local port=$1 targets=() n
	shift
	for n in "$@"; do targets+=("$(node_ip "$n"):$port"); done
	rm -f "$LAB/load.stop" "$LAB/load.result"
	in_ns client python3 "$PWD/selftests/load.py" "${LOAD_RATE:-200}" "$LAB/load.stop" "$LAB/load.result" /cgi-bin/id \
		"${targets[@]}" < /dev/null > "$LAB/load.out" 2>&1 &
	load_pid=$!
}
load_count() { head -1 "$LAB/load.result" 2> /dev/null | cut -d' ' -f1; }
load_sent() { [ "$(load_count || echo 0)" -ge "$1" ]; }
# Wait until the load has gone on for COUNT requests from now.
load_goes_on() { wait_for 60 load_sent $(($(load_count || echo 0) + $1)); }
# End it: fails when a request failed, or none was sent.
load_stop() {
	touch "$LAB/load.stop"
	wait "$load_pid" 2> /dev/null
	cat "$LAB/load.out"
	head -20 "$LAB/load.result"
	[ "$(head -1 "$LAB/load.result" | cut -d' ' -f2)" = 0 ] && [ "$(load_count)" -gt 0 ]
}
