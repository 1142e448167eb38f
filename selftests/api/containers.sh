#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers with the docker CLI: run, limits, mounts, streams, logs, exec, stop, restart policies,
# health, files; and that they outlive the agent.
. "$(dirname "$0")/../lib.sh"
. selftests/api/lib_containers.sh
agent_start n1
base_image n1

# -- run
check "run prints" equals hello run --rm alpine echo hello
check "exit codes" exits 7 run --rm alpine sh -c 'exit 7'
check "a signal is 128 and more" exits 137 run --rm alpine sh -c 'sh -c "kill -9 \$\$"; exit $?'
check "a program that is not there is 127" exits 127 run --rm alpine nosuchprogram
check "one that may not run is 126" exits 126 run --rm alpine /etc/passwd
check "nor a folder" exits 126 run --rm alpine /etc
check "no name is 127" exits 127 run --rm alpine ""
check "with --rm nothing stays" equals "" docker ps -aq
check "both streams" equals "out
err" run --rm alpine sh -c 'echo out; sleep 0.1; echo err >&2'
piped() { echo piped | run --rm -i alpine cat; }
check "input comes in" equals piped piped
big() { head -c 3000000 /dev/zero | run --rm -i alpine sh -c 'cat | wc -c'; }
check "three megabytes of it" equals 3000000 big
bigger() { run --rm alpine sh -c 'head -c 5000000 /dev/zero' | wc -c; }
check "and five out" equals 5000000 bigger
tty() { timeout 60 script -qec "docker -H unix://$(node_sock n1) run --network none --rm -it alpine sh -c 'tty; stty size'" /dev/null < /dev/null | tr -d '\r'; }
check "a terminal" says /dev/pts/0 tty

# Attach over a websocket. usage: ws CONTAINER QUERY [bad]
ws() { python3 selftests/api/ws.py "$(node_sock n1)" "/v1.42/containers/$1/attach/ws?$2" "${@:3}"; }
run -d -i --name talk alpine sh -c 'read n; head -c $n | wc -c; echo err >&2' > /dev/null
sent() { { echo 3000000; head -c 3000000 /dev/zero; } | ws talk "stream=1&stdin=1&stdout=1&stderr=1" 2>&1; }
check "over a websocket, in and out without heads" equals "pong ping
3000000
err
closed 1000" sent
check "what was said before" equals "3000000
err" eval 'ws talk "logs=1&stdout=1&stderr=1" 2> /dev/null < /dev/null'
docker start talk > /dev/null
check "a client that breaks the rules" says "closed 1002" ws talk "stream=1&stdin=1" bad < /dev/null
check "no websocket" says "the request does not ask for a websocket" curl -s --unix-socket "$(node_sock n1)" http://d/containers/talk/attach/ws
check "no container" refuses "404 Not Found" ws nope "stream=1" < /dev/null
docker rm -f talk > /dev/null
# Leaving a terminal by keys; what only looks like their beginning arrives.
run -dit --name desk alpine cat > /dev/null
check "left by ctrl-p ctrl-q" says "closed 1000" eval "printf 'a\\020b\\n\\020\\021c' | ws desk 'stream=1&stdin=1&stdout=1'"
check "it runs on" is Running desk true
check "what was typed arrived" wait_for 20 says 'a^Pb' docker logs desk
check "left by other keys" says "closed 1000" eval "printf 'x\\001' | ws desk 'stream=1&stdin=1&stdout=1&detachKeys=ctrl-a'"
check "keys that are none" refuses "Invalid detach keys (ctrl-1) provided" ws desk 'stream=1&detachKeys=ctrl-1' < /dev/null
check "is told" says "container detach" docker events --since 5m --until "$(date +%s.%N)" --filter container=desk
check "kill waits for the end" equals "desk
false" eval 'docker kill desk; docker inspect -f "{{.State.Running}}" desk'
docker rm -f desk > /dev/null

