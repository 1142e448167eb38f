#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's half of selftests/kmod/run.sh, which sets the variables: runs parts one after the
# other, each with its results in VM_OUT/NN-PART.tap and the kernel's log checked after it.
# usage: selftests/kmod/lib_guest.sh PART…
set -u
. selftests/vm/lib_log.sh
n=0
check() { # DESCRIPTION COMMAND…
	local what=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		printf '%s\n' "$out" | tail -n 40 | sed 's/^/# /'
	fi
}
skip() {
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

caches() { awk '$1 ~ /swarm|^sw_/ {print $1, $2}' /proc/slabinfo; }
no_caches() { caches | grep . && return 1 || true; }
loaded() { grep -q '^swarm ' /proc/modules; }
has_config() { { zcat /proc/config.gz 2> /dev/null || cat "/boot/config-$(uname -r)"; } | grep -q "^CONFIG_$1=y"; }
has_btf() { [ -e /sys/kernel/btf/vmlinux ]; }

part_load() {
	check "loads with self-tests" insmod "$KO_DEBUG"
	check "they pass" self_tests_passed
	check "unloads" rmmod swarm
	check "no cache is left" no_caches
	check "loads" insmod "$KO"
}
self_tests_passed() { dmesg | tail -n 20 | grep 'swarm: self-tests passed'; }
# Another part may have left another build of it.
load() {
	! loaded || rmmod swarm || return
	insmod "$KO"
}
body_on() { KIND=$1 bash -c '. selftests/datapath/lib_body.sh; body; finish'; }
part_body_kmod() {
	load || return
	body_on kmod
}
part_body_bpf() {
	if has_btf; then body_on bpf; else skip "the body on BPF" CONFIG_DEBUG_INFO_BTF; fi
}
# Those of others: each loads the module as it wants to have it.
part_netlink() {
	load || return
	bash selftests/kmod/netlink.sh
	if has_btf; then bash selftests/kmod/backends.sh; else skip "back ends change" CONFIG_DEBUG_INFO_BTF; fi
}
part_ipsec() { "$IPSEC"; }
part_stress() { bash selftests/kmod/stress.sh; }
part_fuzz() { bash selftests/kmod/fuzz.sh "$FUZZ_S"; }
part_unload() {
	if loaded; then check "unloads" rmmod swarm; fi
	check "no cache is left" no_caches
}
# What only a kernel that was built for it finds. What lockdep and KASAN say is in the log, which is
# checked after each part: here is only named what did not look.
part_debug() {
	if has_config DEBUG_KMEMLEAK; then
		check "nothing is leaked" no_leaks
	else
		skip "nothing is leaked" CONFIG_DEBUG_KMEMLEAK
	fi
	if ! has_config PROVE_LOCKING; then skip "locks are taken in order" CONFIG_PROVE_LOCKING; fi
	if ! has_config KASAN; then skip "memory is accessed as it may be" CONFIG_KASAN; fi
}

[ ! -e $kmemleak ] || echo clear > $kmemleak
modprobe -a udp_tunnel ip6_udp_tunnel 2> /dev/null
dmesg -c > "$VM_OUT/kernel.log"
i=0 took=
for part in "$@"; do
	i=$((i + 1)) n=0 begin=$SECONDS
	tap=$VM_OUT/$(printf %02d $i)-$part.tap
	echo "# $part"
	"part_$part" > "$tap" 2>&1
	rc=$?
	cat "$tap"
	n=$(grep -cE '^(not )?ok ' "$tap")
	[ $rc = 0 ] || grep -q '^not ok' "$tap" || check "exit status 0" false >> "$tap"
	check "the kernel's log is clean" log_is_clean >> "$tap"
	took+=" $part $((SECONDS - begin)) s,"
	echo "seconds, emulated:$took" > "$VM_OUT/took"
done
