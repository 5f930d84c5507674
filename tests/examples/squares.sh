#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# squares.sh PROGRAM REPOSITORY - the example of README.md prints what it should, and is what README.md shows.
set -u
got=$("$1") || exit 1
[ "$got" = "sum of squares: 338350" ] || { echo "got: $got"; exit 1; }
diff <(sed -n '/^```c$/,/^```$/{/^```/!p}' "$2/README.md") <(sed 1,2d "$2/examples/squares.c")
