"""Two and three nodes over loopback: names, refs that travel, errors from afar."""
import asyncio
import time

import pytest

import shoal
from common import Echo, with_node

HERE = ["/ip4/127.0.0.1/tcp/0"]


def pair(test):
    def run():
        async def main():
            async with asyncio.timeout(25), shoal.Node(listen=HERE) as a:
                async with shoal.Node(listen=HERE) as b:
                    assert await b.dial(a.addresses[0]) == a.peer_id
                    await test(a, b)

        asyncio.run(main())

    run.__name__ = test.__name__
    return run


@pair
async def test_by_name(a, b):
    echo = await a.spawn(Echo)
    await echo.register("echo")
    ref = await b.lookup("echo", timeout=5)
    assert ref == echo and hash(ref) == hash(echo) and str(ref) == str(echo) and ref.peer_id == a.peer_id
    assert await ref.ask.echo({"v": [1, None, b"x"]}) == {"v": [1, None, b"x"]}
    for i in range(100):
        ref.tell.note(i)
    await ref.drain()
    assert await ref.ask.notes() == list(range(100))
    assert [r async for r in b.lookup_all("echo", timeout=1)] == [echo]
    await echo.unregister("echo")
    with pytest.raises(shoal.NotFound):
        await b.lookup("echo", timeout=0.2)


@pair
async def test_errors_from_afar(a, b):
    echo = await a.spawn(Echo)
    await echo.register("echo")
    ref = await b.lookup("echo")
    with pytest.raises(shoal.HandlerError) as e:
        await ref.ask.fail("far")
    assert e.value.type == "ValueError" and "far" in e.value.text and e.value.delivery == "handled"
    assert "Traceback" not in e.value.text  # of this machine's files nothing leaves it
    with pytest.raises(shoal.NoHandler):
        await ref.ask.nope()
    with pytest.raises(shoal.BadValue):
        await ref.ask.fail(x=1)
    with pytest.raises(shoal.Timeout):
        await ref.ask.never(_timeout=0.2)
    gone = ref.done()
    echo.kill()
    assert (await gone).kind in ("killed", "gone")
    with pytest.raises(shoal.NotRunning):
        await ref.ask.echo(1)


@pair
async def test_refs_travel(a, b):
    first, second = await a.spawn(Echo), await b.spawn(Echo)
    await first.register("first")
    far = await b.lookup("first")
    back = await far.ask.echo([second])
    assert back == [second] and await back[0].ask.echo(3) == 3
    assert await far.ask.relay(ref=second, name="echo", v=7) == 7


@pair
async def test_death_of_a_node(a, b):
    echo = await a.spawn(Echo)
    await echo.register("echo")
    ref = await b.lookup("echo")
    gone, asked = ref.done(), ref.ask.never(_timeout=20)
    await asyncio.sleep(0.05)
    a._close()
    start = time.monotonic()
    assert (await gone).kind in ("peer_lost", "killed", "gone", "normal")
    with pytest.raises(shoal.Error):
        await asked
    assert time.monotonic() - start < 5


@pair
async def test_events_and_follow(a, b):
    follow = b.lookup_all("later", follow=True)
    one = await a.spawn(Echo)
    waiting = follow.__anext__()
    await one.register("later")
    assert await asyncio.wait_for(waiting, 10) == one
    await follow.aclose()


def test_listening_event():
    events = []

    @with_node(listen=HERE, on_event=lambda event, info: events.append((event, info)))
    async def run(node):
        while not any(e == "listening" for e, _ in events):
            await asyncio.sleep(0.01)
        info = next(i for e, i in events if e == "listening")
        assert info["peer_id"] == node.peer_id and info["address"].startswith("/ip4/127.0.0.1/tcp/")

    run()
