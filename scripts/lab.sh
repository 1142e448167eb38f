# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A lab of nodes on one machine, for the demo, the tests and the benchmarks. To be sourced.
#
#            switch (namespace with the bridge br0, 10.77.0.1)
#           /      |          \
#      client     n1 …         nN        namespaces with one uplink eth0 each
#   10.77.0.2  10.77.0.11   10.77.0.(10+N)
#
# A node is a network, mount and UTS namespace of its own, held open by a sleeping process, with
# its own data root, exec root and socket below $LAB. Nothing outside these namespaces changes.
# Namespaces are entered with nsenter: "ip netns exec" would hide cgroups and bpffs.

LAB=${LAB:?}		# folder of this lab's state; created by lab_up
BUILD=${BUILD:-$PWD/build}
LAB_TIMEOUT=${LAB_TIMEOUT:-30}	# seconds that any condition is waited for
export SLOW=${SLOW:-1}	# how many times slower this machine is than what the time-outs are meant for

lab_die() {
	echo "lab: $*" >&2
	return 1
}

# Wait until a command succeeds. usage: wait_for SECONDS COMMAND…   SECONDS are those of a fast machine
wait_for() {
	local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * SLOW * 1000000))
	shift
	until "$@" > /dev/null 2>&1; do
		[ "${EPOCHREALTIME/[.,]/}" -lt $deadline ] || return 1
		sleep 0.02
	done
}

lab_pid() { cat "$LAB/ns/$1"; }
# Run a command in a namespace of the lab. usage: in_ns NAME COMMAND…
in_ns() {
	local pid
	read -r pid < "$LAB/ns/$1" || return
	shift
	nsenter -t "$pid" -n -m -u -- "$@"
}

# Whether a process is still the one of this lab that its pid was noted for. usage: _ours PID TEXT
_ours() { tr '\0' ' ' 2> /dev/null < "/proc/$1/cmdline" | grep -qF -- "$LAB/$2"; }
_ns_ready() { local comm; read -r comm < "/proc/$1/comm" && [ "$comm" = sleep ]; }

ns_new() {
	local pid
	# its arguments name the lab: a pid alone may be another's by the time the lab ends
	unshare --net --mount --uts --propagation private -- \
		bash -c "hostname '$1' && ip link set lo up && exec -a 'holder of $LAB/ns/$1' sleep infinity" \
		< /dev/null > /dev/null 2>&1 &
	pid=$!
	disown $pid
	wait_for 5 _ns_ready $pid || { lab_die "cannot make the namespace $1"; return; }
	echo $pid > "$LAB/ns/$1"
}

# A host on the switch. usage: host_new NAME ADDRESS
host_new() {
	ns_new "$1" || return
	in_ns switch ip link add "to-$1" mtu 1500 type veth peer name eth0 mtu 1500 netns "$(lab_pid "$1")"
	in_ns switch ip link set "to-$1" master br0 up
	in_ns "$1" ip addr add "$2/24" dev eth0
	in_ns "$1" ip link set eth0 up
	in_ns "$1" ip route add default via 10.77.0.1
}

lab_up() {
	mkdir -p "$LAB/ns"
	ns_new switch || return
	in_ns switch ip link add br0 type bridge
	in_ns switch ip addr add 10.77.0.1/24 dev br0
	in_ns switch ip link set br0 up
	host_new client 10.77.0.2
}

node_ip() { echo "10.77.0.$((10 + ${1#n}))"; }
node_sock() { echo "$LAB/$1/docker.sock"; }

# Start an agent on a node, making the node if need be. usage: agent_start n1 [FLAG…]
agent_start() {
	local n=$1 pid
	shift
	[ -e "$LAB/ns/$n" ] || host_new "$n" "$(node_ip "$n")" || return
	mkdir -p "$LAB/$n"
	pid=$(lab_pid "$n")
	# exec all the way, so that $! is the agent's own pid
	nsenter -t "$pid" -n -m -u -- "$BUILD/swarm-agent" \
		-H "unix://$(node_sock "$n")" --data-root "$LAB/$n/data" --exec-root "$LAB/$n/exec" \
		--pidfile "$LAB/$n/agent.pid" --cgroup-parent "/$(basename "$LAB")-$n" "$@" >> "$LAB/$n/agent.log" 2>&1 < /dev/null &
	echo $! > "$LAB/$n/pid"
	disown $!
	wait_for "$LAB_TIMEOUT" agent_answers "$n" || { tail -5 "$LAB/$n/agent.log" >&2; lab_die "the agent of $n does not answer"; }
}

