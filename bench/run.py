#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the benchmark programs and their peers alternately and prints one table row per figure.

Peers are Go and Tokio, and for the collector (gc_*) Boehm's and malloc with free. A figure's samples are all the lines
of all runs of a program. `met?` compares the median with the reach: `yes`, `no`, or `min` when only the best sample
reaches it. A reach such as "1.3x" is a multiple of the row's own median with one worker; "<=go" is Go's median. `ratio`
is weft's median to Go's; those to the other peers stand behind, where there are any. A peer's column is `-` where it has
no such program, and if what it is built with is not there (Tokio: or its crates not where Debian puts them). Exit status 1
if a program failed.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT_SECONDS = 300
C_PEERS = ['bdwgc', 'malloc']
CRATES = pathlib.Path('/usr/share/cargo/registry')  # as in peers/tokio/.cargo/config.toml

# question: {metric: {procs: reach}}; None is a figure that is only reported. A reach that was set without a number of
# workers stands for both.
ROWS = {
    'spawn': {'spawn': {1: 30, 2: 30}},
    'spawn_await': {'spawn_await': {1: 60, 2: 60}},
    'yield': {'routines_2': {1: 8, 2: 8}, 'routines_1000': {1: 8, 2: 8}},
    'pingpong': {'round_trip': {1: 45, 2: '1.3x'}},
    'prodcons': {'unbuffered': {1: 25, 2: 32}, 'buffered_128': {1: 15, 2: 18}},
    'chan_self': {'send_recv': {1: 15, 2: 15}},
    'mpmc': {'item': {2: 22}},
    'select4': {'unbuffered': {1: 65, 2: 65}, 'buffered_128': {1: 40, 2: 40}},
    'select_default': {'channels_1': {1: 3, 2: 3}, 'channels_4': {1: 10, 2: 10}},
    'mutex': {'uncontended': {1: 9, 2: 9}, 'contended_8': {1: None, 2: 25}},
    'sieve': {'sieve': {1: 65, 2: 50}},
    'skynet': {'skynet': {1: None, 2: 110}, 'peak_memory': {1: None, 2: 120}},
    'spread': {'serial': {2: None}, 'spread': {2: 5.2}},
    'sleepers': {'cpu': {1: 0.07, 2: 0.07}, 'wall': {1: None, 2: None}},
    'sleep_late': {'late': {1: 45, 2: 45}, 'late_busy': {1: None, 2: None}},
    'parked': {'create': {1: 1.9, 2: 1.9}, 'memory': {1: 4.7, 2: 4.7}, 'wake': {1: 0.15, 2: 0.15},
               'create_again': {1: None, 2: None}},
    'ring': {'hop': {1: 35, 2: 45}},
    'fanin': {'message': {1: 0.25, 2: 0.3}},
    'spawn_block': {'total': {1: 2.1, 2: 1.8}, 'total_again': {1: None, 2: None}},
    'idle': {'wakeups': {1: 0, 2: 0}},
    'gc_hot': {'object_16': {2: 3.5}, 'object_32': {2: 3.5}, 'object_64': {2: 3.5}},
    'gc_garbage': {'object_16': {2: 4.5}, 'object_64': {2: 7}, 'object_256': {2: 20}},
    'gc_trees': {'total': {2: 1.8}, 'peak_memory': {2: '<=go'}},
    'gc_trees_each': {'total': {2: 1.5}, 'peak_memory': {2: '<=go'}},
    'gc_full': {'in_order': {1: 130, 2: 85}, 'in_order_mark': {1: None, 2: None}, 'random': {1: None, 2: 250},
                'random_mark': {1: None, 2: None}, 'data': {1: 2, 2: 2}},
    'gc_parked': {'cpu': {1: 100, 2: 100}, 'wall': {1: None, 2: None}},
    'gc_pause': {'whole': {2: 400}, 'stop': {2: None}, 'roots': {2: None}, 'mark': {2: None}, 'close': {2: None}},
    'gc_chan': {'lost_live_1': {2: 10}, 'item_live_1': {2: None}, 'lost_live_64': {2: 10}, 'item_live_64': {2: None}},
    'scope': {'spawn_await': {1: None, 2: None}, 'scope_10': {1: 600, 2: 600}, 'nested': {1: None, 2: None}},
    'deadline': {'ready': {1: 6, 2: 6}, 'waiting': {1: 40, 2: 40}, 'waiting_minute': {1: 40, 2: 40}, 'expire': {1: None, 2: None}},
    'cancel': {'call': {1: 300, 2: 300}, 'ended': {1: None, 2: None}},
    'coro': {'round_trip': {1: 10, 2: 10}, 'generator': {1: 10, 2: 10}, 'life': {1: 100, 2: 100},
             'life_half_way': {1: None, 2: None}},
    'batch': {'alone_p50': {2: None}, 'alone_p99': {2: None}, 'shared_p50': {2: None}, 'shared_p99': {2: None},
              'pool_p50': {2: None}, 'pool_p99': {2: None}, 'pool_nice_p50': {2: None}, 'pool_nice_p99': {2: None}},
    'timers': {'arm': {1: None, 2: None}, 'arm_stop': {1: None, 2: None}, 'stop': {1: None, 2: None}},
}
# Programs whose rounds are long, or count once per process: fewer rounds unless asked for.
DEFAULT_ROUNDS = 5
ROUNDS = {'batch': 2, 'gc_full': 3, 'gc_garbage': 3, 'gc_chan': 3, 'gc_trees': 1, 'gc_trees_each': 1, 'idle': 1, 'parked': 2, 'sleepers': 3, 'spawn_block': 3, 'timers': 3}


