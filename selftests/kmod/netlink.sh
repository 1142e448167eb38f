#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The module's netlink interface. Where the module is loaded; elsewhere a named SKIP.
cd "$(dirname "$0")/../.." || exit 1
[ -d /sys/module/swarm ] || { echo "1..0 # SKIP no module swarm: scripts/vm, insmod build/kmod/swarm.ko"; exit; }
bin=build/selftests/kmod/netlink
[ -x $bin ] || make -s $bin || exit 1
exec $bin
