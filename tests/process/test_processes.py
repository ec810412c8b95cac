"""The promises of the architecture page on real processes over loopback, each with a test that tries to break it.

python3 test_processes.py [SUBSTRING]...    runs the tests whose names contain one of them; SHOAL_SEED picks other random moments"""
import inspect
import os
import random
import signal
import socket
import sys
import time
import traceback

from world import HOST, Gone, World

SEED = int(os.environ.get("SHOAL_SEED", "1"))
DEATH_TOLD_MS = 250
CONFIRM_MS = 100  # what an ask may take beyond its deadline
SCHEDULING_MS = 40  # what a busy machine may add to our own clock readings
PEER_LOST, GONE, RESTARTED = 4, 6, (4, 6)
NOT_SENT, UNKNOWN = 1, 2
figures = {}


def downs(host, ref):
    return [e for e in host.events if e["event"] == "down" and e["ref"] == ref]


def watcher_on(host, ref):
    """A probe that monitors ref, and surely is known to: an ask behind the monitor has been answered."""
    watcher = host.spawn()
    assert host.ask(watcher, "watch", ref)["code"] == "ok"
    assert host.ask(ref, "inc")["code"] == "ok"
    return watcher


def death_is_told(world, *options):
    took = []
    for _ in range(10):
        a, b, probe = world.pair(*options)
        watcher_on(a, probe)
        killed_us = b.kill()
        down = a.event("down", ref=probe)
        assert down["kind"] == PEER_LOST, down
        took.append((down["t_us"] - killed_us) / 1000)
        a.settle(0.05)
        assert len(downs(a, probe)) == 1, downs(a, probe)
        late = a.ask(probe, "inc", ms=1000)
        assert (late["code"], late["delivery"]) == ("unreachable", NOT_SENT), late
        a.close()
    figures[f"death told after ms {' '.join(options)}".strip()] = " ".join(f"{t:.0f}" for t in took)
    assert max(took) <= DEATH_TOLD_MS, took


def test_kill_9_is_told_within_250_ms(world):
    death_is_told(world)


def test_kill_9_is_told_within_250_ms_threaded(world):
    death_is_told(world, "threads=1")


def test_kill_9_under_load_is_told_within_250_ms(world):
    """The monitor's node has a full queue to the dying peer, and the peer has unread bytes."""
    a, b, probe = world.pair()
    watcher_on(a, probe)
    assert b.ask(b.spawn(), "inc")["code"] == "ok"
    a.ok("tell", probe, "pause", 0)
    flood = a.send("tells", probe, 0, 20000, 1000, 0)
    a.settle(0.3)
    assert flood not in a.ends
    killed_us = b.kill()
    down = a.event("down", ref=probe)
    figures["death told under load after ms"] = f"{(down['t_us'] - killed_us) / 1000:.0f}"
    assert down["kind"] == PEER_LOST and (down["t_us"] - killed_us) / 1000 <= DEATH_TOLD_MS, down
    lost = a.event("undelivered")
    assert lost["count"] >= 1, lost


def stop_is_no_death(world, *options):
    a, b, probe = world.pair(*options)
    watcher_on(a, probe)
    b.stopped()
    sent = 300
    for _ in range(sent):
        name = a.send("tell", probe, "inc", 0)
    asks = [a.send("ask", probe, "inc", 0, 8000) for _ in range(20)]
    assert a.end(name)["code"] == "ok"
    a.settle(3)
    assert not downs(a, probe), downs(a, probe)
    assert not [e for e in a.events if e["event"] in ("peer_down", "undelivered")], a.events
    assert not any(name in a.ends for name in asks)
    b.signal(signal.SIGCONT)
    answers = [a.end(name) for name in asks]
    assert all(end["code"] == "ok" for end in answers), answers
    assert [end["value"] for end in answers] == list(range(sent + 2, sent + 22)), answers[:3]
    a.settle(0.3)
    assert not downs(a, probe)


def test_sigstop_for_3_s_is_no_death(world):
    stop_is_no_death(world)


def test_sigstop_for_3_s_is_no_death_threaded(world):
    stop_is_no_death(world, "threads=1")


