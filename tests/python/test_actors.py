"""Life of actors: hooks, stop, kill, links, timers, promises, forwarding, failures, events."""
import asyncio

import pytest

import shoal
from common import Echo, with_node

log: list = []


class Hooked(shoal.Actor, id="test.hooked"):
    def __init__(self, *args, **kwargs):
        self.args = args, kwargs
        log.append("init")

    async def on_start(self):
        await asyncio.sleep(0)
        log.append(("start", self.cx.ref == self.cx.ref, self.cx.name))

    async def on_stop(self, reason):
        await asyncio.sleep(0)
        log.append(("stop", reason.kind, reason.text))

    def on_undelivered(self, messages):
        log.append(("undelivered", messages))

    def on_message(self, name, value):
        return [name, value]

    def given(self):
        return [list(self.args[0]), self.args[1]]

    def quit(self):
        self.cx.stop("had enough")

    async def hang(self):
        try:
            await asyncio.Event().wait()
        finally:
            log.append("hang ended")


@with_node
async def test_hooks(node):
    log.clear()
    ref = await node.spawn(Hooked, 1, [2], k=3)
    assert log == ["init", ("start", True, "")]
    assert await ref.ask.given() == [[1, [2]], {"k": 3}]
    assert await ref.ask("any", {"a": 1}) == ["any", {"a": 1}]
    await ref.ask.quit()
    reason = await ref.done()
    assert reason.kind in ("normal", "gone")
    assert log[-1] == ("stop", "normal", "had enough")


@with_node
async def test_stop_handles_what_is_queued(node):
    ref = await node.spawn(Echo)
    asks = [ref.ask.later(v=i) for i in range(5)]
    reason = await ref.stop()
    assert await asyncio.gather(*asks) == [0, 1, 2, 3, 4]
    assert reason.kind == "normal" and isinstance(reason, shoal.Reason)
    assert (await ref.done()).kind == "gone"


@with_node
async def test_stop_with_timeout(node):
    ref = await node.spawn(Echo)
    ref.tell.never()
    await asyncio.sleep(0.01)
    with pytest.raises(shoal.Timeout):
        await ref.stop(timeout=0.05)
    ref.kill()


@with_node
async def test_kill(node):
    log.clear()
    ref = await node.spawn(Hooked)
    hang = ref.ask.hang()
    for i in range(3):
        ref.tell("left", i)
    await asyncio.sleep(0.01)
    ref.kill()
    with pytest.raises(shoal.NotRunning):
        await hang
    assert (await ref.done()).kind in ("killed", "gone")
    await asyncio.sleep(0.02)
    assert ("undelivered", [("left", 0), ("left", 1), ("left", 2)]) in log
    assert "hang ended" in log and any(e[0] == "stop" and e[1] == "killed" for e in log)


@with_node
async def test_failures(node):
    class Fails(shoal.Actor):
        def __init__(self):
            self.errors = []

        def fail(self, v=None):
            raise ValueError("bad")

        def on_error(self, error):
            self.errors.append(repr(error))
            return shoal.RESUME

        def all(self):
            return self.errors

    class Plain(shoal.Actor):
        fail = Fails.fail

        def ping(self):
            return "pong"

    ref = await node.spawn(Fails)
    with pytest.raises(shoal.HandlerError):
        await ref.ask.fail()
    ref.tell.fail()
    assert await ref.ask.all() == ["ValueError('bad')"] * 2
    plain = await node.spawn(Plain)
    with pytest.raises(shoal.HandlerError):
        await plain.ask.fail()
    assert await plain.ask.ping() == "pong"  # someone was told
    plain.tell.fail()
    reason = await plain.done()
    assert reason.kind in ("error", "gone")


