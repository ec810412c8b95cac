"""F14, F16-F19, F21-F23, F25: full mailboxes, failing and hanging handlers, and a machine that has no disk, memory, time or ports to give."""
import json
import os
import socket
import struct
import subprocess
import sys
import time

from ground import (BUILD, CLOCK_MS, CONFIRM_MS, NOT_SENT, answered_again, asks_go_on, cpu_s,
                    descriptors, downs, need_root, now_us, until, watcher_on)


def f14_full_mailbox(g):
    """Full is said at the call and to nobody else's harm; an ask waits for room or for its deadline."""
    a, b, probe = g.pair()
    other, door = b.spawn(), b.spawn()
    assert a.ask(other, "inc")["code"] == "ok"
    a.ok("tell", probe, "pause", 0)
    first = a.do("tells", probe, 0, 10**6, 100, 1)
    assert first["code"] == "mailbox_full", first
    took = []
    for _ in range(50):
        begun = now_us()
        end = a.ask(other, "inc", ms=1000)
        assert end["code"] == "ok", end
        took.append((end["t_us"] - begun) / 1000)
    waits = a.do("ask", probe, "inc", 0, 300)
    assert waits["code"] == "timeout", waits
    longer = a.send("ask", probe, "inc", 0, 5000)
    assert b.ask(door, "open")["code"] == "ok"
    assert a.end(longer)["code"] == "ok"
    g.measured("taken before full", first["value"][0])
    g.measured("others answered within", max(took), " ms")
    assert max(took) < 100


def f16_hanging_handler(g):
    """A handler that waits holds its own actor only; one that blocks its thread makes asks end at their deadline, and is no death."""
    a, b, probe = g.pair("threads=1")
    other = b.spawn()
    watcher_on(a, probe)
    hanging = a.send("ask", probe, "work", 4000, 500)
    took = []
    for _ in range(20):
        begun = now_us()
        assert a.ask(other, "inc", ms=1000)["code"] == "ok"
        took.append((now_us() - begun) / 1000)
    end = a.end(hanging)
    assert end["code"] == "timeout", end
    g.measured("other actors answered within", max(took), " ms")
    assert max(took) < 100
    blocking = a.send("ask", other, "sleep", 3000, 1000)
    begun = now_us()
    behind = a.send("ask", other, "inc", 0, 1000)
    ends = [a.end(blocking), a.end(behind)]
    over = max(e["t_us"] - begun for e in ends) / 1000 - 1000
    g.measured("asks behind a blocked thread ended", over, " ms after their deadline")
    assert {e["code"] for e in ends} == {"timeout"} and over <= CONFIRM_MS + CLOCK_MS, ends
    assert answered_again(a, other, 10) < 5
    a.settle(0.2)
    assert not downs(a, probe)


def refused_start(g, *options, prefix=()):
    """A host that must not start: what it said."""
    host = subprocess.run([*prefix, str(BUILD / "tests/process_host"), *options], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    assert host.returncode == 1 and not host.stdout, (host.returncode, host.stdout)
    return host.stderr.decode().strip()


def f17_disk_full(g):
    """No room, or no right to write: no node without its key, no half key; log lines that find no room are dropped."""
    need_root("a file system of its own")
    folder = g.path("disk")
    os.mkdir(folder)
    small = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs -o size=4k,nr_inodes=8 tmpfs {folder} && cat /dev/zero > {folder}/fill 2>/dev/null; "
             f'"$@"; code=$?; ls -A {folder} >&2; exit $code', "sh"]
    said = refused_start(g, f"key={folder}/key", prefix=small)
    assert "key" in said and said.split("\n")[-1] == "fill", said
    g.measured("full disk:", said.split("\n")[0])
    locked = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=64k,ro tmpfs {folder} && exec "$@"', "sh"]
    g.measured("read-only:", refused_start(g, f"key={folder}/key", prefix=locked).split("\n")[0])
    with open("/dev/full", "wb") as full:
        noisy = {**os.environ, "SHOAL_HOST_LOG": "1"}
        b = g.host(stderr=full, env=noisy)
        a = g.host(f"dial={b.address}", stderr=full, env=noisy)
    a.event("peer_up")
    assert a.ask(b.spawn(), "inc")["code"] == "ok"


