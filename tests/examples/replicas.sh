#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# replicas.sh PROGRAM - the first that works wins, the slow one is cancelled and not waited for.
set -u
got=$(timeout 30 "$1") || exit 1
[ "$got" = $'fra answers 42\nams: broken\nfra: first\nsfo: cancelled' ] || { echo "got: $got"; exit 1; }
