# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For end-to-end tests, to be sourced: a lab of nodes (scripts/lab.sh), TAP, and the assertion
# that nothing is left behind.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
LAB=$(mktemp -d /run/swarm-lab.XXXXXX)
. scripts/lab.sh
set -u
n_tests=0 n_failed=0

# usage: check DESCRIPTION COMMAND…
check() {
	local what=$1 out
	shift
	n_tests=$((n_tests + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n_tests - $what"
	else
		n_failed=$((n_failed + 1))
		echo "not ok $n_tests - $what"
		printf '%s\n' "$out" | tail -20 | sed 's/^/# /'
	fi
}

# The output of a command holds a text. usage: says TEXT COMMAND…
says() {
	local text=$1 out
	shift
	out=$("$@" 2>&1)
	printf '%s\n' "$out"
	[[ $out == *"$text"* ]]
}

# A command fails and says why. usage: refuses TEXT COMMAND…
refuses() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "it did not fail: $out"
		return 1
	fi
	printf '%s\n' "$out"
	[[ $out == *"$text"* ]]
}

equals() { # WANT COMMAND…
	local want=$1 out
	shift
	out=$("$@" 2>&1)
	echo "want: $want, got: $out"
	[ "$out" = "$want" ]
}

# usage: soon COMMAND…   it holds within LAB_TIMEOUT; else what it says the last time
soon() { wait_for "$LAB_TIMEOUT" "$@" || "$@"; }
not() { ! "$@"; }

# The alpine image of scripts/mkbase, made once a build.
base_image() { scripts/mkbase "$BUILD/alpine.tar" && d "$1" load -q -i "$BUILD/alpine.tar" > /dev/null; }

finish() {
	trap - EXIT
	lab_down
	echo "1..$n_tests"
	[ $n_failed = 0 ]
	exit
}

# A registry in the node's namespace, to be reached at ADDRESS (host:port); its PID is in $registry.
# usage: registry_start NODE ADDRESS
registry_start() {
	mkdir -p "$LAB/registry"
	cat > "$LAB/registry.yml" <<- END
		version: 0.1
		storage: {filesystem: {rootdirectory: $LAB/registry}}
		http: {addr: $2}
	END
	nsenter -t "$(lab_pid "$1")" -n -- docker-registry serve "$LAB/registry.yml" > "$LAB/registry.log" 2>&1 &
	registry=$!
}

trap 'lab_down' EXIT
lab_up || { echo "not ok - cannot set up the lab"; exit 1; }
