"""Simulations: nodes on virtual time answer as others do, faults are told, and a seed is a run."""
import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
import weakref

import pytest

import shoal
from common import Echo, python

ANY = ["/ip4/0.0.0.0/tcp/4001"]
FIRST = ["/ip4/10.0.0.0/tcp/4001"]


class Clock(shoal.Actor, id="sim.clock"):
    """Counts its beats, and tells what its context says of time and chance."""

    def __init__(self, seconds=0.0):
        self.seconds, self.beats = seconds, 0

    def on_start(self):
        if self.seconds:
            self.cx.every(self.seconds, "beat")

    def beat(self):
        self.beats += 1

    def count(self) -> int:
        return self.beats

    def look(self):
        return [self.cx.now(), self.cx.random()]

    async def nap(self, seconds: float):
        await shoal.sleep(seconds)
        return self.cx.now()


class Watcher(shoal.Actor, id="sim.watcher"):
    def __init__(self, seen):
        self.seen = seen

    def watch(self, ref: shoal.Ref):
        self.cx.monitor(ref)

    def on_down(self, ref, reason):
        self.seen.append((reason.kind, ref))
        return shoal.RESUME


@contextlib.asynccontextmanager
async def pair(sim, **options):
    """Two connected nodes, an Echo named so on the first, and its Ref as the second has it."""
    async with sim.node(listen=ANY, **options) as a, sim.node(listen=ANY, dial=FIRST, **options) as b:
        await (await a.spawn(Echo)).register("echo")
        yield a, b, await b.lookup("echo", timeout=10)


def run(main, seed=7):
    """Runs main(sim) in a simulation of its own."""
    with shoal.sim(seed) as sim:
        return sim.run(main(sim))


@pytest.mark.parametrize("threads", [0, 1])
def test_two_nodes_find_by_name_and_ask(threads):
    async def main(sim):
        async with pair(sim, threads=threads) as (a, b, ref):
            assert a.addresses[0].startswith("/ip4/10.0.0.0/tcp/4001/p2p/") and ref.peer_id == a.peer_id
            begun = sim.now
            assert await ref.ask.echo({"x": [1, b"2", ref]}) == {"x": [1, b"2", ref]}
            assert 0.002 <= sim.now - begun < 0.1
            assert await asyncio.gather(*(ref.ask.echo(i) for i in range(50))) == list(range(50))
            for i in range(20):
                ref.tell.note(i)
            await ref.drain()
            assert await ref.ask.notes() == list(range(20))
            assert [str(found) async for found in b.lookup_all("echo", timeout=1)] == [str(ref)]
            with pytest.raises(shoal.HandlerError, match="boom"):
                await ref.ask.fail()
            with pytest.raises(shoal.NotFound):
                await b.lookup("nobody", timeout=1)
            there = await b.spawn(Echo)
            assert await there.ask.relay(ref=ref, name="echo", v=3) == 3
            ended = ref.done()
            await asyncio.sleep(0.1)
            await (await a.lookup("echo")).stop()
            assert (await ended).kind == "normal"
            return "done"

    assert run(main) == "done"


def test_an_hour_is_short():
    async def main(sim):
        async with pair(sim) as (a, b, ref):
            clock = await a.spawn(Clock, 60)
            begun = sim.now
            await asyncio.sleep(3600.0000005)
            assert sim.now - begun == pytest.approx(3600, abs=1e-5)
            assert await clock.ask.count() in (59, 60)
            assert await ref.ask.echo(1) == 1

    begun = time.monotonic()
    run(main)
    assert time.monotonic() - begun < 1


def test_timers_of_asyncio_come_in_order_and_on_time():
    async def main(sim):
        order = []

        async def at(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, round(sim.now, 6)))

        async with pair(sim):
            begun = sim.now
            await asyncio.gather(*(at(s) for s in (5, 0.0005, 0.003, 100, 0, 0.0012345)))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await asyncio.Event().wait()
        assert [s for s, _ in order] == [0, 0.0005, 0.0012345, 0.003, 5, 100]
        assert all(abs(now - begun - s) < 3e-6 for s, now in order), order

    run(main)


def test_a_handler_ends_the_turn_at_its_time():
    """What a handler starts on the loop happens when it ran, whichever node's handler it is."""
    async def main(sim):
        async with pair(sim) as (a, b, _):
            for node in (b, a):
                clock = await node.spawn(Clock)
                begun = sim.now
                woke = await clock.ask.nap(2.5)
                assert 2.5 <= woke - begun < 2.51 and sim.now - begun < 2.52

    run(main)


def test_time_and_chance_of_handlers():
    async def main(sim):
        async with sim.node() as node:
            clock = await node.spawn(Clock)
            await asyncio.sleep(1000)
            now, chance = await clock.ask.look()
            assert abs(now - sim.now) < 0.01 and 0 <= chance < 1
            assert abs(asyncio.get_running_loop().time() - sim.now) < 1e-9
            return chance

    assert run(main, 1) == run(main, 1) != run(main, 2)


