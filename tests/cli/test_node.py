"""shoal node: addresses first, events, a graceful end; scripts in Python and Lua."""
import json
import signal
import subprocess
import time
import unittest

from support import LISTEN, Program, SHOAL, main, rows, scratch, shoal


class Node(unittest.TestCase):
    def node(self, *args, **named):
        program = Program(SHOAL, "node", *args, **named)
        self.addCleanup(program.close)
        return program

    def test_addresses_come_first(self):
        key = scratch / "node"
        peer = shoal("keygen", key)[1].strip()
        node = self.node(*LISTEN, "--key", key)
        self.assertRegex(node.line(), rf"^listening /ip4/127\.0\.0\.1/tcp/\d+/p2p/{peer}$")
        node = self.node(*LISTEN, *LISTEN, "--json", "--key", key)
        for _ in range(2):
            said = json.loads(node.line())
            self.assertEqual((list(said), said["event"], said["peer_id"]), (["event", "address", "peer_id"], "listening", peer))

    def test_a_node_that_does_not_listen_says_so(self):
        self.assertRegex(self.node().line(), r"^not listening, peer id 12D3")
        self.assertIsNone(json.loads(self.node("--json").line())["address"])

    def test_signals_end_it_gracefully(self):
        other = self.node(*LISTEN, "--json")
        address = json.loads(other.line())["address"]
        for number in (signal.SIGINT, signal.SIGTERM):
            node = self.node("--dial", address, *LISTEN, "--json")
            node.line()
            self.assertEqual(json.loads(node.line())["event"], "peer_up")
            self.assertEqual(json.loads(other.line_with("peer_up"))["event"], "peer_up")
            self.assertEqual(node.end(number), (0, ""))
            self.assertIn("goodbye", json.loads(other.line_with("peer_down"))["text"])

    def test_a_background_job_takes_sigint_too(self):
        node = self.node(*LISTEN, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        node.line()
        self.assertEqual(node.end(signal.SIGINT), (0, ""))

    def test_lives_on_when_its_reader_leaves(self):
        node = self.node(*LISTEN, "--admin", "all")
        address = node.line().split()[1]
        node.process.stdout.close()
        for _ in range(2):
            self.assertEqual(shoal("ps", "--dial", address)[0], 0)
        node.process.send_signal(signal.SIGTERM)
        self.assertEqual(node.process.wait(10), 0)

    def test_dial_failed_is_an_event(self):
        node = self.node("--dial", "/ip4/127.0.0.1/tcp/1", "--json")
        node.line()
        said = json.loads(node.line_with("dial_failed"))
        self.assertEqual((list(said), said["address"]), (["event", "address", "text"], "/ip4/127.0.0.1/tcp/1"))
        self.assertEqual(node.end()[0], 0)

    def test_it_cannot_start(self):
        for args, code in ((("--listen", "nonsense"), "bad_address"), (("--admin", "nobody"), "bad_value"), (("--key", "/dev/null"), "refused")):
            status, said = rows("node", *args)
            self.assertEqual((status, said[0]["error"]["code"]), (1, code))

    def test_finds_names_through_it(self):
        node = self.node(*LISTEN)
        dial = ("--dial", node.line().split()[1])
        self.assertEqual(rows("lookup", "nobody", "--timeout", "0", *dial)[1][0]["error"]["code"], "not_found")


def has(*command):
    return subprocess.run(command, capture_output=True).returncode == 0


class Script:
    """The same for both languages; each gives the four scripts."""

    def start(self, text, *args):
        path = scratch / f"{self.id().split('.')[-1]}.{self.ending}"
        path.write_text(text)
        node = Program(SHOAL, "node", *LISTEN, *args, path)
        self.addCleanup(node.close)
        return node

    def test_serves_until_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            node = self.start(self.counter, "--json", "--admin", "all")
            first = json.loads(node.line())
            self.assertEqual(first["event"], "listening")
            self.assertEqual(node.line(), "registered")
            dial = ("--dial", first["address"])
            self.assertEqual(rows("ask", "script.counter", "inc", '{"amount": 5}', *dial), (0, [{"value": 5}]))
            self.assertEqual(shoal("tell", "script.counter", "inc", '{"amount": 2}', *dial)[0], 0)
            self.assertEqual(rows("ask", "script.counter", "inc", '{"amount": 1}', *dial), (0, [{"value": 8}]))
            self.assertEqual(rows("ps", *dial)[1][0]["names"], ["script.counter"])
            self.assertEqual(node.end(number), (0, ""))

    def test_events_for_people(self):
        node = self.start(self.counter)
        address = node.line().split()[1]
        node.line_with("registered")
        shoal("lookup", "script.counter", "--dial", address)
        self.assertRegex(node.line_with("peer_up"), r'peer="12D3')
        self.assertEqual(node.end()[0], 0)

    def test_it_fails(self):
        node = self.start(self.failing)
        node.line()
        _, said = node.process.communicate(timeout=20)
        self.assertEqual(node.process.returncode, 1)
        self.assertIn("on purpose", said.decode())

    def test_not_a_script(self):
        node = self.start("((")
        _, said = node.process.communicate(timeout=20)
        self.assertEqual(node.process.returncode, 1)
        self.assertIn(self.ending, said.decode())

    def test_it_stops_its_node(self):
        node = self.start(self.stopping)
        node.line()
        out, said = node.process.communicate(timeout=20)
        self.assertEqual((node.process.returncode, said.decode()), (0, ""))

    def test_a_second_signal_means_now(self):
        node = self.start(self.lingering, "--timeout", "60")
        node.line_with("ready")
        node.process.send_signal(signal.SIGTERM)
        node.line_with("lingers")
        begin = time.monotonic()
        self.assertEqual(node.end(signal.SIGINT), (0, ""))
        self.assertLess(time.monotonic() - begin, 5)

    def test_a_stop_waits_no_longer_than_told(self):
        node = self.start(self.lingering, "--timeout", "0.5")
        node.line_with("ready")
        begin = time.monotonic()
        self.assertEqual(node.end()[0], 0)
        self.assertTrue(0.3 < time.monotonic() - begin < 5)

    def test_options_reach_it(self):
        status, said = rows("node", "--listen", "nonsense", self.write_counter())
        self.assertEqual((status, said[0]["error"]["code"]), (1, "bad_address"))
        status, _, err = shoal("node", "--listen", "nonsense", self.write_counter())
        self.assertEqual((status, err.count("\n")), (1, 1), err)
        self.assertTrue(err.startswith("shoal node: bad_address: "), err)
        key = scratch / f"key.{self.ending}"
        peer = shoal("keygen", key)[1].strip()
        node = self.start(self.counter, "--key", key)
        self.assertTrue(node.line().endswith("/p2p/" + peer))

    def write_counter(self):
        path = scratch / f"counter.{self.ending}"
        path.write_text(self.counter)
        return path


@unittest.skipUnless(has("python3", "-c", "import shoal; shoal.Node"), "the Python module is not built")
class PythonScript(Script, unittest.TestCase):
    ending = "py"
    counter = """
import shoal

class Counter(shoal.Actor, id="script.counter"):
    def __init__(self):
        self.n = 0

    def inc(self, amount: int) -> int:
        self.n += amount
        return self.n

async def main(node):
    ref = await node.spawn(Counter)
    await ref.register("script.counter")
    print("registered")
"""
    failing = "async def main(node):\n    raise ValueError('on purpose')\n"
    lingering = """
import asyncio
import shoal

class Slow(shoal.Actor):
    async def on_stop(self, reason):
        print("lingers")
        await asyncio.sleep(60)

async def main(node):
    await node.spawn(Slow)
    print("ready")
"""
    stopping = "async def main(node):\n    await node.stop()\n"

    def test_main_is_cancelled_at_the_end(self):
        node = self.start("import asyncio\nasync def main(node):\n    try:\n        print('waits')\n        await asyncio.sleep(60)\n    finally:\n        print('left')\n")
        node.line_with("waits")
        node.process.send_signal(signal.SIGTERM)
        self.assertEqual(node.line(), "left")
        self.assertEqual(node.process.wait(20), 0)

    def test_there_is_no_main(self):
        node = self.start("x = 1\n")
        _, said = node.process.communicate(timeout=20)
        self.assertEqual(node.process.returncode, 1)
        self.assertIn("async def main(node)", said.decode())


@unittest.skipUnless(has("lua5.4", "-e", "assert(require'shoal'.node)"), "the Lua module is not built")
class LuaScript(Script, unittest.TestCase):
    ending = "lua"
    counter = """
local node = ...
local shoal = require "shoal"
local Counter = shoal.actor("script.counter")
function Counter:init() self.n = 0 end
function Counter:inc(m) self.n = self.n + m.amount; return self.n end
local ref = assert(node:spawn(Counter))
assert(ref:register("script.counter"))
print("registered")
"""
    failing = "local node = ...\nerror('on purpose')\n"
    lingering = """
local node = ...
local shoal = require "shoal"
local Slow = shoal.actor("slow")
function Slow:on_stop() print("lingers") shoal.sleep(60) end
assert(node:spawn(Slow))
print("ready")
"""
    stopping = "local node = ...\nnode:stop()\n"


if __name__ == "__main__":
    main()
