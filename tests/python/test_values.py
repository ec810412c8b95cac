"""Every value of the table goes out and comes back the same; what cannot be sent is BadValue, naming its path."""
import dataclasses
import enum
import math

import pytest

import shoal
from common import Echo, with_node

SAME = [
    None, True, False, 0, -1, 127, 128, -32, -33, 255, 256, 65535, 65536, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1,
    -(2**7) - 1, -(2**15) - 1, -(2**31) - 1, -(2**63), 0.0, 1.0, 1.5, -1e300, 5e-324, math.inf, -math.inf, "", "a", "a\0b", "é€😀",
    "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65536, b"", b"\xff\x00", b"x" * 256, b"x" * 65536, [], [None], [1, None, "a"], [[]],
    list(range(20)), list(range(70000)), {}, {"a": None}, {1: 2}, {-5: {"b": [{}]}}, {str(i): i for i in range(20)},
    {"": 0, "é": 1, "a b": 2, 7: b"x"},
]


@pytest.mark.parametrize("threads", [0, 1])
def test_same(threads):
    with shoal.Node(threads=threads) as node:
        ref = node.spawn(Echo).wait()
        for value in SAME:
            got = ref.ask.echo(value).wait()
            assert got == value and type(got) is type(value), value


@with_node
async def test_floats_by_bits(node):
    ref = await node.spawn(Echo)
    assert math.isnan(await ref.ask.echo(math.nan))
    assert math.copysign(1, await ref.ask.echo(-0.0)) == -1
    assert type(await ref.ask.echo(3.0)) is float


@dataclasses.dataclass
class Point:
    x: int
    y: object = None


class Color(enum.IntEnum):
    RED = 3


@with_node
async def test_sent_as(node):
    ref = await node.spawn(Echo)
    assert await ref.ask.echo((1, (2,))) == [1, [2]]
    assert await ref.ask.echo(bytearray(b"ab")) == b"ab"
    assert await ref.ask.echo(memoryview(b"abc")[1:]) == b"bc"
    assert await ref.ask.echo(Point(1, Point(2))) == {"x": 1, "y": {"x": 2, "y": None}}
    assert await ref.ask.echo([Color.RED]) == [3]


@with_node
async def test_refs_inside(node):
    ref, other = await node.spawn(Echo), await node.spawn(Echo)
    got = await ref.ask.echo({"r": [other]})
    assert got["r"] == [other] and hash(got["r"][0]) == hash(other)
    assert await got["r"][0].ask.echo(1) == 1


def nested(depth, leaf=0):
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize("value, path, says", [
    (2**64, "value:", "-2^63 .. 2^64-1"),
    (-(2**63) - 1, "value:", "-2^63 .. 2^64-1"),
    ({"items": [0, 1, 2, {3}]}, "value.items[3]:", "set cannot be sent"),
    ({"a": {"b c": object()}}, "value.a['b c']:", "object cannot be sent"),
    ({5: [2**70]}, "value[5][0]:", "integer"),
    ({1.5: 0}, "value[1.5]:", "key"),
    ({True: 0}, "value[True]:", "key"),
    ("\ud800", "value:", "UTF-8"),
    (["a", "\udcff"], "value[1]:", "UTF-8"),
    ({"\ud800": 1}, "value", "UTF-8"),
    (memoryview(b"abcd")[::2], "value:", "contiguous"),
    (nested(33), "value[0][0]", "nested deeper than 32"),
    (Point, "value:", "cannot be sent"),
])
def test_refused_at_the_call(value, path, says):
    with shoal.Node() as node:
        ref = node.spawn(Echo).wait()
        for call in (ref.ask.echo, ref.tell.echo):
            with pytest.raises(shoal.BadValue) as e:
                call(value)
            assert e.value.text.startswith(path) and says in e.value.text, e.value.text
            assert e.value.delivery == "not_sent" and e.value.code == "bad_value"
        with pytest.raises(shoal.BadValue, match=r"^value\.items"):
            ref.ask.echo(items={1})


@with_node
async def test_depth_32_passes(node):
    ref = await node.spawn(Echo)
    assert await ref.ask.echo(nested(32)) == nested(32)


@with_node(max_message=1024)
async def test_max_message(node):
    ref = await node.spawn(Echo)
    assert len(await ref.ask.echo(b"x" * 900)) == 900
    with pytest.raises(shoal.BadValue, match="max_message, which is 1024 bytes"):
        ref.tell.echo([b"x" * 600, b"x" * 600])


@with_node
async def test_changed_while_sent(node):
    ref = await node.spawn(Echo)

    @dataclasses.dataclass
    class Evil:
        x: int = 0

    class Nasty(Evil):
        @property
        def x(self):
            data.clear()
            return 1

        @x.setter
        def x(self, v):
            pass

    data = [Nasty(), 2, 3]
    with pytest.raises(shoal.BadValue, match="changed"):
        ref.ask.echo(data)


@with_node
async def test_reply_that_cannot_be_sent(node):
    class Bad(shoal.Actor):
        def bad(self):
            return {"x": [object()]}

    ref = await node.spawn(Bad)
    with pytest.raises(shoal.HandlerError, match=r"reply\.x\[0\]"):
        await ref.ask.bad()
