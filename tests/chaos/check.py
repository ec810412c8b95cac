"""The checkers over the logs of a chaos run.   python3 check.py FOLDER

What they hold the nodes to is in docs/faults.md. Times are of one monotonic clock, microseconds."""
import bisect
import collections
import json
import pathlib
import sys

CONFIRM_US = 100_000   # an ask may end so long after its deadline
TOLD_US = 400_000      # a death over a clean connection is told within 250 ms; six programs share the processors
CLOCK_US = 40_000      # what a busy machine adds to readings that its own lateness does not explain (ticks are 20 ms)
SETTLE_US = 2_000_000  # after an impairment: connections are new, and bytes that waited come first
SLOWING = {"stop", "stall", "oneway", "slow", "thin"}
SLOWED_US = 20_000_000  # so long their round trips still count in the grace of a closed connection (4 round trips)
HEAL_US = 30_000_000   # a healed pair answers again
ASK_CODES = {"ok", "timeout", "not_running", "unreachable", "handler", "closed", "limit", "refused"}


class Log:
    """One process: its events by kind, and when it was late by its own clock."""

    def __init__(self, meta, events):
        self.name, self.node = meta["name"], meta["node"]
        self.begun, self.ended, self.how = meta["begun"], meta["ended"], meta["how"]
        self.events = events
        self.late = [(e["t"] - e["us"], e["t"]) for e in events if e["ev"] == "late"]
        self.starts = [a for a, _ in self.late]

    def lateness(self, a, b):
        """Of the time from a to b, how much it did not run."""
        at = bisect.bisect_left(self.starts, a)
        total = 0
        for start, end in self.late[max(at - 3, 0):]:
            if start > b:
                break
            total += max(min(end, b) - max(start, a), 0)
        return total


