"""F4-F12, F26, F27: links that are cut, one-way, lossy, slow, thin, flapping or spoil bytes; some packet by packet (root), some by relay."""
import time

from ground import PEER_LOST, UNKNOWN, answered_again, asks_go_on, downs, now_us, watcher_on


def both_watch(g, a, b, probe):
    """Each watches a probe of the other; the probe of a, as b found it."""
    here = a.spawn()
    a.ok("register", here, "here")
    found = b.ok("lookup", "here", 10000, patience_s=20)["ref"]
    watcher_on(a, probe)
    watcher_on(b, found)
    return found


def part_and_heal(g, sides, within_ms, what, *options):
    """Packets of these sides vanish: both nodes notice, are told once, and are whole again within 30 s."""
    a, b, probe, link = g.apart(*options)
    here = both_watch(g, a, b, probe)
    link(*sides, black=True)
    cut_us = now_us()
    took = [(host.event("down", ref=ref, patience_s=15)["t_us"] - cut_us) / 1000 for host, ref in ((a, probe), (b, here))]
    g.measured(what, f"{took[0]:.0f} and {took[1]:.0f}", " ms")
    assert max(took) <= within_ms + 500, took
    link()
    healed = [answered_again(a, probe, 30), answered_again(b, here, 30)]
    g.measured("healed after", max(healed), " s")
    a.settle(0.3), b.settle(0.1)
    assert len(downs(a, probe)) == 1 and len(downs(b, here)) == 1


def f04_full_partition(g):
    """Nothing passes either way (packets): noticed within peer_timeout (10 s), both sides agree; healed within 30 s."""
    part_and_heal(g, (), 10000, "noticed after")


def one_way(g, side):
    part_and_heal(g, (side,), 2 * 3000, f"from {'ab'[side]} cut: noticed after", "peer_timeout_ms=3000")


def f05_one_way_partition(g):
    """Packets of one side vanish: both sides agree within twice peer_timeout (3 s here), and heal within 30 s."""
    one_way(g, 0)


def f05b_the_other_way(g):
    """The same with the packets of the dialled side."""
    one_way(g, 1)


def f06_partial_partition(g):
    """a and b cannot hear each other, c hears both: only a and b part, and c's asks do not wait."""
    a, b, probe = g.linked("peer_timeout_ms=2500")
    c = g.behind(2, "c", f"dial={b.address}", "peer_timeout_ms=2500")
    c.event("peer_up")
    a.ok("dial", c.address)
    of_c, = g.probe_of(a, c, "ofc")
    watcher_on(a, probe), watcher_on(a, of_c), watcher_on(c, probe)
    g.relay.pair("a", "b", mode="stall")
    down = a.event("down", ref=probe, patience_s=8)
    assert down["kind"] == PEER_LOST, down
    longest = 0
    for _ in range(20):
        for host, ref in ((a, of_c), (c, probe)):
            begun = now_us()
            end = host.ask(ref, "inc", ms=1000)
            assert end["code"] == "ok", end
            longest = max(longest, (end["t_us"] - begun) / 1000)
    found = a.do("lookup", "ofc", 2000)
    assert found["code"] == "ok", found
    g.measured("asks by way of c at most", longest, " ms")
    assert longest < 250 and not downs(a, of_c) and not downs(c, probe)
    g.relay.pair("a", "b")
    g.measured("healed after", answered_again(a, probe, 30), " s")


def f07_flapping_link(g):
    """Reset once a second for 15 s: no death, few dials, memory flat; each ask of known or unknown fate ends at once."""
    a, b, probe = g.linked()
    here = both_watch(g, a, b, probe)
    before, rss, ends = g.relay("stats")["accepted"], [], []
    for _ in range(15):
        g.relay.cut("a", "b")
        ends += asks_go_on(a, probe, 1)
        rss.append(a.rss_kib() + b.rss_kib())
    dials = g.relay("stats")["accepted"] - before
    bad = [e for e, _ in ends if e["code"] != "ok"]
    g.measured("dials", f"{dials} for 15 cuts")
    g.measured("asks not answered", f"{len(bad)} of {len(ends)}")
    g.measured("grown by", rss[-1] - rss[3], " KiB")
    assert not downs(a, probe) and not downs(b, here)
    assert 15 <= dials <= 15 * 4 and rss[-1] - rss[3] <= 512 and len(bad) <= 15, (dials, rss, bad)
    assert all(e["code"] == "unreachable" for e in bad), bad


