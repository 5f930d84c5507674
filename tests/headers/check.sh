#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh HEADER INCLUDE - a file that includes only HEADER compiles without a warning as C11 and as C++17, and as
# what came after them, with every compiler present.
set -u
header=$1 include=$2
flags=(-I"$include" -Wall -Wextra -Wconversion -Wshadow -Werror -c -o /dev/null)
bad=0 compilers=0

compile() { # compiler language standard
    command -v "$1" >/dev/null || return
    compilers=$((compilers + 1))
    echo "#include <weft/$header>" | "$1" -x "$2" "-std=$3" "${flags[@]}" - || { echo "$1 -std=$3: $header"; bad=1; }
}

for std in c11 gnu11 gnu2x; do
    compile gcc c "$std"
    compile clang c "$std"
done
for std in c++17 gnu++20; do
    compile g++ c++ "$std"
    compile clang++ c++ "$std"
done
[ "$compilers" -gt 0 ] || bad=1
exit "$bad"
