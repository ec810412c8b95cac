"""demo_node.py - the Python node of the demo: registers "demo.python", finds the others by name, asks each.

The line contract of the three nodes is told in run.sh.
"""
import asyncio
import sys

import shoal


class Greeter(shoal.Actor, id="demo.greeter"):
    def greet(self, **m: str) -> str:
        return f"Python greets {m['from']}"


async def main(dial: list[str]) -> None:
    async with shoal.Node(listen=["/ip4/127.0.0.1/tcp/0"], dial=dial) as node:
        greeter = await node.spawn(Greeter)
        print("listening", "demo.python", node.addresses[0], sep="\t", flush=True)
        await greeter.register("demo.python")
        for name in ("demo.c", "demo.lua"):
            other = await node.lookup(name, timeout=20)
            text = await other.ask("greet", {"from": "demo.python"})
            print("call", "demo.python", name, other, text, sep="\t", flush=True)
        print("done", "demo.python", sep="\t", flush=True)
        await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(sys.argv[1:]))