def loss(g, share):
    a, b, probe, link = g.apart()
    here = both_watch(g, a, b, probe)
    link(loss=share)
    ends = asks_go_on(a, probe, 12)
    bad = [e for e, _ in ends if e["code"] != "ok"]
    longest = max(e["t_us"] - at for e, at in ends) / 1000
    counters = link()
    g.measured(f"{share * 100:.0f} %: {sum(counters['lost'])} packets lost, asks not answered", f"{len(bad)} of {len(ends)}, slowest {longest:.0f} ms")
    assert sum(counters["lost"]) > 0
    answered_again(a, probe, 30)
    told = downs(a, probe) + downs(b, here)
    return bad, told


def f08_loss_of_1_percent(g):
    """No false death, no ask unanswered."""
    assert loss(g, 0.01) == ([], [])


def f08b_loss_of_5_percent(g):
    """No false death, no ask unanswered."""
    assert loss(g, 0.05) == ([], [])


def f08c_loss_of_20_percent(g):
    """Asks may run out of time; every one ends, and it heals."""
    bad, told = loss(g, 0.2)
    g.measured("deaths told", len(told))
    assert all(e["code"] in ("timeout", "unreachable") for e in bad), bad


def late_packets(g, delay, jitter):
    """Packets late each by its own time (they overtake), some doubled: order and count of 2,000 tells, asks take what the way takes."""
    a, b, probe, link = g.apart()
    here, other = both_watch(g, a, b, probe), b.spawn()  # asks of the probe itself would stand behind the tells
    assert a.ask(other, "inc")["code"] == "ok"
    link(delay_ms=delay, jitter_ms=jitter, twice=0.02)
    flood = a.send("tells", probe, 1, 2000, 100, 0)
    ends = asks_go_on(a, other, 8, ms=15000)
    assert a.end(flood, 60)["value"][0] == 2000
    assert a.do("drain", probe, 20000, patience_s=30)["code"] == "ok"
    got = a.ask(probe, "seqinfo", ms=20000)
    took = sorted((e["t_us"] - at) / 1000 for e, at in ends)
    g.measured(f"{delay} + 0..{jitter} ms each way: asks' median", took[len(took) // 2], " ms")
    assert got["value"] == [2000, 0], got
    assert all(e["code"] == "ok" for e, _ in ends) and not downs(a, probe) and not downs(b, here)


def f09_delay_of_100_ms(g):
    """100 ms each way and up to 50 more: no disorder, no double, no death."""
    late_packets(g, 100, 50)


def f09b_delay_of_500_ms(g):
    """500 ms each way and up to 100 more."""
    late_packets(g, 500, 100)


def f10_thin_link(g):
    """1 Mbit/s through a queue of 16 packets, filled by tells: back-pressure, at most 1 % of small asks time out, memory bounded."""
    a, b, probe, link = g.apart()
    other = b.spawn()
    assert a.ask(other, "inc")["code"] == "ok"
    watcher_on(a, probe)
    link(rate=125000, room=16)
    before = a.rss_kib()
    flood = a.send("tells", probe, 1, 10**9, 1000, 0)
    ends = asks_go_on(a, other, 15, 0.05)
    grown = a.rss_kib() - before
    bad = [e for e, _ in ends if e["code"] != "ok"]
    took = sorted((e["t_us"] - at) / 1000 for e, at in ends)
    assert flood not in a.ends and not downs(a, probe)
    g.measured("asks not answered", f"{len(bad)} of {len(ends)}, median {took[len(took) // 2]:.0f} ms")
    g.measured("grown by", grown, " KiB")
    assert len(bad) <= len(ends) / 100 and grown <= 8192, (bad[:3], grown)


def f11_spoilt_bytes(g):
    """One bit in each 4 KiB is turned over for 3 s: connections end and say why, nothing wrong is delivered, it comes back."""
    a, b, probe = g.linked()
    here = both_watch(g, a, b, probe)
    g.relay("flow", **{"from": "a", "to": "b"}, mode="corrupt", every=4096)
    ends, values, stop = [], [], time.monotonic() + 3
    while time.monotonic() < stop:
        names = [(a.send("ask", probe, "echo", n, 2000), n) for n in range(100)]
        for name, n in names:
            end = a.end(name)
            ends.append(end)
            if end["code"] == "ok":
                values.append(end["value"] == n)
    g.relay.pair("a", "b")
    b.settle(0.1)
    why = {e["text"] for host in (a, b) for e in host.events if e["event"] == "peer_down"}
    codes = {}
    for end in ends:
        codes[end["code"]] = codes.get(end["code"], 0) + 1
    g.measured("asks", str(codes))
    g.measured("said", f"{sorted(why)}")
    answered_again(a, probe, 30)
    assert all(values) and len(values) > 100 and set(codes) <= {"ok", "unreachable", "timeout"}, codes
    assert any("does not decrypt" in text for text in why), why
    assert not downs(a, probe) and not downs(b, here), (downs(a, probe), why)


def f12_half_open(g):
    """The peer dies behind a link that passes nothing, so no reset comes: noticed within peer_timeout; not sent after that."""
    a, b, probe, link = g.apart("peer_timeout_ms=3000")
    watcher_on(a, probe)
    link(black=True)
    b.kill()
    cut_us = now_us()
    ask = a.send("ask", probe, "inc", 0, 8000)
    took = (a.event("down", ref=probe, patience_s=8)["t_us"] - cut_us) / 1000
    g.measured("noticed after", took, " ms of 3000")
    end = a.end(ask)
    assert took <= 3000 + 500 and (end["code"], end["delivery"]) == ("unreachable", UNKNOWN), (took, end)
    assert a.ask(probe, "inc", ms=300)["code"] in ("unreachable", "timeout")


def f26_two_connections_one_ends(g):
    """Both dial at once; then either's connection is cut, again and again: no death, no ask that waits."""
    places = [g.relay.door(i, name) for i, name in enumerate("ab")]
    doubles, longest = 0, 0
    a = g.again(0, "a", places[0], f"dial={places[1][1]}")
    b = g.again(1, "b", places[1], f"dial={places[0][1]}")
    a.event("peer_up"), b.event("peer_up")
    probe, = g.probe_of(a, b)
    here = both_watch(g, a, b, probe)
    for number in range(20):
        pairs = g.relay("stats")["pairs"]
        doubles += len(pairs) > 1
        g.relay("cut", **{"from": "a", "to": "b"}, how=("rst", "fin")[number % 2], only="a>b" if number % 4 < 2 else "b>a")
        dials = [a.send("dial", b.address), b.send("dial", a.address)]  # crossed again
        begun = now_us()
        end = a.ask(probe, "inc", ms=2000)
        assert end["code"] in ("ok", "unreachable"), end
        assert a.ask(probe, "inc", ms=2000)["code"] == "ok"
        longest = max(longest, (now_us() - begun) / 1000)
        assert a.end(dials[0])["code"] == "ok" and b.end(dials[1])["code"] == "ok"
    g.measured("rounds with two connections", f"{doubles} of 20")
    g.measured("two asks took at most", longest, " ms")
    assert not downs(a, probe) and not downs(b, here) and longest < 1000


def f27_idle_connections_are_closed(g):
    """What is between closes a connection that has been idle, as libp2p peers do: no death, the next ask works."""
    a, b, probe = g.linked()
    here = both_watch(g, a, b, probe)
    longest = 0
    for _ in range(3):
        a.settle(4)
        g.relay.cut("a", "b", "fin")
        a.settle(0.5)
        begun = now_us()
        end = a.ask(probe, "inc", ms=2000)
        longest = max(longest, (end["t_us"] - begun) / 1000)
        assert end["code"] == "ok", end
    g.measured("the next ask took at most", longest, " ms")
    assert not downs(a, probe) and not downs(b, here)
