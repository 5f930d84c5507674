#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""tally.py TESTLOG - counts the tests in meson's testlog.json.

A Criterion program counts as the tests in it. Prints what failed and the end of its output, then one line
"PASSED FAILED SKIPPED".
"""
import json
import re
import sys

SYNTHESIS = re.compile(r"Tested: \D*(\d+)\D* \| Passing: \D*(\d+)\D* \| Failing: \D*(\d+)")
GOOD = {"OK", "EXPECTEDFAIL"}


def count(test):
    """(passed, failed, skipped) of one entry."""
    if test["result"] == "SKIP":
        return 0, 0, 1
    good = test["result"] in GOOD
    found = SYNTHESIS.search(test.get("stderr", "") + test.get("stdout", ""))
    if not found:
        return int(good), int(not good), 0
    passing, failing = int(found[2]), int(found[3])
    return passing, failing if good else max(failing, 1), 0


def main(path):
    try:
        with open(path, encoding="utf-8") as log:
            tests = [json.loads(line) for line in log]
    except OSError:
        tests = []
    if not tests:
        print("no test ran")
        print(0, 1, 0)
        return
    total = [0, 0, 0]
    for test in tests:
        counts = count(test)
        total = [a + b for a, b in zip(total, counts)]
        if counts[1]:
            print(f"--- {test['name']}: {test['result']}")
            print("\n".join((test.get("stdout", "") + test.get("stderr", "")).splitlines()[-40:]))
    print(*total)


if __name__ == "__main__":
    main(sys.argv[1])
