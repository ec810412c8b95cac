"""Every error that has a cause, provoked: code, delivery, text."""
import asyncio
import os
import time

import pytest

import shoal
from common import Echo, with_node


async def error_of(awaitable_of):
    try:
        await awaitable_of()
    except shoal.Error as e:
        return e
    raise AssertionError("no error")


def check(e, cls, code, delivery, says, *also):
    assert type(e) is cls and e.code == code and e.delivery == delivery, (repr(e), e.delivery)
    assert says in e.text and str(e) == e.text, e.text
    for other in (shoal.Error, *also):
        assert isinstance(e, other)


@with_node
async def test_timeout(node):
    ref = await node.spawn(Echo)
    start = time.monotonic()
    check(await error_of(lambda: ref.ask.never(_timeout=0.1)), shoal.Timeout, "timeout", "unknown", "", TimeoutError)
    assert 0.09 < time.monotonic() - start < 0.5
    # behind it, not begun: withdrawn
    check(await error_of(lambda: ref.ask.echo(1, _timeout=0.1)), shoal.Timeout, "timeout", "not_sent", "")
    assert ref.kill() is None
    assert (await ref.done()).kind in ("killed", "gone")


@with_node
async def test_not_found(node):
    check(await error_of(lambda: node.lookup("nobody", timeout=0)), shoal.NotFound, "not_found", "not_sent", "", LookupError)
    assert await node.lookup("nobody", timeout=0, default=5) == 5


@with_node
async def test_not_running(node):
    ref = await node.spawn(Echo)
    waiting = [ref.ask.never(), ref.ask.echo(1)]
    await asyncio.sleep(0.02)
    ref.kill()
    check(await error_of(lambda: waiting[0]), shoal.NotRunning, "not_running", "unknown", "")
    check(await error_of(lambda: waiting[1]), shoal.NotRunning, "not_running", "not_sent", "")
    check(await error_of(lambda: ref.ask.echo(1)), shoal.NotRunning, "not_running", "not_sent", "")
    with pytest.raises(shoal.NotRunning):
        ref.tell.echo(1)


@with_node(mailbox=2)
async def test_mailbox_full(node):
    ref = await node.spawn(Echo)
    ref.tell.never()
    await asyncio.sleep(0.02)
    with pytest.raises(shoal.MailboxFull) as e:
        for _ in range(10):
            ref.tell.echo(1)
    check(e.value, shoal.MailboxFull, "mailbox_full", "not_sent", "mailbox")
    ref.kill()


@with_node
async def test_no_handler_and_bad_value(node):
    ref = await node.spawn(Echo)
    check(await error_of(lambda: ref.ask.nope()), shoal.NoHandler, "no_handler", "not_sent", "nope")
    check(await error_of(lambda: ref.ask.fail(texd=1)), shoal.BadValue, "bad_value", "not_sent", "texd", ValueError)
    with pytest.raises(shoal.BadValue):
        node.lookup("x" * 300)
    with pytest.raises(shoal.BadValue):
        node.ref("no ref")
    with pytest.raises(shoal.BadValue):
        await node.info("nonsense")


@with_node
async def test_handler(node):
    class Fails(shoal.Actor):
        def own(self):
            raise shoal.HandlerError("no luck", value={"at": [1]})

        async def late(self):
            await asyncio.sleep(0)
            raise KeyError("k")

        async def cancel(self):
            raise asyncio.CancelledError

    ref = await node.spawn(Fails)
    e = await error_of(lambda: ref.ask.own())
    check(e, shoal.HandlerError, "handler", "handled", "no luck")
    assert e.value == {"at": [1]} and e.type == "HandlerError"
    e = await error_of(lambda: ref.ask.late())
    check(e, shoal.HandlerError, "handler", "handled", "KeyError: 'k'")
    assert e.type == "KeyError" and isinstance(e.__cause__, KeyError)
    assert e.__cause__.__traceback__.tb_frame.f_code.co_name == "late" or e.__cause__.__traceback__.tb_next
    e = await error_of(lambda: ref.ask.cancel())
    assert e.type == "CancelledError"


@with_node
async def test_spawn_fails(node):
    class Bad(shoal.Actor):
        def __init__(self, how):
            if how == "init":
                raise ValueError("in init")
            self.how = how

        async def on_start(self):
            if self.how == "late":
                await asyncio.sleep(0.01)
            raise OSError("in start")

    for how, says in (("init", "ValueError"), ("now", "OSError"), ("late", "OSError")):
        e = await error_of(lambda: node.spawn(Bad, how))
        assert e.code == "handler" and e.delivery == "handled" and says in (e.type or "") + e.text, (how, repr(e), e.type)
        assert e.__cause__ is not None
    assert await node.info("actors") == []
    with pytest.raises(TypeError):
        node.spawn(int)
    with pytest.raises(TypeError):
        node.spawn(Echo, _nope=1)


