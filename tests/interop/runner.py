#!/usr/bin/env python3
"""Runs the interop cells: every pair of peers in both roles, one line per cell, a table at the end.

All peers speak the line contract of README.md, so a cell is written once and run for every pair.
A peer whose program is missing fails its cells: nothing here is ever skipped silently.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

START_SECONDS = 10
COMMAND_SECONDS = 20  # peers give up by themselves after 15
EVENT_SECONDS = 5
FOUND_SECONDS = 5  # ADD_PROVIDER has no answer, so a look-up right after it may come first
CLOSE_SECONDS = 2
WHY_CHARACTERS = 600
END_SECONDS = 10  # checkers of memory work at the end

PROTOCOLS = ("/ipfs/id/1.0.0", "/ipfs/ping/1.0.0", "/kameo/registry/1.0.0", "/shoal-test/echo/1.0.0")
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
TYPE_ID = "shoal::Interop"
PAIRS = (("go", "ours"), ("rust", "ours"), ("ours", "ours"), ("go", "rust"))


class Failure(Exception):
    """A cell's reason to fail."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def base58_decode(text):
    number = 0
    for char in text:
        number = number * 58 + BASE58.index(char)
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def registration_hex(peer, seq):
    raw = base58_decode(peer)
    return (bytes([len(raw)]) + seq.to_bytes(8, "little") + raw + TYPE_ID.encode()).hex()


class Peer:
    """One running peer program."""

    def __init__(self, kind, path):
        if not path or not os.access(path, os.X_OK):
            raise Failure(f"no program for {kind}: {path or 'not given'}")
        self.kind = kind
        self.next_id = 0
        self.replies = {}
        self.events = []
        self.changed = threading.Condition()
        self.ended = False
        self.stderr = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr
        )
        threading.Thread(target=self.read, daemon=True).start()
        try:
            hello = self.wait_event("listening", START_SECONDS)
        except Failure:
            self.stop()
            raise
        self.address = hello["address"]
        self.id = self.address.rsplit("/p2p/", 1)[1]

    def read(self):
        for line in self.process.stdout:
            try:
                message = json.loads(line)
            except ValueError:
                message = {"event": "not JSON", "text": repr(line)}
            with self.changed:
                if "event" in message:
                    self.events.append(message)
                else:
                    self.replies[message.get("id")] = message
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, take, seconds, what):
        end = time.monotonic() + seconds
        with self.changed:
            while True:
                found = take()
                if found is not None:
                    return found
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    state = f"ended, stderr: {self.last_words()}" if self.ended else "silent"
                    raise Failure(f"{self.kind}: no {what} within {seconds} s ({state})")
                self.changed.wait(left)

    def last_words(self):
        self.stderr.seek(0)
        return self.stderr.read()[-400:].decode(errors="replace").strip()

    def wait_event(self, name, seconds=EVENT_SECONDS, peer=None):
        def take():
            for i, event in enumerate(self.events):
                if event["event"] == name and peer in (None, event.get("peer")):
                    return self.events.pop(i)
            return None

        return self.wait(take, seconds, f"event {name!r}")

    def send(self, cmd, **arguments):
        self.next_id += 1
        line = json.dumps({"id": self.next_id, "cmd": cmd, **arguments}) + "\n"
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"{self.kind}: gone, stderr: {self.last_words()}") from None
        return self.next_id

    def try_call(self, cmd, **arguments):
        number = self.send(cmd, **arguments)
        return self.wait(lambda: self.replies.pop(number, None), COMMAND_SECONDS, f"answer to {cmd}")

    def call(self, cmd, **arguments):
        reply = self.try_call(cmd, **arguments)
        check(reply.get("ok") is True, f"{self.kind}: {cmd}: {reply.get('error')}")
        return reply

    def has_event(self, name, peer):
        with self.changed:
            return any(e["event"] == name and e.get("peer") == peer for e in self.events)

    def stop(self):
        """Ends the program; returns what was wrong with its end, or None."""
        if self.process.poll() is None:
            try:
                self.send("quit")
                self.process.stdin.close()
                self.process.wait(END_SECONDS)
            except (Failure, OSError, subprocess.TimeoutExpired):
                self.process.kill()
        status = self.process.wait()
        wrong = f"{self.kind}: ended with status {status}: {self.last_words()}" if status else None
        self.stderr.close()
        return wrong


class Cell:
    """The peers of one cell; they are stopped whatever happens."""

    def __init__(self, paths):
        self.paths = paths
        self.peers = []

    def start(self, kind):
        peer = Peer(kind, self.paths[kind])
        self.peers.append(peer)
        return peer

    def connected(self, dialer_kind, listener_kind):
        """Two peers, connected, who have identified each other."""
        dialer, listener = self.start(dialer_kind), self.start(listener_kind)
        self.connect(dialer, listener)
        return dialer, listener

    @staticmethod
    def connect(dialer, listener):
        dialer.call("dial", address=listener.address)
        dialer.wait_event("connected", peer=listener.id)
        listener.wait_event("connected", peer=dialer.id)
        dialer.call("identify", peer=listener.id)
        listener.call("identify", peer=dialer.id)

    def stop(self):
        """Stops all; returns the first peer's bad end, or None."""
        ends = [peer.stop() for peer in self.peers]
        return next((end for end in ends if end), None)


