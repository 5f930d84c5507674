#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# wordcount.sh PROGRAM REPOSITORY BUILD - wordcount agrees with tr, sort and uniq on made-up files and on a copy of the
# repository, and refuses what it should.
set -u
export LC_ALL=C
program=$(realpath "$1") repository=$2 build=$3
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0

fail() { # what [stderr of the program]
    echo "FAILED: $1"
    [ $# -lt 2 ] || head -n 20 "$2"
    bad=1
}
same() { # what expected got
    cmp -s "$2" "$3" || { fail "$1"; diff "$2" "$3" | head -n 10 | cut -c -200; }
}

found() { find "$1" \( -name .git -o -name build \) -type d -prune -o -type f -print0; }

# Words of every file below $1, one per line; the echo keeps the last word of a file apart from the next file's first.
words() {
    found "$1" | while IFS= read -r -d '' file; do
        tr -cs 'A-Za-z' '\n' <"$file"
        echo
    done | tr 'A-Z' 'a-z' | grep -v '^$'
}

compare() { # name folder
    words "$2" | sort | uniq -c >"$dir/all"
    sort -k1,1nr -k2 "$dir/all" >"$dir/by_count"
    local n files lines total distinct bytes
    files=$(found "$2" | tr -cd '\0' | wc -c)
    lines=$(found "$2" | xargs -0r cat | tr -cd '\n' | wc -c)
    bytes=$(found "$2" | xargs -0r cat | wc -c)
    total=$(awk '{ n += $1 } END { print n + 0 }' "$dir/all")
    distinct=$(wc -l <"$dir/all")
    echo "total: $files files, $lines lines, $total words, $distinct distinct, $bytes bytes" >"$dir/total"

    "$program" --all "$2" >"$dir/got" 2>"$dir/got_total" || fail "$1: --all ended with $?" "$dir/got_total"
    same "$1: --all" "$dir/all" "$dir/got"
    same "$1: totals" "$dir/total" <(head -n 1 "$dir/got_total")

    for n in 0 7 20 100000; do
        "$program" --top "$n" "$2" >"$dir/got" 2>"$dir/err" || fail "$1: --top $n ended with $?" "$dir/err"
        same "$1: --top $n" <(head -n "$n" "$dir/by_count"; cat "$dir/total") <(head -n -1 "$dir/got")
    done
    (cd "$2" && "$program") >"$dir/got" 2>"$dir/err" || fail "$1: no arguments ended with $?" "$dir/err"
    same "$1: no arguments" <(head -n 20 "$dir/by_count"; cat "$dir/total") <(head -n -1 "$dir/got")
    tail -n 1 "$dir/got" | grep -Eq '^speed: [0-9.]+ MB in [0-9.]+ s, [0-9.]+ MB/s$' || fail "$1: no speed line"
}

generate() {
    python3 - "$1" <<'EOF'
import os, random, sys
top = sys.argv[1]
random.seed(1)
def put(name, data):
    path = os.path.join(top, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)
alphabet = [bytes(random.choices(b"abcdefgXYZ", k=random.randint(1, 9))) for _ in range(3000)]
def text(n):
    return b"".join(random.choice(alphabet) + random.choice([b" ", b"\n", b", ", b"\t", b"--", b"\r\n"]) for _ in range(n))
put("empty", b"")
put("newlines", b"\n" * 1000)
put("no trailing newline", b"one two\nthree")
put("ends in a letter", b"th")
put("starts with one", b"ree")
put("name\nwith newline", b"odd name\n")
put(".hidden/deep/er/file", text(50))
put("binary", random.randbytes(700_001))
put("all bytes", bytes(range(256)) * 300)
put("latin1", "Größe naïve café Größe\n".encode("latin-1") * 5000)
put("utf8", "Größe naïve café straße\n".encode() * 5000)
put("one long line", text(200_000).replace(b"\n", b" "))
put("one long word", b"aB" * 400_000)
put("long words", b"\n".join(b"q" * n for n in (65535, 65536, 65537, 131072, 32768, 1)))
for size in (65535, 65536, 65537, 131071, 131072, 131073):
    put(f"edges/{size}", (b"x" * 9 + b"y" * 7 + b"  " + b"zz ") * size)
    put(f"edges/cut{size}", b"a" * (size - 3) + b" bcdef gh")
for i in range(600):
    put(f"many/{i % 7}/{i}", text(i % 40))
put("left/.git/objects", b"never counted\n")
put("left/build/log", b"never counted\n")
put("left/build.txt", b"counted\n")
EOF
    ln -s "$1/binary" "$1/link"
    ln -s "$1" "$1/loop"
    mkfifo "$1/fifo"
}

refuses() { # status pattern arguments...
    local status=$1 pattern=$2 got
    shift 2
    "$program" "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    [ "$got" = "$status" ] || fail "'$*' ended with $got instead of $status"
    grep -q -- "$pattern" "$dir/err" || fail "'$*' does not say '$pattern'" "$dir/err"
}

generate "$dir/made up"
compare "made up" "$dir/made up"
mkdir "$dir/copy" "$dir/nothing"
(cd "$repository" && find . \( -name .git -o -name build -o -path "./${build#"$repository"/}" \) -prune -o -type f -print0 |
    tar -c --null --no-recursion -T -) | tar -x -C "$dir/copy" || fail "copy of the repository"
compare "repository" "$dir/copy"
compare "nothing" "$dir/nothing"

refuses 1 "cannot open '$dir/missing': No such file" "$dir/missing"
refuses 1 "cannot open '$dir/missing'" "$dir/missing" "$dir/copy/LICENSE"
grep -q "^total: 1 files" "$dir/out" || fail "a missing file hides the others"
refuses 2 "Try 'wordcount --help'" --nonsense
refuses 2 "'many' is not a number" --top many
refuses 2 "'-1' is not a number" --top=-1
refuses 2 "requires an argument" --top
"$program" --help | grep -q '^Usage: wordcount' || fail "--help"
"$program" "$dir/copy/LICENSE" "$dir/copy/LICENSE" | grep -q '^total: 2 files' || fail "a file named twice counts twice"
printf 'a B c' | "$program" /dev/stdin | grep -q '^total: 1 files, 0 lines, 3 words, 3 distinct, 5 bytes' || fail "stdin"
if [ -w /dev/full ]; then
    "$program" "$dir/copy/LICENSE" >/dev/full 2>"$dir/err" && fail "a full disk goes unnoticed"
fi
exit "$bad"
