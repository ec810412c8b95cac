#!/usr/bin/env python3
"""Every limit of core/base/sh_limits.h is used by the core and named by a test that runs into it.

Prints what is not and exits 1, else nothing. `--table` prints each limit with the tests that name it."""
import pathlib
import re
import sys

HEADER = pathlib.Path("core/base/sh_limits.h")
LIMIT = re.compile(r"^\s+(SH_[A-Z0-9_]+)\s*=", re.M)
NAME = re.compile(r"\bSH_[A-Z0-9_]+\b")
# Tests that look at what happens at a limit; tools that speak to other libraries, and fuzzers, only take sizes from the header.
SUITES = ("unit", "abi", "torture", "sim", "attack")
# Nothing a remote can grow, or prolong: why no test runs into it.
SIZES = {
    "SH_MESSAGE_INLINE_BYTES": "an assertion of the compiler holds it: core/actor/msg.h",
    "SH_GATER_ADDRS": "buckets of a table that is there from the start",
    "SH_REPUBLISH_MS": "how often this node tells its own names",
    "SH_BOOTSTRAP_MS": "how often this node looks itself up",
    "SH_PAUSE_MS": "about this node's own clock: who comes so late has stood still",
    "SH_NODE_LOOKUP_ONCE_MS": "behind SH_QUERY_TIMEOUT_MS, which ends the pass: never reached",
    "SH_NODE_EVENTS_TURN_MAX": "a slice of work: the rest is routed in the next turn",
}


def names_in(paths):
    for path in sorted(paths):
        if path.suffix in (".c", ".h", ".py", ".lua") and path.is_file() and path != HEADER:
            yield path, set(NAME.findall(path.read_text(errors="replace")))


def faults(name, tests, used):
    if name not in used:
        yield "is used by nothing in core, abi"
    if name in SIZES and tests:
        yield f"is named by {tests[0]}: it needs no reason in SIZES of tools/limits_check.py"
    if name not in SIZES and not tests:
        yield "is named by no test"


def main():
    names = LIMIT.findall(HEADER.read_text())
    suites = [path for suite in SUITES for path in pathlib.Path("tests", suite).rglob("*")]
    known = list(names_in(suites))
    code = [path for room in ("core", "abi") for path in pathlib.Path(room).rglob("*")]
    used = {name for _, said in names_in(code) for name in said}
    wrong = [f"{name} is a size that does not exist" for name in SIZES if name not in names]
    for name in names:
        tests = [str(path) for path, said in known if name in said]
        if "--table" in sys.argv:
            print(f"{name:32} {', '.join(tests) or SIZES.get(name, 'not named by a test')}")
        wrong += [f"{name} {fault}" for fault in faults(name, tests, used)]
    if "--table" not in sys.argv:
        for line in wrong:
            print(f"{HEADER}: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