def test_idle_is_no_death(world):
    a, b, probe = world.pair("peer_timeout_ms=1000")
    watcher_on(a, probe)
    a.settle(3)
    assert not downs(a, probe)
    assert a.ask(probe, "inc")["value"] == 2


def test_silence_is_death_at_peer_timeout(world):
    a, b, probe = world.pair("peer_timeout_ms=1500")
    watcher_on(a, probe)
    b.stopped()
    stopped_us = time.monotonic_ns() // 1000
    down = a.event("down", ref=probe, patience_s=5)
    took_ms = (down["t_us"] - stopped_us) / 1000
    figures["silent peer given up after ms (peer_timeout 1500)"] = f"{took_ms:.0f}"
    assert down["kind"] == PEER_LOST and took_ms <= 1500 + 500, took_ms
    b.signal(signal.SIGCONT)
    a.settle(1)
    assert len(downs(a, probe)) == 1


def ask_to_the_stopped_ends(world, *options):
    a, b, probe = world.pair(*options)
    assert a.ask(probe, "inc")["code"] == "ok"  # without a session the ask would not have been sent
    b.stopped()
    over = []
    for ms in (100, 250, 500, 1000):
        begun = time.monotonic()
        names = [(a.send("ask", probe, "inc", 0, ms), time.monotonic()) for _ in range(5)]
        for name, at in names:
            end = a.end(name)
            assert (end["code"], end["delivery"]) == ("timeout", UNKNOWN), end
            over.append(end["t_us"] / 1000 - begun * 1000 - ms)
    figures[f"ask to a stopped process ended ms after its deadline {' '.join(options)}".strip()] = f"{min(over):.0f} .. {max(over):.0f}"
    assert 0 <= min(over) and max(over) <= CONFIRM_MS + SCHEDULING_MS, over


def test_ask_to_a_stopped_process_ends_at_its_deadline(world):
    ask_to_the_stopped_ends(world)


def test_ask_to_a_stopped_process_ends_at_its_deadline_threaded(world):
    ask_to_the_stopped_ends(world, "threads=1")


def test_asks_never_hang_across_kill_9(world):
    """30 rounds: a storm of asks, and kill -9 at a random moment: while dialling, in the middle, near the end."""
    rng = random.Random(SEED)
    total = {}
    worst = -10**9
    for number in range(30):
        threads = f"threads={rng.randrange(2)}"
        a, b = world.host(threads), world.host(f"threads={rng.randrange(2)}")
        probe = b.spawn()
        early = number % 3 == 0
        if early:
            a.send("dial", b.address)  # killed about while the first handshake goes on
        else:
            a.ok("dial", b.address)
            assert a.ask(probe, "inc")["code"] == "ok"
        ms = rng.choice((300, 1000))
        storm = a.send("asks", probe, 200000, rng.choice((1, 16, 400)), ms)
        time.sleep(rng.uniform(0, 0.012 if early else 0.15))
        b.kill()
        time.sleep(rng.uniform(0, 0.05))
        a.ok("enough")
        end = a.end(storm)
        what = f"round {number} (seed {SEED}): {end}"
        assert end["ended"] == end["made"] and end["twice"] == 0, what
        assert end["over_us"] <= (CONFIRM_MS + SCHEDULING_MS) * 1000, what
        assert set(end["codes"]) <= {"ok", "unreachable", "timeout", "limit", "refused"}, what
        worst = max(worst, end["over_us"])
        for code, n in end["codes"].items():
            total[code] = total.get(code, 0) + n
        a.close()
    figures["asks across 30 kills"] = f"{total}, at most {worst / 1000:.0f} ms over the deadline"
    assert total.get("unreachable", 0) > 0


