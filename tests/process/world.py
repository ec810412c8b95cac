"""Processes under test: started, driven by lines, killed, stopped and ended; only those that were started here."""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD_DIR") or ROOT / "build/dev")
HOST = BUILD / "tests/process_host"
PATIENCE_S = 15
PEER_LOST, GONE = 4, 6  # kinds of a death
NOT_SENT, UNKNOWN, HANDLED = 1, 2, 3  # delivery of an ask that failed


class Gone(Exception):
    """The process ended while something was expected of it."""


class Host:
    """A process_host. Its lines are kept: ends by their id, events in order."""

    def __init__(self, *options, prefix=(), **more):
        """prefix: a command that becomes the host, such as prlimit; more: for Popen."""
        self.process = subprocess.Popen([*prefix, str(HOST), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, **more)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest, self.ends, self.events, self.count = b"", {}, [], 0
        ready = self.event("ready")
        self.peer, self.address = ready["peer"], ready["address"]

    @property
    def pid(self):
        return self.process.pid

    def read(self, wait_s):
        """Takes what the process has said; waits up to wait_s for the first of it."""
        if not select.select([self.process.stdout], [], [], max(wait_s, 0))[0]:
            return
        got = os.read(self.process.stdout.fileno(), 1 << 20)
        if not got:
            raise Gone(f"process {self.pid} ended with {self.process.wait()}")
        *lines, self.rest = (self.rest + got).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "event" in said:
                self.events.append(said)
            else:
                self.ends.setdefault(said["id"], []).append(said)

    def until(self, found, what, patience_s=PATIENCE_S):
        """Reads until found() gives something."""
        end = time.monotonic() + patience_s
        while not (got := found()):
            if time.monotonic() > end:
                raise AssertionError(f"no {what} within {patience_s} s; events: {self.events[-5:]}")
            self.read(end - time.monotonic())
        return got

    def send(self, *words):
        """Gives a command; its id."""
        self.count += 1
        name = f"{'*' if words[0] == 'lookup_all' else ''}{self.count}"
        self.process.stdin.write((" ".join([name, *map(str, words)]) + "\n").encode())
        return name

    def end(self, name, patience_s=PATIENCE_S):
        return self.until(lambda: self.ends.get(name), f"end of {name}", patience_s)[0]

    def do(self, *words, patience_s=PATIENCE_S):
        """Gives a command and waits for its end, whatever that is."""
        return self.end(self.send(*words), patience_s)

    def ok(self, *words, patience_s=PATIENCE_S):
        end = self.do(*words, patience_s=patience_s)
        assert end["code"] == "ok", f"{words}: {end}"
        return end

    def event(self, name, patience_s=PATIENCE_S, after_us=0, **fields):
        def found():
            return [e for e in self.events if e["event"] == name and e["t_us"] > after_us and all(e.get(k) == v for k, v in fields.items())]
        return self.until(found, f"event {name} {fields}", patience_s)[0]

    def settle(self, seconds):
        """Reads for a while; what must not come has then had its time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.read(left)

    def spawn(self, *mailbox):
        return self.ok("spawn", *mailbox)["ref"]

    def ask(self, ref, name, value=0, ms=5000):
        return self.do("ask", ref, name, value, ms)

    def rss_kib(self):
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    def signal(self, number):
        os.kill(self.pid, number)

    def stopped(self):
        """SIGSTOP, and wait until it stands."""
        self.signal(signal.SIGSTOP)
        while True:
            with open(f"/proc/{self.pid}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] in "Tt":
                    return

    def kill(self):
        """kill -9; the moment, in microseconds of the monotonic clock."""
        at = time.monotonic_ns() // 1000
        self.process.kill()
        self.process.wait()
        return at

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def downs(host, ref):
    return [e for e in host.events if e["event"] == "down" and e["ref"] == ref]


def watcher_on(host, ref):
    """A probe that monitors ref, surely known to ref's node: an ask behind the monitor was answered."""
    watcher = host.spawn()
    for asked, name, value in ((watcher, "watch", ref), (ref, "inc", 0)):
        end = host.ask(asked, name, value, 10000)
        assert end["code"] == "ok", end
    return watcher


class World:
    """The processes and files of one test."""

    def __init__(self):
        self.hosts, self.folder = [], None

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        for host in self.hosts:
            host.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def host(self, *options, **how):
        host = Host(*options, **how)
        self.hosts.append(host)
        return host

    def pair(self, *options):
        """Two connected hosts, the second with a registered probe: a, b, the probe as a found it."""
        b = self.host(*options)
        a = self.host(*options)
        probe = b.spawn()
        b.ok("register", probe, "probe")
        a.ok("dial", b.address)
        return a, b, a.ok("lookup", "probe", 5000)["ref"]

    def path(self, name):
        self.folder = self.folder or tempfile.mkdtemp(prefix="shoal-process-")
        return os.path.join(self.folder, name)
