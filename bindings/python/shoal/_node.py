"""Node: options, `with` and `async with`; the iterator of lookup_all; sleep; exit and fork."""
from __future__ import annotations

import asyncio
import atexit
import collections
import os
import time
import types
import warnings
import weakref
from typing import Any, AsyncGenerator, Callable, Optional, Sequence, Union

from . import _bind, _shoal
from ._errors import BadValue, Closed, Timeout, Unsupported, Usage

_DHT = {"auto": 0, "server": 1, "client": 2, "off": 3}
_LOG = {"off": 0, "error": 1, "warn": 2, "info": 3, "debug": 4}
_nodes: "weakref.WeakSet[Node]" = weakref.WeakSet()


def _bad(what: str, value: Any, expected: str) -> BaseException:
    return BadValue(f"{what} is {value!r}, expected {expected}")


def _texts(what: str, value: Any) -> list[str]:
    if isinstance(value, str) or not all(isinstance(v, str) for v in value):
        raise _bad(what, value, "a list of str")
    return list(value)


def _number(what: str, value: Any, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 0xFFFFFFFF:
        raise _bad(what, value, f"an int of {least} .. 2^32-1")
    return value


def _seconds(what: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 4294967:
        raise _bad(what, value, "seconds, more than 0")
    return max(1, round(value * 1000))


def _choice(what: str, value: Any, table: dict[str, int]) -> int:
    if value not in table:
        raise _bad(what, value, "one of " + " ".join(table))
    return table[value]


class Items:
    """What lookup_all gives: iterate with `async for`, or `for` without asyncio."""

    def __init__(self, node: "Node", name: str, follow: bool, timeout: float) -> None:
        self._node = node
        self._ready: collections.deque[Any] = collections.deque()
        self._waiting: Any = None
        self._ended = False
        self._call: Any = node._lookup_all(name, timeout, follow, self._take)

    def _take(self, item: Any) -> None:
        if item is None:
            self._ended = True
            if self._waiting is not None:
                waiting, self._waiting = self._waiting, None
                waiting._set(self._end())
        elif self._waiting is not None and not self._waiting.done():
            waiting, self._waiting = self._waiting, None
            waiting._set(item)
        else:
            self._ready.append(item)

    def _end(self) -> BaseException:
        if self._call is not None and not self._call.cancelled():
            error = self._call.exception()
            self._call = None
            if error is not None:
                return error  # type: ignore[no-any-return]
        return StopAsyncIteration()

    def __aiter__(self) -> "Items":
        return self

    def __anext__(self) -> Any:
        pending = self._node._pending()
        if self._ready:
            pending._set(self._ready.popleft())
        elif self._ended:
            pending._set(self._end())
        else:
            self._waiting = pending
        return pending

    async def aclose(self) -> None:
        """Ends the search. Since 0.1.0."""
        self.close()

    def __iter__(self) -> "Items":
        return self

    def __next__(self) -> Any:
        try:
            return self.__anext__().wait()
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Ends the search. Since 0.1.0."""
        if self._call is not None:
            self._call.cancel()
        self._take(None)


async def _guard(node: "Node") -> AsyncGenerator[None, None]:
    """Closed by the loop's shutdown_asyncgens when the loop ends before the node's `async with`."""
    try:
        yield
    finally:
        if node._open and not node._leaving:
            warnings.warn("the asyncio loop ended before its shoal.Node was stopped", ResourceWarning, source=node)
            node._close()


class Node(_shoal.NodeBase):
    """A node: its actors, its connections, its part of the swarm.

    listen, announce, dial: multiaddrs. key: path of the identity. allow, admin: peer ids (admin: or "all"). dht: auto,
    server, client, off. threads: 1, or 0: the network runs only inside poll. mailbox: messages that may wait (0: only
    memory). ask_timeout, stop_timeout, peer_timeout: seconds. max_message: bytes; max_peers, max_actors, max_asks.
    on_event(event, info); log: off error warn info debug; on_log(level, text), default logging's "shoal".
    Any thread may call. Raises BadValue, BadAddress, Refused (the key file), LimitReached at its start. Since 0.1.0."""

    def __init__(self, *, listen: Sequence[str] = (), announce: Sequence[str] = (), dial: Sequence[str] = (),
                 key: Union[str, "os.PathLike[str]", None] = None, allow: Sequence[str] = (),
                 admin: Union[str, Sequence[str]] = (), dht: str = "auto", threads: int = 1, mailbox: int = 1024,
                 ask_timeout: float = 5, stop_timeout: float = 5, peer_timeout: float = 10, max_message: int = 1 << 20,
                 max_peers: int = 512, max_actors: int = 1 << 20, max_asks: int = 65536,
                 on_event: Optional[Callable[[str, dict[str, Any]], object]] = None, log: str = "warn",
                 on_log: Optional[Callable[[str, str], object]] = None) -> None:
        if threads not in (0, 1):
            raise Unsupported(f"threads is {threads!r}: 0 and 1 are built in")
        options: dict[str, Any] = {
            "listen": _texts("listen", listen), "announce": _texts("announce", announce), "dial": _texts("dial", dial),
            "allow": _texts("allow", allow), "admin": ["all"] if admin == "all" else _texts("admin", admin),
            "dht": _choice("dht", dht, _DHT), "log": _choice("log", log, _LOG), "threads": int(threads),
            "mailbox": _number("mailbox", mailbox), "ask_timeout": _seconds("ask_timeout", ask_timeout),
            "stop_timeout": _seconds("stop_timeout", stop_timeout), "peer_timeout": _seconds("peer_timeout", peer_timeout),
            "max_message": _number("max_message", max_message, 1), "max_peers": _number("max_peers", max_peers, 1),
            "max_actors": _number("max_actors", max_actors, 1), "max_asks": _number("max_asks", max_asks, 1)}
        if key is not None:
            options["key"] = os.fspath(key)
        self._leaving = False
        self._loop_guard: Optional[AsyncGenerator[None, None]] = None
        self._configure(options, on_event, on_log)
        _nodes.add(self)

    def lookup_all(self, name: str, follow: bool = False, timeout: float = 5) -> Items:
        """Each live actor of that name once; `follow` goes on as they appear, until closed.

        timeout: seconds to go on looking, 0: one pass. Any thread. Raises BadValue, Closed. Since 0.1.0."""
        return Items(self, name, follow, timeout)

    async def __aenter__(self) -> "Node":
        self._attach(asyncio.get_running_loop())
        self._loop_guard = _guard(self)
        await self._loop_guard.__anext__()
        return self

    async def __aexit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                        trace: Optional[types.TracebackType]) -> None:
        self._leaving = True
        try:
            await self.stop()
        except (Closed, Timeout):
            pass
        finally:
            self._close()
            guard, self._loop_guard = self._loop_guard, None
            if guard is not None:
                await guard.aclose()

    def __enter__(self) -> "Node":
        if self._simulated:
            raise Usage("a node of a simulation wants `async with`, inside run of that simulation")
        self._start()
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[types.TracebackType]) -> None:
        try:
            self.stop().wait()
        except (Closed, Timeout):
            pass
        finally:
            self._close()


Node.__module__ = "shoal"


async def sleep(seconds: float) -> None:
    """Waits, in an async handler under asyncio or under poll, run or wait; elsewhere it is asyncio.sleep.

    Since 0.1.0."""
    task = _bind.current_task.get(None)
    if task is not None and task.get_loop() is None:
        await task._node._sleep(seconds)
    else:
        await asyncio.sleep(seconds)


@atexit.register
def _at_exit() -> None:
    """Ends the nodes that still run before the interpreter goes; one that a daemon thread is inside of is left."""
    for node in list(_nodes):
        until = time.monotonic() + 1
        node._close()
        while node._open and node._busy and time.monotonic() < until:
            time.sleep(0.005)
            node._close()


def _after_fork() -> None:
    for node in list(_nodes):
        node._forked()


os.register_at_fork(after_in_child=_after_fork)