def test_order_of_20000_tells_to_a_slow_receiver(world):
    """A paused receiver: full is said at the call. A slow one: everything accepted arrives, in order; neither side grows."""
    a, b, probe = world.pair()
    door = b.spawn()
    a.ok("tell", probe, "pause", 0)
    before = a.rss_kib(), b.rss_kib()
    first = a.do("tells", probe, 0, 20000, 1000, 1)
    assert first["code"] == "mailbox_full", first
    accepted = first["value"][0]
    a.settle(0.3)
    again = a.do("tells", probe, 1, 20000, 1000, 1)
    assert again["code"] == "mailbox_full" and again["value"][0] < 20000, again
    figures["tells taken before full was said"] = f"{accepted} + {again['value'][0]}"
    waiting = a.send("ask", probe, "inc", 0, 10000)  # an ask waits for room, it is not refused
    assert a.do("tell", probe, "inc", 0)["code"] == "mailbox_full"  # and nothing overtakes it
    assert b.ask(door, "open")["code"] == "ok"
    assert a.end(waiting)["code"] == "ok"
    assert a.ask(probe, "seqinfo")["value"] == [accepted + again["value"][0], 0]
    a.ok("tell", probe, "slow", 16)
    begun = time.monotonic()
    flood = a.send("tells", probe, 2, 20000, 1000, 0)
    peak = [0, 0]
    while flood not in a.ends:
        a.settle(0.05)
        peak = [max(peak[0], a.rss_kib()), max(peak[1], b.rss_kib())]
        assert time.monotonic() - begun < 60
    sent, refused = a.end(flood)["value"]
    assert a.do("drain", probe, 10000)["code"] == "ok"
    assert a.ask(probe, "seqinfo")["value"] == [accepted + again["value"][0] + sent, 0]
    grown = [now - then for now, then in zip(peak, before)]
    figures["20,000 tells of 1 kB to a slow receiver"] = f"{time.monotonic() - begun:.1f} s, refused {refused}, grown by {grown} KiB"
    assert sent == 20000 and refused > 0
    assert max(grown) <= 8192, f"KiB grown: sender {grown[0]}, receiver {grown[1]}"
    assert not [e for e in a.events if e["event"] == "undelivered"], a.events


def test_order_from_two_senders(world):
    """Each pair keeps its order; the threads of both sides take part."""
    a, b, probe = world.pair("threads=1")
    c = world.host("threads=1")
    c.ok("dial", b.address)
    c.ok("lookup", "probe", 5000)
    a.ok("tell", probe, "slow", 64)
    floods = a.send("tells", probe, 1, 10000, 100, 0), c.send("tells", probe, 2, 10000, 100, 0)
    assert a.end(floods[0], 60)["value"][0] == 10000 and c.end(floods[1], 60)["value"][0] == 10000
    assert a.do("drain", probe, 10000)["code"] == "ok" and c.do("drain", probe, 10000)["code"] == "ok"
    assert a.ask(probe, "seqinfo")["value"] == [20000, 0]


def test_large_messages_keep_their_order(world):
    a, b, probe = world.pair()
    begun = a.rss_kib(), b.rss_kib()
    end = a.do("tells", probe, 0, 400, 65000, 0, patience_s=60)
    assert end["code"] == "ok" and end["value"][0] == 400, end
    assert a.do("drain", probe, 10000)["code"] == "ok"
    assert a.ask(probe, "seqinfo")["value"] == [400, 0]
    grown = [host.rss_kib() - then for host, then in zip((a, b), begun)]
    figures["400 tells of 65 kB"] = f"grown by {grown} KiB"
    assert max(grown) <= 24576, grown


def graceful_stop_answers(world, *options):
    a, b, probe = world.pair(*options)
    other = b.spawn()
    assert a.ask(other, "inc")["code"] == "ok"
    watcher_on(a, probe)
    far, farther = a.spawn(), a.spawn()
    asks = [a.send("ask", probe, "relay", far, 5000) for _ in range(3)]  # their handler waits 200 ms each, two of them in the mailbox
    open_ask = a.send("ask", other, "relay", farther, 5000)
    a.settle(0.1)
    begun = time.monotonic()
    b.ok("stop", 2000)
    took = time.monotonic() - begun
    answers = [a.end(name) for name in asks]
    assert all(end["code"] == "ok" and end["value"] == "worked" for end in answers), answers
    worked = a.end(open_ask)
    assert worked["code"] == "ok" and worked["value"] == "worked", worked
    figures[f"graceful stop took s {' '.join(options)}".strip()] = f"{took:.2f}"
    assert took < 2
    down = a.event("down", ref=probe)
    assert down["kind"] == 0, down  # normal: told by its node, not inferred
    a.settle(0.2)
    assert len(downs(a, probe)) == 1
    assert a.ask(probe, "inc", ms=1000)["code"] in ("not_running", "unreachable")


