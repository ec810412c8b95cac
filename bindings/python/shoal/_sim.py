"""sim: nodes, their network and time out of one seed, on an asyncio loop of virtual time.

The loop is asyncio's own but for its selector: where that would sleep on sockets until the next timer, the simulation goes
on until something was handled in it, or virtual time has come to that timer."""
from __future__ import annotations

import asyncio
import threading
import types
from typing import Any, Callable, Coroutine, Iterable, NoReturn, Optional, Sequence, TypeVar, Union

from . import _shoal
from ._errors import BadValue, Usage
from ._node import Node

T = TypeVar("T")
_SLICE_US = 60_000_000  # virtual time between two looks at signals
_QUIET_US = 86_400_000_000  # nothing waits for a time, and no handler ran for so long: it never will
_REAL = """add_reader add_writer remove_reader remove_writer sock_recv sock_recv_into sock_recvfrom sock_recvfrom_into
    sock_sendall sock_sendto sock_connect sock_accept sock_sendfile sendfile start_tls create_connection create_server
    create_datagram_endpoint create_unix_connection create_unix_server connect_accepted_socket connect_read_pipe
    connect_write_pipe subprocess_exec subprocess_shell run_in_executor getaddrinfo getnameinfo add_signal_handler
    remove_signal_handler""".split()


class _Selector:
    """What the loop asks for readiness: it makes time pass instead."""

    def __init__(self, base: _shoal.SimBase) -> None:
        self._base = base

    def select(self, timeout: Optional[float] = None) -> list[Any]:
        base = self._base
        begun = base.now_us
        end = begun + (_QUIET_US if timeout is None else max(0, round(timeout * 1e6)))
        while not base.turn(min(end, base.now_us + _SLICE_US)):
            if timeout is None and (base.idle or base.now_us >= end):
                raise Usage("nothing is left to happen: the coroutine waits for what no handler, message or timer will bring")
            if base.now_us >= end:
                break
        return []


