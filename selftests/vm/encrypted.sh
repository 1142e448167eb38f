#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Encrypted networks with Debian's kernel and the BPF datapath.
. "$(dirname "$0")/lib_vm.sh"
guest DATAPATH=bpf bash selftests/vm/lib_encrypted.sh
