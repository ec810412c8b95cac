"""What goes by reference is given back on every path: one token is sent along it, inside values of each kind, and afterwards nobody
but the test holds it. Paths that run often keep no block of memory."""
from __future__ import annotations

import asyncio
import gc
import sys

import pytest

import shoal
from common import python


class Victim(shoal.Actor, id="test.victim", mailbox=64):
    def __init__(self):
        self.promise = None
        self.left = []

    def put(self, v):
        pass

    def give(self, v):
        return v

    def early(self, v):
        self.cx.reply(v)
        return v

    def fail(self, v):
        raise ValueError("boom")

    def shout(self, v):
        raise shoal.HandlerError("boom", value=v)

    def strict(self, v: int):
        pass

    async def later(self, v):
        await shoal.sleep(0.03)
        return v

    async def at_once(self, v):
        return v

    async def never(self, v):
        await shoal.sleep(1000)

    def defer(self, v):
        self.promise = self.cx.defer()

    def answer(self, v):
        self.promise.reply(v)

    def pass_on(self, v, to: shoal.Ref):
        self.cx.forward(to, "give", v=v)

    def handed(self, v):
        self.cx.forward(self.to)

    def hand_to(self, to: shoal.Ref):
        self.to = to

    async def asks(self, to: shoal.Ref, name, v):
        return await to.ask(name, v=v)

    def stop(self, v):
        self.cx.stop()


class Last(Victim, id="test.last"):
    def on_undelivered(self, messages):
        self.left = messages


class Other(shoal.Actor, id="test.other"):
    def handed(self, v):
        return v


def told(e, call):
    """The error that the call ends with."""
    with pytest.raises(e):
        call()


def handled(node, ref, v):
    ref.tell.put(v=v)
    ref.tell("put", {"v": v})
    ref.tell.give(v=v)
    ref.tell.at_once(v=v)
    for name in ("put", "give", "early", "at_once", "later"):
        ref.ask(name, v=v).wait()
        getattr(ref.ask, name)(v=v, _timeout=5).wait()
        getattr(ref.ask, name)(v=v).wait()


def failed(node, ref, v):
    for name in ("fail", "shout"):
        told(shoal.HandlerError, lambda: ref.ask(name, v=v).wait())
    told(shoal.BadValue, lambda: ref.ask.strict(v=v).wait())
    told(shoal.BadValue, lambda: ref.ask.put(v=v, w=1).wait())
    told(shoal.NoHandler, lambda: ref.ask.absent(v=v).wait())
    told(shoal.BadValue, lambda: ref.tell.put(v=[v, object()]))
    told(shoal.BadValue, lambda: ref.tell.put(w=v, v={1, 2}))
    told(TypeError, lambda: ref.tell.put(v=v, _nonsense=1))
    told(TypeError, lambda: ref.tell.put(v, v=v))


def full(node, ref, v):
    def fill():
        for _ in range(100):
            ref.tell.put(v=v)

    told(shoal.MailboxFull, fill)


def killed(node, ref, v):
    full(node, ref, v)
    ref.kill()
    told(shoal.NotRunning, lambda: ref.ask.put(v=v).wait())
    told(shoal.NotRunning, lambda: ref.tell.put(v=v))


def died(node, ref, v):
    for name in ("put", "fail", "put", "give"):
        ref.tell(name, v=v)
    ref.done().wait()


def stopped(node, ref, v):
    for name in ("put", "stop", "put", "never", "put"):
        ref.tell(name, v=v)
    node.poll(0.01)
    ref.kill()
    ref.done().wait()


def late(node, ref, v):
    told(shoal.Timeout, lambda: ref.ask.later(v=v, _timeout=0.005).wait())
    ref.ask.put(v=v).wait()


def cancelled(node, ref, v):
    p = ref.ask.give(v=v)
    p.cancel()
    q = ref.ask.later(v=v)
    node.poll(0.001)
    q.cancel()
    ref.ask.put(v=v).wait()


def unread(node, ref, v):
    ref.ask.give(v=v)
    ref.ask.put(v=v).wait()


def deferred(node, ref, v):
    p = ref.ask.defer(v=v)
    node.poll(0.01)
    ref.ask.answer(v=v).wait()
    p.wait()
    ref.ask.defer(v=v)


def forwarded(node, ref, v):
    ref.ask.pass_on(v=v, to=node.spawn(Victim).wait()).wait()
    other = node.spawn(Other).wait()
    ref.ask.hand_to(to=other).wait()
    ref.ask.handed(v=v).wait()
    ref.tell.handed(v=v)
    other.kill()
    ref.tell.handed(v=v)
    node.poll(0.01)


def between(node, ref, v):
    other = node.spawn(Victim).wait()
    for name in ("put", "give", "later"):
        ref.ask.asks(to=other, name=name, v=v).wait()
    ref.ask.asks(to=other, name="never", v=v)
    node.poll(0.01)
    other.kill()
    node.poll(0.01)
    ref.ask.asks(to=ref, name="give", v=v)
    node.poll(0.01)


