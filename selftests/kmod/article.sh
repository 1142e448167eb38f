#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The article on three nodes with the module swarm.ko as their datapath.
. "$(dirname "$0")/../vm/lib_vm.sh"
make -s kmod KDIR="/lib/modules/$(scripts/vm -k)/build" || exit 1
guest DATAPATH=kmod bash selftests/vm/lib_article.sh
