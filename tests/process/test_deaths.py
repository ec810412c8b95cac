"""What is a death and what is none: kill -9, SIGSTOP, silence, idleness, a restart. Each is told once."""
import signal
import socket
import time

from running import figures, DEATH_TOLD_MS, RESTARTED, main
from world import GONE, NOT_SENT, PEER_LOST, downs, watcher_on


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
    # It was handled if it was in the mailbox before the actor took nothing new; the death comes after that, too.
    assert a.end(late)["code"] in ("ok", "not_running"), a.end(late)
    if a.end(late)["code"] == "ok":
        assert min(e["t_us"] for e in downs(a, probe)) >= a.end(late)["t_us"]
    a.settle(0.3)
    assert len(downs(a, probe)) == 2
    gone = a.do("done", probe)
    assert gone["code"] == "ok" and gone["kind"] == GONE, gone
    assert a.ask(probe, "inc")["code"] == "not_running"


if __name__ == "__main__":
    main(globals())