agent_answers() { curl -sf --unix-socket "$(node_sock "$1")" http://d/_ping; }
_gone() { ! kill -0 "$1" 2> /dev/null; }

# Stop the agent of a node. usage: agent_stop n1 [SIGNAL]
agent_stop() {
	local pid
	pid=$(cat "$LAB/$1/pid" 2> /dev/null) || return 0
	_ours "$pid" "$1/" || { rm -f "$LAB/$1/pid"; return 0; }
	kill -"${2:-TERM}" "$pid" 2> /dev/null
	wait_for "$LAB_TIMEOUT" _gone "$pid" || lab_die "the agent of $1 does not stop"
	rm -f "$LAB/$1/pid"
}

# The stock docker CLI against a node. usage: d n1 ARG…
d() {
	local n=$1
	shift
	DOCKER_BUILDKIT=0 command docker -H "unix://$(node_sock "$n")" "$@"
}

# What an agent left behind on a node: prints it and fails, or prints nothing.
node_leftovers() {
	local n=$1 left="" f
	f=$(in_ns "$n" grep " $LAB/$n/" /proc/self/mountinfo | awk '{print $5}')
	[ -z "$f" ] || left+="mounts: $f"$'\n'
	f=$(in_ns "$n" ip -o link | awk -F': ' '{sub(/@.*/, "", $2); print $2}' | grep -vxE 'lo|eth0')
	[ -z "$f" ] || left+="links: $f"$'\n'
	f=$(in_ns "$n" nft list tables)
	[ -z "$f" ] || left+="nft: $f"$'\n'
	f=$(in_ns "$n" tc filter show dev eth0 ingress 2> /dev/null; in_ns "$n" tc filter show dev lo ingress 2> /dev/null)
	[ -z "$f" ] || left+="filters: $f"$'\n'
	f=$(in_ns "$n" ip xfrm state 2> /dev/null; in_ns "$n" ip xfrm policy 2> /dev/null)
	[ -z "$f" ] || left+="IPsec: $(grep -v aead <<< "$f")"$'\n'
	f=$(ls "$LAB/$n/exec/netns" "$LAB/$n/exec/bpf" 2> /dev/null | grep -v ':$' | grep .)
	[ -z "$f" ] || left+="exec root: $f"$'\n'
	f=$(find /sys/fs/cgroup -type d -path "*/$(basename "$LAB")-$n/*" 2> /dev/null | head -5)
	[ -z "$f" ] || left+="cgroups: $f"$'\n'
	f=$(pgrep -af -- "$LAB/$n/" | grep -v pgrep)
	[ -z "$f" ] || left+="processes: $f"$'\n'
	[ -z "$left" ] || { printf '%s' "$left"; return 1; }
}

# End everything of this lab, whatever state it is in.
lab_down() {
	local n pid holders=
	for n in "$LAB"/*/pid; do
		[ -e "$n" ] && agent_stop "$(basename "$(dirname "$n")")" KILL
	done
	for n in "$LAB"/ns/*; do
		[ -e "$n" ] && read -r pid < "$n" && _ours "$pid" ns/ && holders+=" $pid"
	done
	[ -z "$holders" ] || _lab_kill_within $holders
	for pid in $holders; do kill -KILL "$pid" 2> /dev/null; done
	for pid in $holders; do wait_for 5 _gone "$pid"; done
	find /sys/fs/cgroup -depth -type d -path "*/$(basename "$LAB")-*" -exec rmdir {} + 2> /dev/null
	rm -rf "$LAB" 2> /dev/null || { sync; rm -rf "$LAB"; }
}

# Kill what lives in the network or mount namespaces of holder processes, but the holders: also the
# monitors and containers that outlive an agent. One look at all processes, since there are many
# and each is two links to read. usage: _lab_kill_within PID…
_lab_kill_within() {
	local pid
	for pid in $(find /proc/[0-9]*/ns -maxdepth 1 \( -name net -o -name mnt \) -printf '%h %l\n' 2> /dev/null |
		awk -F'[/ ]' -v holders=" $* " '
			{pid[NR] = $3; ns[NR] = $5}
			$5 && index(holders, " " $3 " ") {ours[$5] = 1}
			END {for (i = 1; i <= NR; i++) if (ns[i] in ours && !index(holders, " " pid[i] " ")) print pid[i]}'); do
		_lab_kill_children "$pid"
		kill -KILL "$pid" 2> /dev/null
	done
}

# The containers of a monitor live in other namespaces: they are its children.
_lab_kill_children() {
	local c
	for c in $({ read -r c < "/proc/$1/task/$1/children"; echo "$c"; } 2> /dev/null); do
		_lab_kill_children "$c"
		kill -KILL "$c" 2> /dev/null
	done
}
