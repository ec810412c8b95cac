"""Six nodes in three languages under asks, tells, links, watches and names, while they are killed, stopped, restarted, and their
links cut and slowed; then the promises are checked over their logs.

    python3 chaos.py [--seconds 600] [--seed N] [--rate 30] [--keep FOLDER]

Everything that is done comes from the seed, which is printed; when it is done depends on the machine. The logs stay in the
folder when something was wrong; check.py FOLDER looks at them again."""
import argparse
import heapq
import json
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time

import check
from swarm import Node, Relay, now_us, until

PEER_TIMEOUT_MS = 10000
WORKERS = 2
GONE_CODES = {"not_running", "unreachable", "refused", "not_found"}


class Chaos:
    def __init__(self, args, folder):
        self.random = random.Random(args.seed)
        self.args, self.folder = args, folder
        self.relay = Relay()
        languages = ["c", "lua", "python"] * 2
        self.nodes = [Node(i, language, self.relay, folder) for i, language in enumerate(languages)]
        self.mortal = [self.nodes[i] for i in (0, 4, 5)] if args.seed % 2 else [self.nodes[i] for i in (3, 1, 2)]
        self.lives, self.faults, self.samples = [], [], {}
        self.timers, self.serial, self.count = [], 0, 0
        self.refs = {node: {} for node in self.nodes}      # what each node knows: name -> ref
        self.looking, self.watched, self.leaves, self.seqs = {}, {}, {}, {}
        self.busy, self.wanted, self.asked = set(), {}, {}
        self.load = False
        self.sent = 0

    # ---- time

    def at(self, seconds, call):
        self.serial += 1
        heapq.heappush(self.timers, (time.monotonic() + seconds, self.serial, call))

    def turn(self):
        while self.timers and self.timers[0][0] <= time.monotonic():
            heapq.heappop(self.timers)[2]()
        for node in self.nodes:
            if node.life:
                self.hear(node)

    def run_until(self, when):
        step, sampled = 0.01, 0
        while (now := time.monotonic()) < when:
            self.turn()
            if self.load:
                for node in self.nodes:
                    if node.life and node.life.peer and not node.stopped and self.random.random() < self.args.rate * step:
                        self.operation(node)
            if now - sampled > 1:
                sampled = now
                self.sample()
            time.sleep(max(step - (time.monotonic() - now), 0.001))

    def wait_for(self, found, what, patience_s=30):
        def turned():
            self.turn()
            return found()
        return until(turned, what, patience_s, 0.01)

    def sample(self):
        for node in self.nodes:
            if node.life and not node.stopped:
                try:
                    self.samples.setdefault(node.life.name, []).append([now_us(), *node.life.status()])
                except (OSError, StopIteration):
                    pass

    # ---- nodes

    def start(self, node, new_key=False):
        dial = [self.nodes[(node.index + step) % len(self.nodes)].address for step in (1, 3)]
        life = node.start(dial, f"peer_timeout_ms={PEER_TIMEOUT_MS}", *(["threads=1"] if node.index == 3 else []), new_key=new_key)
        self.lives.append(life)
        self.refs[node] = {}
        self.wanted[life] = {f"{node.name}.w{i}" for i in range(WORKERS)}

    def hear(self, node):
        life = node.life
        for e in life.lines():
            event = e["ev"]
            if event == "ready":
                life.peer = e["peer"]
            elif event == "born":
                self.asked[e["at"]] = e["name"]
            elif event == "dead" and e["at"] in self.asked and not life.how:
                self.wanted[life].add(self.asked[e["at"]])
            elif event == "end":
                self.ended(node, e)
            elif event == "down":
                self.watched.pop((life, e["to"]), None)
                self.forget(node, e["to"])
            elif event == "link":
                self.leaves.setdefault(life, []).append(e["at"])
        if life.peer and not node.stopped:
            for name in sorted(self.wanted[life]):
                self.wanted[life].discard(name)
                life.send(self.id(life), "spawn", name)

    def id(self, life):
        self.count += 1
        return f"{life.name}.{self.count}"

    def forget(self, node, ref):
        self.refs[node] = {name: known for name, known in self.refs[node].items() if known != ref}

    def ended(self, node, e):
        look = self.looking.pop(e["id"], None)
        if look:
            if e["code"] == "ok":
                self.refs[node][look] = e["ref"]
        elif e["code"] in GONE_CODES and e["id"] in self.seqs:
            self.forget(node, self.seqs[e["id"]])
        self.seqs.pop(e["id"], None)

    # ---- what nodes do

    def operation(self, node):
        life, pick = node.life, self.random.random()
        other = self.random.choice([n for n in self.nodes if n is not node or pick < 0.1])
        name = f"{other.name}.w{self.random.randrange(WORKERS)}"
        ref = self.refs[node].get(name)
        id = self.id(life)
        if ref is None or pick > 0.97:
            if name not in [n for i, n in self.looking.items() if i.startswith(life.name + ".")]:
                self.looking[id] = name
                life.send(id, "lookup", name, self.random.choice((300, 2000)))
            return
        self.sent += 1
        if pick < 0.55:
            kind, arg = self.random.choices(("now", "later", "fail", "mute", "via"), (60, 18, 8, 4, 10))[0], "0"
            if kind == "later":
                arg = self.random.choice((5, 50, 400))
            elif kind == "via":
                arg = self.random.choice(sorted(self.refs[node].values()))
                if arg == ref:
                    kind = "now"
            self.message(life, id, "ask", ref, self.random.choice((200, 1000, 3000)), kind, arg)
        elif pick < 0.90:
            self.message(life, id, "tell", ref, *(("die", 0) if self.random.random() < 0.01 else ("now", 0)))
        elif pick < 0.94:
            if (life, ref) not in self.watched:
                self.watched[life, ref] = True
                life.send(id, "watch", ref)
        elif pick < 0.96:
            if len(self.leaves.get(life, [])) < 40:
                life.send(id, "link", ref)
        elif self.leaves.get(life):
            life.send(id, "unlink", self.leaves[life].pop(self.random.randrange(len(self.leaves[life]))))

    def message(self, life, id, what, ref, *rest):
        """One of a numbered row from this process to that actor."""
        self.seqs[id] = ref
        seq = self.seqs[life, ref] = self.seqs.get((life, ref), 0) + 1
        life.send(id, what, ref, *rest, life.name, seq)

    # ---- what is done to them

    def fault(self, kind, nodes, seconds, undo=None):
        """Notes what is done from now on; its end is when undo has run."""
        row = [now_us(), now_us() + int(600e6), kind, [node.name for node in nodes]]
        self.faults.append(row)
        self.busy.update(nodes)
        print(f"{(row[0] - self.begun_us) / 1e6:7.1f} s  {kind} {' '.join(row[3])} {seconds:.1f} s", flush=True)

        def over():
            if undo:
                undo()
            row[1] = now_us()
            self.busy.difference_update(nodes)
        self.at(seconds, over)
        return row

    def kill(self, node):
        how = self.random.choice(("same key", "same key", "new key"))
        self.relay("shut", name=node.name)  # before: else the relay could accept for a process that is gone
        node.life.end("kill")
        row = self.fault("kill", [node], self.random.choice((0.0, 0.3, 2.5)), lambda: self.start(node, how == "new key"))
        row[0] = node.life.ended_us

    def leave(self, node):
        """A graceful stop, and a new start: what a rolling restart does to each node."""
        node.life.how, node.life.peer = "leaving", None
        node.life.send(self.id(node.life), "stop", 2000)

        def over():
            self.hear(node)
            node.life.how = None
            node.life.end("leave")
            self.relay("shut", name=node.name)
            self.start(node)
        self.fault("leave", [node], 2.5, over)

    def stop(self, node, seconds):
        node.signal(signal.SIGSTOP)
        self.fault("stop", [node], seconds, lambda: node.signal(signal.SIGCONT))

    def link(self, kind, a, b, seconds):
        relay = self.relay
        if kind == "cut":
            relay.cut(a.name, b.name, self.random.choice(("rst", "fin")))
            self.fault(kind, [a, b], 0.5)
        elif kind == "flap":
            for second in range(int(seconds)):
                self.at(second, lambda: relay.cut(a.name, b.name, "rst"))
            self.fault(kind, [a, b], seconds)
        elif kind == "refuse":
            relay.doors(a.name, b.name, "refuse")
            relay.cut(a.name, b.name)
            self.fault(kind, [a, b], seconds, lambda: relay.doors(a.name, b.name, "pass"))
        else:
            policy = {"stall": {"mode": "stall"}, "oneway": {"mode": "stall"}, "slow": {"delay_ms": 40, "jitter_ms": 40},
                      "thin": {"rate": 60000}, "corrupt": {"mode": "corrupt"}}[kind]
            relay("flow", **{"from": a.name, "to": b.name}, **policy)
            if kind not in ("oneway", "corrupt"):
                relay("flow", **{"from": b.name, "to": a.name}, **policy)
            self.fault(kind, [a, b], seconds, lambda: relay.pair(a.name, b.name))

    def part(self, node, seconds):
        """Nobody hears this node."""
        others = [n for n in self.nodes if n is not node]
        for other in others:
            self.relay.pair(node.name, other.name, mode="stall")
        self.fault("stall", [node], seconds, lambda: [self.relay.pair(node.name, other.name) for other in others])

    def mischief(self, left):
        """One fault on nodes that have none; long ones once in a while, and only if they fit."""
        free = [n for n in self.nodes if n not in self.busy and n.life and n.life.peer and not self.wanted[n.life]]
        mortal = [n for n in free if n in self.mortal]
        pick = self.random.random()
        if pick < 0.25:
            if mortal:
                self.kill(self.random.choice(mortal))
        elif pick < 0.33:
            if mortal:
                self.leave(self.random.choice(mortal))
        elif pick < 0.45 and free:
            long = 30 if self.args.seconds >= 300 else 14
            self.stop(self.random.choice(free), long if self.random.random() < 0.3 and left > long + 2 else 3)
        elif pick < 0.50 and free and left > 16:
            self.part(self.random.choice(free), 14)
        elif len(free) >= 2:
            a, b = self.random.sample(free, 2)
            kind = self.random.choice(("cut", "cut", "flap", "refuse", "stall", "stall", "oneway", "slow", "thin", "corrupt"))
            long = kind in ("stall", "oneway") and self.random.random() < 0.4 and left > 16
            self.link(kind, a, b, 14 if long else 3)

    # ---- the run

    def run(self):
        self.begun_us = now_us()
        for node in self.nodes:
            self.start(node)
        self.wait_for(lambda: all(n.life.peer for n in self.nodes), "start of every node")
        self.load = True
        begun = time.monotonic()
        end = begun + self.args.seconds
        quiet = min(max(self.args.seconds / 4, 20), 40)
        self.run_until(begun + min(5, self.args.seconds / 10))
        while (left := end - quiet - time.monotonic()) > 4:
            self.mischief(left)
            self.run_until(time.monotonic() + self.random.uniform(1, 4 if self.args.seconds < 300 else 7))
        while self.busy:  # the last ones end by themselves
            self.run_until(time.monotonic() + 0.2)
        self.relay("clear")
        self.run_until(time.monotonic() + quiet / 2)  # load without faults
        self.load, load_end = False, now_us()
        print(f"        relay: {self.relay('stats')}")
        found = self.find_all()
        self.run_until(time.monotonic() + max(quiet / 4, 6))
        for node in self.nodes:
            self.hear(node)
            node.life.leave()
            node.life.how = "quiet"
        self.relay.close()
        lives = [{"name": life.name, "node": life.node.name, "begun": life.begun_us, "ended": life.ended_us, "how": life.how} for life in self.lives]
        (self.folder / "run.json").write_text(json.dumps({
            "seed": self.args.seed, "peer_timeout_ms": PEER_TIMEOUT_MS, "lives": lives, "faults": self.faults, "samples": self.samples,
            "load_end": load_end, "quiet_end": now_us()}))
        return found

    def find_all(self):
        """Every name from every node, in a minute at most; what was not found."""
        begun, open_looks, took = time.monotonic(), {}, 0
        names = [f"{node.name}.w{i}" for node in self.nodes for i in range(WORKERS)]
        wanted = {(node, name) for node in self.nodes for name in names}
        while wanted and time.monotonic() < begun + 60:
            for node, name in sorted(wanted, key=lambda pair: (pair[0].index, pair[1])):
                if (node, name) not in open_looks:
                    id = self.id(node.life)
                    self.refs[node].pop(name, None)
                    self.looking[id] = name
                    open_looks[node, name] = id
                    node.life.send(id, "lookup", name, 5000)
            self.run_until(time.monotonic() + 0.1)
            for (node, name), id in list(open_looks.items()):
                if id not in self.looking:
                    del open_looks[node, name]
                    if name in self.refs[node]:
                        wanted.discard((node, name))
                        took = time.monotonic() - begun
        print(f"        every name found from every node within {took:.1f} s" if not wanted else
              f"WRONG   names: not found at the end: {[(n.name, name) for n, name in wanted]}", flush=True)
        return not wanted

    def close(self):
        for node in self.nodes:
            if node.life and node.life.process.poll() is None:
                node.life.process.kill()
                node.life.process.wait()
        self.relay.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 10**6))
    parser.add_argument("--rate", type=float, default=30, help="operations per node and second")
    parser.add_argument("--keep", help="folder for the logs")
    args = parser.parse_args()
    folder = pathlib.Path(args.keep or tempfile.mkdtemp(prefix="shoal-chaos-"))
    folder.mkdir(exist_ok=True)
    print(f"seed {args.seed}, {args.seconds:.0f} s, logs in {folder}", flush=True)
    chaos = Chaos(args, folder)
    try:
        found = chaos.run()
        run = check.Run(folder)
        run.check()
    finally:
        chaos.close()
    for what, figure in run.figures.items():
        print(f"        {what}: {figure}")
    for rule, text in run.bad[:60]:
        print(f"WRONG   {rule}: {text}")
    bad = len(run.bad) + (not found)
    print(f"seed {args.seed}: {chaos.sent} operations, {len(chaos.faults)} faults, {len(chaos.lives)} processes, {bad} violations")
    if not bad and not args.keep:
        shutil.rmtree(folder)
    print(f"{int(not bad)} passed, {int(bool(bad))} failed, 0 skipped")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
