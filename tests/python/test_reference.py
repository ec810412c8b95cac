"""Values by reference between actors of one node are what packing and unpacking would have given: the same actor is asked from
its own node and through a connection, with random values, and both must see, answer and fail alike."""
from __future__ import annotations

import collections
import dataclasses
import enum
import random

import pytest

import shoal
from common import with_node


@dataclasses.dataclass
class Point:
    x: object
    y: object = None


class Text(str):
    pass


class Number(int):
    pass


class Color(enum.IntEnum):
    RED = 3


INTEGERS = [0, 1, -1, 127, 128, 255, 256, 65535, 65536, -32, -33, -128, -129, -32768, -32769, 2**31, -(2**31) - 1, 2**32 - 1, 2**32,
            2**63 - 1, 2**63, 2**64 - 1, -(2**63)]
ODD = [lambda r: Text("subclass"), lambda r: Number(5), lambda r: Color.RED, lambda r: bytearray(b"ab"), lambda r: memoryview(b"abcd")[::1],
       lambda r: Point(value(r, 3), 1), lambda r: collections.OrderedDict(a=1), lambda r: collections.namedtuple("N", "a b")(1, [2])]
BAD = [lambda r: {1, 2}, lambda r: object(), lambda r: 1j, lambda r: 2**64, lambda r: -(2**63) - 1, lambda r: "lone \udcff",
       lambda r: {1.5: 1}, lambda r: {None: 1}, lambda r: {b"k": 1}, lambda r: {True: 1}, lambda r: {"\udcff": 1}, lambda r: int,
       lambda r: memoryview(b"abcd")[::2], lambda r: Point]


def value(r: random.Random, depth: int = 0) -> object:
    """A value as users make them: mostly plain, now and then odd, rarely one that cannot be sent."""
    kind = r.random()
    if depth < 4 and kind < 0.25:
        return [value(r, depth + 1) for _ in range(r.randrange(4))]
    if depth < 4 and kind < 0.3:
        return tuple(value(r, depth + 1) for _ in range(r.randrange(3)))
    if depth < 4 and kind < 0.5:
        return {key(r): value(r, depth + 1) for _ in range(r.randrange(4))}
    if kind > 0.995:
        return r.choice(BAD)(r)
    if kind > 0.97:
        return r.choice(ODD)(r)
    return r.choice([
        lambda: r.choice(INTEGERS), lambda: r.randrange(-(2**63), 2**64), lambda: r.random() * 10 ** r.randrange(-9, 9), lambda: None,
        lambda: r.random() < 0.5, lambda: "x" * r.choice([0, 1, 31, 32, 255, 256, 300]), lambda: "é€😀\0"[: r.randrange(5)],
        lambda: bytes(r.randrange(256) for _ in range(r.choice([0, 1, 3, 255, 256])))])()


def key(r: random.Random) -> object:
    return r.choice([lambda: r.choice("abcdefgh") * r.choice([1, 1, 1, 40]), lambda: r.choice(INTEGERS), lambda: Text("k"), lambda: Number(7)])()


def shape(v: object) -> object:
    """The value with its types, so that 1, True and 1.0 differ, and order in maps counts."""
    if isinstance(v, list):
        return [shape(i) for i in v]
    if isinstance(v, dict):
        return {"map": [(shape(k), shape(i)) for k, i in v.items()]}
    return type(v).__name__, repr(v)


class Mirror(shoal.Actor, id="test.mirror"):
    def whole(self, v, /):
        return v

    def seen(self, v, /):
        return repr(shape(v))

    def named(self, a, b: int = 5, *, c=None, d: str = "d"):
        return [repr(shape([a, b, c, d])), a, b, c, d]

    def rest(self, a=1, **more):
        return [repr(shape(a)), repr(shape(more))]

    def nothing(self):
        return "nothing"

    def strict(self, n: int, f: float = 0.5, s: str | None = None):
        return [n, f, s]

    def early(self, v, /):
        self.cx.reply(v)
        return "late"

    def make(self, what, /):
        return MADE[what]()

    def shout(self, what, /):
        raise shoal.HandlerError(str(what), value=what)


