#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# trees.sh PROGRAM - the trees are whole, also when every collection is verified.
set -u
for options in "" "gcverify=1"; do
    got=$(WEFT_DEBUG=$options "$1") || exit 1
    [ "$got" = "1000 nodes, the last is number 3999" ] || { echo "got: $got ($options)"; exit 1; }
done
