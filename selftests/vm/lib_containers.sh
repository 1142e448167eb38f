#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers on cgroup v2 alone, in a virtual machine: limits, exec and signals, logs, and that they
# outlive the agent.
. "$(dirname "$0")/../lib.sh"
. selftests/api/lib_containers.sh
check "the agent" agent_start n1
base_image n1

check "cgroup v2" equals 2 docker info -f '{{.CgroupVersion}}'
check "run prints" equals hello run --rm alpine echo hello
check "on docker0, too" equals hello docker run --rm alpine echo hello
check "exit codes" exits 7 run --rm alpine sh -c 'exit 7'
check "a system call filter" equals 2 run --rm alpine sh -c 'sed -n "s/Seccomp:.//p" /proc/self/status'
check "its own cgroup namespace" equals 0::/ run --rm alpine cat /proc/self/cgroup
run -d --name log alpine sh -c 'for i in 1 2 3; do echo line $i; done; sleep 1000' > /dev/null
has_logs() { [[ $(docker logs log) == *"line 3"* ]]; }
check "logs" wait_for 30 has_logs
check "tail" equals "line 3" docker logs --tail 1 log
docker rm -f log > /dev/null
check_limits
check_running
check_outliving

check "no container is left" equals "" docker ps -aq
agent_stop n1
check "nothing is left behind" node_leftovers n1
echo "# $(cut -d' ' -f1 /proc/uptime) s since the machine's start"
finish
