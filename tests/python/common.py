"""What the Python tests share: an actor of each kind, and running a coroutine with a node."""
from __future__ import annotations

import asyncio
import functools
import pathlib
import subprocess
import sys

import shoal


class Echo(shoal.Actor, id="test.echo"):
    """Answers with what it got, or does as asked."""

    def __init__(self):
        self.got = []

    def echo(self, v, /):
        return v

    def note(self, v, /):
        self.got.append(v)

    def notes(self):
        return self.got

    def fail(self, text="boom"):
        raise ValueError(text)

    async def later(self, seconds=0.01, v=None):
        await asyncio.sleep(seconds)
        return v

    async def never(self):
        await asyncio.Event().wait()

    async def relay(self, ref: shoal.Ref, name: str, v=None):
        return await ref.ask(name, v)


def with_node(test=None, **options):
    """Runs an async test with a fresh node, within 20 seconds."""
    if test is None:
        return functools.partial(with_node, **options)

    def run():
        async def main():
            async with asyncio.timeout(20), shoal.Node(**options) as node:
                await test(node)

        asyncio.run(main())

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


def python(code: str, *args: str, **options) -> subprocess.CompletedProcess:
    """Runs a program of its own, to its end."""
    return subprocess.run([sys.executable, "-X", "dev", "-c", code, *args], capture_output=True, text=True, timeout=30,
                          cwd=pathlib.Path(__file__).parent, **options)