def output_of(command, **options):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''


def first_match(path, pattern):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found.group(1).strip() if found else 'unknown'


def describe_build(build):
    compiler = first_match(build / 'meson-logs' / 'meson-log.txt', r'^C compiler for the host machine: .*?\((.*)\)')
    try:
        options = json.loads((build / 'meson-info' / 'intro-buildoptions.json').read_text())
    except (OSError, ValueError):
        options = []
    shown = ['buildtype', 'b_lto', 'b_sanitize', 'debug_level', 'perturb']  # each of them changes the figures
    return ', '.join([compiler, *(f"{o['name']}={o['value']}" for o in options if o['name'] in shown)])


def tokio_crate():
    """Its folder, None without cargo or the package."""
    return next(CRATES.glob('tokio-[0-9]*'), None) if shutil.which('cargo') else None


def describe(build):
    memory_kb = first_match('/proc/meminfo', r'^MemTotal:\s*(\d+)')
    return {
        'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'machine': f"{first_match('/proc/cpuinfo', r'^model name[^:]*:(.*)')}, {len(os.sched_getaffinity(0))} CPUs, "
                   f"{memory_kb} kB memory, {platform.machine()}",
        'kernel': f'{platform.system()} {platform.release()}',
        'compiler': describe_build(build),
        'go': output_of(['go', 'version']) or '-',
        'bdwgc': output_of(['pkg-config', '--modversion', 'bdw-gc']) or '-',
        'malloc': ' '.join(platform.libc_ver()),
        'tokio': f"{tokio_crate().name}, {output_of(['rustc', '--version'])}" if tokio_crate() else '-',
    }


def build_weft(build, questions):
    if (build / 'build.ninja').exists() and shutil.which('ninja'):
        targets = [f'bench/{q}' for q in questions]
        targets += [f'bench/peers/{peer}/{q}' for peer in C_PEERS for q in questions if built_here(build, peer, q)]
        if subprocess.run(['ninja', '-C', str(build), *targets], stdout=sys.stderr).returncode != 0:
            sys.exit(f'run.py: {build} does not build; was it configured with -Dbench=true?')
    return build / 'bench'


def built_here(build, peer, question):
    """Whether Meson has a target for it (Boehm's collector may not have been there)."""
    return f'build bench/peers/{peer}/{question}: ' in (build / 'build.ninja').read_text()


