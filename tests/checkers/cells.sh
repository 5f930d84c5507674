#!/bin/sh
# SPDX-License-Identifier: MIT
# cells.sh asan|valgrind PROGRAM - each fault must be reported where it is, and a program without one must not.
tool=$1 program=$2 failed=0
faults="collected collected-large freed freed-large behind behind-large"
case $tool in
asan) command= expected=use-after-poison ;;
valgrind) command="valgrind -q --error-exitcode=9" expected='Invalid \(read\|write\)' ;;
esac

run() { # fault text
    text=$($command "$program" "$1" 2>&1)
    status=$?
    if [ "$1" = none ]; then
        [ $status -eq 0 ] && [ -z "$text" ] && return
    else
        [ $status -ne 0 ] && echo "$text" | grep -q "$2" && return
    fi
    echo "$tool: $1: status $status"
    echo "$text" | head -n 30
    failed=1
}

run none
for fault in $faults; do
    run "$fault" "$expected"
done
[ "$tool" != valgrind ] || run unwritten 'Conditional jump'
exit $failed
