"""What chaos and fault runs are made of: the relay, node processes of three languages, their logs."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from lines import Program  # noqa: E402

ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD_DIR") or ROOT / "build/dev")
LANGUAGES = {
    "c": [str(BUILD / "tests/chaos_host")],
    "lua": ["lua5.4", str(HERE / "host.lua")],
    "python": [os.environ.get("SHOAL_CHAOS_PYTHON", sys.executable), str(HERE / "host.py")],
}
PORT = 4001


def now_us():
    return time.monotonic_ns() // 1000


def until(found, what, patience_s=15, step_s=0.005):
    """Polls until found() gives something."""
    end = time.monotonic() + patience_s
    while not (got := found()):
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {patience_s} s")
        time.sleep(step_s)
    return got


class Relay(Program):
    """The relay's process, told what to do. Addresses: a /24 of loopback of its own, nodes at .1 on, their doors at .101 on."""

    def __init__(self, netns=()):
        super().__init__(*netns, sys.executable, HERE / "relay.py")
        self.net = f"127.{random.SystemRandom().randrange(16, 250)}.{random.SystemRandom().randrange(1, 250)}"

    def __call__(self, do, **fields):
        self.say(json.dumps({"do": do, **fields}))
        answer = json.loads(self.line())
        assert "error" not in answer, answer
        return answer

    def door(self, index, name):
        """A place before node `index`: where it listens really, and where it says that it does."""
        inside, outside = f"{self.net}.{index + 1}", f"{self.net}.{index + 101}"
        self("listen", name=name, at=[outside, PORT], to=[inside, PORT])
        return f"/ip4/{inside}/tcp/{PORT}", f"/ip4/{outside}/tcp/{PORT}"

    def pair(self, a, b, **policy):
        """Both directions between two nodes."""
        self("flow", **{"from": a, "to": b}, **policy)
        self("flow", **{"from": b, "to": a}, **policy)

    def doors(self, a, b, mode):
        self("door", **{"from": a, "to": b}, mode=mode)
        self("door", **{"from": b, "to": a}, mode=mode)

    def cut(self, a, b, how="rst"):
        self("cut", **{"from": a, "to": b}, how=how)


class Life:
    """One process of a node: its log, its end."""

    def __init__(self, node, number, folder, options):
        self.node, self.number = node, number
        self.name = f"{node.name}.{number}"
        self.path = folder / f"{self.name}.log"
        self.begun_us, self.ended_us, self.how = now_us(), None, None
        with open(self.path, "wb") as log:
            self.process = subprocess.Popen([*LANGUAGES[node.language], *options], stdin=subprocess.PIPE, stdout=log)
        os.set_blocking(self.process.stdin.fileno(), False)
        self.file = open(self.path, "rb")
        self.rest = b""
        self.peer = None

    def lines(self):
        """What it has said since the last time."""
        got = self.file.read()
        if not got:
            return []
        *lines, self.rest = (self.rest + got).split(b"\n")
        return [json.loads(line) for line in lines]

    def send(self, *words):
        """A command; whether it went out whole."""
        text = (" ".join(map(str, words)) + "\n").encode()
        try:
            return os.write(self.process.stdin.fileno(), text) == len(text)
        except (BlockingIOError, BrokenPipeError):
            return False

    def end(self, how):
        self.ended_us, self.how, self.peer = now_us(), how, None
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()

    def leave(self, patience_s=10):
        """Ends by itself, when its input does."""
        self.process.stdin.close()
        self.process.wait(patience_s)
        self.ended_us, self.how = now_us(), "left"

    def status(self):
        """KiB resident, descriptors open."""
        with open(f"/proc/{self.process.pid}/status") as file:
            rss = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
        return rss, len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Node:
    """A place in the swarm: one process after the other."""

    def __init__(self, index, language, relay, folder):
        self.index, self.language, self.relay, self.folder = index, language, relay, folder
        self.name = f"{language}{index}"
        self.listen, self.address = relay.door(index, self.name)
        relay("shut", name=self.name)
        self.key, self.life, self.count = folder / f"{self.name}.key", None, 0
        self.stopped = False

    def start(self, dial, *options, new_key=False):
        if new_key:
            self.key.unlink(missing_ok=True)
        self.count += 1
        self.life = Life(self, self.count, self.folder, [f"listen={self.listen}", f"announce={self.address}", f"key={self.key}",
                                                         *(f"dial={address}" for address in dial), *options])
        self.relay("owner", name=self.name, pid=self.life.process.pid)
        self.relay("open", name=self.name)
        return self.life

    def signal(self, number):
        os.kill(self.life.process.pid, number)
        if number == signal.SIGSTOP:
            self.stopped = True
            while self.state() not in "Tt":
                time.sleep(0.001)
        elif number == signal.SIGCONT:
            self.stopped = False

    def state(self):
        with open(f"/proc/{self.life.process.pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
