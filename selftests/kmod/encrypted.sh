#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Encrypted networks with the module swarm.ko as datapath.
. "$(dirname "$0")/../vm/lib_vm.sh"
make -s kmod KDIR="/lib/modules/$(scripts/vm -k)/build" || exit 1
guest DATAPATH=kmod bash selftests/vm/lib_encrypted.sh
