"""hello.py - one node, one actor, one ask.

    python3 hello.py
"""
import asyncio

import shoal


class Greeter(shoal.Actor, id="greeter"):
    def greet(self, name: str) -> str:
        return f"hello, {name}"


async def main() -> None:
    async with shoal.Node() as node:
        greeter = await node.spawn(Greeter)
        print(await greeter.ask.greet(name="world"))


asyncio.run(main())
