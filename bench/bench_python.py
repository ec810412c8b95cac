"""bench_python.py - messages between actors of one interpreter, and the bare calls beside them.

    python3 bench_python.py tell COUNT          ns: ref.tell.inc(amount=1), handled on the asyncio loop of the node
    python3 bench_python.py tell_poll COUNT     ns: the same without asyncio, between two node.poll
    python3 bench_python.py floor_tell COUNT    ns: counter.inc(amount=1), the same method called
    python3 bench_python.py queue_tell COUNT    ns: asyncio.Queue put and get, for comparison
    python3 bench_python.py ask COUNT           ns: await ref.ask.inc(amount=1)
    python3 bench_python.py floor_ask COUNT     ns: the same by hand: asyncio.Queue, Future, a task that serves
    python3 bench_python.py remote_tell COUNT   M/s: tells of 64 bytes from another process (bench_feed, in C), handled here on the
                                                asyncio loop; this process has the second processor if there are two
"""
import asyncio
import os
import sys
import time

BURST = 256


class Plain:
    def __init__(self) -> None:
        self.n = 0

    def inc(self, amount: int) -> int:
        self.n += amount
        return self.n


async def timed(run, count: int) -> float:
    """Runs run(count) after a warm-up; ns for each."""
    await run(max(BURST, count // 10 // BURST * BURST))
    start = time.process_time_ns()
    await run(count)
    return (time.process_time_ns() - start) / count


async def floor_tell(count: int) -> float:
    counter = Plain()

    async def run(n: int) -> None:
        for _ in range(n):
            counter.inc(amount=1)

    return await timed(run, count)


async def queue_tell(count: int) -> float:
    queue: asyncio.Queue = asyncio.Queue()
    counter = Plain()

    async def serve() -> None:
        while True:
            counter.inc(**await queue.get())

    async def run(n: int) -> None:
        for _ in range(n // BURST):
            for _ in range(BURST):
                queue.put_nowait({"amount": 1})
            while not queue.empty():
                await asyncio.sleep(0)

    server = asyncio.create_task(serve())
    result = await timed(run, count)
    server.cancel()
    return result


async def floor_ask(count: int) -> float:
    queue: asyncio.Queue = asyncio.Queue()
    counter = Plain()
    loop = asyncio.get_running_loop()

    async def serve() -> None:
        while True:
            keywords, future = await queue.get()
            future.set_result(counter.inc(**keywords))

    async def run(n: int) -> None:
        for _ in range(n):
            future = loop.create_future()
            queue.put_nowait(({"amount": 1}, future))
            await future

    server = asyncio.create_task(serve())
    result = await timed(run, count)
    server.cancel()
    return result


def counter_type(made: list):
    """The actor of Plain; its object comes into made."""
    import shoal

    class Counter(shoal.Actor, id="bench.counter"):
        def __init__(self) -> None:
            self.n = 0
            made.append(self)

        def inc(self, amount: int) -> int:  # as Plain's
            self.n += amount
            return self.n

    return Counter


async def tell(count: int) -> float:
    import shoal

    made: list = []
    async with shoal.Node() as node:
        ref = await node.spawn(counter_type(made))
        counter = made[0]

        async def run(n: int) -> None:
            for _ in range(n // BURST):
                goal = counter.n + BURST
                for _ in range(BURST):
                    ref.tell.inc(amount=1)
                while counter.n < goal:
                    await asyncio.sleep(0)

        return await timed(run, count)


def tell_poll(count: int) -> float:
    import shoal

    made: list = []
    with shoal.Node(threads=0) as node:
        ref = node.spawn(counter_type(made)).wait()
        counter, start = made[0], 0
        for n in (max(BURST, count // 10 // BURST * BURST), count):
            start = time.process_time_ns()
            for _ in range(n // BURST):
                goal = counter.n + BURST
                for _ in range(BURST):
                    ref.tell.inc(amount=1)
                while counter.n < goal:
                    node.poll(0.01)
        return (time.process_time_ns() - start) / count


async def ask(count: int) -> float:
    import shoal

    async with shoal.Node() as node:
        ref = await node.spawn(counter_type([]))

        async def run(n: int) -> None:
            for _ in range(n):
                await ref.ask.inc(amount=1)

        return await timed(run, count)


async def remote_tell(count: int) -> float:
    import shoal

    class Sink(shoal.Actor, id="bench.sink"):
        def __init__(self) -> None:
            self.n = 0

        def put(self, data: bytes) -> None:
            self.n += data[0] == 7

        def count(self) -> int:
            return self.n

    feed = os.path.join(os.environ["SHOAL_BUILD_DIR"], "bench", "bench_feed")
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[-1:])
    async with shoal.Node(listen=["/ip4/127.0.0.1/tcp/0"]) as node:
        ref = await node.spawn(Sink)
        feeder = await asyncio.create_subprocess_exec(feed, node.addresses[0], str(ref), str(count), stdout=asyncio.subprocess.PIPE,
                                                      preexec_fn=lambda: os.sched_setaffinity(0, processors))
        out, _ = await feeder.communicate()
        return float(out)


def main() -> None:
    modes = {f.__name__: f for f in (tell, tell_poll, floor_tell, queue_tell, ask, floor_ask, remote_tell)}
    if len(sys.argv) != 3 or sys.argv[1] not in modes:
        sys.exit(f"usage: bench_python.py {'|'.join(modes)} COUNT")
    result = modes[sys.argv[1]](int(sys.argv[2]) // BURST * BURST)
    print(f"{asyncio.run(result) if asyncio.iscoroutine(result) else result:.3f}")


main()
