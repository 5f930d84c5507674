#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run_cc.sh FILE INCLUDE LIBRARY - compiles a C++ program cleanly with every compiler present, and runs it.
set -u
file=$1 include=$2 library=$3
flags=(-std=gnu++17 -O2 -I"$include" -Wall -Wextra -Wconversion -Wshadow -Werror)
bad=0 compilers=0
program=$(mktemp)
trap 'rm -f "$program"' EXIT

for cc in g++ clang++; do
    command -v "$cc" >/dev/null || continue
    compilers=$((compilers + 1))
    "$cc" "${flags[@]}" -o "$program" "$file" "$library" -Wl,-rpath,"$(dirname "$library")" -pthread ||
        { echo "$cc: does not compile cleanly"; bad=1; continue; }
    timeout 20 "$program" || { echo "$cc: ended with $?"; bad=1; }
done
[ "$compilers" -gt 0 ] || exit 77
exit "$bad"
