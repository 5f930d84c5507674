#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# supervised.sh PROGRAM - the three ways in which the pool can end.
set -u
expect() { # status pattern arguments...
    local status=$1 pattern=$2 got
    shift 2
    got=$("$program" "$@")
    [ $? -eq "$status" ] && [[ $got =~ $pattern ]] || { echo "supervised $*: got: $got"; exit 1; }
}
program=$1
expect 0 '^20 of 20 jobs done, 8 attempts repeated: all well$' 60000
expect 1 '^[0-9]+ of 20 jobs done, [0-9]+ attempts repeated: Connection timed out$' 4
expect 1 '^[0-9]+ of 20 jobs done, [0-9]+ attempts repeated: Input/output error$' 60000 7
