#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The article on three nodes with Debian's kernel, cgroup v2 and the BPF datapath.
. "$(dirname "$0")/lib_vm.sh"
guest DATAPATH=bpf bash selftests/vm/lib_article.sh