def test_graceful_stop_answers_accepted_asks(world):
    graceful_stop_answers(world)


def test_graceful_stop_answers_accepted_asks_threaded(world):
    graceful_stop_answers(world, "threads=1")


def test_asks_that_cross_a_stop_end_at_once(world):
    """Asks on their way when the peer stops: answered or returned, none waits for its deadline."""
    codes = {}
    for number in range(10):
        a, b, probe = world.pair(f"threads={number % 2}")
        assert a.ask(probe, "inc")["code"] == "ok"
        storm = a.send("asks", probe, 10**6, 64, 5000)
        a.settle(0.03)
        b.ok("stop", 1000)
        a.ok("enough")
        end = a.end(storm)
        assert end["ended"] == end["made"] and end["twice"] == 0 and end["over_us"] < -4000000, end
        assert set(end["codes"]) <= {"ok", "not_running", "closed", "unreachable"}, end
        for code, n in list(end["codes"].items()) + [("of unknown delivery", end["unsure"])]:
            codes[code] = codes.get(code, 0) + n
        a.close()
        b.close()
    figures["asks that crossed ten stops"] = str(codes)


def test_a_stop_with_many_peers_needs_no_deadline(world):
    b = world.host()
    crowd = [world.host(f"dial={b.address}") for _ in range(5)]
    for host in crowd:
        host.event("peer_up")
    begun = time.monotonic()
    b.ok("stop", 5000)
    took = time.monotonic() - begun
    figures["a stop with five peers took s"] = f"{took:.3f}"
    assert took < 2, took


def test_a_stopped_node_stays_quiet(world):
    """After its graceful stop a node neither dials nor answers, though its process lives on."""
    a = world.host()
    b = world.host(f"dial={a.address}")
    a.event("peer_up")
    probe = b.spawn()
    b.ok("register", probe, "quiet")
    assert a.ok("lookup", "quiet", 5000)["ref"] == probe
    b.ok("stop", 1000)
    stopped_us = time.monotonic_ns() // 1000
    a.event("peer_down")
    a.settle(2.5)
    back = [e for e in a.events if e["event"] == "peer_up" and e["t_us"] > stopped_us]
    assert not back, back
    assert a.do("lookup", "quiet", 0)["code"] == "not_found"
    assert a.ask(probe, "inc", ms=500)["code"] in ("not_running", "unreachable")
    assert b.do("spawn")["code"] == "closed"


def stop_returns_what_nobody_answers(world, *options):
    """An ask that was deferred and stays unanswered, and one whose handler waits too long: both end by the stop's deadline."""
    a, b, probe = world.pair(*options)
    other = b.spawn()
    far = a.spawn()
    assert a.ask(other, "inc")["code"] == "ok"
    assert a.ask(far, "pause", ms=100)["code"] == "timeout"
    begun_us = time.monotonic_ns() // 1000
    mute = a.send("ask", probe, "mute", 0, 8000)
    stuck = a.send("ask", other, "relay", far, 8000)
    a.settle(0.1)
    stop = b.send("stop", 1000)
    ends = [a.end(name) for name in (mute, stuck)]
    assert b.end(stop)["code"] in ("ok", "timeout")
    took = [(end["t_us"] - begun_us) / 1e6 for end in ends]
    said = [(end["code"], end["delivery"]) for end in ends]
    figures[f"asks a stop of 1 s left unanswered {' '.join(options)}".strip()] = f"ended as {said} after s {took}"
    assert all(code in ("not_running", "unreachable", "closed") and delivery == UNKNOWN for code, delivery in said), ends
    assert max(took) <= 1.3, took


def test_graceful_stop_returns_what_nobody_answers(world):
    stop_returns_what_nobody_answers(world)


def test_graceful_stop_returns_what_nobody_answers_threaded(world):
    stop_returns_what_nobody_answers(world, "threads=1")


