"""An impairment relay: links between processes that can be slow, stalled, cut or corrupting.   python3 relay.py

It listens where nodes say that they are, and hands connections on to where they really are. Who dialled is known by the
process that owns the other end of the connection, so that each ordered pair of nodes has a policy of its own.
Commands come as JSON lines on standard input, each is answered with one line (`{}` or an error):

    {"do": "listen", "name": "b", "at": ["127.1.1.2", 4001], "to": ["127.1.1.1", 4001]}   answers the port; port 0: any
    {"do": "shut", "name": "b"}, {"do": "open", "name": "b"}   its place refuses, as when nobody listens; and no more
    {"do": "owner", "name": "a", "pid": 77}       connections of this process are a's
    {"do": "flow", "from": "a", "to": "b", "mode": "stall", "delay_ms": 20, "jitter_ms": 10, "rate": 125000}
                                                  bytes from a to b, whoever dialled; what is left out is as without
        mode pass; stall: nothing passes, also no end, until the mode changes; drop: bytes vanish; corrupt: one bit in
        each `every` bytes (4096) is turned over
    {"do": "door", "from": "a", "to": "b", "mode": "refuse"}   new connections of a to b: pass, refuse (reset)
    {"do": "cut", "from": "a", "to": "b", "how": "rst"}        ends those between the two now: rst, fin; "only": "a>b": that a dialled
    {"do": "clear"}                               all flows and doors as at the start
    {"do": "stats"}                               connections, bytes

"*" as from or to stands for everybody. It ends with its input."""
import collections
import heapq
import json
import os
import random
import select
import socket
import struct
import sys
import time

ROOM = 256 * 1024  # bytes that wait in one direction of one connection
RESET = struct.pack("ii", 1, 0)
PASS = {"mode": "pass", "delay_ms": 0, "jitter_ms": 0, "rate": 0, "every": 4096}
FIN, RST = "fin", "rst"


class Flow:
    """One direction of a connection: what was read and has not yet been written."""

    def __init__(self, conn, source, target, key):
        self.conn, self.source, self.target, self.key = conn, source, target, key
        self.waiting = collections.deque()  # (due, bytes or FIN or RST)
        self.held, self.last_due, self.free_at, self.passed = 0, 0, 0, 0
        self.reading_over = self.writing_over = False


class Conn:
    def __init__(self, dialler, name, client, server, port):
        self.name, self.client, self.server, self.port = name, client, server, port
        self.up, self.down = Flow(self, client, server, None), Flow(self, server, client, None)
        self.belongs_to(dialler)
        self.connecting = True

    def belongs_to(self, dialler):
        self.dialler, self.up.key, self.down.key = dialler, (dialler, self.name), (self.name, dialler)