# -- what it sees
check "environment" equals "x y" run --rm -e A=x -e B=y alpine sh -c 'echo $A $B'
check "the environment's order" equals "PATH HOSTNAME A HOME" sh -c "docker -H unix://$(node_sock n1) run --network none --rm -e A=x alpine env | cut -d= -f1 | paste -sd' '"
check "the mark of a container" run --rm alpine test -f /.dockerenv
check "user by name" equals "65534 65534" run --rm -u nobody alpine sh -c 'echo $(id -u) $(id -g)'
check "user and group by number" equals "1000 2000" run --rm -u 1000:2000 alpine sh -c 'echo $(id -u) $(id -g)'
check "its group is among its groups" equals 65534 run --rm -u nobody alpine sh -c 'echo $(sed -n "s/Groups:.//p" /proc/self/status)'
check "an unknown user" refuses "unable to find user nosuch" run --rm -u nosuch alpine true
check "working directory, made" equals /a/b run --rm -w /a/b alpine pwd
check "host name" equals "box box" run --rm -h box alpine sh -c 'echo $(hostname) $HOSTNAME'
check "a full host name, and the short one" equals "a.b.c a" sh -c "docker -H unix://$(node_sock n1) run --rm -h a.b.c alpine grep a.b.c /etc/hosts | cut -f2"
check "the node's, with its network" equals "$(in_ns n1 hostname)" docker run --rm --network host alpine cat /etc/hostname
check "entry point" equals "x y" run --rm --entrypoint echo alpine x y
check "read-only root" refuses "Read-only file system" run --rm --read-only alpine touch /x
check "tmpfs" equals 4096 run --rm --tmpfs /t:size=4m alpine sh -c 'touch /t/x && df -k /t | tail -1 | tr -s " " | cut -d" " -f2'
check "init is process 1" says docker-init run --rm --init alpine cat /proc/1/cmdline
check "few capabilities" equals 00000000a80425fb run --rm alpine sh -c 'sed -n "s/CapEff:.//p" /proc/self/status'
check "one more" equals 00000000a80435fb run --rm --cap-add NET_ADMIN alpine sh -c 'sed -n "s/CapEff:.//p" /proc/self/status'
check "none" equals 0000000000000000 run --rm --cap-drop ALL alpine sh -c 'sed -n "s/CapEff:.//p" /proc/self/status'
check "a system call filter" equals 2 run --rm alpine sh -c 'sed -n "s/Seccomp:.//p" /proc/self/status'
check "no filter when privileged" equals 0 run --rm --privileged alpine sh -c 'sed -n "s/Seccomp:.//p" /proc/self/status'
check "masked paths" equals "" run --rm alpine sh -c 'cat /proc/keys'
check "no mounting" refuses "ermission denied" run --rm alpine mount -t tmpfs x /tmp
check "sysctl" equals 1024 run --rm --sysctl net.core.somaxconn=1024 alpine cat /proc/sys/net/core/somaxconn
check "ulimit" equals 77 run --rm --ulimit nofile=77 alpine sh -c 'ulimit -n'
check "its own processes" equals 1 run --rm alpine sh -c 'echo $$'
check "shared memory's size" equals 8192 run --rm --shm-size 8m alpine sh -c 'df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2'
check "a device" says rand run --rm --device /dev/random:/dev/rand alpine ls /dev/rand
check "the node's network" equals "$(in_ns n1 readlink /proc/self/ns/net)" docker run --rm --network host alpine readlink /proc/self/ns/net

check_limits

# -- mounts
mkdir "$work/bind" && echo in > "$work/bind/f"
check "bind" equals in run --rm -v "$work/bind:/b" alpine cat /b/f
check "bind read-only" refuses "Read-only" run --rm -v "$work/bind:/b:ro" alpine touch /b/g
check "--mount of a folder that is not there" refuses "bind source path does not exist" run --rm --mount type=bind,src=/nosuch,dst=/b alpine true
run --rm -v vol:/v alpine sh -c 'echo kept > /v/f'
check "a volume keeps" equals kept run --rm -v vol:/v alpine cat /v/f
check "a volume at /etc hides no host name" equals box run --rm -h box -v plainvol:/etc:nocopy alpine cat /etc/hostname
docker volume rm plainvol > /dev/null
check "the same place twice" refuses "Duplicate mount point: /x" run --rm -v vol:/x --tmpfs /x alpine true
check "a new volume gets the image's files" says root:x:0 run --rm -v etcvol:/etc alpine cat /etc/passwd
docker run --network none --rm -v /anon alpine true
check "anonymous volumes go with --rm" equals "etcvol
vol" docker volume ls --format '{{.Name}}'
run --name user -v vol:/v alpine true
check "a used volume is not removed" refuses "volume is in use" docker volume rm vol
docker rm user > /dev/null
check "an unused one is" equals vol docker volume rm vol
docker volume rm etcvol > /dev/null

run --name shown -e A=b alpine true
check "what is not limited is null" equals "null null" docker inspect -f '{{json .HostConfig.PidsLimit}} {{json .HostConfig.MemorySwappiness}}' shown
check "hidden paths are shown" says '"/proc/kcore"' docker inspect -f '{{json .HostConfig.MaskedPaths}}' shown
docker rm shown > /dev/null
check "a mount without those below it" docker create --name flat --mount "type=bind,src=$work,dst=/x,bind-recursive=disabled" alpine true
docker rm flat > /dev/null