@with_node
async def test_hooks_that_decide_nothing(node):
    class Undecided(shoal.Actor):
        def fail(self):
            raise ValueError

        def ping(self):
            return "pong"

        def on_error(self, error):
            pass

    ref = await node.spawn(Undecided)
    with pytest.raises(shoal.HandlerError):
        await ref.ask.fail()
    assert await ref.ask.ping() == "pong"
    ref.tell.fail()
    assert (await ref.done()).kind in ("error", "gone")
    linked, watcher = await node.spawn(Echo), await node.spawn(Watcher)
    await watcher.ask.watch(ref=linked, how="link")
    linked.kill()
    assert (await watcher.done()).kind in ("link_died", "gone")


def test_actor_failed_event_has_the_traceback():
    events = []

    @with_node(on_event=lambda event, info: events.append((event, info)))
    async def run(node):
        ref = await node.spawn(Echo)
        ref.tell.fail("oh")
        await ref.done()
        while not any(e == "actor_failed" for e, _ in events):
            await asyncio.sleep(0.01)

    run()
    info = next(i for e, i in events if e == "actor_failed")
    assert info["name"] == "fail" and "Traceback" in info["text"] and 'raise ValueError(text)' in info["text"]
    assert info["text"].endswith("ValueError: oh")


def test_undelivered_event():
    events = []

    @with_node(on_event=lambda event, info: events.append((event, info)))
    async def run(node):
        ref = await node.spawn(Echo)
        ref.tell.never()
        await asyncio.sleep(0.01)
        ref.tell.note(1)
        ref.kill()
        await ref.done()
        while not any(e == "undelivered" and i["name"] == "note" for e, i in events):
            await asyncio.sleep(0.01)

    run()
    info = next(i for e, i in events if e == "undelivered" and i["name"] == "note")
    assert info["code"] == "not_running" and info["count"] == 1 and isinstance(info["to"], shoal.Ref)


class Watcher(shoal.Actor, id="test.watcher"):
    def __init__(self, answer=None):
        self.downs, self.answer = [], answer

    def watch(self, ref, how):
        getattr(self.cx, how)(ref)

    def on_down(self, ref, reason):
        self.downs.append([ref, reason.kind])
        return self.answer

    def all(self):
        return self.downs


@with_node
async def test_links_and_monitors(node):
    a, b, c = [await node.spawn(Echo) for _ in range(3)]
    watcher = await node.spawn(Watcher, shoal.RESUME)
    await watcher.ask("watch", {"ref": a, "how": "monitor"})
    await watcher.ask.watch(ref=b, how="link")
    await watcher.ask.watch(ref=c, how="monitor")
    await watcher.ask.watch(ref=c, how="unlink")
    for ref in (a, b, c):
        ref.kill()
        await ref.done()
    while len(await watcher.ask.all()) < 2:
        await asyncio.sleep(0.005)
    assert sorted(d[1] for d in await watcher.ask.all()) == ["killed", "killed"]
    stopper, d = await node.spawn(Watcher, shoal.STOP), await node.spawn(Echo)
    await stopper.ask.watch(ref=d, how="monitor")
    d.kill()
    assert (await stopper.done()).kind in ("link_died", "normal", "error", "gone")
    linked = await node.spawn(Echo)
    other = await node.spawn(Echo, _link=linked)
    linked.kill()
    assert (await other.done()).kind in ("link_died", "gone")


@with_node
async def test_children(node):
    class Parent(shoal.Actor):
        async def make(self, late):
            self.child = await self.cx.spawn(Hooked if late else Echo, _monitor=True)
            return self.child

    for late in (False, True):
        parent = await node.spawn(Parent)
        child = await parent.ask.make(late)
        assert await child.ask("echo", 1) is not None
        await parent.stop()
        assert (await child.done()).kind in ("normal", "killed", "gone")


class Timing(shoal.Actor, id="test.timing"):
    def __init__(self):
        self.ticks = []

    def begin(self):
        self.timer = self.cx.every(0.005, "tick", n=1)
        self.once = self.cx.after(0.001, "tick", {"n": 100})
        self.never = self.cx.after(0, "tick", n=10**6)
        return [type(self.timer) is shoal.Timer, self.never.cancel(), self.never.cancel()]

    def tick(self, n):
        self.ticks.append(n)
        if self.ticks.count(1) == 3:
            assert self.timer.cancel()

    def all(self):
        return self.ticks

    def clock(self):
        a, b = self.cx.now(), self.cx.random()
        return [a, b, self.cx.now() >= a]


