#!/usr/bin/env python3
"""Every limit of core/base/sh_limits.h is named by a test that runs into it.

Prints the names no file of tests/ mentions and exits 1, else nothing. `--table` prints each limit with the tests that name it.
SIZES are no limits: parts of a format, defaults and paces, that hold nothing a remote can grow."""
import pathlib
import re
import sys

HEADER = pathlib.Path("core/base/sh_limits.h")
LIMIT = re.compile(r"^\s+(SH_[A-Z0-9_]+)\s*=", re.M)
SIZES = set("""
    SH_SIGNATURE_MAX SH_MAILBOX_DEFAULT SH_SLICE_MESSAGES_MAX SH_MESSAGE_INLINE_BYTES SH_ASK_TIMEOUT_MS
    SH_CONFIRM_MS SH_RESTARTS_DEFAULT SH_RESTART_WITHIN_MS SH_MESSAGE_OVERHEAD SH_CREDIT_DELAY_MS
    SH_STOP_TIMEOUT_MS SH_GATE_ADDRS SH_REPUBLISH_MS SH_BOOTSTRAP_MS SH_PAUSE_MS SH_NODE_DIAL_MS
    SH_NODE_LOOKUP_ONCE_MS SH_NODE_EVENTS_TURN_MAX SH_PUBLISH_EVERYONE_MAX
""".split())
# Hit by no test that names them yet: this list only shrinks.
OWED = set("""
    SH_SLAB_COUNT_MAX SH_NOISE_PAYLOAD_MAX
    SH_YAMUX_IDLE_FRAMES_PER_S SH_PROTOCOLS_MAX
    SH_DNSADDR_RESULTS_MAX
""".split())


def tests():
    for path in sorted(pathlib.Path("tests").rglob("*")):
        if path.suffix in (".c", ".h", ".py", ".lua") and path.is_file():
            yield path, set(re.findall(r"\bSH_[A-Z0-9_]+\b", path.read_text(errors="replace")))


def main():
    names = LIMIT.findall(HEADER.read_text())
    known = list(tests())
    missing = 0
    for name in names:
        where = [str(path) for path, said in known if name in said]
        if "--table" in sys.argv:
            print(f"{name:32} {', '.join(where) or ('a size' if name in SIZES else 'not named by a test')}")
        elif not where and name not in SIZES | OWED:
            print(f"{HEADER}: {name} is named by no test")
            missing += 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
