#!/usr/bin/env python3
"""Attacks on a node: each row of docs/threat-model.md as a process against a victim with a memory limit, honest asks beside it.

test_attacks.py [--seed N] [--json FILE] [NN ...]     prints a table and `N passed, M failed, K skipped`

A row passes when the attacker saw what it expected (attack_peer, one file per family), and for the victim: alive; memory within its
budget and a tenth; 99 % of the honest asks answered within two seconds; connections and descriptors of the attacker gone within 30 s of
its leaving."""
import argparse
import ctypes
import json
import os
import pathlib
import random
import re
import resource
import select
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests/support"))
from lines import Program  # noqa: E402

BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD_DIR") or ROOT / "build/dev")
HOST, PEER = BUILD / "tests/attack_host", BUILD / "tests/attack_peer"
MIB = 1 << 20
BUDGET = 64 * MIB  # of resident memory above that of a victim at rest, unless the row says otherwise
ADDRESS_SPACE = 512 * MIB  # above the victim's own at the start
ROW_S, GONE_S, ASKED_LEAST = 60, 30, 0.99


LIMITS = {name: int(value) for name, value in
          re.findall(r"^\s+(SH_\w+)\s*=\s*(\d+)\s*(?:,|/\*)", (ROOT / "core/base/sh_limits.h").read_text(), re.M)}


class Lines(Program):
    """A process that answers lines with lines of JSON."""

    def answer(self, patience_s=10):
        return json.loads(self.line(patience_s))

    def ask(self, words, patience_s=10):
        self.say(words)
        return self.answer(patience_s)


class Victim(Lines):
    def __init__(self, log, *options, nofile=None):
        def limits():
            if nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
        super().__init__(HOST, "victim", *options, stderr=log, preexec_fn=limits)
        ready = self.answer()
        self.address, self.peer = ready["address"], ready["peer"]
        self.refs = [ready[name].split("@")[0] for name in ("echo", "mute", "slot")]
        space = self.status("VmSize") + ADDRESS_SPACE
        resource.prlimit(self.process.pid, resource.RLIMIT_AS, (space, space))

    def status(self, key):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key + ":"))

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_s(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            words = file.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self):
        return self.process.poll() is None


class Pair:
    """A victim and the honest node that asks it, and what both are at rest."""

    def __init__(self, log, *options, nofile=None):
        self.victim = Victim(log, *options, nofile=nofile)
        self.honest = None if options else Lines(HOST, "honest", self.victim.address, stderr=log)
        if self.honest:
            self.honest.answer()
        self.rest_fds, self.rest_rss = self.victim.fds(), self.victim.status("VmRSS")
        self.rest = self.victim.ask("peers")

    def close(self):
        for one in (self.victim, self.honest):
            if one:
                one.close()


# What differs from the common bar. budget: resident bytes; own: a victim of its own, for what the row leaves behind on purpose (records
# live an hour or two days); options, nofile: of that victim.
RECORDS = "what the DHT keeps for others lives its time"
SPECIAL = {
    3: dict(own=True, nofile=64, cpu=0.6),
    14: dict(own=True, options=["closed"]),
    23: dict(budget=96 * MIB),
    39: dict(own=True, budget=64 * MIB),
    51: dict(own=True, budget=LIMITS["SH_ORPHANS_MAX"] + 3 * LIMITS["SH_SESSION_WINDOW"]),  # and SH_ORPHANS_WINDOW for each session
}


class Failure(Exception):
    pass


def check(good, text):
    if not good:
        raise Failure(text)


