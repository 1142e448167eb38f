#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docker-py against the agent: containers, images, volumes, networks, the swarm.
. "$(dirname "$0")/../lib.sh"
python3 -c 'import docker' 2> /dev/null || { echo "ok 1 # SKIP no python3-docker"; trap - EXIT; lab_down; exit 0; }
agent_start n1
base_image n1
DOCKER_HOST=unix://$(node_sock n1) ADDRESS=$(node_ip n1) timeout 300 python3 selftests/api/docker_py.py > "$LAB/out" 2>&1
rc=$?
cat "$LAB/out"
n_tests=$(grep -c '^ok \|^not ok ' "$LAB/out")
n_failed=$(grep -c '^not ok ' "$LAB/out")
check "the script came to its end" equals 0 echo $rc
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
