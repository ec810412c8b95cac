#!/usr/bin/env python3
"""tests/mutants/run.py - puts small bugs into a copy of the tree, one at a time, and wants each caught by a test.

    ./run mutants [NAME...]     builds and tests them; the closing line counts caught as passed
    ./run mutants --list        name, what is broken, where
    ./run mutants --page        the same, and writes the table of docs/testing.md
    ./run mutants --check       each still fits the source: seconds, part of ./run check

The bugs are in mutants.py. A bug is caught when a test named with it fails, or does not end. Tests are tried in the order
given; all of them pass first without a bug. The copy and its build are in build/mutants.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WORK = os.path.join(ROOT, "build", "mutants")
TREE = os.path.join(WORK, "tree")
BUILD = os.path.join(WORK, "build")
TEST_S = 100
PAGE_BEGIN, PAGE_END = "<!-- mutants: made by ./run mutants --page -->", "<!-- /mutants -->"
SIM = ["bin/shoal-sim", "--seeds", "24", "--nodes", "10"]

sys.path.insert(0, HERE)
from mutants import MUTANTS  # noqa: E402


def command(test):
    """The program of a test and the target that makes it."""
    if test == "sim":
        return [os.path.join(BUILD, SIM[0]), *SIM[1:]], "shoal-sim"
    return [os.path.join(BUILD, "tests", test)], test


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def faults(mutant):
    """Why the bug cannot be put in; empty if it can."""
    path = os.path.join(ROOT, mutant.file)
    if not os.path.exists(path):
        return f"{mutant.name}: no file {mutant.file}"
    found = read(path).count(mutant.old)
    if found != 1:
        return f"{mutant.name}: {mutant.file} has its text {found} times, not once"
    return "" if mutant.old != mutant.new and mutant.tests else f"{mutant.name}: changes nothing, or names no test"


def make_tree():
    """A copy of what git knows, changed files with their changes."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    kept = set()
    for name in filter(None, names):
        source, target = os.path.join(ROOT, name), os.path.join(TREE, name)
        if not os.path.isfile(source):
            continue
        kept.add(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(source, "rb") as f:
            wanted = f.read()
        if not os.path.exists(target) or open(target, "rb").read() != wanted:
            shutil.copy(source, target)
    for folder, _, files in os.walk(TREE):
        for name in files:
            if os.path.join(folder, name) not in kept:
                os.unlink(os.path.join(folder, name))


def configure():
    """With the address sanitizer: what uses freed memory must not pass by luck."""
    options = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-O1 -w", "-DSHOAL_SANITIZE=address",
               "-DSHOAL_LUA=OFF", "-DSHOAL_PYTHON=OFF", "-DSHOAL_EXAMPLES=OFF", "-DSHOAL_TOOLS=OFF"]
    if shutil.which("ccache"):
        options.append("-DCMAKE_C_COMPILER_LAUNCHER=ccache")
    subprocess.run(["cmake", "-S", TREE, "-B", BUILD, *options], check=True, stdout=subprocess.DEVNULL)


def build(targets):
    done = subprocess.run(["ninja", "-C", BUILD, *targets], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout[-2000:]


def fails(test):
    """How the test failed; empty: it passed."""
    with subprocess.Popen(command(test)[0], cwd=TREE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as running:
        try:
            code = running.wait(TEST_S)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)  # the simulator has workers
            return "does not end"
    if code < 0:
        return f"signal {-code}"
    return "" if code == 0 else "fails"


def hunt(mutant):
    """(test, how) that caught it, or (None, why not)."""
    path = os.path.join(TREE, mutant.file)
    sound = read(path)
    write(path, sound.replace(mutant.old, mutant.new))
    try:
        for test in mutant.tests:
            broken = build([command(test)[1]])
            if broken:
                return None, "does not compile:\n" + broken
            how = fails(test)
            if how:
                return test, how
        return None, "every test passed: " + " ".join(mutant.tests)
    finally:
        write(path, sound)


def write_page(results):
    """The table at the end of docs/testing.md's part about bugs put in."""
    path = os.path.join(ROOT, "docs", "testing.md")
    rows = ["| bug | what it breaks | caught by |", "|---|---|---|"]
    rows += [f"| {r['name']} | {r['what']} | {r['caught_by'] or 'nothing'} |" for r in results]
    head, _, rest = read(path).partition(PAGE_BEGIN)
    write(path, head + PAGE_BEGIN + "\n" + "\n".join(rows) + "\n" + PAGE_END + rest.partition(PAGE_END)[2])


def main():
    parser = argparse.ArgumentParser(prog="./run mutants", description="small bugs, each caught by a test")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true", help="the bugs, without building")
    parser.add_argument("--check", action="store_true", help="only: does each still fit the source?")
    parser.add_argument("--json", help="where the result goes")
    parser.add_argument("--page", action="store_true", help="write the table of docs/testing.md")
    options = parser.parse_args()
    chosen = [m for m in MUTANTS if not options.names or m.name in options.names]
    unknown = set(options.names) - {m.name for m in MUTANTS}
    if unknown:
        parser.error("no such bug: " + " ".join(sorted(unknown)))
    if options.list:
        for m in chosen:
            print(f"{m.name:<28} {m.what}  [{m.file}]")
        return 0
    stale = [why for why in map(faults, MUTANTS) if why]
    if stale or options.check:
        print("\n".join(stale) or f"{len(MUTANTS)} bugs fit")
        return 1 if stale else 0
    make_tree()
    configure()
    tests = list(dict.fromkeys(test for m in chosen for test in m.tests))
    print(f"{len(chosen)} bugs, {len(tests)} tests; building them without a bug first", flush=True)
    broken = build([command(test)[1] for test in tests])
    if broken:
        sys.exit(broken)
    for test in tests:
        if fails(test):
            sys.exit(f"{test} fails without a bug: nothing can be learnt from it")
    results, begun = [], time.monotonic()
    for index, m in enumerate(chosen):
        test, how = hunt(m)
        results.append({"name": m.name, "what": m.what, "file": m.file, "caught_by": test, "how": how})
        left = (time.monotonic() - begun) / (index + 1) * (len(chosen) - index - 1)
        print(f"{index + 1:>3}/{len(chosen)} {m.name:<28} {'caught by ' + test + ', ' + how if test else 'NOT CAUGHT: ' + how}"
              f"   (about {left:.0f} s left)", flush=True)
    if options.page:
        write_page(results)
    if options.json:
        write(options.json, json.dumps(results, indent=2) + "\n")
    caught = sum(r["caught_by"] is not None for r in results)
    print(f"{caught} passed, {len(results) - caught} failed, 0 skipped")
    return 0 if caught == len(results) else 1


sys.exit(main())