# -- logs
run -d --name log alpine sh -c 'for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2; sleep 1000' > /dev/null
has_logs() { [[ $(docker logs log 2>&1) == *bad* ]]; }
wait_for 30 has_logs
check "logs" equals "line 1 line 2 line 3 line 4 line 5" sh -c "docker -H unix://$(node_sock n1) logs log 2> /dev/null | paste -sd' '"
check "tail" equals "line 5
bad" docker logs --tail 2 log
check "timestamps" says "Z line 5" docker logs -t log
since=$(docker logs -t log 2> /dev/null | sed -n 4p | cut -d' ' -f1)
check "since" equals "line 4
line 5
bad" docker logs --since "$since" log
check "until" equals "line 1
line 2
line 3
line 4" docker logs --until "$since" log
check "a future since" equals "" docker logs --since 2100-01-01T00:00:00Z log
docker logs -f log > "$work/followed" 2>&1 &
follower=$!
wait_for 60 grep -q bad "$work/followed"
docker rm -f log > /dev/null
check "follow ends with the container" timeout 30 tail --pid=$follower -f /dev/null
check "and has it all" equals "line 5" sed -n 5p "$work/followed"
run --name rot --log-opt max-size=20k --log-opt max-file=3 alpine sh -c 'i=0; while [ $i -lt 1000 ]; do echo "a line of the log, number $i"; i=$((i+1)); done' > /dev/null
rotated=$(dirname "$(docker inspect -f '{{.LogPath}}' rot)")
check "rotation keeps three files" equals 3 sh -c "ls $rotated/*-json.log* | wc -l"
check "reading crosses them" says "number 999" docker logs --tail 400 rot
check "in order and whole" equals 400 sh -c "docker -H unix://$(node_sock n1) logs --tail 400 rot | wc -l"
docker rm rot > /dev/null
run --name nolog --log-driver none alpine echo x > /dev/null
check "driver none" refuses "does not support reading" docker logs nolog
check "an unknown log option" refuses "unknown log opt 'x' for json-file log driver" run --log-opt x=y alpine true
check "a log that cannot be compressed" refuses "compress cannot be true" run --log-opt compress=true alpine true
check "an unknown log driver" refuses "no log driver named 'nosuch'" run --log-driver nosuch alpine true
check "an unknown runtime" refuses "unknown or invalid runtime name: nosuch" run --runtime nosuch alpine true
docker rm nolog > /dev/null

check_running

# -- namespaces of others
run -d --name peer --ipc shareable alpine sleep 1000 > /dev/null
check "a peer's processes" says "sleep 1000" run --rm --pid container:peer alpine ps
check "a peer's memory" equals shared sh -c "docker -H unix://$(node_sock n1) exec peer sh -c 'echo shared > /dev/shm/x'; docker -H unix://$(node_sock n1) run --rm --network none --ipc container:peer alpine cat /dev/shm/x"
docker rm -f peer > /dev/null
check "the node's namespaces" says "$(in_ns n1 hostname)" run --rm --uts host --pid host --ipc host alpine hostname
run -d --name from -v kept:/kept alpine sh -c 'echo x > /kept/f; sleep 1000' > /dev/null
check "another one's volumes" equals x run --rm --volumes-from from:ro alpine sh -c 'while ! cat /kept/f; do sleep 0.1; done 2> /dev/null'
check "and read-only" refuses "Read-only file system" run --rm --volumes-from from:ro alpine touch /kept/g
docker rm -f from > /dev/null
docker run -d --name linked alpine sleep 1000 > /dev/null
check "a link is in the hosts file" says other docker run --rm --link linked:other alpine cat /etc/hosts
docker rm -f linked > /dev/null
check "a link to what is not there" refuses "could not get container for nosuch" docker run --rm --link nosuch:x alpine true

# -- restart policies
run -d --name flaky --restart on-failure:2 alpine sh -c 'exit 4' > /dev/null
flaky_done() { [ "$(docker inspect -f '{{.RestartCount}} {{.State.Status}}' flaky)" = "2 exited" ]; }
check "on-failure gives up" wait_for 60 flaky_done
docker rm flaky > /dev/null
run -d --name always --restart always alpine sh -c 'sleep 0.3' > /dev/null
again() { [ "$(docker inspect -f '{{.RestartCount}}' always)" -ge 2 ]; }
check "always restarts" wait_for 60 again
check "stop ends it" equals always docker stop always
check "it stays down" equals exited state Status always
docker rm always > /dev/null

# -- health
run -d --name well --health-cmd 'test -e /ok' --health-interval 200ms --health-retries 2 alpine sleep 1000 > /dev/null
unhealthy() { [ "$(state Health.Status well)" = unhealthy ]; }
healthy() { [ "$(state Health.Status well)" = healthy ]; }
check "unhealthy" wait_for 60 unhealthy
docker exec well touch /ok
check "healthy" wait_for 60 healthy
check "docker ps shows it" says "(healthy)" docker ps
docker rm -f well > /dev/null

# -- events
since=$(date +%s)
run --rm --name ev alpine sh -c 'exit 3' > /dev/null
check "events" equals "create attach start die destroy" sh -c "docker -H unix://$(node_sock n1) events --since $since --until \$((\$(date +%s) + 1)) --filter container=ev --format '{{.Action}}' | paste -sd' '"

check_outliving
check "no container is left" equals "" docker ps -aq
docker volume prune -af > /dev/null
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
