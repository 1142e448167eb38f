# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests with Docker's daemon on some nodes, to be sourced after lib.sh. Skips where it is not
# installed.
export PATH=$PATH:/usr/sbin
for tool in dockerd containerd runc; do
	command -v $tool > /dev/null || { echo "1..0 # SKIP no $tool"; exit 0; }
done

# Start a dockerd on a node. Without a name server: a lookup of the registry shall fail at once.
# usage: dockerd_start n1 [FLAG…]
dockerd_start() {
	local n=$1
	shift
	if [ ! -e "$LAB/ns/$n" ]; then
		host_new "$n" "$(node_ip "$n")" || return
		mkdir -p "$LAB/$n"
		echo "nameserver 127.0.0.1" > "$LAB/$n/resolv.conf"
		in_ns "$n" mount --bind "$LAB/$n/resolv.conf" /etc/resolv.conf
	fi
	in_ns "$n" dockerd -H "unix://$(node_sock "$n")" --data-root "$LAB/$n/data" --exec-root "$LAB/$n/exec" \
		--pidfile "$LAB/$n/dockerd.pid" --storage-driver vfs --bridge none --iptables=false \
		--cgroup-parent "/$(basename "$LAB")-$n" "$@" >> "$LAB/$n/agent.log" 2>&1 < /dev/null &
	disown $!
	wait_for 60 agent_answers "$n" || { tail -20 "$LAB/$n/agent.log"; return 1; }
	cp "$LAB/$n/dockerd.pid" "$LAB/$n/pid"
}
