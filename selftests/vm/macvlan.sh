#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Networks of the drivers macvlan and ipvlan with Debian's kernel.
. "$(dirname "$0")/lib_vm.sh"
modules=macvlan,ipvlan,8021q guest bash selftests/vm/lib_macvlan.sh