class Anything(shoal.Actor, id="test.anything"):
    def on_message(self, name, value):
        return [name, value]


MADE = {"set": lambda: {1}, "tuple": lambda: (1, (2,)), "text": lambda: "\udcff", "big": lambda: "x" * 1_200_000, "deep": lambda: nested(33),
        "dataclass": lambda: Point(1, Point(2)), "number": lambda: 2**64, "class": lambda: Text("t")}


def nested(depth: int) -> list:
    v: list = []
    for _ in range(depth - 1):
        v = [v]
    return v


async def ended(make) -> object:
    try:
        return "ok", shape(await make())
    except shoal.Error as e:
        return type(e).__name__, e.code, e.text, e.type if isinstance(e, shoal.HandlerError) else None, shape(getattr(e, "value", None))
    except TypeError as e:
        return "TypeError", str(e)


def pair(test):
    """The test with refs of the same actors: of their own node, and over a connection."""

    @with_node(listen=["/ip4/127.0.0.1/tcp/0"])
    async def run(node):
        async with shoal.Node() as other:
            await other.dial(node.addresses[0])
            for cls in (Mirror, Anything):
                near = await node.spawn(cls)
                await test(near, other.ref(str(near)))

    run.__name__ = test.__name__
    return run


async def alike(near, far, name, *args, **kwargs) -> None:
    here, there = await ended(lambda: near.ask(name, *args, **kwargs)), await ended(lambda: far.ask(name, *args, **kwargs))
    assert here == there, (name, args, kwargs)
    here = await ended(lambda: getattr(near.ask, name)(*args, **kwargs))
    assert here == there, (name, args, kwargs)


@pytest.mark.parametrize("seed", range(6))
def test_random_values(seed):
    @pair
    async def test_random_values(near, far):
        r = random.Random(seed)
        for _ in range(250):
            await alike(near, far, r.choice(["whole", "seen", "early", "shout"]), value(r))
            kwargs = {r.choice(["a", "a", "b", "c", "d", "e", "f"]): value(r, 2) for _ in range(r.randrange(5))}
            await alike(near, far, r.choice(["named", "named", "rest", "nothing", "strict", "whole"]), **kwargs)

    test_random_values()


@pair
async def test_calls(near, far):
    for args, kwargs in [((), {}), ((None,), {}), ((5,), {}), (("x",), {}), (([1],), {}), (({},), {}), (({"a": 1},), {}), ((1, 2), {}), ((1,), {"a": 1}),
                         ((), {"a": 1, "_timeout": 3}), ((), {"_timeout": 3}), ((4,), {"_timeout": 3}), ((), {"_nonsense": 1}),
                         ((), {f"k{i}": i for i in range(20)}), ((), {f"k{i}": i for i in range(8)}), ((), {"a": 1, "é": 2}), ((), {"a": 1, "\udcff": 2})]:
        for name in ("whole", "named", "rest", "nothing", "strict", "absent"):
            await alike(near, far, name, *args, **kwargs)
    for kwargs in [{"n": 1}, {"n": True}, {"n": 1, "f": 2}, {"n": 1, "f": 2.5, "s": "x"}, {"s": None, "n": 3}, {"n": 1, "s": b"x"}, {"n": 1.0}, {"f": 1.0}]:
        await alike(near, far, "strict", **kwargs)
    for what in MADE:
        await alike(near, far, "make", what)


@pair
async def test_depth(near, far):
    for depth in range(29, 36):
        await alike(near, far, "whole", nested(depth))
        await alike(near, far, "named", a=nested(depth))
        await alike(near, far, "named", a={"x": {"y": tuple(nested(depth))}})