# Cells: (cell, dialer's kind, listener's kind).


def cell_connect(cell, dialer_kind, listener_kind):
    dialer, listener = cell.start(dialer_kind), cell.start(listener_kind)
    reply = dialer.call("dial", address=listener.address)
    check(reply["peer"] == listener.id, f"dial answered peer {reply['peer']}")
    dialer.wait_event("connected", peer=listener.id)
    listener.wait_event("connected", peer=dialer.id)


def cell_wrong_id(cell, dialer_kind, listener_kind):
    dialer, listener = cell.start(dialer_kind), cell.start(listener_kind)
    wrong = listener.address.rsplit("/p2p/", 1)[0] + "/p2p/" + cell.start(dialer_kind).id
    reply = dialer.try_call("dial", address=wrong)
    check(reply["ok"] is False, "a dial to another peer's id succeeded")
    cell.connect(dialer, listener)


def check_identity(asker, asked):
    seen = asker.call("identify", peer=asked.id)
    check(seen["agent"], f"{asked.kind} names no agent")
    missing = [p for p in PROTOCOLS if p not in seen["protocols"]]
    check(not missing, f"{asked.kind} does not announce {missing}")
    bare = [a.rsplit("/p2p/", 1)[0] for a in seen["listen_addrs"]]
    expected = asked.address.rsplit("/p2p/", 1)[0]
    check(expected in bare, f"{asked.kind} listens on {expected}, announces {bare}")
    observed = seen["observed"]
    check(observed.startswith("/ip4/127.0.0.1/tcp/"), f"{asked.kind} observed {observed!r}")


