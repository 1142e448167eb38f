# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Containers on n1, whatever the machine: what depends on its kernel and cgroups. To be sourced after
# lib.sh.
docker_cli=$(command -v docker)
work=$LAB/work
mkdir -p "$work/saved"
docker() { timeout $((120 * SLOW)) "$docker_cli" -H "unix://$(node_sock n1)" "$@"; }
run() { docker run --network none "$@"; }
state() { docker inspect -f "{{.State.$1}}" "$2"; }
is() { [ "$(state "$1" "$2")" = "$3" ]; }
exits() { # CODE COMMAND…
	local want=$1 code
	shift
	"$@"
	code=$?
	echo "want: $want, got: $code"
	[ $code = "$want" ]
}

# Limits of memory, processor and processes, statistics, the end for want of memory.
check_limits() {
	cg() { cat "/sys/fs/cgroup/$1/$(basename "$LAB")-n1/$(docker inspect -f '{{.Id}}' "$3")/$2" 2> /dev/null || cat "/sys/fs/cgroup/$(basename "$LAB")-n1/$(docker inspect -f '{{.Id}}' "$3")/$4"; }
	run -d --name limits -m 32m --cpus 0.5 --pids-limit 50 alpine sleep 1000 > /dev/null
	check "memory limit" equals 33554432 cg memory memory.limit_in_bytes limits memory.max
	check "processor limit" says 50000 cg cpu cpu.cfs_quota_us limits cpu.max
	check "pids limit" equals 50 cg pids pids.max limits pids.max
	check "update" equals limits docker update -m 48m --memory-swap 96m --pids-limit 60 limits
	check "no update by what is no number" refuses "it must be a whole number" \
		sh -c "curl -s -X POST --unix-socket $(node_sock n1) -H 'Content-Type: application/json' -d '{\"Memory\":\"x\"}' http://d/containers/limits/update; exit 1"
	check "is in force" equals 50331648 cg memory memory.limit_in_bytes limits memory.max
	check "and shown" equals "50331648 60" docker inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}}' limits
	check "stats" says "48MiB" docker stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' limits
	check "top" says "sleep 1000" docker top limits
	check "too little memory" refuses "Minimum memory limit allowed is 6MB" run -m 1m alpine true
	docker rm -f limits > /dev/null
	oom() { run --name oom -m 16m alpine sh -c 'head -c 60000000 /dev/zero | tail'; is OOMKilled oom true; }
	check "out of memory is noticed" oom
	docker rm oom > /dev/null
}

