"""A link between two network namespaces, packet by packet, as bad as wanted.   python3 packets.py NAMESPACE_A NAMESPACE_B (root)

A point-to-point interface `shoal0` in each (10.99.0.1 and 10.99.0.2); what is sent into one comes out of the other. Commands are
JSON lines on standard input, each answered with one line:

    {"from": 0, "delay_ms": 50, "jitter_ms": 10, "loss": 0.05, "twice": 0.01, "rate": 125000, "room": 8, "black": true}

says how packets of side 0 or 1 fare from now on: late, each by a delay of its own (so they overtake), lost, doubled, at so many bytes
a second through a queue of `room` packets, or gone. What is left out is as without. {} answers counters. It ends with its input."""
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
NONE = {"delay_ms": 0, "jitter_ms": 0, "loss": 0, "twice": 0, "rate": 0, "room": 1000, "black": False}


def enter(namespace):
    with open(namespace) as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")


def tun_in(namespace, side):
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    enter(f"/run/netns/{namespace}")
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH", b"shoal0", IFF_TUN | IFF_NO_PI))
    for words in (["addr", "add", f"10.99.0.{side + 1}", "peer", f"10.99.0.{2 - side}", "dev", "shoal0"], ["link", "set", "shoal0", "up"], ["link", "set", "lo", "up"]):
        subprocess.run(["ip", *words], check=True)
    enter(f"/proc/self/fd/{home}")
    os.close(home)
    return fd


class Packets:
    def __init__(self, namespaces):
        self.sides = [tun_in(name, side) for side, name in enumerate(namespaces)]
        self.policy, self.free_at, self.queued = [NONE, NONE], [0, 0], [0, 0]
        self.passed, self.lost = [0, 0], [0, 0]
        self.waiting, self.serial, self.input = [], 0, b""
        self.random = random.Random(1)

    def send(self, side, packet):
        self.queued[side] -= 1
        self.passed[side] += 1
        try:
            os.write(self.sides[1 - side], packet)
        except OSError:
            pass

    def take(self, side):
        policy = self.policy[side]
        try:
            packet = os.read(self.sides[side], 65536)
        except OSError:
            return
        if policy["black"] or self.random.random() < policy["loss"] or self.queued[side] >= policy["room"]:
            self.lost[side] += 1
            return
        for _ in range(2 if self.random.random() < policy["twice"] else 1):
            due = time.monotonic() + (policy["delay_ms"] + self.random.uniform(0, policy["jitter_ms"])) / 1000
            if policy["rate"]:
                due = self.free_at[side] = max(self.free_at[side], due) + len(packet) / policy["rate"]
            self.queued[side] += 1
            self.serial += 1
            heapq.heappush(self.waiting, (due, self.serial, side, packet))

    def commands(self):
        got = os.read(0, 65536)
        *lines, self.input = (self.input + got).split(b"\n")
        for line in lines:
            wanted = json.loads(line)
            if "from" in wanted:
                self.policy[wanted["from"]] = {**NONE, **wanted}
            os.write(1, json.dumps({"passed": self.passed, "lost": self.lost}).encode() + b"\n")
        return bool(got)

    def run(self):
        os.write(1, b"{}\n")
        poll = select.epoll()
        for fd in (0, *self.sides):
            poll.register(fd, select.EPOLLIN)
        while True:
            wait = max(self.waiting[0][0] - time.monotonic(), 0) if self.waiting else -1
            for fd, _ in poll.poll(wait):
                if fd == 0:
                    if not self.commands():
                        return
                else:
                    self.take(self.sides.index(fd))
            now = time.monotonic()
            while self.waiting and self.waiting[0][0] <= now:
                _, _, side, packet = heapq.heappop(self.waiting)
                self.send(side, packet)


if __name__ == "__main__":
    Packets(sys.argv[1:3]).run()
