"""Asks end and tells keep their order, whatever happens to the other process."""
import random
import time

from running import figures, CONFIRM_MS, SCHEDULING_MS, SEED, main
from world import UNKNOWN


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
    window = 8192  # KiB of messages that a session may have out; here 1 kB each, in blocks of 1.2
    assert grown[0] <= 4096 and grown[1] <= window * 1.5, f"KiB grown: sender {grown[0]}, receiver {grown[1]}"
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


if __name__ == "__main__":
    main(globals())
