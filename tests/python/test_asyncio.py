"""Pending as a future, and asyncio's own tools inside async handlers."""
import asyncio
import contextvars
import gc
import inspect

import pytest

import shoal
from common import Echo, with_node


@with_node
async def test_gather_wait_shield(node):
    ref = await node.spawn(Echo)
    assert await asyncio.gather(*(ref.ask.echo(i) for i in range(100))) == list(range(100))
    done, left = await asyncio.wait([ref.ask.echo(1), ref.ask.echo(2)])
    assert {p.result() for p in done} == {1, 2} and not left
    assert await asyncio.shield(ref.ask.echo(3)) == 3
    got = await asyncio.gather(ref.ask.fail(), ref.ask.echo(1), return_exceptions=True)
    assert isinstance(got[0], shoal.HandlerError) and got[1] == 1
    assert asyncio.isfuture(ref.ask.echo(1)) and inspect.isawaitable(ref.ask.echo(1))
    with pytest.raises(TypeError):
        asyncio.create_task(ref.ask.echo(1))


@with_node
async def test_wait_for_and_timeout(node):
    ref, slow = await node.spawn(Echo), await node.spawn(Echo)
    assert await asyncio.wait_for(ref.ask.echo(1), 1) == 1
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow.ask.never(), 0.02)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await slow.ask.echo(1)
    slow.kill()
    assert await ref.ask.echo(2) == 2


@with_node
async def test_cancel(node):
    ref = await node.spawn(Echo)
    first = ref.ask.never()
    await asyncio.sleep(0.01)
    queued = ref.ask.note(1)
    assert queued.cancel("enough") and queued.cancelled() and queued.done() and not queued.cancel()
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await queued

    async def waiter():
        await first

    task = asyncio.create_task(waiter())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert first.cancelled()
    with pytest.raises(asyncio.CancelledError):
        first.result()
    kept = asyncio.shield(inner := ref.ask.never())
    kept.cancel()
    await asyncio.sleep(0)
    assert not inner.done()
    inner.cancel()
    ref.kill()


@with_node
async def test_future_methods(node):
    ref = await node.spawn(Echo)
    p = ref.ask.echo(5)
    with pytest.raises(asyncio.InvalidStateError):
        p.result()
    with pytest.raises(asyncio.InvalidStateError):
        p.exception()
    seen = []
    p.add_done_callback(seen.append)
    p.add_done_callback(print)
    assert p.remove_done_callback(print) == 1
    assert p.get_loop() is asyncio.get_running_loop()
    assert await p == 5 and await p == 5 and p.result() == 5 and p.exception() is None
    await asyncio.sleep(0)
    assert seen == [p]
    p.add_done_callback(seen.append)
    await asyncio.sleep(0)
    assert seen == [p, p]
    assert p.wait() == 5  # ended: nothing to wait for


class Modern(shoal.Actor, id="test.modern"):
    async def timed_out(self):
        try:
            async with asyncio.timeout(0.01):
                await asyncio.sleep(10)
        except TimeoutError:
            return "timed out"

    async def in_time(self):
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
            return "in time"

    async def group(self, ref):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(ref, i)) for i in range(3)]
        return [t.result() for t in tasks]

    async def _one(self, ref, i):
        return await ref.ask.echo(i)

    async def group_fails(self):
        async def bad():
            raise OSError("bad")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(bad())
                await asyncio.sleep(10)
        except* OSError as e:
            pass
        return "group failed"

    async def waits_for(self):
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except TimeoutError:
            return "waited for"

    async def thread(self):
        return await asyncio.to_thread(lambda: "thread")

    async def lock(self):
        lock = asyncio.Lock()
        async with lock:
            await asyncio.sleep(0)
        return lock.locked()

    async def asks_in_time(self, ref):
        try:
            async with asyncio.timeout(0.02):
                await ref.ask.never()
        except TimeoutError:
            return "ask timed out"

    async def task(self):
        task = asyncio.current_task()
        return [task.get_name(), task.cancelling(), task.done()]

    async def shielded(self, ref):
        return await asyncio.shield(ref.ask.echo(4))

    async def gathers(self, ref):
        return await asyncio.gather(ref.ask.echo(1), ref.ask.echo(2), asyncio.sleep(0, 3))

    async def sleeps(self):
        await shoal.sleep(0.01)
        return "slept"

    async def subprocess(self):
        process = await asyncio.create_subprocess_exec("true")
        return await process.wait()


@with_node
async def test_inside_handlers(node):
    echo, ref = await node.spawn(Echo), await node.spawn(Modern)
    assert await ref.ask.timed_out() == "timed out"
    assert await ref.ask.in_time() == "in time"
    assert await ref.ask.group(echo) == [0, 1, 2]
    assert await ref.ask.group_fails() == "group failed"
    assert await ref.ask.waits_for() == "waited for"
    assert await ref.ask.thread() == "thread"
    assert await ref.ask.lock() is False
    assert await ref.ask.shielded(echo) == 4
    assert await ref.ask.gathers(echo) == [1, 2, 3]
    assert await ref.ask.sleeps() == "slept"
    assert await ref.ask.subprocess() == 0
    name, cancelling, done = await ref.ask.task()
    assert "task" in name and cancelling == 0 and done is False
    assert await ref.ask.asks_in_time(echo) == "ask timed out"
    assert asyncio.current_task() is not None
    echo.kill()


variable = contextvars.ContextVar("variable", default="unset")


@with_node
async def test_context_is_its_own(node):
    class Sets(shoal.Actor):
        async def set(self, v):
            variable.set(v)
            await asyncio.sleep(0)
            return variable.get()

    ref = await node.spawn(Sets)
    assert await ref.ask.set("a") == "a"
    assert variable.get() == "unset"


@with_node
async def test_reentrant_and_cx(node):
    class Re(shoal.Actor, reentrant=True):
        async def outer(self, n):
            cx, ref = self.cx, self.cx.ref
            if n:
                await ref.ask.outer(n - 1)
            await asyncio.sleep(0)
            assert self.cx is cx and cx.name == "outer"

            async def sub():
                return self.cx is cx

            return [n, await asyncio.create_task(sub())]

    ref = await node.spawn(Re)
    assert await ref.ask.outer(5) == [5, True]


@with_node
async def test_message_in_order_while_waiting(node):
    class Slow(shoal.Actor):
        def __init__(self):
            self.got = []

        async def add(self, v):
            await asyncio.sleep(0.001 if v % 2 else 0)
            self.got.append(v)

        def all(self):
            return self.got

    ref = await node.spawn(Slow)
    for i in range(20):
        ref.tell.add(i)
    assert await ref.ask.all() == list(range(20))


def test_loop_ends_before_the_node():
    held = []

    async def main():
        node = await shoal.Node().__aenter__()
        held.append(await node.spawn(Echo))

    with pytest.warns(ResourceWarning, match="loop ended"):
        asyncio.run(main())
    with pytest.raises(shoal.Closed):
        held[0].tell.echo(1)


def test_two_loops_one_after_the_other():
    async def main():
        async with shoal.Node() as node:
            return await (await node.spawn(Echo)).ask.echo(1)

    assert [asyncio.run(main()) for _ in range(3)] == [1, 1, 1]
    gc.collect()