def attacker_run(number, pair, seed):
    """Starts the attacker, does what it asks for on the way, watches the victim; (its last line, peak of memory, CPU used)."""
    victim = pair.victim
    peer = Lines(PEER, number, victim.address, *victim.refs, seed)
    begun, peak, cpu = time.monotonic(), 0, victim.cpu_s()
    try:
        while True:
            check(victim.alive(), f"the victim ended with {victim.process.poll()}")
            peak = max(peak, victim.status("VmRSS"))
            check(time.monotonic() < begun + ROW_S, f"the attacker has not ended after {ROW_S} s")
            if b"\n" not in peer.rest and not select.select([peer.process.stdout], [], [], 0.05)[0]:
                continue
            said = peer.answer()
            if "dial" in said:
                code = pair.honest.ask("dial " + said["dial"], 40)["code"]
                check(code != "ok", "the honest node took another peer for the one it dialled")
            elif "lookup" in said:
                victim.say(f"lookup {said['lookup']}")
            else:
                return said, peak, (victim.cpu_s() - cpu) / max(time.monotonic() - begun, 0.001)
    finally:
        peer.close()


def gone(pair):
    """Waits until the victim has nothing left of the attacker; seconds it took."""
    begun = time.monotonic()
    while True:
        check(pair.victim.alive(), f"the victim ended with {pair.victim.process.poll()}")
        now, fds = pair.victim.ask("peers"), pair.victim.fds()
        if now["connections"] <= pair.rest["connections"] and fds <= pair.rest_fds:
            return time.monotonic() - begun, now
        check(time.monotonic() < begun + GONE_S, f"after {GONE_S} s still {now['connections']} connections, {fds} descriptors "
              f"(at rest {pair.rest['connections']}, {pair.rest_fds})")
        time.sleep(0.02)


def honest_stats(pair):
    """What became of the honest asks, at least twenty of them."""
    total, begun = dict(answered=0, failed=0, worst_us=0), time.monotonic()
    while pair.honest and total["answered"] + total["failed"] < 20:
        stats = pair.honest.ask("stats")
        total["answered"] += stats["answered"]
        total["failed"] += stats["failed"]
        total["worst_us"] = max(total["worst_us"], stats["worst_us"])
        check(time.monotonic() < begun + 5, "honest: no ask ends")
        time.sleep(0.01)
    return total


def row_run(number, pair, seed, special):
    """One row against a pair; what was measured."""
    if pair.honest:
        pair.honest.ask("stats")
    pair.victim.ask("log")
    budget, begun = special.get("budget", BUDGET), time.monotonic()
    said, peak, cpu = attacker_run(number, pair, seed)
    check(said["error"] is None, said["error"])
    took, now = gone(pair)
    peak = max(peak, pair.victim.status("VmRSS"))
    stats = honest_stats(pair)
    log = pair.victim.ask("log")
    grown = peak - pair.rest_rss
    check(grown <= budget * 1.1, f"memory grew by {grown / MIB:.1f} MiB, budget {budget / MIB:.0f}")
    ended = stats["answered"] + stats["failed"]
    check(stats["failed"] <= (1 - ASKED_LEAST) * max(ended, 1), f"honest: {stats['failed']} of {ended} asks failed")
    check(cpu <= special.get("cpu", 9), f"the victim used {cpu:.0%} of a core")
    check(log["control"] == 0, f"{log['control']} control bytes in the victim's log")
    check(log["longest"] <= 600, f"a log line of {log['longest']} bytes")
    lines = LIMITS["SH_NODE_WARNINGS_BURST"] + LIMITS["SH_NODE_WARNINGS_PER_S"] * (time.monotonic() - begun + 1)
    check(log["lines"] <= lines, f"{log['lines']} log lines")
    check(now["downs"] == 0 and now["stopped"] == 0, "a forged death was believed")
    return dict(note=said["note"], grown=grown, cpu=cpu, gone_s=took, log_lines=log["lines"], **stats)


def no_compression(_pair, _seed):
    """Row 13: nothing in the library can inflate."""
    library = next((BUILD / "lib").glob("libshoal.so"))
    said = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    names = [word for word in said.split() if word.startswith("lib")]
    check(not any(n.startswith(("libz", "libbz2", "liblz4", "libbrotli", "libsnappy")) for n in names), f"links {names}")
    symbols = subprocess.run(["nm", "-D", str(library)], capture_output=True, text=True, check=True).stdout
    check("inflate" not in symbols and "decompress" not in symbols.lower(), "a symbol that decompresses")
    return dict(note="libraries: " + " ".join(n.split(".")[0] for n in sorted(set(names))))