def asker_dies(node, ref, v):
    other = node.spawn(Victim).wait()
    ref.ask.asks(to=other, name="later", v=v)
    node.poll(0.005)
    ref.kill()
    other.ask.later(v=v).wait()


def left(node, ref, v):
    full(node, ref, v)
    # nobody drains: the node ends with all of it


def undelivered(node, ref, v):
    ref = node.spawn(Last).wait()
    ref.tell.stop(v=v)
    for _ in range(5):
        ref.tell.put(v=v)
    ref.done().wait()


PATHS = [handled, failed, full, killed, died, stopped, late, cancelled, unread, deferred, forwarded, between, asker_dies, left, undelivered]
VALUES = [lambda t: t, lambda t: [t, [t]], lambda t: {"k": t, "m": {1: (t, t)}}]


def nothing_is_left(path, threads, end):
    token = bytes(range(200))
    before = sys.getrefcount(token)
    for value in VALUES:
        node = shoal.Node(threads=threads, on_event=lambda event, info: None)
        path(node, node.spawn(Victim).wait(), value(token))
        end(node)
        del node
        gc.collect()
        assert sys.getrefcount(token) == before


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.__name__)
def test_path(path, threads):
    nothing_is_left(path, threads, shoal.Node._close)


@pytest.mark.parametrize("path", [left, between, deferred], ids=lambda p: p.__name__)
def test_forgotten_node(path):
    """A node that nobody holds any more, collected with its mailboxes full."""
    nothing_is_left(path, 1, lambda node: None)


def test_on_a_loop():
    """As above where tasks of asyncio wait, are cancelled, time out."""
    token = bytes(range(200))
    before = sys.getrefcount(token)

    async def main(v):
        async with shoal.Node(on_event=lambda event, info: None) as node:
            ref = await node.spawn(Victim)
            got = await ref.ask.give(v=v)
            assert await asyncio.gather(*(ref.ask.later(v=v) for _ in range(5))) == [got] * 5
            del got
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ref.ask.later(v=v), 0.005)
            with pytest.raises(shoal.HandlerError):
                await ref.ask.fail(v=v)
            task = asyncio.create_task(asks(ref, v))
            await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            ref.ask.never(v=v)
            ref.tell.put(v=v)
            ref.kill()

    async def asks(ref, v):
        return await ref.ask.later(v=v)

    for value in VALUES:
        asyncio.run(main(value(token)))
        gc.collect()
        assert sys.getrefcount(token) == before


def test_steady():
    """Rounds of everything leave no block behind."""
    blocks = []
    with shoal.Node(threads=0, on_event=lambda event, info: None) as node:
        for turn in range(8):
            ref = node.spawn(Victim).wait()
            for path in (handled, full, cancelled, unread, deferred):
                path(node, ref, [turn, b"x" * 100])
                node.poll(0.05)
            for i in range(300):
                ref.tell.put(v={"k": [turn]})
                if i % 32 == 0:
                    node.poll(0.05)
                ref.ask.give(v=str(turn)).wait()
            ref.kill()
            node.poll(0.05)
            gc.collect()
            blocks.append(sys.getallocatedblocks())
    assert max(blocks[4:]) - blocks[3] < 150, blocks


def test_failures_are_forgotten():
    """Who fails all the time, in ever new actors, keeps only the exceptions of a moment."""
    import weakref

    class Boom(Exception):
        pass

    class Fails(shoal.Actor):
        def fail(self):
            e = Boom()
            raised.append(weakref.ref(e))
            raise e

    raised: list = []
    with shoal.Node(threads=0, on_event=lambda event, info: None) as node:
        for _ in range(2000):
            ref = node.spawn(Fails).wait()
            told(shoal.HandlerError, lambda: ref.ask.fail().wait())
            ref.kill()
        gc.collect()
        assert sum(r() is not None for r in raised) <= 600
    gc.collect()
    assert not any(r() for r in raised)


def test_refs_are_not_cycles():
    """A ref that was used goes with its last user, without the collector."""
    gc.disable()
    try:
        import weakref

        with shoal.Node(threads=0) as node:
            ref = node.spawn(Victim).wait()
            ref.tell.put(v=1)
            ref.ask.give(v=1).wait()
            gone = weakref.ref(ref)
            del ref
            assert gone() is None
    finally:
        gc.enable()


def test_exit_with_full_mailboxes():
    """The interpreter ends with messages under way; nothing crashes."""
    for threads in (0, 1):
        done = python("import shoal, sys\nfrom test_leaks import Victim\n"
                      f"node = shoal.Node(threads={threads})\nref = node.spawn(Victim).wait()\n"
                      "for _ in range(60): ref.tell.put(v=[b'x'])\nkept = ref.ask.give(v='x')\n")
        assert done.returncode == 0, done.stderr
