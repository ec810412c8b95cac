"""Without asyncio: wait, run, poll; threads; Ctrl-C; exit; fork; garbage collection; many actors."""
import asyncio
import gc
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

import shoal
from common import Echo, python, with_node


class Sync(shoal.Actor, id="test.sync"):
    def __init__(self):
        self.n = 0

    def inc(self, amount=1):
        self.n += amount
        return self.n

    async def nap(self):
        await shoal.sleep(0.02)
        return "rested"

    async def chain(self, ref):
        return [await ref.ask.inc(), await ref.ask.nap(), await ref.ask.inc(amount=5)]

    async def foreign(self):
        await asyncio.get_running_loop().create_future()

    def thread(self):
        return threading.get_ident() % 2**63


@pytest.mark.parametrize("threads", [0, 1])
def test_wait_and_poll(threads):
    with shoal.Node(threads=threads) as node:
        a, b = node.spawn(Sync).wait(), node.spawn(Sync).wait()
        assert a.ask.inc().wait() == 1 and a.ask.nap().wait() == "rested"
        assert a.ask.chain(ref=b).wait() == [1, "rested", 6]
        with pytest.raises(shoal.HandlerError):
            a.ask.foreign().wait()
        with pytest.raises(shoal.Timeout, match="goes on"):
            a.ask.nap().wait(timeout=0.005)
        a.tell.inc()
        pending = a.ask.inc()
        handled = 0
        while not pending.done():
            n, left = node.poll(0.01, wait=1)
            handled += n
            assert left >= 0
        assert handled >= 2 and pending.result() == 3
        assert node.poll(0.001) == (0, 0)
        start = time.monotonic()
        assert node.poll(0.001, wait=0.05) == (0, 0) and 0.04 < time.monotonic() - start < 0.5
        assert list(node.lookup_all("nobody", timeout=0.05)) == []


def test_own_loop_by_fileno():
    with shoal.Node() as node:
        ref = node.spawn(Sync).wait()
        pending = ref.ask.nap()
        while not pending.done():
            timeout = node.next_timeout()
            select.select([node.fileno()], [], [], 1 if timeout is None else timeout)
            node.poll(0.001)
        assert pending.result() == "rested"


def test_run_in_a_thread():
    node = shoal.Node()
    server = threading.Thread(target=node.run)
    server.start()
    ref = node.spawn(Sync).wait()
    assert ref.ask.thread().wait() == server.ident % 2**63
    assert [ref.ask.inc().wait() for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(shoal.Usage, match="another thread"):
        node.poll(0)
    with pytest.raises(shoal.Usage):
        node.run()

    async def main():  # another thread's asyncio may await it
        return await asyncio.gather(ref.ask.inc(), ref.ask.nap())

    assert asyncio.run(main()) == [6, "rested"]
    node.stop().wait()
    server.join(5)
    assert not server.is_alive()


def test_awaiting_what_nobody_serves():
    async def main():
        node = shoal.Node()
        ref = await node.spawn(Sync)  # had ended at once
        with pytest.raises(shoal.Usage, match="nobody serves"):
            await ref.ask.inc()
        node._close()

    asyncio.run(main())


@with_node
async def test_threads_beside_asyncio(node):
    ref = await node.spawn(Sync)
    me = threading.get_ident() % 2**63

    def work():
        other = node.spawn(Sync).wait()
        return [ref.ask.thread().wait(), other.ask.thread().wait(), [ref.ask.inc().wait() for _ in range(50)][-1]]

    results = await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))
    assert all(r[0] == me and r[1] == me for r in results)
    assert max(r[2] for r in results) == 200


def test_many_threads_wait_without_a_server():
    with shoal.Node() as node:
        ref = node.spawn(Sync).wait()
        got = []
        threads = [threading.Thread(target=lambda: got.extend(ref.ask.inc().wait() for _ in range(100))) for _ in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(20)
        assert sorted(got) == list(range(1, 601))


def interrupted(code):
    """Starts the program, waits for its line, sends SIGINT; how long it took to end, and what it said."""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               cwd=os.path.dirname(__file__))
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    return time.monotonic() - start, process.returncode, err


@pytest.mark.parametrize("what", [
    "node.run()", "node.spawn(Sleeper).wait().ask.sleep(_timeout=60).wait()", "node.poll(1, wait=60)",
    "asyncio.run(main())",
])
def test_ctrl_c(what):
    took, code, err = interrupted(f"""
import asyncio, shoal
from common import Echo
class Sleeper(shoal.Actor):
    async def sleep(self): await shoal.sleep(60)
node = shoal.Node(stop_timeout=0.2)
node.peer_id
async def main():
    async with node:
        await (await node.spawn(Echo)).ask.never(_timeout=60)
print("ready", flush=True)
{what}
""")
    assert "KeyboardInterrupt" in err and code in (1, -2, 130) and took < 2, (took, code, err)