@with_node
async def test_timers(node):
    ref = await node.spawn(Timing)
    assert await ref.ask.begin() == [True, True, False]
    await asyncio.sleep(0.1)
    assert sorted(await ref.ask.all()) == [1, 1, 1, 100]
    now, random, forward = await ref.ask.clock()
    assert now > 0 and 0 <= random < 1 and forward


class Answers(shoal.Actor, id="test.answers"):
    def __init__(self):
        self.promises = []

    def early(self):
        self.cx.reply("early")
        return "late"

    def twice(self):
        self.cx.reply("answered already")
        for again in (lambda: self.cx.reply(1), self.cx.defer, lambda: self.cx.forward(self.cx.ref)):
            with pytest.raises(shoal.Usage, match="answered already"):
                again()

    def defer(self):
        self.promises.append(self.cx.defer())
        return "ignored"

    def settle(self, v=None, fail=None):
        p = self.promises.pop()
        p.fail(fail) if fail else p.reply(v)

    def same(self, ref, /):
        self.cx.forward(ref)

    def other(self, ref):
        self.cx.forward(ref, "echo", "forwarded")

    def named(self, ref):
        self.cx.forward(ref, "echo", a=1)

    def who(self):
        return [self.cx.sender, self.cx.ref, self.cx.name, self.cx.node is not None]

    async def asks(self, ref):
        return await ref.ask.who()

    def tells(self, ref):
        ref.tell.heard()

    def heard(self):
        self.sender = self.cx.sender

    def heard_from(self):
        return self.sender

    def echo(self, v, /):
        return v


@with_node
async def test_answering(node):
    a, b = await node.spawn(Answers), await node.spawn(Answers)
    assert await a.ask.early() == "early"
    assert await a.ask.twice() == "answered already"
    asks = [a.ask.defer(), a.ask.defer()]
    await asyncio.sleep(0.01)
    await a.ask.settle(v="second")
    await a.ask.settle(fail="first failed")
    assert await asks[1] == "second"
    with pytest.raises(shoal.HandlerError, match="first failed"):
        await asks[0]
    assert await a.ask.other(b) == "forwarded" and await a.ask.named(b) == {"a": 1}
    assert await a.ask.who() == [None, a, "who", True]
    assert await a.ask.asks(b) == [a, b, "who", True]
    await a.ask.tells(b)
    assert await b.ask.heard_from() == a


@with_node
async def test_defer_from_a_thread(node):
    import threading

    class Threaded(shoal.Actor):
        def work(self):
            promise = self.cx.defer()
            threading.Thread(target=lambda: promise.reply("from a thread")).start()

    assert await (await node.spawn(Threaded)).ask.work() == "from a thread"


@with_node
async def test_drain_and_order(node):
    ref = await node.spawn(Echo)
    for i in range(500):
        ref.tell.note(i)
    await ref.drain()
    assert await ref.ask.notes() == list(range(500))


@with_node
async def test_refs(node):
    a, b = await node.spawn(Echo), await node.spawn(Echo)
    assert a == node.ref(str(a)) and a != b and a != 5 and len({a, b, node.ref(str(a))}) == 2
    assert str(a) == f"{a.id}@{a.peer_id}" and len(a.id) == 16 and a.peer_id == node.peer_id
    assert repr(a) == f"<Ref {a}>" and await node.ref(str(a)).ask.echo(1) == 1
    assert a.ask.echo is a.ask.echo


@with_node
async def test_info(node):
    a = await node.spawn(Echo)
    await a.register("x")
    rows = await node.info("actors")
    assert [r["id"] for r in rows] == ["test.echo"] and rows[0]["ref"] == a and rows[0]["names"] == ["x"]
    assert [r["name"] for r in await node.info("names")] == ["x"]
    assert await node.info("peers") == [] and isinstance(await node.info("routing"), list)