@with_node
async def test_unreachable_and_bad_address(node):
    e = await error_of(lambda: node.dial("/ip4/127.0.0.1/tcp/1/p2p/" + node.peer_id))
    assert e.code in ("unreachable", "bad_address")
    other = "12D3KooWGRUkrGcKJfUHmMwVcvQbJzqdwJG1XhqNsPxyzNnkyXhU"
    e = await error_of(lambda: node.dial("/ip4/127.0.0.1/tcp/1"))
    check(e, shoal.Unreachable, "unreachable", "not_sent", "", ConnectionError)
    e = await error_of(lambda: node.dial("nonsense"))
    check(e, shoal.BadAddress, "bad_address", "not_sent", "", ValueError)
    assert other
    with pytest.raises(shoal.BadAddress):
        shoal.Node(listen=["/ip4/127.0.0.1/tcp/99999"]).peer_id


@with_node
async def test_name_taken(node):
    a, b = await node.spawn(Echo), await node.spawn(Echo)
    await a.register("name")
    check(await error_of(lambda: b.register("name")), shoal.NameTaken, "name_taken", "not_sent", "name")
    await a.unregister("name")
    await b.register("name")
    assert await node.lookup("name") == b
    check(await error_of(lambda: a.unregister("name")), shoal.NotFound, "not_found", "not_sent", "")


def test_refused(tmp_path):
    folder = tmp_path / "key"
    folder.mkdir()
    with pytest.raises(shoal.Error) as e:
        shoal.Node(key=folder).peer_id
    check(e.value, shoal.Refused, "refused", "not_sent", "key", PermissionError)
    key = tmp_path / "k"
    with shoal.Node(key=key) as node:
        first = node.peer_id
    assert os.stat(key).st_mode & 0o777 == 0o600
    with shoal.Node(key=str(key)) as node:
        assert node.peer_id == first


def test_refused_from_outside():
    async def main():
        async with shoal.Node(listen=["/ip4/127.0.0.1/tcp/0"]) as a, shoal.Node() as b:
            secret = await a.spawn(Echo)
            await b.dial(a.addresses[0])
            ref = b.ref(str(secret))  # callable, as its text was handed out; but b is not admin of a
            assert await ref.ask.echo(1) == 1
            check(await error_of(lambda: b.info("actors", a.peer_id)), shoal.Refused, "refused", "not_sent", "", PermissionError)
            assert secret.peer_id == a.peer_id

    asyncio.run(main())


def test_closed():
    node = shoal.Node()
    node.stop().wait()
    with pytest.raises(shoal.Closed):
        node.spawn(Echo)
    with shoal.Node() as node:
        ref = node.spawn(Echo).wait()
        pending = ref.done()
    with pytest.raises(shoal.Closed) as e:
        ref.tell.echo(1)
    check(e.value, shoal.Closed, "closed", "not_sent", "closed")
    try:
        assert pending.wait().kind
    except shoal.Closed:
        pass
    for call in (lambda: node.peer_id, lambda: node.lookup("x"), lambda: str(ref) and ref.ask.echo(1)):
        with pytest.raises(shoal.Closed):
            call()


def test_limit():
    with shoal.Node(max_actors=2) as node:
        node.spawn(Echo).wait()
        node.spawn(Echo).wait()
        with pytest.raises(shoal.LimitReached) as e:
            node.spawn(Echo).wait()
        check(e.value, shoal.LimitReached, "limit", "not_sent", "")


def test_unsupported_and_options():
    with pytest.raises(shoal.Unsupported, match="threads is 2"):
        shoal.Node(threads=2)
    for options in ({"dht": "x"}, {"log": 5}, {"listen": "/ip4"}, {"mailbox": -1}, {"ask_timeout": 0}, {"max_peers": 0}, {"dial": [1]}):
        with pytest.raises(shoal.BadValue) as e:
            shoal.Node(**options)
        assert next(iter(options)) in e.value.text and "expected" in e.value.text
    with pytest.raises(TypeError):
        shoal.Node(swarm_key="x")


@with_node
async def test_usage(node):
    class Selfish(shoal.Actor):
        async def me(self):
            await self.cx.ref.ask.me()

        def me_sync(self):
            self.cx.ref.ask.me()

        def waits(self, ref):
            ref.ask.echo(1).wait()

        def polls(self):
            self.cx.node.poll(0)

        def runs(self):
            self.cx.node.run()

    ref, echo = await node.spawn(Selfish), await node.spawn(Echo)
    for name, value in (("me", None), ("me_sync", None), ("waits", echo), ("polls", None), ("runs", None)):
        e = await error_of(lambda: ref.ask(name, value))
        assert e.type == "Usage", (name, e)
    with pytest.raises(shoal.Usage, match="await instead"):
        echo.ask.later().wait()
    for call in (lambda: node.run(), lambda: node.poll(0)):
        with pytest.raises(shoal.Usage):
            call()
    with pytest.raises(shoal.Usage):
        Echo().cx


def test_classes():
    codes = ["timeout", "not_found", "not_running", "mailbox_full", "no_handler", "bad_value", "handler", "unreachable", "refused",
             "name_taken", "bad_address", "closed", "limit", "unsupported", "usage"]
    from shoal import _errors

    assert sorted(codes + ["cancelled"]) == sorted(_errors.BY_CODE)
    assert issubclass(shoal.Usage, RuntimeError) and _errors.BY_CODE["cancelled"] is asyncio.CancelledError