def test_ctrl_c_in_a_busy_handler():
    took, code, err = interrupted("""
import shoal
class Busy(shoal.Actor):
    def spin(self):
        print("ready", flush=True)
        while True: pass
node = shoal.Node()
node.spawn(Busy).wait().tell.spin()
node.run()
""")
    assert "KeyboardInterrupt" in err and took < 2, (took, err)


@pytest.mark.parametrize("cls", [KeyboardInterrupt, SystemExit])
def test_exits_leave_wait_and_answer_the_asker(cls):
    class Quits(shoal.Actor):
        def quit(self):
            raise cls("bye")

    with shoal.Node() as node:
        ref = node.spawn(Quits).wait()
        pending = ref.ask.quit()
        with pytest.raises(cls):
            pending.wait()
        with pytest.raises(shoal.HandlerError, match=cls.__name__):
            pending.wait()


@pytest.mark.parametrize("code", [
    "node.spawn(Echo).wait()",
    "node.spawn(Echo).wait().tell.never()",
    "import threading; threading.Thread(target=node.run, daemon=True).start(); node.spawn(Echo).wait().ask.echo(1).wait()",
    "keep = node.spawn(Echo).wait().ask.never(); node.poll(0.1)",
    "asyncio.get_event_loop_policy().new_event_loop().run_until_complete(node.__aenter__())",
])
@pytest.mark.parametrize("threads", [0, 1])
def test_exit_with_a_node_running(code, threads):
    done = python(f"import asyncio, shoal\nfrom common import Echo\nnode = shoal.Node(threads={threads})\n{code}\nprint('end')")
    assert done.returncode == 0 and done.stdout == "end\n", done
    assert "Fatal" not in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_fork():
    with shoal.Node() as node:
        ref = node.spawn(Sync).wait()
        pending = ref.ask.nap()
        child = os.fork()
        if child == 0:
            code = 0
            for call in (lambda: ref.ask.inc(), lambda: ref.tell.inc(), lambda: node.spawn(Sync), lambda: node.poll(0),
                         lambda: node.lookup("x")):
                try:
                    call()
                    code = 1
                except shoal.Closed as e:
                    code |= "fork" not in e.text
                except BaseException:
                    code = 2
            with shoal.Node() as mine:
                code |= mine.spawn(Sync).wait().ask.inc().wait() != 1
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pending.wait() == "rested" and ref.ask.inc().wait() == 1


def test_garbage_collection_at_any_time():
    done = python("""
import asyncio, gc, shoal
from common import Echo
gc.set_threshold(1)
class Cyclic(shoal.Actor):
    def __init__(self): self.me = self; self.refs = []
    async def keep(self, ref): self.refs.append(ref); self.held = self.cx; await asyncio.sleep(0); return len(self.refs)
async def main():
    for _ in range(3):
        async with shoal.Node() as node:
            a, b = await node.spawn(Cyclic), await node.spawn(Echo)
            for i in range(30):
                assert await a.ask.keep(ref=b) == i + 1
                b.tell.note([a])
            assert len(await b.ask.notes()) == 30
            b.tell.never(); a.ask.keep(ref=a); b.kill()
asyncio.run(main())
print("end")
""")
    assert done.stdout == "end\n" and done.returncode == 0, done.stderr[-2000:]


def test_dropped_nodes_are_collected():
    def make():
        node = shoal.Node()
        ref = node.spawn(Echo).wait()
        node.me = (node, ref, ref.ask.never())
        node.poll(0.01)
        return weakref.ref(node)

    with pytest.warns(ResourceWarning, match="dropped"):
        held = [make() for _ in range(20)]
        gc.collect()
    assert not any(h() for h in held)


def test_ten_thousand_actors():
    async def main():
        async with shoal.Node() as node:
            start = time.monotonic()
            refs = [await node.spawn(Sync) for _ in range(10000)]
            assert sum(await asyncio.gather(*(r.ask.inc() for r in refs))) == 10000
            assert await asyncio.gather(*(r.ask.inc(amount=i) for i, r in enumerate(refs))) == [i + 1 for i in range(10000)]
            assert time.monotonic() - start < 15

    asyncio.run(main())


def test_log(caplog):
    lines = []
    node = shoal.Node(log="debug", on_log=lambda level, text: lines.append((level, text)), listen=["/ip4/127.0.0.1/tcp/0"])
    with node:
        node.poll(0.01, wait=0.05)
    assert all(level in ("error", "warn", "info", "debug") for level, _ in lines)
    with shoal.Node() as node:
        node.spawn(Echo).wait().tell.fail("unheard")
        for _ in range(20):
            node.poll(0.01, wait=0.02)
    assert any(r.name == "shoal" and "unheard" in r.getMessage() and "Traceback" in r.getMessage() for r in caplog.records)