def test_partition_and_heal():
    async def main(sim):
        async with pair(sim) as (a, b, ref):
            sim.partition([a], [b])
            begun = sim.now
            with pytest.raises(shoal.Timeout):
                await ref.ask("echo", 1, _timeout=1)
            assert 1 <= sim.now - begun < 1.2
            late = ref.ask("echo", 2, _timeout=3)
            await asyncio.sleep(0.5)
            assert not late.done()
            sim.heal()
            assert await late == 2
            ended = ref.done()
            await asyncio.sleep(0.1)
            sim.partition((b,), (a,))
            assert (await ended).kind == "peer_lost"
            with pytest.raises(shoal.BadValue):
                sim.partition([a], [a])
            with pytest.raises(shoal.Usage):
                sim.partition([a], [object()])

    run(main)


def test_crash_is_peer_lost_to_a_monitor():
    async def main(sim):
        seen = []
        async with pair(sim) as (a, b, ref):
            watcher = await b.spawn(Watcher, seen)
            await watcher.ask.watch(ref)
            own, asked = a.lookup("nobody", timeout=100), a.ref(str(ref)).ask("never", _timeout=100)
            await asyncio.sleep(0.1)
            sim.crash(a)
            with pytest.raises(shoal.Closed):
                await own
            with pytest.raises((shoal.Closed, shoal.NotRunning)):
                await asked
            with pytest.raises(shoal.Closed):
                a.ref(str(ref))
            with pytest.raises(shoal.Closed):
                sim.crash(a)
            await asyncio.sleep(30)
            assert seen == [("peer_lost", ref)]
            with pytest.raises(shoal.Error):
                await ref.ask("echo", 1)

    run(main)


def test_crash_where_it_cannot_be():
    class Killer(shoal.Actor, id="sim.killer"):
        def kill(self, _, /):
            sim.crash(self.cx.node)

    with shoal.sim(1) as sim:
        async def main():
            async with sim.node() as node:
                with pytest.raises(shoal.HandlerError, match="not inside a handler"):
                    await (await node.spawn(Killer)).ask.kill(1)
        sim.run(main())
        with shoal.sim(1) as other:
            async def foreign():
                async with other.node() as node:
                    sim.crash(node)
            with pytest.raises(shoal.Usage, match="of this simulation"):
                other.run(foreign())


async def traffic(sim):
    sim.net(latency=(0.002, 0.05), loss=0.05)
    async with pair(sim) as (a, b, ref):
        clock = await a.spawn(Clock, 0.5)
        for i in range(20):
            assert await ref.ask.echo(i) == i
        await asyncio.sleep(20)
        return sim.now, await clock.ask.look()


def test_a_seed_is_a_run():
    def once(seed):
        with shoal.sim(seed) as sim:
            result = sim.run(traffic(sim))
        assert sim.seed == seed and sim.now >= result[0] and len(sim.digest) == 16
        return sim.digest, sim.now, result

    assert once(7) == once(7)
    assert once(7)[0] != once(8)[0]


def test_a_seed_is_a_run_in_another_process():
    code = ("import shoal, test_sim\nwith shoal.sim(7) as s: s.run(test_sim.traffic(s))\nprint(s.digest, s.now)")
    first, second = (python(code, env={**os.environ, "PYTHONHASHSEED": h}) for h in "13")
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout and first.stdout


def test_net():
    async def main(sim):
        async with pair(sim) as (_, __, ref):
            await ref.ask.echo(0)  # their session is there from now on
            sim.net(latency=(0.3, 0.3))
            begun = sim.now
            await ref.ask.echo(1)
            assert 0.6 <= sim.now - begun < 0.7
            for wrong in ({"latency": (2, 1)}, {"latency": 3}, {"latency": (0, 1e6)}, {"loss": 1.5}, {"loss": "x"}, {"loss": -1}):
                with pytest.raises(shoal.BadValue):
                    sim.net(**wrong)

    run(main)


def test_what_reaches_out_is_refused():
    async def main(sim):
        loop = asyncio.get_running_loop()
        with pytest.raises(shoal.Usage, match="add_reader"):
            loop.add_reader(0, print)
        with pytest.raises(shoal.Usage):
            await asyncio.open_connection("127.0.0.1", 1)
        with pytest.raises(shoal.Usage):
            await asyncio.start_server(print, "127.0.0.1", 0)
        with pytest.raises(shoal.Usage):
            await asyncio.to_thread(print)
        with pytest.raises(shoal.Usage):
            await asyncio.create_subprocess_exec("true")
        real = shoal.Node()
        with pytest.raises(shoal.Usage):
            await real.__aenter__()
        real._close()
        caught = []

        def foreign():
            try:
                loop.call_soon_threadsafe(print)
            except shoal.Usage as e:
                caught.append(e)
        thread = threading.Thread(target=foreign)
        thread.start()
        thread.join()
        assert len(caught) == 1
        async with sim.node() as node:
            with pytest.raises(shoal.Unsupported):
                node.fileno()
            for call in (node.run, lambda: node.poll(0), (await node.spawn(Echo)).ask.echo(1).wait):
                with pytest.raises(shoal.Usage):
                    call()

    run(main)


