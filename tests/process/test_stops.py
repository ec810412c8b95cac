"""A graceful stop answers what was accepted, returns the rest, and ends in time."""
import time

from running import figures, main
from world import UNKNOWN, downs, watcher_on


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


if __name__ == "__main__":
    main(globals())
