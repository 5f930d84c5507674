#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# lifetimes.sh PROGRAM - what is guarded, cached and cleaned up is so, also when every collection is verified.
set -u
want='12 letters
4 pictures made for 100 uses
a forgotten file was closed: 0'
for options in "" "gcverify=1"; do
    got=$(WEFT_DEBUG=$options timeout 60 "$1") || exit 1
    [ "$got" = "$want" ] || { echo "got: $got ($options)"; exit 1; }
done
