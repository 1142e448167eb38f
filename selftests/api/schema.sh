#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The API as its OpenAPI file has it: every path is routed, answers have the fields with their types. The
# file is moby's api/swagger.yaml, whose path is in API_YAML.
. "$(dirname "$0")/../lib.sh"
[ -e "${API_YAML-}" ] || { echo "ok 1 # SKIP no OpenAPI file: set API_YAML"; trap - EXIT; lab_down; exit 0; }
agent_start n1
base_image n1
in_ns n1 python3 "$PWD/selftests/api/schema.py" "$API_YAML" "$(node_sock n1)" "$(node_ip n1)" > "$LAB/out" 2>&1
rc=$?
cat "$LAB/out"
n_tests=$(grep -c '^ok \|^not ok ' "$LAB/out")
n_failed=$(grep -c '^not ok ' "$LAB/out")
check "the script came to its end" equals 0 echo $rc
d n1 rm -f one > /dev/null 2>&1
agent_stop n1
check "nothing is left behind" node_leftovers n1
finish