def test_where_a_node_can_be():
    with shoal.sim(1) as sim, shoal.sim(2) as other:
        async def enter():
            async with sim.node():
                return 1
        assert sim.run(enter()) == 1
        with pytest.raises(shoal.Usage, match="inside run"):
            asyncio.run(enter())
        with pytest.raises(shoal.Usage, match="inside run"):
            other.run(enter())

        async def second():
            async with sim.node(listen=ANY) as node:
                return node.addresses[0]
        assert sim.run(second()).startswith("/ip4/10.0.0.1/")  # those that could not be took no host
        with pytest.raises(shoal.Usage, match="async with"):
            sim.node().__enter__()
        with pytest.raises(TypeError):
            sim.node(key="x")

        async def nested():
            sim.run(enter())
        with pytest.raises(shoal.Usage, match="already"):
            other.run(nested())
        with pytest.raises(shoal.BadValue):
            sim.run(enter)

        async def shut():
            sim.__exit__(None, None, None)
        with pytest.raises(shoal.Usage, match="running"):
            sim.run(shut())
        node = sim.node()
    with pytest.raises(shoal.Closed):
        node.peer_id
    with pytest.raises(shoal.Closed):
        sim.run(enter())
    with pytest.raises(shoal.Closed):
        sim.heal()
    for seed in (-1, 1 << 64, 1.5, True, "7"):
        with pytest.raises(shoal.BadValue):
            shoal.sim(seed)


@pytest.mark.parametrize("nodes", [0, 1, 2])
def test_nothing_left_to_happen(nodes):
    left = []

    async def main(sim):
        try:
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(nodes):
                    await stack.enter_async_context(sim.node(listen=ANY, dial=FIRST if _ else []))
                await asyncio.Event().wait()
        finally:
            left.append(nodes)

    begun = time.monotonic()
    with pytest.raises(shoal.Usage, match="nothing is left to happen"):
        run(main)
    assert left == [nodes] and time.monotonic() - begun < 10


def test_what_main_raises():
    async def main(sim):
        async with pair(sim) as (a, b, ref):
            await ref.ask.echo(1)
            raise LookupError("mine")

    with shoal.sim(3) as sim:
        with pytest.raises(LookupError, match="mine"):
            sim.run(main(sim))

        async def leave(sim):
            async with sim.node() as node:
                class Quit(shoal.Actor, id="sim.quit"):
                    def quit(self):
                        raise SystemExit(3)
                await (await node.spawn(Quit)).ask.quit()
        with pytest.raises(SystemExit):
            sim.run(leave(sim))

        async def again(sim):
            async with sim.node(listen=ANY) as node:
                return await (await node.spawn(Echo)).ask.echo(5)
        assert sim.run(again(sim)) == 5


def test_ctrl_c():
    async def main(sim):
        async with pair(sim):
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                await asyncio.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        run(main)


def test_a_node_ends_while_others_wait():
    """What the end of a node settles is told at once, not when the next timer comes."""
    async def main(sim):
        async with sim.node(listen=ANY) as a, sim.node(listen=ANY) as b:
            looking = asyncio.ensure_future(a.lookup("nobody", timeout=1000))
            resting = await a.spawn(Echo)
            later = resting.ask("later", {"seconds": 500}, _timeout=1000)
            await asyncio.sleep(1)
            begun = sim.now
            with contextlib.suppress(shoal.Timeout):  # what was dropped
                await a.stop(timeout=2)
            await asyncio.wait([looking, asyncio.ensure_future(waited(later))])
            assert sim.now - begun < 10
            assert b.peer_id

    async def waited(pending):
        with contextlib.suppress(shoal.Error):
            await pending

    run(main)


def test_a_time_limit_is_virtual():
    async def main(sim):
        async with sim.node() as node:
            clock = await node.spawn(Clock)
            begun = sim.now
            with pytest.raises(shoal.Timeout):
                await clock.ask.nap(seconds=7, _timeout=3)
            assert 3 <= sim.now - begun < 3.1
            with pytest.raises(shoal.Timeout):
                await clock.stop(timeout=1)
            assert 4 <= sim.now - begun < 4.1

    run(main)


def test_all_goes_with_the_last_reference():
    async def main(sim, refs):
        async with pair(sim) as (a, b, ref):
            refs += [weakref.ref(x) for x in (a, b, ref, asyncio.get_running_loop())]
            await ref.ask.echo(1)

    refs = []
    sim = shoal.sim(5)
    sim.run(main(sim, refs))
    refs.append(weakref.ref(sim))
    del sim
    gc.collect()
    assert [r() for r in refs] == [None] * 5


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_node_that_nobody_stopped_goes_with_its_simulation():
    async def main(sim):
        node = await sim.node(listen=ANY).__aenter__()
        await (await node.spawn(Echo)).ask.echo(1)
        return weakref.ref(node)

    with shoal.sim(5) as sim:
        node = sim.run(main(sim))
    gc.collect()
    assert node() is None
    sim = shoal.sim(6)
    node = sim.run(main(sim))
    del sim
    gc.collect()
    assert node() is None