def cell_identify(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    check_identity(dialer, listener)
    check_identity(listener, dialer)


def cell_ping(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    for _ in range(3):
        for here, there in ((dialer, listener), (listener, dialer)):
            rtt_us = here.call("ping", peer=there.id)["rtt_us"]
            check(0 < rtt_us < 5_000_000, f"{here.kind}: round trip of {rtt_us} us")


def echo(opener, server, streams, size):
    done = opener.call("echo", peer=server.id, streams=streams, bytes=size)["done"]
    check(done == streams, f"{done} of {streams} streams done")


def cell_streams_out(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    echo(dialer, listener, 200, 4096)
    dialer.call("ping", peer=listener.id)


def cell_streams_in(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    echo(listener, dialer, 200, 4096)
    listener.call("ping", peer=dialer.id)


def cell_streams_both(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    asked = [
        (here, here.send("echo", peer=there.id, streams=200, bytes=4096))
        for here, there in ((dialer, listener), (listener, dialer))
    ]
    for here, number in asked:
        reply = here.wait(lambda: here.replies.pop(number, None), COMMAND_SECONDS, "echo answer")
        check(reply.get("done") == 200, f"{here.kind}: {reply.get('error')}")


def cell_bulk(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    for size in (1, 65536, 262144, 262145, 4 << 20):
        echo(dialer, listener, 1, size)
        echo(listener, dialer, 1, size)


def cell_in_turn(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    for _ in range(150):
        echo(dialer, listener, 1, 100)
        echo(listener, dialer, 1, 100)
    echo(dialer, listener, 200, 16)


def cell_reset(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    for _ in range(20):
        dialer.call("reset", peer=listener.id)
        listener.call("reset", peer=dialer.id)
    echo(dialer, listener, 20, 1000)
    echo(listener, dialer, 20, 1000)


def close(closer, other):
    """go's DHT may be dialling just then: what it brings up at once is closed as well."""
    for last in (False, True):
        closer.call("disconnect", peer=other.id)
        closer.wait_event("disconnected", CLOSE_SECONDS, peer=other.id)
        try:
            other.wait_event("disconnected", CLOSE_SECONDS, peer=closer.id)
            return
        except Failure:
            if last or not closer.has_event("connected", other.id):
                raise


def cell_close(cell, dialer_kind, listener_kind):
    dialer, listener = cell.start(dialer_kind), cell.start(listener_kind)
    for closer, other in ((dialer, listener), (listener, dialer)):
        cell.connect(dialer, listener)
        close(closer, other)


def find(seeker, provider, name, seq):
    """Looks up until the provider and its registration are there."""
    end = time.monotonic() + FOUND_SECONDS
    while True:
        found = {p["peer"]: p for p in seeker.call("lookup", name=name)["providers"]}
        entry = found.get(provider.id, {})
        if entry.get("meta_hex") or time.monotonic() > end:
            break
        time.sleep(0.05)
    check(provider.id in found, f"{seeker.kind} finds {len(found)} providers, not {provider.kind}'s")
    check(list(found) == [provider.id], f"{seeker.kind} finds others too: {list(found)}")
    expected = registration_hex(provider.id, seq)
    check(entry["meta_hex"] == expected, f"registration is {entry['meta_hex']}, not {expected}")
    return [address.rsplit("/p2p/", 1)[0] for address in entry["addrs"]]


def provide(provider, name, seq):
    acks = provider.call("provide", name=name, seq=seq, type=TYPE_ID)["acks"]
    check(acks >= 1, f"{provider.kind}: no peer acknowledged the registration of {name}")


def cell_name_direct(cell, dialer_kind, listener_kind):
    """Each finds what the other provides."""
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    for seq, (provider, seeker) in enumerate(((dialer, listener), (listener, dialer))):
        provide(provider, f"direct-{seq}", seq + 7)
        find(seeker, provider, f"direct-{seq}", seq + 7)


def cell_name_through(cell, dialer_kind, listener_kind):
    """The dialer's name, stored at the listener, found and reached by strangers of both kinds."""
    provider, store = cell.connected(dialer_kind, listener_kind)
    name, seq = "through/\u00fc\u00f1\u00ee", (1 << 40) + 3
    provide(provider, name, seq)
    for kind in (dialer_kind, listener_kind):
        seeker = cell.start(kind)
        cell.connect(seeker, store)
        addresses = find(seeker, provider, name, seq)
        bare = provider.address.rsplit("/p2p/", 1)[0]
        check(bare in addresses, f"{seeker.kind} finds {addresses}, not {bare}")
        seeker.call("dial", address=f"{bare}/p2p/{provider.id}")
        echo(seeker, provider, 1, 100)


def cell_name_unknown(cell, dialer_kind, listener_kind):
    dialer, listener = cell.connected(dialer_kind, listener_kind)
    for seeker in (dialer, listener):
        found = seeker.call("lookup", name="nobody-has-this-name")["providers"]
        check(found == [], f"{seeker.kind} finds {found}")


CELLS = (
    ("connect", cell_connect),
    ("wrong id", cell_wrong_id),
    ("identify", cell_identify),
    ("ping", cell_ping),
    ("200 out", cell_streams_out),
    ("200 in", cell_streams_in),
    ("200 both", cell_streams_both),
    ("bulk", cell_bulk),
    ("in turn", cell_in_turn),
    ("reset", cell_reset),
    ("close", cell_close),
    ("name", cell_name_direct),
    ("through", cell_name_through),
    ("no name", cell_name_unknown),
)


def run_cell(function, paths, dialer_kind, listener_kind):
    """Returns None, or why the cell failed, in one line."""
    cell = Cell(paths)
    why = None
    try:
        function(cell, dialer_kind, listener_kind)
    except (Failure, KeyError, TypeError) as error:
        why = str(error) if isinstance(error, Failure) else repr(error)
    end = cell.stop()
    return " ".join((why or end).split())[:WHY_CHARACTERS] if why or end else None


def print_table(pairs, results):
    names = [name for name, _ in CELLS if any((p, name) in results for p in pairs)]
    print("\n" + " " * 16 + " ".join(f"{name:>8}" for name in names))
    for pair in pairs:
        row = " ".join(f"{'ok' if results[pair, name] is None else 'FAIL':>8}" for name in names)
        print(f"{pair[0] + ' -> ' + pair[1]:<16}{row}")


def chosen_pairs(text):
    wanted = [tuple(p.split("-")) for p in text.split(",")] if text else PAIRS
    for pair in wanted:
        if len(pair) != 2 or not set(pair) <= {"go", "rust", "ours"}:
            sys.exit(f"--pairs: {'-'.join(pair)!r} is not two of go, rust, ours joined by '-'")
    both = [p for a, b in wanted for p in ((a, b), (b, a))]
    return list(dict.fromkeys(both))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--go", help="the go peer's program")
    parser.add_argument("--rust", help="the rust peer's program")
    parser.add_argument("--ours", help="our peer's program")
    parser.add_argument("--pairs", help="like go-rust,rust-ours; each is run in both roles")
    parser.add_argument("--cells", help="names of cells, by commas: " + ", ".join(n for n, _ in CELLS))
    options = parser.parse_args()
    paths = {"go": options.go, "rust": options.rust, "ours": options.ours}
    pairs = chosen_pairs(options.pairs)
    names = options.cells.split(",") if options.cells else [name for name, _ in CELLS]
    unknown = set(names) - {name for name, _ in CELLS}
    if unknown:
        sys.exit(f"--cells: no cell is called {sorted(unknown)}")

    results = {}
    for dialer_kind, listener_kind in pairs:
        for name, function in CELLS:
            if name not in names:
                continue
            began = time.monotonic()
            why = run_cell(function, paths, dialer_kind, listener_kind)
            results[(dialer_kind, listener_kind), name] = why
            took = f"{time.monotonic() - began:5.2f} s"
            print(f"{'FAIL' if why else 'ok':<4} {took}  {dialer_kind} -> {listener_kind}  {name}"
                  + (f": {why}" if why else ""), flush=True)
    print_table(pairs, results)
    failed = sum(why is not None for why in results.values())
    print(f"{len(results) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
