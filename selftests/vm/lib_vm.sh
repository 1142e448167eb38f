# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests that run in a virtual machine of their own, to be sourced on the host.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

# Run a script there in place of this one. modules: what it needs loaded, with commas between.
# usage: guest [NAME=VALUE…] bash SCRIPT
guest() {
	# what takes the guest long and is the same here
	scripts/mkbase build/alpine.tar || exit 1
	exec scripts/vm -t 800 -m "overlay${modules:+,$modules}" env SLOW=10 "$@"
}