def f17b_files_may_not_grow(g):
    """RLIMIT_FSIZE of 0, its signal ignored: the key cannot be written, the start is refused and leaves nothing."""
    folder = g.path("limited")
    os.mkdir(folder)
    said = refused_start(g, f"key={folder}/key", prefix=["sh", "-c", 'trap "" XFSZ; exec prlimit --fsize=0 "$@"', "sh"])
    g.measured("said:", said)
    assert os.listdir(folder) == [], os.listdir(folder)


def f18_descriptors_gone(g):
    """64 descriptors, 200 connections: no spinning, the link that was there works, and new ones when there is room again."""
    b = g.host(prefix=["prlimit", "--nofile=64"])
    a = g.host(f"dial={b.address}")
    a.event("peer_up")
    probe, = g.probe_of(a, b)
    watcher_on(a, probe)
    port = int(b.address.split("/")[4])
    crowd = []
    for _ in range(200):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        crowd.append(s)
    until(lambda: descriptors(b.pid) >= 60, "full table")
    begun_s, begun = cpu_s(b.pid), time.monotonic()
    ends = asks_go_on(a, probe, 2)
    spent = (cpu_s(b.pid) - begun_s) / (time.monotonic() - begun)
    g.measured("processor while full", spent * 100, " %")
    assert all(e["code"] == "ok" for e, _ in ends) and spent < 0.3, spent
    out = b.do("dial", a.address.replace(a.peer, b.peer).split("/p2p/")[0], patience_s=20)
    g.measured("a dial of its own:", out["code"])
    for s in crowd:
        s.close()
    begun = time.monotonic()
    c = g.host(f"dial={b.address}")
    c.event("peer_up", patience_s=30)
    g.measured("a new peer was in", time.monotonic() - begun, " s after")
    assert a.ask(probe, "inc")["code"] == "ok" and not downs(a, probe)


def f19_memory_limit(g):
    """4 MiB more than at its start: what finds no memory is an error to who asked for it, and the node works on."""
    b = g.host("mailbox=0")
    a = g.host(f"dial={b.address}")
    a.event("peer_up")
    probe, = g.probe_of(a, b)
    other = b.spawn()
    assert a.ask(other, "inc")["code"] == "ok"
    with open(f"/proc/{b.pid}/status") as file:
        size = next(int(line.split()[1]) for line in file if line.startswith("VmSize:"))
    subprocess.run(["prlimit", f"--pid={b.pid}", f"--as={(size + 4096) * 1024}"], check=True)
    a.ok("tell", probe, "pause", 0)
    flood = a.send("tells", probe, 0, 1000, 60000, 0)
    a.settle(2)
    codes = {}
    for _ in range(30000):
        end = b.do("spawn")
        codes[end["code"]] = codes.get(end["code"], 0) + 1
        if end["code"] != "ok":
            break
    g.measured("spawned there", str(codes))
    assert codes.get("limit"), codes
    assert a.ask(other, "inc", ms=5000)["code"] in ("ok", "limit", "unreachable", "timeout")
    a.ok("enough")
    end = a.end(flood, 60)
    if b.do("kill", probe)["code"] == "limit":  # what held the memory; when there is none at all, not even that is taken
        subprocess.run(["prlimit", f"--pid={b.pid}", f"--as={(size + 8192) * 1024}"], check=True)
        b.ok("kill", probe)
    begun = time.monotonic()
    answered_again(a, other, 30)
    lost = sum(e["count"] for e in a.events if e["event"] == "undelivered")
    g.measured("tells taken, later undelivered", f"{end['value'][0]}, {lost}")
    g.measured("answered again after", time.monotonic() - begun, " s")
    assert b.process.poll() is None