def test_names_through_a_third(world):
    """Registered on a, found from c that only knows b."""
    b = world.host()
    a, c = world.host(f"dial={b.address}"), world.host(f"dial={b.address}")
    a.event("peer_up"), c.event("peer_up")
    probe = a.spawn()
    a.ok("register", probe, "far")
    begun = time.monotonic()
    found = c.do("lookup", "far", 5000)
    assert found["code"] == "ok" and found["ref"] == probe, found
    figures["lookup through a third ms"] = f"{(time.monotonic() - begun) * 1000:.0f}"
    assert c.ask(found["ref"], "inc")["value"] == 1
    assert c.do("lookup", "nobody", 0)["code"] == "not_found"


def test_names_in_a_crowd(world):
    """Twelve nodes that all know only the first: every name is found from every one."""
    first = world.host()
    crowd = [world.host(f"dial={first.address}") for _ in range(11)]
    for host in crowd:
        host.event("peer_up")
    probes = [host.spawn() for host in crowd]
    for number, (host, probe) in enumerate(zip(crowd, probes)):
        host.ok("register", probe, f"name{number}")
    for n, host in enumerate(crowd):
        for number in (n + 1, n + 5):
            found = host.do("lookup", f"name{number % 11}", 5000)
            assert found["code"] == "ok" and found["ref"] == probes[number % 11], (n, number, found)
            assert host.ask(found["ref"], "echo", n)["value"] == n
    everywhere = first.spawn()
    first.ok("register", everywhere, "name0")
    name = crowd[5].send("lookup_all", "name0", 2000)
    crowd[5].until(lambda: [e for e in crowd[5].ends.get(name, []) if e["code"] != "ok"], "end of lookup_all")
    refs = [e["ref"] for e in crowd[5].ends[name] if e["code"] == "ok"]
    assert sorted(refs) == sorted([everywhere, probes[0]]), refs


def test_names_of_the_killed_are_not_handed_out(world):
    b = world.host()
    a, c = world.host(f"dial={b.address}"), world.host(f"dial={b.address}")
    a.event("peer_up"), c.event("peer_up")
    probe = a.spawn()
    a.ok("register", probe, "mortal")
    assert c.ok("lookup", "mortal", 5000)["ref"] == probe
    assert c.ask(probe, "inc")["code"] == "ok"
    fresh = world.host(f"dial={b.address}")
    fresh.event("peer_up")
    killed_us = a.kill()
    handed = []
    while time.monotonic_ns() // 1000 < killed_us + 1000000:
        for host in (b, c, fresh):
            end = host.do("lookup", "mortal", 0)
            if end["code"] == "ok":
                handed.append((end["t_us"] - killed_us) / 1000)
    figures["a dead holder's name last handed out ms after kill -9"] = f"{max(handed):.0f}" if handed else "never"
    late = world.host(f"dial={b.address}")
    late.event("peer_up")
    for host in (b, c, fresh, late):
        begun = time.monotonic()
        end = host.do("lookup", "mortal", 1000)
        assert end["code"] == "not_found", end
        assert time.monotonic() - begun < 2, "a lookup outlived its timeout"


def test_unregistered_names_are_not_handed_out(world):
    a, b, probe = world.pair()
    b.ok("unregister", probe, "probe")
    assert a.do("lookup", "probe", 0)["code"] == "not_found"
    other = b.spawn()
    b.ok("register", other, "probe")
    assert a.ok("lookup", "probe", 5000)["ref"] == other
    b.ok("tell", other, "die", 0)
    b.settle(0.2)
    assert a.do("lookup", "probe", 0)["code"] == "not_found"


