#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance body on the BPF datapath of this kernel.
KIND=bpf
. "$(dirname "$0")/lib_body.sh"
body
finish