class Jumps:
    """A host whose clocks can be moved."""

    def __init__(self, g):
        self.path = g.path("clock")
        self.env = {**os.environ, "LD_PRELOAD": str(BUILD / "tests/libfaultclock.so"), "SHOAL_CLOCK_FILE": self.path}
        self.move()

    def move(self, monotonic_s=0, real_s=0):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as file:
            file.write(struct.pack("qq", int(monotonic_s * 10**9), int(real_s * 10**9)))
        if monotonic_s or real_s:
            self.check(monotonic_s, real_s)

    def check(self, monotonic_s, real_s):
        """Programs do see it: a jump that nobody sees proves nothing."""
        ours = "import time; print(time.monotonic(), time.time())"
        seen = subprocess.run([sys.executable, "-c", ours], env=self.env, capture_output=True, check=True).stdout.split()
        assert abs(float(seen[0]) - time.monotonic() - monotonic_s) < 60 and abs(float(seen[1]) - time.time() - real_s) < 60, seen


DAY_S = 86400


def f21_the_clock_of_the_wall_jumps(g):
    """A day on, two days back: no timer is early or late, no name expires, nobody dies."""
    clock = Jumps(g)
    b = g.host(env=clock.env)
    a = g.host(f"dial={b.address}", env=clock.env)
    a.event("peer_up")
    probe, = g.probe_of(a, b)
    mute = b.spawn()
    watcher_on(a, probe)
    for real in (DAY_S, -DAY_S):
        begun = now_us()
        name = a.send("ask", mute, "mute", 0, 1000)
        a.settle(0.2)
        clock.move(real_s=real)
        took = (a.end(name)["t_us"] - begun) / 1000
        g.measured("an ask of 1000 ms ended after", took, " ms")
        assert 995 <= took <= 1000 + CONFIRM_MS + CLOCK_MS, took
        assert a.ask(probe, "inc")["code"] == "ok" and a.do("lookup", "probe", 0)["code"] == "ok"
    assert not downs(a, probe) and not [e for e in a.events if e["event"] == "peer_down"]


def a_day_at_once(g, both, *options):
    """What two nodes do when the monotonic clock of b, or of both, is a day on: deadlines are over, nobody is dead."""
    clock = Jumps(g)
    b = g.host(*options, env=clock.env)
    a = g.host(f"dial={b.address}", *options, env=clock.env if both else None)
    a.event("peer_up")
    probe, = g.probe_of(a, b)
    watcher_on(a, probe)
    waiting = a.send("ask", b.spawn(), "mute", 0, 60000)
    a.settle(0.2)
    clock.move(monotonic_s=DAY_S)
    begun = time.monotonic()
    ends = asks_go_on(a, probe, 3)
    assert {e["code"] for e, _ in ends} == {"ok"}, ends
    if both:
        end = a.end(waiting, 5)
        assert end["code"] == "timeout", end
    spent = cpu_s(a.pid) + cpu_s(b.pid)
    a.settle(1)
    spent = cpu_s(a.pid) + cpu_s(b.pid) - spent
    c = g.host(f"dial={b.address}", *options)
    c.event("peer_up")
    for host in (a, c):
        found = host.ok("lookup", "probe", 10000, patience_s=20)["ref"]
        assert host.ask(found, "inc")["code"] == "ok"
    a.settle(max(0, 12 - (time.monotonic() - begun)))  # longer than peer_timeout
    assert a.ask(probe, "inc")["code"] == "ok" and spent < 0.3, spent
    for host in (a, b):
        assert not [e for e in host.events if e["event"] in ("down", "peer_down")], host.events
    g.measured("asks answered behind the jump" if both else "one node alone", len(ends))


def f21c_the_monotonic_clock_jumps(g):
    """A day on, of both nodes: what waited has timed out, and that is all."""
    a_day_at_once(g, True)


def f21d_one_monotonic_clock_jumps(g):
    """Of one node, which has a thread: not even that."""
    a_day_at_once(g, False, "threads=1")