class Run:
    def __init__(self, folder):
        meta = json.loads((folder / "run.json").read_text())
        self.peer_timeout = meta["peer_timeout_ms"] * 1000
        self.faults = meta["faults"]  # [begin, end, kind, [nodes]]
        self.samples = meta["samples"]
        self.load_end, self.quiet_end = meta["load_end"], meta["quiet_end"]
        self.logs = {}
        for life in meta["lives"]:
            lines = (folder / f"{life['name']}.log").read_bytes().split(b"\n")[:-1]
            self.logs[life["name"]] = Log(life, [json.loads(line) for line in lines])
        self.bad, self.figures = [], {}
        self.ran = collections.Counter()
        self.workers, self.owner, self.died = set(), {}, {}  # worker or leaf -> its log; -> when it ended
        for log in self.logs.values():
            for e in log.events:
                if e["ev"] == "ran":
                    self.ran[e["id"]] += 1
                elif e["ev"] in ("born", "link", "watch"):
                    self.owner[e["at"]] = log
                    if e["ev"] == "born":
                        self.workers.add(e["at"])
                elif e["ev"] == "dead":
                    self.died[e["at"]] = e["t"]
        self.pairs = {}

    def wrong(self, rule, text):
        self.bad.append((rule, text))

    # ---- what was done to a pair

    def between(self, a, b):
        """Impairments between two nodes: merged silences, and all of them. A pair's fault names both, a node's one."""
        key = tuple(sorted((a, b)))
        if key not in self.pairs:
            mine = sorted((f[0], f[1], f[2]) for f in self.faults if set(f[3]) <= {a, b})
            silent = []
            for begin, end, kind in mine:
                if kind in ("stall", "oneway", "stop", "refuse", "kill", "leave", "flap", "part"):
                    if silent and begin <= silent[-1][1] + SETTLE_US:
                        silent[-1] = (silent[-1][0], max(end, silent[-1][1]), silent[-1][2] | {kind})
                    else:
                        silent.append((begin, end, {kind}))
            self.pairs[key] = silent, mine
        return self.pairs[key]

    def impaired(self, a, b, begin, end):
        return any(f[0] - SETTLE_US <= end and f[1] + (SLOWED_US if f[2] in SLOWING else SETTLE_US + self.peer_timeout / 2) >= begin for f in self.between(a, b)[1]
                   if f[2] not in ("kill", "leave") or abs(f[0] - begin) > SETTLE_US)

    def may_be_lost(self, a, b, at):
        """Whether b may be given up by a at that time although it lives: long silence, or a door that refused."""
        for begin, end, kinds in self.between(a, b)[0]:
            long = end - begin >= self.peer_timeout * 0.75 or kinds & {"refuse", "flap", "kill", "leave"}
            if long and begin <= at <= end + self.peer_timeout + SETTLE_US:
                return True
        return False

    # ---- rules

    def asks(self):
        over, codes, count = [], collections.Counter(), 0
        classes = collections.Counter()
        for log in self.logs.values():
            out, ends = {}, collections.defaultdict(list)
            for e in log.events:
                if e["ev"] in ("ask", "tell", "look"):
                    out[e["id"]] = e
                elif e["ev"] == "end":
                    ends[e["id"]].append(e)
            for id, e in out.items():
                if e["ev"] == "ask":
                    count += 1
                    self.ask(log, id, e, ends[id], over, codes, classes)
                elif e["ev"] == "tell":
                    for end in ends[id]:
                        codes["tell " + end["code"]] += 1
                        if end["code"] != "ok" and self.ran[id]:
                            self.wrong("class", f"tell {id} was refused with {end['code']}, and ran")
                if len(ends[id]) > 1:
                    self.wrong("once", f"{e['ev']} {id} ended {len(ends[id])} times")
        for id, times in self.ran.items():
            if times > 1:
                self.wrong("at most once", f"{id} ran {times} times")
        over.sort()
        self.figures["asks"] = f"{count}: {dict(codes.most_common())}"
        self.figures["delivery of failed asks"] = dict(classes)
        if over:
            self.figures["ask past its deadline, ms"] = f"most {over[-1] / 1000:.1f}, 99.9 % {over[len(over) * 999 // 1000] / 1000:.1f}, of {len(over)} timeouts"

    def ask(self, log, id, e, ends, over, codes, classes):
        deadline = e["t"] + e["ms"] * 1000
        if not ends:
            limit = deadline + CONFIRM_US + CLOCK_US
            if log.ended > limit + log.lateness(e["t"], log.ended):
                self.wrong("end", f"ask {id} of {log.name} never ended ({(log.ended - deadline) / 1e6:.2f} s past its deadline)")
            return
        end = ends[0]
        code, delivery = end["code"], end["dl"]
        codes[code] += 1
        past = end["t"] - deadline - log.lateness(deadline - 20_000, end["t"])
        if code == "timeout":
            over.append(past)
        if past > CONFIRM_US + CLOCK_US:
            self.wrong("deadline", f"ask {id} ended {code} {past / 1000:.0f} ms after its deadline (own lateness taken off)")
        if code not in ASK_CODES:
            self.wrong("class", f"ask {id} ended with {code} {delivery}")
        if code != "ok":
            classes[f"{code} {delivery}"] += 1
        if delivery == "not_sent" and self.ran[id]:
            self.wrong("class", f"ask {id} ended {code} not_sent, and ran")
        if (code == "ok" or delivery == "handled") and not self.ran[id]:
            self.wrong("class", f"ask {id} ended {code} {delivery}, and never ran")
        if code == "handler" and delivery != "handled" or code != "ok" and delivery not in ("not_sent", "unknown", "handled"):
            self.wrong("class", f"ask {id} ended {code} with delivery {delivery!r}")

    def order(self):
        pairs = 0
        for log in self.logs.values():
            last = {}
            for e in log.events:
                if e["ev"] == "ran" and e["lane"]:
                    key = e["lane"], e["at"]
                    if key not in last:
                        pairs += 1
                    elif e["seq"] <= last[key]:
                        self.wrong("order", f"{e['id']} of {key}: {e['seq']} after {last[key]}")
                    last[key] = e["seq"]
        self.figures["messages run"] = f"{sum(self.ran.values())} over {pairs} pairs"

    def conservation(self):
        """Tells taken = run + said to be undelivered + lost in a mailbox with a killed process."""
        taken = lost = said = 0
        for log in self.logs.values():
            tells, missing, und = {}, collections.defaultdict(list), collections.Counter()
            for e in log.events:
                if e["ev"] == "tell":
                    tells[e["id"]] = e
                elif e["ev"] == "end" and e["id"] in tells:
                    if e["code"] == "ok":
                        taken += 1
                        if not self.ran[e["id"]]:
                            missing[tells[e["id"]]["to"]].append(tells[e["id"]])
                elif e["ev"] == "und":
                    und[e["to"]] += e["count"]
            said += sum(und.values())
            if log.how != "quiet":
                continue  # its queue went with it
            for to, gone in missing.items():
                open_count = len(gone) - und[to] - und[""]
                if open_count <= 0:
                    continue
                target = self.owner.get(to)
                killed = target and target.how == "kill" and sum(target.ended - 5_000_000 <= e["t"] <= target.ended for e in gone)
                if killed and open_count <= killed:
                    lost += open_count
                    continue
                what = ", ".join(f"{e['id']} at {e['t']}" for e in gone[:4])
                self.wrong("unaccounted", f"{open_count} tells of {log.name} to {to} ({target.name if target else '?'}): {what}")
        self.figures["tells taken"] = f"{taken}; said undelivered {said}, gone in the mailbox of a killed process {lost}"

    def deaths(self):
        told_kill, told_actor, told_silent, count = [], [], [], 0
        for log in self.logs.values():
            open_watches = {}
            for e in log.events:
                if e["ev"] in ("watch", "link"):
                    open_watches[e["at"], e["to"]] = e
                elif e["ev"] == "down":
                    count += 1
                    watch = open_watches.pop((e["at"], e["to"]), None)
                    self.down(log, e, watch, told_kill, told_actor, told_silent)
            for (at, to), watch in open_watches.items():
                self.untold(log, at, to, watch)
        for what, took in (("after kill -9", told_kill), ("of an actor", told_actor), ("across an impairment", told_silent)):
            if took:
                took.sort()
                self.figures[f"death told {what}, ms"] = f"{len(took)} times, median {took[len(took) // 2] / 1000:.1f}, most {took[-1] / 1000:.1f}"
        self.figures["deaths told"] = count

    def down(self, log, e, watch, told_kill, told_actor, told_silent):
        target = self.owner.get(e["to"])
        if watch is None:
            # The other side of a link: a worker is told of a leaf, at most once.
            key = e["at"], e["to"]
            if key in self.leaves_told:
                self.wrong("death once", f"{log.name}: {e['at']} was told twice of {e['to']}")
            self.leaves_told.add(key)
            if e["at"] not in self.workers:
                self.wrong("death once", f"{log.name}: {e['at']} was told {e['kind']} of {e['to']}, which it did not watch (any more)")
            return
        if target is None:
            return
        ended = self.ended_at(e["to"], target)
        pair = log.node, target.node
        if ended is None or ended > e["t"]:
            if not self.may_be_lost(*pair, e["t"]):
                self.wrong("false death", f"{log.name} was told {e['kind']} of {e['to']} of {target.name} at {e['t']}, which lived")
            return
        begun = max(ended, watch["t"])
        took = e["t"] - begun - log.lateness(begun, e["t"])
        if watch["t"] > ended:
            limit = self.peer_timeout + 5_000_000  # who is asked may have to be dialled
        elif self.impaired(*pair, ended, e["t"]):
            told_silent.append(took)
            limit = self.peer_timeout + SETTLE_US
        else:
            (told_kill if ended == target.ended else told_actor).append(took)
            limit = TOLD_US
        if took > limit + CLOCK_US:
            self.wrong("death in time", f"{log.name} was told {e['kind']} of {e['to']} of {target.name} after {took / 1000:.0f} ms, not {limit / 1000:.0f}")

    def ended_at(self, ref, owner):
        if ref in self.died:
            return self.died[ref]
        return owner.ended if owner.how != "quiet" else None

    def untold(self, log, at, to, watch):
        target = self.owner.get(to)
        ended = target and self.ended_at(to, target)
        if not ended:
            return
        limit = max(ended, watch["t"]) + self.peer_timeout + 5_000_000
        if limit + log.lateness(ended, log.ended) < min(log.ended, self.died.get(at, log.ended)):
            self.wrong("death told", f"{log.name} was never told of {to} of {target.name} (watch {watch['id']}, ended {ended})")

    def names(self):
        """At the end every name is found from every node; on the way no name of the long dead is."""
        stale = 0
        for log in self.logs.values():
            looks = {e["id"]: e for e in log.events if e["ev"] == "look"}
            for e in log.events:
                if e["ev"] == "end" and e["id"] in looks and e["code"] == "ok" and e["ref"] in self.owner:
                    ended = self.ended_at(e["ref"], self.owner[e["ref"]])
                    if ended and e["t"] > ended:
                        stale = max(stale, e["t"] - ended - log.lateness(ended, e["t"]))
                        pair = log.node, self.owner[e["ref"]].node
                        if e["t"] - ended - log.lateness(ended, e["t"]) > self.peer_timeout + SETTLE_US and not self.impaired(*pair, ended, e["t"]):
                            self.wrong("names", f"{log.name} found {e['ref']} {(e['t'] - ended) / 1e6:.1f} s after its end")
        self.figures["a name of the dead was last handed out after, ms"] = f"{stale / 1000:.0f}"

    def recovery(self):
        """After each fault the pair answers again."""
        oks = collections.defaultdict(list)
        for log in self.logs.values():
            asks = {e["id"]: e for e in log.events if e["ev"] == "ask"}
            for e in log.events:
                if e["ev"] == "end" and e["code"] in ("ok", "handler") and e["id"] in asks and asks[e["id"]]["to"] in self.owner:
                    oks[log.node, self.owner[asks[e["id"]]["to"]].node].append(asks[e["id"]]["t"])
        for times in oks.values():
            times.sort()
        worst = collections.defaultdict(int)
        for begin, end, kind, nodes in self.faults:
            if end + HEAL_US > self.load_end:
                continue
            for (a, b), times in oks.items():
                if a == b or not set(nodes) <= {a, b}:
                    continue
                over = any(f[2] != "slow" and f[0] <= end + HEAL_US and f[1] >= end and f[:3] != [begin, end, kind] and set(f[3]) & {a, b} for f in self.faults)
                at = bisect.bisect_left(times, end)
                took = times[at] - end if at < len(times) else HEAL_US * 2
                if not over:
                    worst[kind] = max(worst[kind], took)
                    if took > HEAL_US:
                        self.wrong("recovery", f"{a} got no answer of {b} for {took / 1e6:.0f} s after {kind}")
        self.figures["first ask answered after a fault's end, s"] = {k: round(v / 1e6, 2) for k, v in worst.items()}

    def memory(self):
        """Nodes that lived through all of it: flat after the first quarter, and not more at the end."""
        for name, rows in self.samples.items():
            log = self.logs[name]
            if len(rows) < 20 or log.begun > rows[0][0] + 1_000_000:
                continue
            warm = [row for row in rows if row[0] > rows[0][0] + (self.load_end - rows[0][0]) / 3 and row[0] <= self.load_end]
            quiet = [row for row in rows if row[0] > self.load_end]
            if not quiet or len(warm) < 8:
                continue
            n = len(warm)
            mean_t, mean_m = sum(r[0] for r in warm) / n, sum(r[1] for r in warm) / n
            slope = sum((r[0] - mean_t) * (r[1] - mean_m) for r in warm) / sum((r[0] - mean_t) ** 2 for r in warm) * 60e6
            grown = quiet[-1][1] - max(r[1] for r in warm[:n // 4 + 1])
            self.figures[f"{name} memory"] = f"{warm[0][1]} KiB a third in, {quiet[-1][1]} at the end; {slope:+.0f} KiB/min; descriptors {warm[0][2]} .. {max(r[2] for r in rows)}, {quiet[-1][2]} at the end"
            if grown > 2048 + warm[0][1] * 0.02:
                self.wrong("memory", f"{name} grew by {grown} KiB after its warm-up")
            if quiet[-1][2] > max(r[2] for r in warm[:n // 4 + 1]) + 8:
                self.wrong("descriptors", f"{name} ends with {quiet[-1][2]}")

    def lateness(self):
        stops = [f for f in self.faults if f[2] == "stop"]
        worst = 0
        for log in self.logs.values():
            for begin, end in log.late:
                if not any(f[0] <= end and f[1] + 300_000 >= begin and f[3] == [log.node] for f in stops):
                    worst = max(worst, end - begin)
        self.figures["scheduling: a process not run for, ms (stops apart)"] = f"{worst / 1000:.0f}"

    def check(self):
        self.leaves_told = set()
        for rule in (self.asks, self.order, self.conservation, self.deaths, self.names, self.recovery, self.memory, self.lateness):
            rule()
        return self.bad


def main():
    run = Run(pathlib.Path(sys.argv[1]))
    run.check()
    for what, figure in run.figures.items():
        print(f"        {what}: {figure}")
    for rule, text in run.bad[:60]:
        print(f"WRONG   {rule}: {text}")
    print(f"{len(run.bad)} violations")
    return len(run.bad) > 0


if __name__ == "__main__":
    sys.exit(main())
