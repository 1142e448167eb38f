#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The module, in one virtual machine with Debian's kernel: loaded with its self-tests, the
# conformance body on it and on BPF with the same results, netlink, IPsec, stress, fuzz, unloaded, and
# nothing in the kernel's log.
#   FUZZ_S=20   seconds of fuzzing
#   PARTS="…"   only these of: load body_kmod body_bpf netlink ipsec stress fuzz unload debug
#   LIMIT_S=600   how long it may take
#   VM_KERNEL=build/debug-kernel   of scripts/debug-kernel: one that looks for leaks and more
set -u
cd "$(dirname "$0")/../.." || exit 1
out=$(mktemp -d /var/tmp/swarm-kmod.XXXXXX)
trap 'rm -rf "$out"' EXIT
n=0 failed=0
result() { # ok|"not ok" DESCRIPTION
	n=$((n + 1))
	[ "$1" = ok ] || failed=$((failed + 1))
	echo "$1 $n - $2"
}

kernel=$(scripts/vm -k) || { echo "not ok 1 - a kernel to boot"; exit 1; }
case ${VM_KERNEL:-} in */*) headers=$(cd "$VM_KERNEL" && pwd) ;; *) headers=/lib/modules/$kernel/build ;; esac
dp=build/selftests/datapath
{ make -s kmod KDIR="$headers" && make -s kmod KDIR="$headers" DEBUG=1 B=build/debug &&
	make -s $dp/dpctl $dp/talk build/selftests/kmod/netlink build/selftests/kmod/netlink_fuzz build/selftests/net/ipsec; } > "$out/build" 2>&1
rc=$?
[ $rc = 0 ] && result ok "the module is built for $kernel" || {
	sed 's/^/# /' "$out/build"
	result "not ok" "the module is built for $kernel"
	echo "1..$n"
	exit 1
}

# What the guest says as it goes is shown when it goes wrong only.
scripts/vm -t "${LIMIT_S:-600}" -o "$out" env SLOW="${SLOW:-4}" FUZZ_S="${FUZZ_S:-20}" \
	DPCTL="$PWD/$dp/dpctl" TALK="$PWD/$dp/talk" KO="$PWD/build/kmod/swarm.ko" \
	KO_DEBUG="$PWD/build/debug/kmod/swarm.ko" IPSEC="$PWD/build/selftests/net/ipsec" \
	bash selftests/kmod/lib_guest.sh ${PARTS:-load body_kmod body_bpf netlink ipsec stress fuzz unload ${VM_KERNEL:+debug}} > "$out/said" 2>&1
rc=$?

# The results of a part, its name in front.
show() { # FILE NAME
	local line
	while IFS= read -r line; do
		if [[ $line =~ ^(ok|not ok)\ [0-9]+\ (- )?(.*) ]]; then
			result "${BASH_REMATCH[1]}" "$2: ${BASH_REMATCH[3]}"
		elif [[ $line != 1..* && $line != TAP* ]]; then
			printf '%s\n' "$line"
		fi
	done < "$1"
}
for p in "$out"/*.tap; do
	[ -e "$p" ] && show "$p" "$(basename "$p" .tap | sed 's/^[0-9]*-//')"
done
if [ $rc = 0 ]; then
	result ok "the guest ran to its end"
else
	tail -n 80 "$out/said" | sed 's/^/# /'
	result "not ok" "the guest ran to its end (exit status $rc)"
fi

# The two back ends give the same results, line by line.
results() { sed -nE 's/^(not ok|ok) [0-9]+ - (.*)/\1 \2/p' "$1"; }
kmod=$(echo "$out"/*-body_kmod.tap) bpf=$(echo "$out"/*-body_bpf.tap)
if [ -e "$kmod" ] && [ -e "$bpf" ] && ! grep -q '# SKIP' "$bpf"; then
	if diff <(results "$bpf") <(results "$kmod") > "$out/diff"; then
		result ok "the same $(results "$bpf" | wc -l) results on the module and on BPF"
	else
		sed 's/^/# /' "$out/diff"
		result "not ok" "the same results on the module (>) and on BPF (<)"
	fi
fi
echo "# $(cat "$out/took" 2> /dev/null)"
echo "1..$n"
[ $failed = 0 ]
