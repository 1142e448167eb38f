#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Random netlink messages to the module: no warning in the kernel's log, no memory that stays. Loads
# and unloads the module itself; where it cannot be loaded a named SKIP.
# usage: selftests/kmod/fuzz.sh [SECONDS [SEED]]
set -u
cd "$(dirname "$0")/../.." || exit 1
. selftests/vm/lib_log.sh
seconds=${1:-${FUZZ_S:-20}} seed=${2:-$RANDOM$RANDOM}
ko=${KO:-build/kmod/swarm.ko}
bin=build/selftests/kmod/netlink_fuzz
skip() { echo "1..0 # SKIP $*"; exit; }
[ ! -d /sys/module/swarm ] || rmmod swarm || exit 1
[ -e "$ko" ] || skip "no $ko: make kmod"
modprobe -a udp_tunnel ip6_udp_tunnel 2> /dev/null
insmod "$ko" 2> /dev/null || skip "the module cannot be loaded here: scripts/vm selftests/kmod/fuzz.sh"
[ -x $bin ] || make -s $bin || exit 1

n=0 failed=0
check() { # DESCRIPTION COMMAND…
	local what=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		failed=$((failed + 1))
	fi
	printf '%s\n' "$out" | grep . | tail -30 | sed '/^#/!s/^/# /'
}

# Since the mark that is set below.
quiet() { ! dmesg | sed "1,/$mark/d" | complaints; }

fuzz() { "$bin" "$1" "$seed"; }

unload() {
	rmmod swarm && [ ! -d /sys/module/swarm ]
}

no_growth() { # KB BEFORE
	local now
	now=$(kernel_memory_kb)
	echo "unreclaimable memory: $2 kB before, $now kB after; at most $1 kB more"
	[ $((now - $2)) -le "$1" ]
}

mark="fuzz.sh $$ begins"
echo "$mark" > /dev/kmsg
check "some messages, to fill the caches" fuzz 3
check "the module unloads" unload
before=$(kernel_memory_kb)
insmod "$ko" || exit 1
check "random messages for $seconds s" fuzz "$seconds"
check "the module unloads again" unload
if [ -w $kmemleak ]; then
	# a kernel that looks for leaks keeps memory for that
	check "kmemleak finds nothing" no_leaks
else
	# the caches of eight processes' namespaces and sockets vary
	check "no memory stays" no_growth 512 "$before"
fi
check "the kernel's log is quiet" quiet
echo "1..$n"
[ $failed = 0 ]
