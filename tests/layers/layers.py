#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""layers.py SRC - a room of SRC includes only rooms that stand before it, itself, and public headers.

Also: no `x_priv.h` of another room, no path upwards, and no file outside the known rooms.
"""
import pathlib
import re
import sys

ROOMS = ["base", "arch", "stack", "time", "sched", "gc", "chan", "sync", "scope", "coro", "io", "debug", "rt"]
FREE = {"config.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def fault(src, file, quote, name):
    """What is wrong with one include line, or None."""
    room = file.relative_to(src).parts[0]
    if name in FREE or name.startswith("weft/") or quote == "<":
        return None
    if ".." in pathlib.PurePath(name).parts:
        return "goes upwards; use the folder-qualified name"
    target = next((base / name for base in (file.parent, src) if (base / name).is_file()), None)
    if target is None:
        return "is not a file of src/"
    other = target.relative_to(src).parts[0]
    if other not in ROOMS:
        return "is in no known room"
    if other != room and name.endswith("_priv.h"):
        return f"is private to {other}"
    if ROOMS.index(other) > ROOMS.index(room):
        return f"{room} stands before {other}"
    return None


def main(src):
    faults, seen = [], 0
    for file in sorted(f for f in src.rglob("*") if f.suffix in {".c", ".h", ".S"}):
        where = file.relative_to(src)
        if where.parts[0] not in ROOMS:
            faults.append(f"{where}: is in no known room")
            continue
        for quote, name in INCLUDE.findall(file.read_text()):
            seen += 1
            what = fault(src, file, quote, name)
            if what:
                faults.append(f'{where}: "{name}" {what}')
    print("\n".join(faults) if faults else f"{seen} include lines in order")
    return 1 if faults or not seen else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