def build_go(build):
    """Everything the Go toolchain writes stays below the build directory, and nothing is downloaded."""
    if not shutil.which('go'):
        return None
    cache = build / 'bench' / 'go'
    binaries = cache / 'bin'
    binaries.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, GO111MODULE='on', GOPROXY='off', GOSUMDB='off', GOTOOLCHAIN='local',
                       GOWORK='off', GOFLAGS='-mod=mod -buildvcs=false', GOCACHE=str(cache / 'cache'),
                       GOPATH=str(cache / 'path'))
    if subprocess.run(['go', 'build', '-o', f'{binaries}{os.sep}', './...'], cwd=HERE / 'peers' / 'go',
                      env=environment, stdout=sys.stderr).returncode != 0:
        sys.exit('run.py: the Go peers do not build')
    return binaries


def build_tokio(build, questions):
    """Nothing is downloaded; all that is written, but Cargo.lock, is below the build directory."""
    sources = HERE / 'peers' / 'tokio'
    wanted = [q for q in questions if (sources / 'src' / 'bin' / f'{q}.rs').exists()]
    if not wanted or not tokio_crate():
        return None
    target = build / 'bench' / 'tokio'
    environment = dict(os.environ, CARGO_HOME=str(target / 'home'), CARGO_TARGET_DIR=str(target))
    (sources / 'Cargo.lock').unlink(missing_ok=True)  # it may name versions that the packages no longer have
    if subprocess.run(['cargo', 'build', '--quiet', '--release', *(f'--bin={q}' for q in wanted)], cwd=sources,
                      env=environment, stdout=sys.stderr).returncode != 0:
        sys.exit('run.py: the Tokio peers do not build')
    return target / 'release'