class _Loop(asyncio.BaseEventLoop):
    """The loop of virtual time. What would reach out of the simulation is Usage."""

    def __init__(self, base: _shoal.SimBase) -> None:
        super().__init__()
        self._base = base
        self._selector = _Selector(base)
        self._clock_resolution = 1e-6
        self._owner = threading.get_ident()

    def time(self) -> float:
        return self._base.now_us / 1e6

    def _process_events(self, event_list: list[Any]) -> None:
        """None come."""

    def _write_to_self(self) -> None:
        """It never sleeps."""

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        self._base.stir()
        return super().call_soon(callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        self._base.stir()
        return super().call_at(when, callback, *args, context=context)

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        if threading.get_ident() != self._owner:
            raise Usage("a simulation runs in one thread: no other may call into it")
        self._base.stir()
        return super().call_soon_threadsafe(callback, *args, context=context)


def _refused(name: str) -> Callable[..., NoReturn]:
    def refuse(self: _Loop, *args: Any, **kwargs: Any) -> NoReturn:
        raise Usage(f"{name}: sockets, threads, processes and signals are not part of a simulation")

    refuse.__name__ = name
    return refuse


for _name in _REAL:
    setattr(_Loop, _name, _refused(_name))


def _real(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e9:
        raise BadValue(f"{what} is {value!r}, expected a number, 0 or more")
    return float(value)


class sim:
    """A simulation: nodes, their network and time, in one thread, out of one seed. The same seed, the same run.

    seed: 0 .. 2^64-1. The network begins at 1 to 5 ms without loss. `with` ends it, and the nodes that are left. The n-th
    node made (from 0) is host 10.0.(n / 256).(n % 256); no names of hosts resolve. Raises BadValue. Since 0.1.0."""

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 64:
            raise BadValue(f"seed is {seed!r}, expected an int of 0 .. 2^64-1")
        self._seed = seed
        self._base = _shoal.SimBase()
        self._base.begin(seed)

    def __enter__(self) -> "sim":
        return self

    def __exit__(self, kind: Optional[type[BaseException]], error: Optional[BaseException],
                 trace: Optional[types.TracebackType]) -> None:
        self._base.close()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine to its end, in virtual time, and gives what it returns; as asyncio.run, with tasks and Ctrl-C.

        Time passes only while all wait. Raises Usage (an asyncio loop runs on this thread; nothing is left to happen: main and
        its tasks wait for no time, and no handler ran for a day), Closed, and what main raises. Since 0.1.0."""
        if not asyncio.iscoroutine(main):
            raise BadValue(f"run: {main!r} is no coroutine: call the async function")
        try:
            self._base.turn(self._base.now_us)
            if asyncio._get_running_loop() is not None:
                raise Usage("run: an asyncio loop runs on this thread already")
        except BaseException:
            main.close()
            raise
        loop = _Loop(self._base)
        self._base.drive(loop)
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                result: T = runner.run(main)
                return result
        finally:
            self._base.drive(None)

    def node(self, *, listen: Sequence[str] = (), announce: Sequence[str] = (), dial: Sequence[str] = (),
             allow: Sequence[str] = (), admin: Union[str, Sequence[str]] = (), dht: str = "auto", threads: int = 1,
             mailbox: int = 1024, ask_timeout: float = 5, stop_timeout: float = 5, peer_timeout: float = 10,
             max_message: int = 1 << 20, max_peers: int = 512, max_actors: int = 1 << 20, max_asks: int = 65536,
             on_event: Optional[Callable[[str, dict[str, Any]], object]] = None, log: str = "warn",
             on_log: Optional[Callable[[str, str], object]] = None) -> Node:
        """A Node of its own host, for `async with` inside run; its options, but for key: keys come from the seed.

        Raises as Node; its start also Closed, LimitReached (16384 nodes), Usage (outside of run). Since 0.1.0."""
        node = Node(listen=listen, announce=announce, dial=dial, allow=allow, admin=admin, dht=dht, threads=threads,
                    mailbox=mailbox, ask_timeout=ask_timeout, stop_timeout=stop_timeout, peer_timeout=peer_timeout,
                    max_message=max_message, max_peers=max_peers, max_actors=max_actors, max_asks=max_asks,
                    on_event=on_event, log=log, on_log=on_log)
        self._base.adopt(node)
        return node

    def partition(self, a: Iterable[Node], b: Iterable[Node]) -> None:
        """Parts nodes: those of a and those of b hear nothing of each other, others hear both. Adds to earlier partitions.

        Connections stay, silent. Raises Usage (a node of elsewhere), BadValue (in both), LimitReached (64 since the last
        heal), Closed. Since 0.1.0."""
        self._base.partition(list(a), list(b))

    def heal(self) -> None:
        """Ends all partitions: what waited arrives. Raises Closed. Since 0.1.0."""
        self._base.heal()

    def crash(self, node: Node) -> None:
        """Ends a node as kill -9 would, for its peers; here its calls end as Closed and on_stop runs.

        Raises Usage (of elsewhere, inside a handler), Closed. Since 0.1.0."""
        self._base.crash(node)

    def net(self, latency: tuple[float, float] = (0.001, 0.005), loss: float = 0.0) -> None:
        """Sets the network from now on. latency: least and most seconds of a packet; loss: how many of 1 are lost.

        A lost packet comes 0.2 s later. Raises BadValue, Closed. Since 0.1.0."""
        if not isinstance(latency, (tuple, list)) or len(latency) != 2:
            raise BadValue(f"latency is {latency!r}, expected (least, most) in seconds")
        if _real("loss", loss) > 1:
            raise BadValue(f"loss is {loss!r}, expected 0 .. 1")
        least, most = (round(_real("latency", s) * 1e6) for s in latency)
        self._base.net(least, most, round(loss * 1e6))

    @property
    def now(self) -> float:
        """The virtual time, seconds; it begins at 1. Since 0.1.0."""
        return self._base.now_us / 1e6

    @property
    def seed(self) -> int:
        """What it was made of. Since 0.1.0."""
        return self._seed

    @property
    def digest(self) -> str:
        """A hash over all that was delivered so far, 16 hex digits: equal in equal runs. Since 0.1.0."""
        return f"{self._base.digest:016x}"


sim.__module__ = "shoal"
