#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Rolling updates: one after the other, start-first, failures that pause, go on and roll back,
# rollback by hand, restarts; and jobs.
. "$(dirname "$0")/../lib.sh"
. selftests/lib_swarm.sh

docker() { d n1 "$@"; }
run=(tail -f /dev/null)
create() { # NAME FLAG…
	local name=$1
	shift
	docker service create -d --no-resolve-image --name "$name" "$@" alpine "${run[@]}" > /dev/null
}
update() { docker service update -d --no-resolve-image "$@" > /dev/null; }
status() { docker service inspect -f '{{if .UpdateStatus}}{{.UpdateStatus.State}}: {{.UpdateStatus.Message}}{{else}}none{{end}}' "$1"; }
status_is() { [[ "$(status "$1")" == "$2"* ]]; } # SERVICE TEXT
# Running tasks of a service that have an environment variable. usage: with_env SERVICE A=1 COUNT
with_env() {
	local n=0 c
	for c in $(docker ps -q --filter "label=com.docker.swarm.service.name=$1"); do
		docker inspect -f '{{.Config.Env}}' "$c" | grep -q "$2" && n=$((n + 1))
	done
	[ $n = "$3" ]
}
# How many tasks of a service run, each time one starts or ends, in $LAB/counts.
watch_start() {
	rm -f "$LAB/watch.stop"
	(
		until [ -e "$LAB/watch.stop" ]; do
			docker ps -q --filter "label=com.docker.swarm.service.name=$1" | wc -l
		done > "$LAB/counts"
	) < /dev/null 2> /dev/null &
	watch_pid=$!
}
watch_stop() {
	touch "$LAB/watch.stop"
	wait "$watch_pid"
}
# The counts stayed within. usage: counted MIN MAX
counted() {
	sort -n "$LAB/counts" | uniq -c
	[ "$(sort -n "$LAB/counts" | head -1)" -ge "$1" ] && [ "$(sort -n "$LAB/counts" | tail -1)" -le "$2" ]
}
# Tasks of a service in a state. usage: in_state SERVICE STATE COUNT
in_state() { [ "$(docker service ps --format '{{.CurrentState}}' "$1" | grep -c "^$2")" = "$3" ]; }

check "one node" swarm_form 1 0
check "images" base_image n1

check "a service" create web --replicas 6 --stop-grace-period 1s --update-monitor 1s --rollback-monitor 1s
check "runs" wait_for 60 tasks_run n1 web 6
watch_start web
check "update two at a time" update --env-add A=1 --update-parallelism 2 web
check "says so" wait_for 10 status_is web "updating: update in progress"
check "completes" wait_for 120 status_is web "completed: update completed"
watch_stop
check "no more than two were missing" counted 4 6
check "all are new" with_env web A=1 6
watch_start web
check "start-first" update --env-add A=2 --update-order start-first --update-parallelism 1 web
check "completes" wait_for 120 status_is web "completed: update completed"
watch_stop
check "none was ever missing" counted 6 12
check "all are new" with_env web A=2 6
check "nothing to do" update --label-add x=y web
check "completes, with the same tasks" wait_for 30 with_env web A=2 6
check "the CLI waits for it" says "converged" docker service update --no-resolve-image --force --update-order stop-first --update-parallelism 3 web

check "a bad update" update --args "nosuchcommand" --update-parallelism 1 --update-order stop-first --update-failure-action pause web
check "is paused" wait_for 60 status_is web "paused: update paused due to failure or early termination of task"
check "five go on" wait_for 60 with_env web A=2 5
check "rollback by hand" docker service update -d --rollback web
check "completes" wait_for 120 status_is web "rollback_completed: rollback completed"
check "six run" wait_for 60 tasks_run n1 web 6
check "of the old spec" with_env web A=2 6
check "a bad update that rolls back" update --args "nosuchcommand" --env-add A=3 --update-failure-action rollback web
check "does" wait_for 120 status_is web "rollback_completed: rollback completed"
check "six run" wait_for 60 tasks_run n1 web 6
check "of the old spec" with_env web A=2 6
check "a bad update that goes on" update --args "nosuchcommand" --update-failure-action continue --update-parallelism 0 --restart-delay 500ms web
check "is completed" wait_for 120 status_is web "completed"
check "then cured" update --args "tail -f /dev/null" --env-add A=4 web
check "six run" wait_for 120 tasks_run n1 web 6
check "of the new spec" with_env web A=4 6
check "history is bounded" [ "$(docker service ps -q web | wc -l)" -le 36 ]

check "a global service" create agent --mode global --update-monitor 1s
check "runs" wait_for 60 in_state agent Running 1
check "is updated" update --env-add B=1 agent
check "too" wait_for 60 with_env agent B=1 1

check "a failing service" docker service create -d --no-resolve-image --name fails --restart-max-attempts 2 --restart-delay 100ms alpine false
check "is tried three times" wait_for 60 in_state fails Failed 3
check "not on failure only" docker service create -d --no-resolve-image --name once --restart-condition on-failure alpine true
check "so it is complete" wait_for 60 in_state once Complete 1

check "a job" docker service create -d --no-resolve-image --name job --mode replicated-job --replicas 6 --max-concurrent 2 alpine true
check "completes" wait_for 120 in_state job Complete 6
check "says so" says "(6/6 completed)" docker service ls --filter name=job
check "again" docker service update -d --no-resolve-image --force job
check "completes again" wait_for 120 in_state job Complete 6
check "a global job" docker service create -d --no-resolve-image --name gjob --mode global-job --restart-condition any alpine true
check "completes" wait_for 60 in_state gjob Complete 1
check "remove all" eval 'docker service rm $(docker service ls -q)'
check "no containers" wait_for 60 no_containers n1
finish