def run_once(program, procs, rounds, samples):
    """Adds the values of one run to `samples` (metric -> list) and gives metric -> unit; None if it failed."""
    environment = dict(os.environ, WEFT_PROCS=str(procs), GOMAXPROCS=str(procs), GC_MARKERS=str(procs))
    try:
        done = subprocess.run([str(program), '--rounds', str(rounds)], env=environment, capture_output=True,
                              text=True, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as problem:
        print(f'run.py: {problem}', file=sys.stderr)
        return None
    if done.returncode != 0:
        print(f'run.py: {program} with {procs} workers: status {done.returncode}\n{done.stderr[-2000:]}',
              file=sys.stderr)
        return None
    units = {}
    for line in done.stdout.splitlines():
        metric, value, unit = line.split()
        samples.setdefault(metric, []).append(float(value))
        units[metric] = unit
    return units


def run_alternately(folders, question, procs, runs, rounds):
    """Gives samples (side -> metric -> list), units (metric -> unit) and the sides of which a run failed."""
    samples, units, broken = {side: {} for side in folders}, {}, set()
    programs = {side: folder / question for side, folder in folders.items() if folder is not None}
    for _ in range(runs):
        for side, program in programs.items():
            if side in broken or (side != 'weft' and not program.exists()):
                continue
            result = run_once(program, procs, rounds, samples[side])
            if result is None:
                broken.add(side)
                samples[side].clear()
            else:
                units.update(result)
    return samples, units, broken


def summary(samples):
    return {'min': min(samples), 'median': statistics.median(samples), 'samples': samples} if samples else None


def judge(weft, reach):
    if weft is None or reach is None:
        return '-'
    if weft['median'] <= reach:
        return 'yes'
    return 'min' if weft['min'] <= reach else 'no'


def number(value):
    return '-' if value is None else f'{value:.4g}'


def pair(figures):
    return f"{number(figures['min'])} / {number(figures['median'])}" if figures else '-'


def print_line(question, procs, unit, pairs, ratio, reach, met, others):
    cells = ''.join(f'  {text:>17}' for text in pairs)
    print(f'{question:<28} {procs:>5}  {unit:<4}{cells[1:]}  {ratio:>7}  {reach:>6}  {met:<4} {others}'.rstrip(), flush=True)


def ratio_of(weft, peer):
    return weft['median'] / peer['median'] if weft and peer and peer['median'] else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build', type=pathlib.Path, help='Meson build directory (default: build)')
    parser.add_argument('--only', default='', metavar='PATTERN',
                        help='regular expression over question.metric@procs, such as "^ring|@2$"')
    parser.add_argument('--rounds', type=int, help='rounds in each run (default: 5, fewer where rounds are long)')
    parser.add_argument('--runs', type=int, default=3, help='runs of each program (default: 3)')
    parser.add_argument('--json', type=pathlib.Path, metavar='FILE', help='write all figures there too')
    arguments = parser.parse_args()
    if arguments.runs < 1 or (arguments.rounds is not None and arguments.rounds < 1):
        parser.error('--runs and --rounds must be at least 1')
    build = arguments.build.resolve()

    def wanted(question, metric, procs):
        return re.search(arguments.only, f'{question}.{metric}@{procs}')

    questions = [q for q, metrics in ROWS.items() if any(wanted(q, m, p) for m, by in metrics.items() for p in by)]
    if not questions:
        parser.error(f'no row matches {arguments.only!r}')
    folders = {'weft': build_weft(build, questions), 'go': build_go(build), 'tokio': build_tokio(build, questions),
               **{peer: build / 'bench' / 'peers' / peer for peer in C_PEERS}}
    for side in ['tokio', *C_PEERS]:  # no column for nothing
        if folders[side] is None or not any((folders[side] / q).exists() for q in questions):
            del folders[side]
    header = describe(build)
    for name, text in header.items():
        print(f'{name + ":":<10}{text}')
    print()
    columns = [f'{side} min/median' for side in folders]
    others = ' '.join(f'to {side}' for side in folders if side not in ('weft', 'go'))
    print_line('question', 'procs', 'unit', columns, 'ratio', 'reach', 'met?', others)

    rows, failed = [], False
    one_worker = {}  # (question, metric) -> weft median, for a reach in multiples
    for question in questions:
        metrics = ROWS[question]
        for procs in sorted({p for by in metrics.values() for p in by}):
            # A reach in multiples needs the figure of one worker too.
            needed = [m for m, by in metrics.items() if procs in by and
                      (wanted(question, m, procs) or
                       (procs == 1 and any(str(by[p]).endswith('x') and wanted(question, m, p) for p in by)))]
            if not needed:
                continue
            rounds = arguments.rounds or ROUNDS.get(question, DEFAULT_ROUNDS)
            samples, units, broken = run_alternately(folders, question, procs, arguments.runs, rounds)
            failed = failed or bool(broken)
            for metric in needed:
                figures = {side: summary(samples[side].get(metric)) for side in folders}
                weft, go = figures['weft'], figures['go']
                unit, reach = units.get(metric, '?'), metrics[metric][procs]
                if procs == 1 and weft:
                    one_worker[question, metric] = weft['median']
                if reach == '<=go':
                    reach = go['median'] if go else None
                elif isinstance(reach, str):
                    base = one_worker.get((question, metric))
                    reach = base * float(reach.rstrip('x')) if base else None
                ratio = ratio_of(weft, go)
                others = {side: ratio_of(weft, figures[side]) for side in folders if side not in ('weft', 'go')}
                met = judge(weft, reach)
                rows.append({'question': question, 'metric': metric, 'unit': unit, 'procs': procs, **figures,
                             'ratio': ratio, 'ratios': others, 'reach': reach, 'met': met})
                pairs = ['failed' if side in broken else pair(figures[side]) for side in folders]
                print_line(f'{question}.{metric}', procs, unit, pairs, number(ratio), number(reach), met,
                           ' '.join(number(r) for r in others.values()))
    if arguments.json:
        arguments.json.write_text(json.dumps({'header': header, 'rows': rows}, indent=1) + '\n')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
