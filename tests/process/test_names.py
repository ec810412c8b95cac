"""Names and refs between processes: found through others, never those of the dead."""
import time

from running import figures, main


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


if __name__ == "__main__":
    main(globals())
