"""How a message's value becomes a handler's arguments."""
from __future__ import annotations

import dataclasses
from typing import Any, Optional, Union

import pytest

import shoal
from common import with_node


@dataclasses.dataclass
class Inc:
    amount: int
    by: Optional[str] = None


@dataclasses.dataclass
class Named:
    __shoal_name__ = "inc_named"
    amount: int = 1


@dataclasses.dataclass
class Outer:
    inner: Inc
    rest: list[int] = dataclasses.field(default_factory=list)


class Taker(shoal.Actor, id="test.taker"):
    def none(self):
        return "none"

    def one(self, a):
        return a

    def two(self, a: int, b: int = 7):
        return [a, b]

    def kw(self, *, a: int, b="x"):
        return [a, b]

    def rest(self, a, **more: int):
        return [a, more]

    def whole(self, item, /):
        return ["whole", item]

    def whole_default(self, item="d", /):
        return item

    def typed(self, v: int | None):
        return v

    def f(self, v: float):
        return v

    def b(self, v: bytes):
        return v

    def view(self, v: memoryview):
        return isinstance(v, memoryview) and bytes(v)

    def text(self, v: str):
        return v

    def flag(self, v: bool):
        return v

    def seq(self, v: list[int]):
        return v

    def map(self, m: dict, /):
        return m

    def ref(self, r: shoal.Ref):
        return r

    def any(self, v: Any):
        return v

    def odd(self, v: "NoSuchName"):  # noqa: F821
        return v

    def union(self, v: Union[int, Inc]):
        return repr(v)

    def inc(self, m: Inc):
        return repr(m)

    def inc_named(self, amount: int):
        return amount

    def outer(self, o: Outer):
        return repr(o)

    def Inc(self, m: Inc):
        return m.amount

    @shoal.handler("other.name")
    def renamed(self):
        return "renamed"

    @shoal.handler("_under")
    def under(self):
        return "under"

    def _private(self):
        return "no"

    def on_custom(self):
        return "no"

    def cx_custom(self):
        return "no"


GOOD = [
    ("none", (), {}, "none"), ("one", (5,), {}, 5), ("one", ([1],), {}, [1]), ("one", (), {"a": None}, None),
    ("two", (1,), {}, [1, 7]), ("two", (), {"a": 1, "b": 2}, [1, 2]), ("two", ({"b": 2, "a": 1},), {}, [1, 2]),
    ("kw", (), {"a": 1}, [1, "x"]), ("rest", (), {"a": 1, "z": 2}, [1, {"z": 2}]), ("rest", (), {"a": 1}, [1, {}]),
    ("whole", ({"a": 1},), {}, ["whole", {"a": 1}]), ("whole", (), {}, ["whole", None]), ("whole", (3,), {}, ["whole", 3]),
    ("whole_default", (), {}, "d"), ("typed", (), {"v": None}, None), ("typed", (4,), {}, 4), ("f", (3,), {}, 3.0),
    ("f", (2.5,), {}, 2.5), ("b", ("é",), {}, "é".encode()), ("b", ([0, 255],), {}, b"\0\xff"), ("b", (b"x",), {}, b"x"),
    ("view", (b"x",), {}, b"x"), ("view", ("ab",), {}, b"ab"), ("text", ("t",), {}, "t"), ("flag", (True,), {}, True),
    ("seq", ([1, "2"],), {}, [1, "2"]), ("map", ({1: 2},), {}, {1: 2}), ("any", ({},), {}, "MISSING"), ("odd", (1,), {}, 1),
    ("union", (4,), {}, "4"), ("union", ({"amount": 4},), {}, "Inc(amount=4, by=None)"),
    ("inc", (), {"amount": 2, "by": "me"}, "Inc(amount=2, by='me')"),
    ("outer", (), {"inner": {"amount": 1}}, "Outer(inner=Inc(amount=1, by=None), rest=[])"),
    ("other.name", (), {}, "renamed"), ("_under", (), {}, "under"),
]


@with_node
async def test_good(node):
    ref = await node.spawn(Taker)
    for name, args, kwargs, want in GOOD:
        if want == "MISSING":
            with pytest.raises(shoal.BadValue, match="'v' is missing"):
                await ref.ask(name, *args, **kwargs)
            continue
        got = await ref.ask(name, *args, **kwargs)
        assert got == want and type(got) is type(want), (name, got)


