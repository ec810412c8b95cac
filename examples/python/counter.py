"""counter.py - a counter that other processes find by name.

    python3 counter.py serve                 prints an address to dial, then serves until Ctrl-C
    python3 counter.py add AMOUNT ADDRESS    dials it, looks "counter" up, asks it to add
"""
import asyncio
import sys

import shoal


class Counter(shoal.Actor, id="counter"):
    def __init__(self, start: int = 0) -> None:
        self.n = start

    def inc(self, amount: int) -> int:
        self.n += amount
        return self.n


async def serve() -> None:
    async with shoal.Node(listen=["/ip4/127.0.0.1/tcp/0"]) as node:
        counter = await node.spawn(Counter)
        await counter.register("counter")
        print("serving: python3 counter.py add 5", node.addresses[0], flush=True)
        await asyncio.Event().wait()


async def add(amount: int, address: str) -> None:
    async with shoal.Node() as node:
        await node.dial(address)
        counter = await node.lookup("counter")
        print("counter is", await counter.ask.inc(amount=amount))


if sys.argv[1:] == ["serve"]:
    try:
        asyncio.run(serve())
    except KeyboardInterrupt:
        pass
elif len(sys.argv) == 4 and sys.argv[1] == "add":
    asyncio.run(add(int(sys.argv[2]), sys.argv[3]))
else:
    sys.exit("usage: counter.py serve | counter.py add AMOUNT ADDRESS")
