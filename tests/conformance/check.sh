#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh FILE INCLUDE - compiles one conformance file (README.md) with every compiler present.
# Exit: 0 as promised, 1 not, 77 when a header named in its first line, "// needs: a b c", does not exist yet.
set -u
file=$1 include=$2
loose=(-std=gnu11 -O2 -I"$include" -Wall -Wextra -Werror -c -o /dev/null)
strict=("${loose[@]}" -Wconversion -Wshadow)
bad=0 compilers=0

for name in $(sed -n '1s|^// needs:||p' "$file"); do
    [ -e "$include/weft/$name.h" ] || { echo "skipped: no weft/$name.h"; exit 77; }
done

fail() { echo "$1: $2"; bad=1; }

for cc in gcc clang; do
    command -v "$cc" >/dev/null || continue
    compilers=$((compilers + 1))
    case $file in
    */clean/*)
        "$cc" "${strict[@]}" "$file" || fail "$cc" "does not compile cleanly" ;;
    */reject/*)
        "$cc" "${loose[@]}" -DPROPER "$file" || fail "$cc" "the proper form does not compile"
        "$cc" "${loose[@]}" "$file" 2>/dev/null && fail "$cc" "the wrong form compiles" ;;
    *)
        fail "$file" "is neither in clean/ nor in reject/" ;;
    esac
done
[ "$compilers" -gt 0 ] || fail "no compiler" "found"
exit "$bad"