class Relay:
    def __init__(self):
        self.poll = select.epoll()
        self.listeners, self.places, self.owners, self.flows, self.doors = {}, {}, {}, {}, {}
        self.by_fd, self.masks, self.conns, self.timers = {}, {}, set(), []
        self.random = random.Random(1)
        self.accepted = self.unknown = 0
        self.input = b""
        self.serial = 0

    # ---- policies

    def policy(self, table, key, default):
        for one in (key, (key[0], "*"), ("*", key[1]), ("*", "*")):
            if one in table:
                return table[one]
        return default

    def flow_policy(self, flow):
        return self.policy(self.flows, flow.key, PASS)

    def obey(self, m):
        what = m["do"]
        if what == "shut":
            for fd, (s, name, _) in list(self.listeners.items()):
                if name == m["name"]:
                    del self.listeners[fd]
                    s.close()
        elif what in ("listen", "open"):
            m = {**self.places.get(m["name"], {}), **m}
            self.places[m["name"]] = m
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(tuple(m["at"]))
            s.listen(256)
            s.setblocking(False)
            self.listeners[s.fileno()] = (s, m["name"], tuple(m["to"]))
            self.poll.register(s.fileno(), select.EPOLLIN)
            return {"port": s.getsockname()[1]}
        elif what == "owner":
            self.owners = {pid: name for pid, name in self.owners.items() if name != m["name"]}
            self.owners[m["pid"]] = m["name"]
            for conn in self.conns:  # dialled before its owner was told
                if conn.dialler == "?":
                    conn.belongs_to(self.owner_of(conn.port))
        elif what == "flow":
            self.flows[m["from"], m["to"]] = {**PASS, **{k: v for k, v in m.items() if k in PASS}}
            self.wake()
        elif what == "door":
            self.doors[m["from"], m["to"]] = m["mode"]
        elif what == "cut":
            pair = {m["from"], m["to"]}
            only = m.get("only")  # "a>b": those that a dialled
            for conn in [c for c in self.conns if {c.dialler, c.name} == pair and only in (None, f"{c.dialler}>{c.name}")]:
                self.end(conn, m.get("how", "rst"))
        elif what == "clear":
            self.flows, self.doors = {}, {}
            self.wake()
        elif what == "stats":
            return {"connections": len(self.conns), "accepted": self.accepted, "unknown": self.unknown,
                    "bytes": sum(c.up.passed + c.down.passed for c in self.conns),
                    "pairs": sorted(f"{c.dialler}>{c.name}" for c in self.conns)}
        else:
            return {"error": f"no such command: {what}"}
        return {}

    def wake(self):
        for conn in list(self.conns):
            for flow in (conn.up, conn.down):
                self.write(flow)
            self.watch(conn)

    # ---- connections

    def owner_of(self, port):
        """The name of the process that owns the loopback socket of this port."""
        with open("/proc/net/tcp") as file:
            inodes = {line.split()[9] for line in file if line.split()[1].endswith(f":{port:04X}")}
        links = {f"socket:[{inode}]" for inode in inodes}
        for pid, name in self.owners.items():
            try:
                if any(os.readlink(f"/proc/{pid}/fd/{fd}") in links for fd in os.listdir(f"/proc/{pid}/fd")):
                    return name
            except OSError:
                continue
        self.unknown += 1
        return "?"

    def accept(self, listener, name, to):
        try:
            client, address = listener.accept()
        except OSError:
            return
        self.accepted += 1
        client.setblocking(False)
        dialler = self.owner_of(address[1]) if self.owners else "?"
        if self.policy(self.doors, (dialler, name), "pass") == "refuse":
            self.reset(client)
            return
        server = socket.socket()
        server.setblocking(False)
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            server.connect(to)
        except BlockingIOError:
            pass
        except OSError:
            server.close()
            self.reset(client)
            return
        conn = Conn(dialler, name, client, server, address[1])
        self.conns.add(conn)
        self.by_fd[client.fileno()] = self.by_fd[server.fileno()] = conn
        self.watch(conn)

    @staticmethod
    def reset(s):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass
        s.close()

    def end(self, conn, how):
        for s in (conn.client, conn.server):
            if s.fileno() >= 0:
                self.unwatch(s.fileno())
                self.by_fd.pop(s.fileno(), None)
                if how == RST:
                    self.reset(s)
                else:
                    s.close()
        self.conns.discard(conn)

    def unwatch(self, fd):
        if self.masks.pop(fd, 0):
            self.poll.unregister(fd)

    def watch(self, conn):
        """Asks epoll for what each side may do now; a side that may do nothing is not watched at all (its end would spin)."""
        if conn not in self.conns:
            return
        now = time.monotonic()
        for s, out, into in ((conn.client, conn.up, conn.down), (conn.server, conn.down, conn.up)):
            mask = 0
            if conn.connecting:
                mask = select.EPOLLOUT if s is conn.server else 0
            else:
                if not out.reading_over and out.held < ROOM and self.flow_policy(out)["mode"] != "stall":
                    mask |= select.EPOLLIN
                if into.waiting and into.waiting[0][0] <= now and self.flow_policy(into)["mode"] != "stall":
                    mask |= select.EPOLLOUT
            fd = s.fileno()
            if mask == self.masks.get(fd, 0):
                continue
            if not mask:
                self.unwatch(fd)
            elif fd in self.masks:
                self.poll.modify(fd, mask)
                self.masks[fd] = mask
            else:
                self.poll.register(fd, mask)
                self.masks[fd] = mask

    def put(self, flow, what):
        policy, now = self.flow_policy(flow), time.monotonic()
        late = policy["delay_ms"] + (self.random.uniform(0, policy["jitter_ms"]) if policy["jitter_ms"] else 0)
        due = max(now + late / 1000, flow.last_due)
        if isinstance(what, bytes):
            if policy["mode"] == "drop":
                return
            if policy["mode"] == "corrupt":
                spoilt = bytearray(what)
                for at in range(self.random.randrange(policy["every"]), len(spoilt), policy["every"]):
                    spoilt[at] ^= 1 << self.random.randrange(8)
                what = bytes(spoilt)
            if policy["rate"]:
                due = flow.free_at = max(flow.free_at, due) + len(what) / policy["rate"]
            flow.held += len(what)
        flow.last_due = due
        flow.waiting.append((due, what))
        if due > now:
            self.serial += 1
            heapq.heappush(self.timers, (due, self.serial, flow))

    def read(self, flow):
        rate = self.flow_policy(flow)["rate"]
        try:
            got = flow.source.recv(min(65536, max(int(rate / 20), 1500)) if rate else 65536)
        except BlockingIOError:
            return
        except OSError:
            flow.reading_over = True
            self.put(flow, RST)
            return
        if not got:
            flow.reading_over = True
        self.put(flow, got or FIN)

    def write(self, flow):
        now = time.monotonic()
        conn = flow.conn
        if conn.connecting or conn not in self.conns or self.flow_policy(flow)["mode"] == "stall":
            return
        while flow.waiting and flow.waiting[0][0] <= now:
            due, what = flow.waiting[0]
            if what == RST:
                self.end(conn, RST)
                return
            if what == FIN:
                flow.waiting.popleft()
                flow.writing_over = True
                if conn.up.writing_over and conn.down.writing_over:
                    self.end(conn, FIN)
                    return
                try:
                    flow.target.shutdown(socket.SHUT_WR)
                except OSError:
                    pass
                continue
            try:
                sent = flow.target.send(what)
            except BlockingIOError:
                return
            except OSError:
                self.end(conn, RST)
                return
            flow.held -= sent
            flow.passed += sent
            if sent < len(what):
                flow.waiting[0] = (due, what[sent:])
                return
            flow.waiting.popleft()

    def connected(self, conn):
        if conn.server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.end(conn, RST)
            return
        conn.connecting = False

    def turn(self, fd, events):
        conn = self.by_fd.get(fd)
        if conn is None or fd not in self.masks:
            return
        if conn.connecting:
            self.connected(conn)
        else:
            out, into = (conn.up, conn.down) if fd == conn.client.fileno() else (conn.down, conn.up)
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and self.masks[fd] & select.EPOLLIN:
                self.read(out)
                self.write(out)
            if conn in self.conns and events & (select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR):
                self.write(into)
        self.watch(conn)

    # ---- the loop

    def commands(self):
        got = os.read(0, 65536)
        if not got:
            return False
        *lines, self.input = (self.input + got).split(b"\n")
        for line in lines:
            try:
                answer = self.obey(json.loads(line))
            except (OSError, KeyError, ValueError) as error:
                answer = {"error": repr(error)}
            os.write(1, json.dumps(answer).encode() + b"\n")
        return True

    def run(self):
        self.poll.register(0, select.EPOLLIN)
        while True:
            wait = max(self.timers[0][0] - time.monotonic(), 0) if self.timers else -1
            for fd, events in self.poll.poll(wait):
                if fd == 0:
                    if not self.commands():
                        return
                elif fd in self.listeners:
                    self.accept(*self.listeners[fd])
                else:
                    self.turn(fd, events)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                flow = heapq.heappop(self.timers)[2]
                self.write(flow)
                self.watch(flow.conn)


if __name__ == "__main__":
    sys.exit(Relay().run())