# Exec, pause, files in and out, stop and kill, attach.
check_running() {
	run -d --name box -e A=b -w /tmp alpine sh -c 'trap "echo term; exit 5" TERM; echo ready; while :; do sleep 0.1; done' > /dev/null
	check "exec" equals "b /tmp" docker exec box sh -c 'echo $A $(pwd)'
	check "exec's exit code" exits 9 docker exec box sh -c 'exit 9'
	check "exec with user, environment and folder" equals "65534 y /etc" docker exec -u nobody -e X=y -w /etc box sh -c 'echo $(id -u) $X $(pwd)'
	exec_in() { echo word | docker exec -i box cat; }
	check "exec with input" equals word exec_in
	check "exec in a folder that is not there" refuses "chdir" docker exec -w /nope box true
	check "exec of what is not there" exits 127 docker exec box nosuchprogram
	check "exec detached" docker exec -d box touch /tmp/made
	made() { docker exec box test -e /tmp/made; }
	check "has run" wait_for 30 made
	check "a name is taken once" refuses "is already in use by container" run --name box alpine true
	check "rename" docker rename box crate
	check "the new name works" equals running state Status crate
	check "pause" equals crate docker pause crate
	check "shows paused" equals "paused true" docker inspect -f '{{.State.Status}} {{.State.Paused}}' crate
	check "no exec then" refuses "is paused" docker exec crate true
	check "unpause" equals crate docker unpause crate
	check "a running one is not removed" refuses "container is running" docker rm crate
	check "diff" says "A /tmp/made" docker diff crate
	check "nothing but that" equals "C /tmp
A /tmp/made" docker diff crate
	echo content > "$work/file"
	check "cp in" docker cp "$work/file" crate:/tmp/file
	check "arrived" equals content docker exec crate cat /tmp/file
	check "cp out" docker cp crate:/tmp/file "$work/back"
	check "came back" equals content cat "$work/back"
	docker exec crate sh -c 'mkdir -p /d/e && echo deep > /d/e/f && ln -s /etc/passwd /d/l && ln -s ../../../../../../etc /up'
	check "cp a folder" docker cp crate:/d "$work/d"
	check "whole" equals deep cat "$work/d/e/f"
	check "links stay links" equals /etc/passwd readlink "$work/d/l"
	check "a link does not lead out" says root:x:0:0 sh -c "docker -H unix://$(node_sock n1) cp crate:/up/passwd - | tar -xO"
	check "cp of what is not there" refuses "nosuch" docker cp crate:/nosuch "$work/x"
	check "export" says "tmp/file" sh -c "docker -H unix://$(node_sock n1) export crate | tar -t"
	check "commit" says sha256: docker commit -c 'CMD ["cat","/tmp/file"]' -c 'ONBUILD RUN x' -c 'HEALTHCHECK CMD true' -m note crate new:1
	check "with its changes" equals '["RUN x"] ["CMD-SHELL","true"]' docker inspect -f '{{json .Config.OnBuild}} {{json .Config.Healthcheck.Test}}' new:1
	check "the new image has it" equals content run --rm new:1
	docker save new:1 | tar -xC "$work/saved"
	check "but not what only a container has" equals "" bash -c "for f in $work/saved/blobs/sha256/*; do tar -tf \$f 2> /dev/null; done | grep -E '(\.dockerenv|etc/hosts)$'"
	check "stop asks first" equals crate docker stop crate
	check "its own exit code" equals 5 state ExitCode crate
	check "its last word" equals term docker logs --tail 1 crate
	check "an attach to no stream is answered" equals 200 curl -s -o /dev/null -w '%{http_code}' -X POST --unix-socket "$(node_sock n1)" "http://d/containers/crate/attach?stdout=1"
	check "start again" equals crate docker start crate
	ready() { [ "$(docker logs --tail 1 crate)" = ready ]; }
	wait_for 60 ready
	check "kill with a signal" equals crate docker kill -s TERM crate
	check "wait" equals 5 docker wait crate
	check "cp out of a stopped one" docker cp crate:/tmp/file "$work/again"
	check "cp into a stopped one" docker cp "$work/file" crate:/tmp/second
	check "exec needs a running one" refuses "is not running" docker exec crate true
	check "rm" equals crate docker rm crate
	docker rmi new:1 > /dev/null
	run -d --name stubborn alpine sleep 1000 > /dev/null
	start=$(date +%s%N)
	docker stop -t 1 stubborn > /dev/null
	check "stop kills in the end" equals 137 state ExitCode stubborn
	check "after its time" test $((($(date +%s%N) - start) / 1000000)) -ge 1000
	start_and_kill() {
		docker start -a stubborn &
		wait_for 60 is Status stubborn running
		docker kill stubborn > /dev/null
		wait $!
	}
	check "start -a" exits 137 start_and_kill
	docker rm stubborn > /dev/null
	run -di --name att alpine sh -c 'while read l; do echo "got $l"; done; echo end; exit 3' > /dev/null
	att() { echo x | docker attach att; }
	check "attach" says "got x" att
	check "input's end is seen" equals 3 docker wait att
	docker rm att > /dev/null
}

# Containers live on without the agent, and are known to the next one.
check_outliving() {
	run -d --name live --restart unless-stopped alpine sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done' > /dev/null
	run -d --name ends alpine sh -c "sleep $((1 + 2 * SLOW)); exit 42" > /dev/null
	pid_ends=$(state Pid ends)
	run -d --name healthy --health-cmd true --health-interval 300ms alpine sleep 1000 > /dev/null
	pid=$(state Pid live)
	well_again() { [ "$(state Health.Status healthy)" = healthy ]; }
	wait_for 60 well_again
	agent_stop n1 KILL
	check "they live without it" kill -0 "$pid"
	wait_for 60 _gone "$pid_ends"
	agent_start n1
	check "the same process after kill -9" equals "$pid" state Pid live
	check "still running" equals running state Status live
	check "the exit code of what ended" equals "exited 42" docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' ends
	gapless() { docker logs live | awk '$1 != NR - 1 { exit 1 }'; }
	check "the log has no gap" gapless
	check "exec in it" equals hi docker exec live echo hi
	check "its health is known" wait_for 30 well_again
	agent_stop n1
	check "they live through a stop" kill -0 "$pid"
	agent_start n1
	check "the same process after a stop" equals "$pid" state Pid live
	check "and can be stopped" equals live docker stop -t 0 live
	docker rm -f live ends healthy > /dev/null
	run -d --name up --restart always alpine sleep 1000 > /dev/null
	pid=$(state Pid up)
	agent_stop n1 KILL
	check "it runs" [ "${pid:-0}" -gt 1 ]
	[ "${pid:-0}" -le 1 ] || { kill -9 "$pid"; wait_for 30 _gone "$pid"; }
	agent_start n1
	up() { is Status up running; }
	check "what died meanwhile comes up by its policy" wait_for 30 up
	docker rm -f up > /dev/null
}