def test_sizes():
    """Around max_message, by each kind of value: what is too big by reference is what is too big packed."""

    @with_node(max_message=4096, listen=["/ip4/127.0.0.1/tcp/0"])
    async def sizes(node):
        async with shoal.Node(max_message=4096) as other:
            await other.dial(node.addresses[0])
            near = await node.spawn(Mirror)
            far = other.ref(str(near))
            for n in range(4085, 4100):
                await alike(near, far, "seen", "x" * n)
                await alike(near, far, "seen", b"x" * n)
                await alike(near, far, "seen", "é" * (n // 2) + "x" * (n % 2))
                await alike(near, far, "rest", a="x" * n)
                await alike(near, far, "rest", b="x" * (n - 300), c=b"y" * 290)
                await alike(near, far, "seen", [1] * n)
                await alike(near, far, "seen", [2**40] * 454 + [1] * (n - 4085))
                await alike(near, far, "seen", {"k" * 10: "x" * (n - 11)})
                await alike(near, far, "seen", {i: i for i in range(n - 4085 + 1000)})
            for each, head in ((31, 1), (32, 2), (255, 2), (256, 3)):
                for last in range(4096 - 10 * (each + head) - 8, 4096 - 10 * (each + head)):
                    await alike(near, far, "seen", ["x" * each] * 10 + ["x" * last])
            for n in (15, 16, 17):
                for last in range(4096 - 202 * (n - 1) - 10, 4096 - 202 * (n - 1)):
                    await alike(near, far, "seen", ["x" * 200] * (n - 1) + ["x" * last])
                    await alike(near, far, "seen", {i: "x" * (199 if i else last) for i in range(n)})
                    await alike(near, far, "rest", **{chr(98 + i): "x" * (198 if i else last) for i in range(n)})

    sizes()


@with_node
async def test_names(node):
    """Names and keywords that are no constants of the program are found all the same."""
    near = await node.spawn(Mirror)
    assert await near.ask("".join(["no", "thing"])) == "nothing"
    assert await getattr(near.ask, "".join(["no", "thing"]))() == "nothing"
    for _ in range(3):
        assert (await near.ask.rest(**{"".join(["z", "z"]): 1}))[1] == "{'map': [(('str', \"'zz'\"), ('int', '1'))]}"
        assert (await near.ask.named(**{"".join(["", "a"]): 1}))[1:] == [1, 5, None, "d"]
        assert (await near.ask.named(c=2, a=1))[1:] == [1, 5, 2, "d"]
        assert (await near.ask.named(a=1, c=2))[1:] == [1, 5, 2, "d"]
        assert (await near.ask.named(7))[1:] == [7, 5, None, "d"]


class Keeper(shoal.Actor, id="test.keeper"):
    def __init__(self):
        self.kept = []

    def keep(self, v):
        self.kept.append(v)
        return self.kept

    def pass_on(self, items):
        items.append("changed here")
        self.cx.forward(self.to)

    def send_to(self, to: shoal.Ref):
        self.to = to


@with_node
async def test_nothing_is_shared(node):
    """What one changes, the other does not see: arguments, replies, and what is forwarded."""
    ref, other = await node.spawn(Keeper), await node.spawn(Mirror)
    mine = [1, {"a": [2]}]
    ref.tell.keep(v=mine)
    mine[1]["a"].append(3)
    first = await ref.ask.keep(v=mine)
    assert first == [[1, {"a": [2]}], [1, {"a": [2, 3]}]]
    first[0].append("changed")
    mine.append("changed")
    assert await ref.ask("keep", {"v": 0}) == [[1, {"a": [2]}], [1, {"a": [2, 3]}], 0]

    class To(shoal.Actor):
        def pass_on(self, items):
            return items

    await ref.ask.send_to(to=await node.spawn(To))
    assert await ref.ask.pass_on(items=[1]) == [1]
    assert await other.ask("whole", mine) == mine
