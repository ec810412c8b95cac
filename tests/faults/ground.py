"""What the fault tests stand on: hosts behind the relay or in network namespaces, and waiting with a deadline."""
import json
import os
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "process"), str(HERE.parent / "chaos")]
from swarm import Program, Relay, now_us, until  # noqa: E402,F401
from world import BUILD, GONE, HANDLED, NOT_SENT, PEER_LOST, UNKNOWN, Gone, Host, World, downs, watcher_on  # noqa: E402,F401

TOLD_MS, CONFIRM_MS, CLOCK_MS = 250, 100, 40


class NeedsRoot(Exception):
    """Fails the row: it is not proven here."""


def need_root(what):
    if os.geteuid() != 0:
        raise NeedsRoot(f"needs root: {what}")


class Ground(World):
    """The processes of one fault, the relay and the namespaces too; and what was measured."""

    def __init__(self):
        super().__init__()
        self.figures, self.links, self.namespaces, self.others = [], None, [], []

    def __exit__(self, *failure):
        super().__exit__(*failure)
        for process in self.others:
            if process.poll() is None:
                process.kill()
            process.wait()
        if self.links:
            self.links.close()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "del", name], check=False)

    def measured(self, what, value, unit=""):
        self.figures.append(f"{what} {value:.0f}{unit}" if isinstance(value, float) else f"{what} {value}{unit}")

    # ---- hosts behind the relay

    @property
    def relay(self):
        self.links = self.links or Relay()
        return self.links

    def behind(self, index, name, *options, **how):
        """A host that says it is where the relay listens."""
        inside, outside = self.relay.door(index, name)
        return self.again(index, name, (inside, outside), *options, **how)

    def again(self, index, name, places, *options, **how):
        host = self.host(f"listen={places[0]}", f"announce={places[1]}", *options, **how)
        self.relay("owner", name=name, pid=host.pid)
        host.name, host.places = name, places
        host.address = places[1]
        return host

    def linked(self, *options):
        """a and b behind the relay; the probe of b, as a found it."""
        b = self.behind(1, "b", *options)
        a = self.behind(0, "a", f"dial={b.address}", *options)
        a.event("peer_up")
        return (a, b, *self.probe_of(a, b))

    def probe_of(self, a, b, name="probe"):
        probe = b.spawn()
        b.ok("register", probe, name)
        return (a.ok("lookup", name, 10000, patience_s=20)["ref"],)

    # ---- hosts in namespaces of their own

    def namespace(self):
        need_root("a network namespace")
        name = f"shoal-{os.getpid()}-{len(self.namespaces)}"
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.namespaces.append(name)
        return name

    def apart(self, *options):
        """a and b in two namespaces with a packet link between them: a, b, b's probe, and the link (call it to change it)."""
        names = [self.namespace(), self.namespace()]
        link = PacketLink(names)
        self.others.append(link.process)
        inside = [["ip", "netns", "exec", name] for name in names]
        b = self.host("listen=/ip4/10.99.0.2/tcp/4001", *options, prefix=inside[1])
        a = self.host("listen=/ip4/10.99.0.1/tcp/4001", f"dial={b.address}", *options, prefix=inside[0])
        a.event("peer_up")
        return (a, b, *self.probe_of(a, b), link)


class PacketLink(Program):
    def __init__(self, names):
        if not os.path.exists("/dev/net/tun"):
            os.makedirs("/dev/net", exist_ok=True)
            os.mknod("/dev/net/tun", 0o20666, os.makedev(10, 200))
        super().__init__(sys.executable, HERE / "packets.py", *names)
        assert self.line() == "{}", "no packet link"

    def __call__(self, *sides, **policy):
        """The policy of packets sent by these sides (0: a, 1: b; both when none is given); the counters."""
        answer = None
        for side in sides or (0, 1):
            self.say(json.dumps({"from": side, **policy}))
            answer = json.loads(self.line())
        return answer


def asks_go_on(host, ref, seconds, every_s=0.05, ms=5000):
    """An ask each so often, for a while; their ends."""
    names, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        names.append((host.send("ask", ref, "inc", 0, ms), now_us()))
        host.settle(every_s)
    return [(host.end(name, ms / 1000 + 5), at) for name, at in names]


def answered_again(host, ref, patience_s):
    """Seconds until an ask is answered."""
    begun = time.monotonic()
    while time.monotonic() < begun + patience_s:
        if host.ask(ref, "inc", ms=1000)["code"] == "ok":
            return time.monotonic() - begun
    raise AssertionError(f"no answer within {patience_s} s")


def cpu_s(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))

