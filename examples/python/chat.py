"""chat.py - a chat between terminals. The first hosts the room; each member hands the room a ref to itself.

    python3 chat.py ANNA              first terminal: prints the line for the others
    python3 chat.py BERT ADDRESS      the others
"""
from __future__ import annotations

import asyncio
import sys

import shoal


class Room(shoal.Actor, id="chat.room"):
    def __init__(self) -> None:
        self.members: list[shoal.Ref] = []

    def join(self, ref: shoal.Ref, /) -> int:
        self.members.append(ref)
        self.cx.monitor(ref)
        return len(self.members)

    def say(self, m: dict, /) -> None:
        for member in self.members:
            member.tell("line", m)

    def on_down(self, ref: shoal.Ref, reason: shoal.Reason) -> object:
        self.members.remove(ref)
        return shoal.RESUME


class Member(shoal.Actor, id="chat.member"):
    def line(self, text: str, **rest: str) -> None:
        print(f"<{rest.get('from', '?')}> {text}", flush=True)


async def main(name: str, address: str | None) -> None:
    async with shoal.Node(listen=["/ip4/127.0.0.1/tcp/0"]) as node:
        if address:
            await node.dial(address)
            room = await node.lookup("chat")
        else:
            room = await node.spawn(Room)
            await room.register("chat")
            print("others join with: python3 chat.py NAME", node.addresses[0], flush=True)
        await room.ask("join", await node.spawn(Member))

        lines = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            room.tell("say", {"from": name, "text": line.decode().rstrip("\n")})
            await room.drain()


if len(sys.argv) not in (2, 3):
    sys.exit("usage: chat.py NAME [ADDRESS]")
asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None))
