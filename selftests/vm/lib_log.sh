# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the kernel's log says when something is wrong, with what follows it; to be sourced.
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
