"""The Python side of the values tests: the same two actors as host.c and host.lua.   python3 host.py NAME HUB

Values as words: see notation.h."""
import asyncio
import math
import re
import struct
import sys

import shoal

node = None


def build(word, at=0):
    """The value that a word says, and where the word ends."""
    kind = word[at]
    if kind == "[":
        items, at = [], at + 1
        while word[at] != "]":
            item, at = build(word, at)
            items.append(item)
            at += word[at] == ","
        return items, at + 1
    if kind == "{":
        pairs, at = {}, at + 1
        while word[at] != "}":
            key, at = build(word, at)
            pairs[key], at = build(word, at + 1)
            at += word[at] == ","
        return pairs, at + 1
    rest = re.compile(r"[^,:\]}]*").match(word, at + 1).group()
    value = {
        "n": lambda: None,
        "T": lambda: True,
        "F": lambda: False,
        "i": lambda: int(rest),
        "f": lambda: math.nan if rest == "nan" else struct.unpack(">d", bytes.fromhex(rest))[0],
        "t": lambda: bytes.fromhex(rest).decode(),
        "b": lambda: bytes.fromhex(rest),
        "r": lambda: node.ref(rest),
    }[kind]()
    return value, at + 1 + len(rest)


def of(v):
    """The word for a value."""
    if v is None:
        return "n"
    if isinstance(v, bool):
        return "T" if v else "F"
    if isinstance(v, int):
        return f"i{v}"
    if isinstance(v, float):
        return "fnan" if math.isnan(v) else "f" + struct.pack(">d", v).hex()
    if isinstance(v, str):
        return "t" + v.encode().hex()
    if isinstance(v, bytes):
        return "b" + v.hex()
    if isinstance(v, list):
        return "[" + ",".join(map(of, v)) + "]"
    if isinstance(v, dict):
        return "{" + ",".join(sorted(f"{of(key)}:{of(value)}" for key, value in v.items())) + "}"
    if isinstance(v, shoal.Ref):
        return f"r{v}"
    return f"?{type(v).__name__}"


async def said(ask):
    """What an ask ended as: "ok WORD", or "CODE DELIVERY TEXT"."""
    try:
        return "ok " + of(await ask())
    except shoal.Error as error:
        return f"{error.code} {error.delivery} {error.text}"


class Echo(shoal.Actor, id="values.echo"):
    def echo(self, v=None, /):
        return v

    def seen(self, v=None, /):
        return of(v)

    def poke(self):
        return "poked"

    def make(self, word, /):
        return build(word)[0]

    async def relay(self, to, value):
        return await said(lambda: to.ask("seen", value))


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def cycle():
    value = {}
    value["t"] = value
    return value


BAD = {
    "utf8": lambda: {"items": [1, 2, "\udcff"]},
    "set": lambda: {"items": [1, 2, {3}]},
    "object": lambda: {"items": [1, 2, object()]},
    "complex": lambda: {"items": [1, 2, 1j]},
    "over": lambda: {"items": [1, 2, 2**64]},
    "under": lambda: {"items": [1, 2, -(2**63) - 1]},
    "float_key": lambda: {1.5: 1},
    "bytes_key": lambda: {b"k": 1},
    "none_key": lambda: {None: 1},
    "cycle": cycle,
    "deep": lambda: nested(33),
    "big": lambda: "x" * 1200000,
}


class Send(shoal.Actor, id="values.send"):
    async def ask(self, words, /):
        value = build(words[2])[0]
        return await said(lambda: node.ref(words[0]).ask(words[1], value))

    async def relay(self, words, /):
        value = build(words[2])[0]
        return await said(lambda: node.ref(words[0]).ask("relay", {"to": node.ref(words[1]), "value": value}))

    async def poke(self, words, /):
        back = await node.ref(words[0]).ask("echo", [node.ref(words[1])])
        return await said(lambda: back[0].ask("poke"))

    async def bad(self, words, /):
        value, ref = BAD[words[1]](), node.ref(words[0])
        try:
            ref.tell("seen", value)
            return "the tell passed"
        except shoal.Error:
            return await said(lambda: ref.ask("seen", value))


async def main(name, hub):
    global node
    async with shoal.Node(listen=["/ip4/127.0.0.1/tcp/0"]) as node:
        await node.dial(hub)
        await (await node.spawn(Send)).register(f"{name}.send")
        await (await node.spawn(Echo)).register(f"{name}.echo")
        print("ready", flush=True)
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
