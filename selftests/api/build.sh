#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What commands of a build get: networks, hosts, limits, their errors; and what is refused.
. "$(dirname "$0")/../lib.sh"
agent_start n1
check "an image" base_image n1
# A build of a Dockerfile that is given in lines. usage: build LINES [FLAG…]
build() {
	local text=$1
	shift
	printf "FROM alpine\n$text\n" | d n1 build --no-cache "$@" -
}

d n1 network create own > /dev/null
d n1 run -d --name web --network own alpine sh -c 'mkdir /w; echo served > /w/x; exec httpd -f -p 80 -h /w' > /dev/null
fetch='RUN for i in $(seq 100); do wget -qO- http://web/x \&\& exit; sleep 0.1; done; exit 1'
check "a user's network, by name" says served build "${fetch//\\/}" --network own
check "another container's" says served build "${fetch//web/127.0.0.1}" --network container:web
check "the default one" says "inet 172." build 'RUN ip addr show eth0'
check "none" says 'links: lo;' build 'RUN echo "links: $(ls /sys/class/net | tr "\\\\n" ";")"' --network none
check "the node's" says "inet $(node_ip n1)/24" build 'RUN ip addr show eth0' --network host
check "no such network" refuses "network none-such not found" build 'RUN true' --network none-such
check "no such container" refuses "No such container: none-such" build 'RUN true' --network container:none-such

# One build with all limits, which goes on once it has been looked at.
limited() {
	build "RUN echo files: \$(ulimit -n) \$(ulimit -Hn); df -k /dev/shm; cat /etc/hosts /etc/resolv.conf /proc/self/status; ls /dev; until wget -qO- http://web/go; do sleep 0.1; done" \
		--network own --add-host other:192.0.2.9 --ulimit nofile=77:88 --shm-size 12m --memory 64m --cpuset-cpus 0 --cgroup-parent "/$(basename "$LAB")-own"
}
limited > "$LAB/limited" 2>&1 &
building=$!
cg() { find /sys/fs/cgroup -path "*/$(basename "$LAB")-own/*/*" \( -name memory.max -o -name memory.limit_in_bytes \); }
in_cgroup() { [ -n "$(cg)" ] && equals 67108864 cat $(cg); }
check "memory, in a cgroup of its parent" wait_for 30 in_cgroup
d n1 exec web touch /w/go
wait $building
check "the build goes on" [ $? = 0 ]
while read -r what text; do
	check "${what//_/ }" says "$(echo -e "$text")" cat "$LAB/limited"
done << 'END'
hosts 192.0.2.9\tother
with_localhost 127.0.0.1\tlocalhost
a_name_server nameserver
ulimits files: 77 88
the_size_of_/dev/shm 12288
processors Cpus_allowed_list:\t0\n
END
check "none of the node's devices" bash -c "! grep -E '^(kmsg|loop|sd|vd)' $LAB/limited"
check "a container's capabilities" equals 0 bash -c "diff <(DOCKER_BUILDKIT=0 docker -H unix://$(node_sock n1) build -q - <<< $'FROM alpine\nRUN grep CapEff /proc/self/status > /caps' 2> /dev/null |
	xargs -I{} docker -H unix://$(node_sock n1) run --rm {} cat /caps) <(docker -H unix://$(node_sock n1) run --rm alpine grep CapEff /proc/self/status); echo \$?"
check "too little memory" refuses "Minimum memory limit allowed is 6MB" build 'RUN true' --memory 1m
check "swap without memory" refuses "You should always set the Memory limit when using Memoryswap limit" build 'RUN true' --memory-swap 1g
check "processors that are not there" refuses "Requested CPUs are not available - requested 999" build 'RUN true' --cpuset-cpus 999
check "this platform" says "Successfully built" build 'RUN true' --platform "linux/$(d n1 version -f '{{.Server.Arch}}')"
check "no platform" refuses '"a/b/c/d": cannot parse platform specifier: invalid argument' build 'RUN true' --platform a/b/c/d
check "another isolation" refuses 'Unsupported isolation: "process"' build 'RUN true' --isolation process
check "security options" refuses "does not support setting security options on build" build 'RUN true' --security-opt seccomp=unconfined
squash() { curl -s --unix-socket "$(node_sock n1)" -X POST "http://d/build?squash=1" -d ''; }
check "squash" says "squash is only supported with experimental mode" squash
check "what a command complains of" says "complaint" build 'RUN echo complaint >\&2'
code() { build 'RUN exit 42'; [ $? = 42 ]; }
check "the client ends with the command's code" code
check "a program that is not there" refuses "OCI runtime create failed: executable file" build 'RUN ["/none"]'
check "a user who is not there" refuses "unable to find user nobody-such: no matching entries in passwd file" build 'USER nobody-such\nRUN true'
check "a file that is not there" refuses "COPY failed: file not found in build context or excluded by .dockerignore: stat none: file does not exist" build 'COPY none /'
check "no file by a pattern" refuses "COPY failed: no source files were specified" build 'COPY *.none /'
check "a bad signal" refuses "Invalid signal: NONE" build 'STOPSIGNAL NONE'
d n1 rm -f web > /dev/null
d n1 network rm own > /dev/null
check "nothing of the builds is left" equals "" find "$LAB/n1/exec/build" "$LAB/n1/exec/netns" -mindepth 1
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