BAD = [
    ("one", (), {}, "'a' is missing"), ("none", (1,), {}, "takes no value"), ("kw", (1,), {}, "named arguments"),
    ("two", (), {"a": 1, "c": 2}, "unknown argument 'c'; it takes: a, b"), ("two", (), {"b": 1}, "'a' is missing"),
    ("two", ({"a": 1, 5: 1},), {}, "unknown argument 5"), ("two", (), {"a": True}, "a is bool, expected int"),
    ("two", (), {"a": 1.0}, "a is float, expected int"), ("rest", (), {"a": 1, "z": "s"}, "z is str, expected int"),
    ("typed", ("x",), {}, "v is str, expected None or int"), ("f", ("x",), {}, "expected float"), ("f", (True,), {}, "expected float"),
    ("b", ([256],), {}, "v is list, expected bytes"), ("b", (5,), {}, "v is int, expected bytes"), ("text", (b"x",), {}, "expected str"),
    ("flag", (1,), {}, "v is int, expected bool"), ("seq", ("x",), {}, "expected list"), ("map", ([],), {}, "expected dict"),
    ("ref", ("x",), {}, "r is str, expected Ref"), ("union", ("x",), {}, "expected int or Inc"),
    ("inc", (), {"amount": "x"}, "m.amount is str, expected int"), ("inc", (), {}, "m is None, expected Inc"),
    ("inc", (), {"amount": 1, "zz": 2}, "'zz'"), ("inc", (), {"by": "x"}, "m.amount is missing"),
    ("outer", (), {"inner": {"amount": "x"}}, "o.inner.amount is str"),
]


@with_node
async def test_bad_is_no_failure(node):
    ref = await node.spawn(Taker)
    for name, args, kwargs, says in BAD:
        with pytest.raises(shoal.BadValue) as e:
            await ref.ask(name, *args, **kwargs)
        assert says in e.value.text and e.value.delivery == "not_sent", (name, e.value.text)
        assert e.value.text.startswith(name)
    assert await ref.ask.none() == "none"  # it lives


@with_node
async def test_not_handlers(node):
    ref = await node.spawn(Taker)
    for name in ("_private", "on_custom", "cx_custom", "renamed", "under", "__init__", "cx", "on_start"):
        with pytest.raises(shoal.NoHandler) as e:
            await ref.ask(name)
        assert name in e.value.text and "other.name" in e.value.text and e.value.delivery == "not_sent"


@with_node
async def test_mixins_and_inheritance(node):
    class Mixin:
        def mixed(self):
            return "no"

    class Base(shoal.Actor):
        def base(self):
            return "base"

        def over(self):
            return "base"

        gone = base

    class Sub(Mixin, Base):
        gone = None

        def over(self):
            return "sub " + super().over()

    ref = await node.spawn(Sub)
    assert await ref.ask.base() == "base"
    assert await ref.ask.over() == "sub base"
    for name in ("mixed", "gone"):
        with pytest.raises(shoal.NoHandler):
            await ref.ask(name)


@with_node
async def test_dataclass_messages(node):
    ref = await node.spawn(Taker)
    assert await ref.ask(Inc(amount=5)) == 5
    assert await ref.ask(Named(3), _timeout=2) == 3
    with pytest.raises(TypeError):
        ref.ask(Inc(1), 2)
    with pytest.raises(TypeError):
        ref.ask(Inc)
    with pytest.raises(TypeError):
        ref.ask(5)


@with_node
async def test_misuse_of_a_call(node):
    ref = await node.spawn(Taker)
    for call in (lambda: ref.ask(), lambda: ref.ask("one", 1, 2), lambda: ref.ask("one", 1, a=2), lambda: ref.ask.one(_nope=1),
                 lambda: ref.tell.one(_timeout=1)):
        with pytest.raises(TypeError):
            call()
    for bad in ("", "x" * 256, "a\0b"):
        with pytest.raises(shoal.BadValue):
            ref.tell(bad)
    for seconds in (0, -1, float("inf"), float("nan")):
        with pytest.raises(shoal.BadValue, match="timeout"):
            ref.ask.none(_timeout=seconds)
    assert await ref.ask.whole({"_timeout": 1}) == ["whole", {"_timeout": 1}]


def test_classes_that_cannot_be():
    with pytest.raises(shoal.BadValue):
        type("A", (shoal.Actor,), {}, id="x" * 256)
    with pytest.raises(shoal.BadValue):
        shoal.handler("")
    with pytest.raises(shoal.BadValue):
        type("A", (shoal.Actor,), {}, mailbox=-1)
