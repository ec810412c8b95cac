"""A user's program, for mypy --strict (test_stubs.py) and to run: every public name with its types."""
from __future__ import annotations

import asyncio
import dataclasses
from typing import Any, Optional

import shoal


@dataclasses.dataclass
class Inc:
    amount: int


class Counter(shoal.Actor, id="counter", reentrant=False, mailbox=100):
    def __init__(self, start: int = 0) -> None:
        self.n = start
        self.promise: Optional[shoal.Promise] = None
        self.timer: Optional[shoal.Timer] = None

    async def on_start(self) -> None:
        self.timer = self.cx.every(1.5, "inc", amount=1)

    def on_stop(self, reason: shoal.Reason) -> None:
        print(reason.kind, reason.text, reason.ref)

    def on_error(self, error: Exception) -> object:
        return shoal.RESUME

    def on_down(self, ref: shoal.Ref, reason: shoal.Reason) -> object:
        return shoal.STOP

    def on_undelivered(self, messages: list[tuple[str, Any]]) -> None:
        pass

    def on_message(self, name: str, value: Any) -> Any:
        return value

    def inc(self, amount: int) -> int:
        if amount < 0:
            raise shoal.HandlerError("negative", value=amount)
        self.n += amount
        return self.n

    @shoal.handler("later")
    async def answer_later(self, seconds: float) -> str:
        await shoal.sleep(seconds)
        cx: shoal.Context = self.cx
        sender: Optional[shoal.Ref] = cx.sender
        return f"{cx.name} {sender}"


async def main() -> None:
    async with shoal.Node(listen=["/ip4/127.0.0.1/tcp/0"], dial=[], log="error", on_event=lambda event, info: None) as node:
        ref: shoal.Ref = await node.spawn(Counter, 10, _mailbox=5)
        await ref.register("counter")
        other = await node.lookup("counter", timeout=2)
        maybe: Optional[shoal.Ref] = await node.lookup("none", timeout=0, default=None)
        assert maybe is None and other == ref
        pending: shoal.Pending[Any] = other.ask("inc", amount=5, _timeout=1)
        assert await pending == 15 and await other.ask.inc(amount=1) == 16
        other.tell.inc(amount=1)
        other.tell(Inc(amount=1))
        await other.drain(timeout=1)
        got = await asyncio.gather(other.ask.later(seconds=0.01), other.ask("inc", {"amount": 0}))
        assert got == ["later None", 17], got
        try:
            await ref.ask.inc(amount=-1)
        except shoal.HandlerError as e:
            code: str = e.code
            assert (code, e.text, e.delivery, e.value) == ("handler", "negative", "handled", -1)
        try:
            await node.lookup("none", timeout=0)
        except (shoal.Timeout, shoal.NotFound) as e:
            text: str = e.text
            assert text
        async for found in node.lookup_all("counter", timeout=0.1):
            assert str(found) == str(ref)
        rows = await node.info("actors")
        assert rows[0]["id"] == "counter" and node.ref(str(ref)) == ref
        reason: shoal.Reason = await ref.stop()
        assert reason.kind == "normal" and shoal.__version__


async def simulated(sim: shoal.sim) -> list[str]:
    async with sim.node(listen=["/ip4/0.0.0.0/tcp/0"], threads=0) as a, sim.node(dial=a.addresses, log="error") as b:
        sim.net(latency=(0.001, 0.002), loss=0.01)
        sim.partition([a], [b])
        sim.heal()
        sim.crash(b)
        return [a.peer_id, sim.digest, str(sim.now + sim.seed)]


if __name__ == "__main__":
    asyncio.run(main())
    with shoal.sim(7) as world:
        texts: list[str] = world.run(simulated(world))
        assert len(texts) == 3