def no_getrandom():
    """In the child: getrandom(2) answers ENOSYS from here on."""
    def op(code, jt, jf, k):
        return struct.pack("HBBI", code, jt, jf, k)
    getrandom = 318
    program = op(0x20, 0, 0, 0) + op(0x15, 0, 1, getrandom) + op(0x06, 0, 0, 0x00050000 | 38) + op(0x06, 0, 0, 0x7fff0000)
    kept = ctypes.create_string_buffer(program)
    filters = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(kept)))
    libc = ctypes.CDLL(None)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, filters, 0, 0):
        os._exit(99)


def no_entropy(_pair, _seed):
    """Row 11: without randomness there is no key, and so no node."""
    if os.uname().machine != "x86_64":
        return dict(note="x86_64 only")
    said = subprocess.run([str(HOST), "victim"], capture_output=True, stdin=subprocess.DEVNULL, preexec_fn=no_getrandom, timeout=10)
    check(said.returncode != 99, "no seccomp here")
    check(said.returncode != 0 and b"ready" not in said.stdout, f"a node without entropy: {said.stdout!r}")
    return dict(note=f"ended with {said.returncode}, no key made")


def rows_known():
    said = subprocess.run([str(PEER)], capture_output=True, text=True, check=True).stdout
    rows = {int(line.split("\t")[0]): line.split("\t")[1] for line in said.splitlines()}
    rows[11] = "no entropy"
    rows[13] = "decompression before authentication"
    return dict(sorted(rows.items()))


def one(number, title, pair, args, log):
    """Runs a row; (result, the pair to go on with)."""
    special, begun, own = SPECIAL.get(number, {}), time.monotonic(), None
    result = dict(row=number, title=title, ok=False)
    try:
        if number in (11, 13):
            result.update((no_entropy if number == 11 else no_compression)(pair, args.seed))
        else:
            if special.get("own"):
                own = Pair(log, *special.get("options", []), nofile=special.get("nofile"))
            result.update(row_run(number, own or pair, args.seed, special))
        result["ok"] = True
    except (Failure, AssertionError, BrokenPipeError, ValueError) as error:
        result["error"] = str(error) or type(error).__name__
    finally:
        if own:
            own.close()
    result["s"] = time.monotonic() - begun
    if not result["ok"] and not special.get("own"):  # what it left behind must not fail the next row
        pair.close()
        pair = Pair(log)
    return result, pair


def show(r):
    if not r["ok"]:
        return f"atk_{r['row']:02}  FAILED  {r['s']:5.1f} s  {r['title']}: {r['error']}"
    asks = f"{r['answered']}/{r['answered'] + r['failed']} asks, worst {r['worst_us'] / 1000:.0f} ms, " if r.get("answered") else ""
    grown = f"+{max(r['grown'], 0) / MIB:.1f} MiB, " if "grown" in r else ""
    return f"atk_{r['row']:02}  ok      {r['s']:5.1f} s  {r['title']}: {asks}{grown}{r['note']}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", default=None, help="file for the results")
    parser.add_argument("rows", nargs="*", type=int)
    args = parser.parse_args()
    args.seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1 << 31)
    rows = rows_known()
    chosen = args.rows or list(rows)
    print(f"seed {args.seed}; victim's memory limit {ADDRESS_SPACE // MIB} MiB, budget {BUDGET // MIB} MiB above rest", flush=True)
    results = []
    with open(BUILD / "attack.log", "w") as log:
        pair = Pair(log)
        for number in chosen:
            log.write(f"== row {number}\n")
            log.flush()
            result, pair = one(number, rows[number], pair, args, log)
            results.append(result)
            print(show(result), flush=True)
        pair.close()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(dict(seed=args.seed, rows=results), indent=1) + "\n")
    failed = sum(not r["ok"] for r in results)
    print(f"{len(results) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
