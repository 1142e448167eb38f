#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Containers with Debian's kernel and cgroup v2.
. "$(dirname "$0")/lib_vm.sh"
guest bash selftests/vm/lib_containers.sh