def f21b_clocks_a_day_apart(g):
    """Nodes whose monotonic clocks differ by a day (time namespace): all the same to them."""
    need_root("a time namespace")
    b = g.host(prefix=["unshare", "--time", "--fork", "--kill-child", "--monotonic", str(DAY_S), "--boottime", str(DAY_S)])
    a = g.host(f"dial={b.address}")
    a.event("peer_up")
    probe, = g.probe_of(a, b)
    watcher_on(a, probe)
    begun = now_us()
    assert a.ask(b.spawn(), "mute", ms=500)["code"] == "timeout"
    assert 495 <= (now_us() - begun) / 1000 <= 500 + CONFIRM_MS + CLOCK_MS
    assert a.ask(probe, "inc")["code"] == "ok" and not downs(a, probe)


def f22_no_processor(g):
    """Nodes at nice 19 beside four spinners for 12 s: no death, every ask ends in time as far as the node was run."""
    a, b, probe = g.pair()
    watcher_on(a, probe)
    for host in (a, b):
        os.setpriority(os.PRIO_PROCESS, host.pid, 19)
    for _ in range(4):
        g.others.append(subprocess.Popen([sys.executable, "-c", "import os\nwhile os.getppid() > 1: pass"]))
    ends = asks_go_on(a, probe, 12, 0.05)
    bad = [e for e, _ in ends if e["code"] != "ok"]
    longest = max(e["t_us"] - at for e, at in ends) / 1000
    g.measured("slowest ask", longest, " ms")
    g.measured("not answered", f"{len(bad)} of {len(ends)}")
    assert not downs(a, probe) and not [e for e in a.events if e["event"] == "peer_down"] and not bad, bad


def f23_ports_gone(g):
    """No port for a dial: it fails and says so, connections live on, and dials work when there are ports."""
    inside = ["ip", "netns", "exec", g.namespace()]
    subprocess.run([*inside, "ip", "link", "set", "lo", "up"], check=True)
    subprocess.run([*inside, "sh", "-c", "echo 50000 50003 > /proc/sys/net/ipv4/ip_local_port_range"], check=True)
    b = g.host("listen=/ip4/127.0.0.1/tcp/4001", prefix=inside)
    a = g.host("listen=/ip4/127.0.0.1/tcp/4002", f"dial={b.address}", prefix=inside)
    a.event("peer_up")
    probe, = g.probe_of(a, b)
    watcher_on(a, probe)
    taker = subprocess.Popen([*inside, sys.executable, "-c", "import socket, sys\nheld = []\nfor _ in range(9):\n  s = socket.socket()\n"
                              "  try:\n    s.connect(('127.0.0.1', 4001)); held.append(s)\n  except OSError as e:\n    print(e, len(held), flush=True); break\n"
                              "sys.stdin.read()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    g.others.append(taker)
    said = taker.stdout.readline().decode().strip()
    c = g.host("listen=/ip4/127.0.0.1/tcp/4003", prefix=inside)
    end = c.do("dial", b.address)
    g.measured("others got:", said)
    g.measured("a dial:", f"{end['code']} ({end['text']})")
    assert end["code"] in ("unreachable", "limit") and end["delivery"] == NOT_SENT, end
    assert a.ask(probe, "inc")["code"] == "ok" and not downs(a, probe)
    taker.stdin.close()
    taker.wait(10)
    until(lambda: c.do("dial", b.address)["code"] == "ok", "dial", 70, 0.2)
    g.measured("then:", "ok")


def f25_a_peer_of_another_kind(g):
    """A libp2p peer without our protocol: asks are not_sent at once, with what it cannot; the node is none the worse."""
    peer = subprocess.Popen([str(BUILD / "bin/shoal-interop-peer")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    g.others.append(peer)
    hello = json.loads(peer.stdout.readline())
    a = g.host()
    a.ok("dial", hello["address"])
    ref = f"0000000000000001@{hello['address'].rsplit('/', 1)[1]}"
    begun = now_us()
    end = a.ask(ref, "inc", ms=3000)
    g.measured("ask", f"{end['code']} after {(end['t_us'] - begun) / 1000:.0f} ms: {end['text']}")
    assert end["delivery"] == NOT_SENT and end["code"] in ("unsupported", "unreachable") and end["t_us"] - begun < 1000000, end
    assert a.ask(a.spawn(), "inc")["code"] == "ok"
