#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# generator.sh PROGRAM - the example says that the trees are the same, and where they are not.
set -u
got=$("$1") || exit 1
[ "$got" = $'first difference: 0\nfirst difference: 61' ] || { echo "got: $got"; exit 1; }
