# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the kernel says of itself, to be sourced.
# Its log's lines when something is wrong, with what follows them.
# usage: dmesg | complaints: exit status 0 when there are any
complaints() {
	grep -A25 -E 'WARNING: |BUG: |Oops|KASAN: |UBSAN: |suspected memory leak|leaked reference|suspicious RCU|possible .*deadlock|general protection|refcount_t|unregister_netdevice: waiting|still has objects|self-tests failed|detected stall|INFO: task|page allocation failure|ODEBUG'
}
# What the kernel has said since it was asked last, if it is bad; all of it is kept in VM_OUT.
log_is_clean() {
	local log
	log=$(dmesg -c)
	printf '%s\n' "$log" >> "$VM_OUT/kernel.log"
	! printf '%s\n' "$log" | complaints
}
# Of a kernel with kmemleak, below $kmemleak: what has been allocated and is known to nobody.
kmemleak=/sys/kernel/debug/kmemleak
no_leaks() {
	[ -w $kmemleak ] || return
	echo scan > $kmemleak
	sleep 6 # it tells of nothing younger than 5 s
	echo scan > $kmemleak
	! grep . $kmemleak
}
# What the kernel has that it cannot give back, in kB, when it stays the same for a second.
kernel_memory_kb() {
	local last='' now i
	for ((i = 0; i < 30; i++)); do
		echo 3 > /proc/sys/vm/drop_caches
		now=$(awk '/^SUnreclaim|^Percpu|^VmallocUsed/ {s += $2} END {print s}' /proc/meminfo)
		[ "$now" != "$last" ] || break
		last=$now
		sleep 1
	done
	echo "$now"
}