def test_a_ref_works_where_nobody_met_its_target(world):
    """c holds the probe, a sends its ref to d; d knows only b, as do a and c."""
    b = world.host()
    a, c, d = (world.host(f"dial={b.address}") for _ in range(3))
    for host in (a, c, d):
        host.event("peer_up")
    target, taker = c.spawn(), d.spawn()
    c.ok("register", target, "target")
    d.ok("register", taker, "taker")
    at_a = a.ok("lookup", "target", 5000)["ref"]
    begun = time.monotonic()
    end = a.ask(a.ok("lookup", "taker", 5000)["ref"], "take", at_a)
    assert end["code"] == "ok" and end["value"] == 1, end
    figures["a ref's first use at a stranger ms"] = f"{(time.monotonic() - begun) * 1000:.0f}"
    e = world.host(f"dial={b.address}")  # the same by text, and by a node that comes later
    e.event("peer_up")
    first = e.ask(target, "inc")
    assert first.get("value") == 2, first
    back = e.ask(taker, "take", target)
    assert back["code"] == "ok" and back["value"] == 3, back


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def restart_is_a_new_incarnation(world, pause_s):
    key, listen = world.path("key"), f"listen=/ip4/127.0.0.1/tcp/{free_port()}"
    b = world.host(f"key={key}", listen)
    a = world.host(f"dial={b.address}")
    a.event("peer_up")
    old = b.spawn()
    b.ok("register", old, "phoenix")
    assert a.ok("lookup", "phoenix", 5000)["ref"] == old
    watcher_on(a, old)
    peer = b.peer
    killed_us = b.kill()
    time.sleep(pause_s)
    b = world.host(f"key={key}", listen)
    assert b.peer == peer
    new = b.spawn()
    b.ok("register", new, "phoenix")
    down = a.event("down", ref=old)
    figures[f"restarted after {pause_s} s, watcher told after ms"] = f"{(down['t_us'] - killed_us) / 1000:.0f}, reason {down['kind']}"
    assert down["kind"] in RESTARTED, down
    assert new != old
    found = a.ok("lookup", "phoenix", 5000)
    assert found["ref"] == new, (found, old, new)
    stale = a.ask(old, "inc", ms=1000)
    assert stale["code"] in ("not_running", "unreachable", "refused"), stale
    watcher_on(a, new)
    b.ok("tell", new, "die", 0)
    assert a.event("down", ref=new)["kind"] == 0
    a.settle(0.3)
    assert len(downs(a, old)) == 1 and len(downs(a, new)) == 1, a.events


def test_restart_at_once_is_a_new_incarnation(world):
    restart_is_a_new_incarnation(world, 0)


def test_restart_after_a_second_is_a_new_incarnation(world):
    restart_is_a_new_incarnation(world, 1)


def test_an_actors_death_is_told_after_its_last_message_and_once(world):
    a, b, probe = world.pair()
    first, second = watcher_on(a, probe), watcher_on(a, probe)
    assert first != second
    end = a.send("done", probe)
    answers = [a.send("ask", probe, "inc", 0, 5000) for _ in range(20)]
    a.ok("tell", probe, "die", 0)
    late = a.send("ask", probe, "inc", 0, 5000)
    assert all(a.end(name)["code"] == "ok" for name in answers)
    assert a.end(end)["kind"] == 0
    a.until(lambda: len(downs(a, probe)) == 2, "both downs")
    assert min(e["t_us"] for e in downs(a, probe)) >= max(a.end(name)["t_us"] for name in answers)
    # It was handled if it was in the mailbox before the actor shut its door; the death comes after that, too.
    assert a.end(late)["code"] in ("ok", "not_running"), a.end(late)
    if a.end(late)["code"] == "ok":
        assert min(e["t_us"] for e in downs(a, probe)) >= a.end(late)["t_us"]
    a.settle(0.3)
    assert len(downs(a, probe)) == 2
    gone = a.do("done", probe)
    assert gone["code"] == "ok" and gone["kind"] == GONE, gone
    assert a.ask(probe, "inc")["code"] == "not_running"


def main():
    if not HOST.exists():
        sys.exit(f"{HOST} is not built: ./run build process_host")
    wanted = sys.argv[1:]
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or not inspect.isfunction(test) or (wanted and not any(w in name for w in wanted)):
            continue
        begun = time.monotonic()
        try:
            with World() as world:
                test(world)
            passed += 1
            print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        except (AssertionError, Gone, OSError, ValueError) as failure:
            failed += 1
            where = traceback.extract_tb(failure.__traceback__)[-1]
            print(f"FAILED  {name} ({time.monotonic() - begun:.1f} s), line {where.lineno} of {where.name}: {failure or where.line}", flush=True)
    for what, figure in figures.items():
        print(f"        {what}: {figure}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
