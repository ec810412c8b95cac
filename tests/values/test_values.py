"""Every value of the table between every pair of languages: sender, echoing actor and receiver are processes of C, Lua and Python.

  echo    a sender asks an echoing actor and compares what comes back            9 pairs
  relay   a sender asks an actor to ask a third what it sees of the value       27 triples
  make    a value that only comes into being at the far actor
  poke    a ref goes there and back and is used
  bad     what cannot be sent: a failure at the call, of a tell and of an ask, with the path

Only failures are printed, and the closing line. python3 test_values.py [SUBSTRING]... checks the rows that contain one of them."""
import os
import pathlib
import shutil
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from lines import Program  # noqa: E402

BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD_DIR") or HERE.parent.parent / "build/dev")
HOST = str(BUILD / "tests/values_host")
LANGUAGES = ("C", "Lua", "Python")


def text(s):
    return "t" + s.encode().hex()


def number(x):
    return "f" + struct.pack(">d", x).hex()


def nest(depth, inner="n"):
    return "[" * depth + inner + "]" * depth


VALUES = {
    "nil": "n", "true": "T", "false": "F",
    "0": "i0", "1": "i1", "-1": "i-1", "127": "i127", "128": "i128", "-32": "i-32", "-33": "i-33", "-128": "i-128", "-129": "i-129",
    "255": "i255", "256": "i256", "65535": "i65535", "65536": "i65536", "2^31": f"i{2**31}", "-2^31-1": f"i{-2**31 - 1}",
    "2^32-1": f"i{2**32 - 1}", "2^32": f"i{2**32}", "2^53": f"i{2**53}", "2^53+1": f"i{2**53 + 1}", "-2^53-1": f"i{-2**53 - 1}",
    "2^63-1": f"i{2**63 - 1}", "-2^63": f"i{-2**63}", "2^63": f"i{2**63}", "2^64-1": f"i{2**64 - 1}",
    "1.0": number(1.0), "0.0": number(0.0), "-0.0": number(-0.0), "0.1": number(0.1), "2^53 as float": number(2.0**53), "1e300": number(1e300),
    "smallest float": number(5e-324), "inf": number(float("inf")), "-inf": number(float("-inf")), "NaN": "fnan",
    "empty text": "t", "text": text("text"), "text with NUL": text("a\0b\0"), "non-ASCII": text("h\u00e9llo \u4e16\u754c \U0001f420"),
    "text of 31": text("x" * 31), "text of 32": text("x" * 32), "text of 256": text("y" * 256), "text of 65536": text("z" * 65536),
    "looks like a number": text("12"), "empty bytes": "b", "bytes": "b00ff80", "bytes like text": "b74657874", "bytes of 256": "b" + "ab" * 256,
    "bytes of 65536": "b" + "cd" * 65536,
    "empty list": "[]", "empty map": "{}", "list": "[i1,i2,i3]", "list of 16": "[" + ",".join(["i7"] * 16) + "]",
    "list of 70000": "[" + ",".join(["T"] * 70000) + "]", "mixed list": f"[n,T,i-5,{number(2.5)},{text('t')},b62,[],{{}}]",
    "nil in a list": "[n]", "nils in a list": "[i1,n,i3,n,n]", "only nils": "[n,n,n]", "nil in a map": f"{{{text('x')}:n}}",
    "bytes beside text": "[t78,b78]", "map": f"{{{text('a')}:i1,{text('b')}:[i2]}}", "integer keys": "{i-1:T,i10:t78,i7:n}",
    "keys 1..n": "{i1:t61,i2:t62,i3:t63}", "key 1": "{i1:i1}", "keys 2^63-1, -2^63": f"{{i-{2**63}:i1,i{2**63 - 1}:i2}}",
    "mixed keys": f"{{i1:t6f,{text('1')}:t78}}", "empty key": "{t:i1}", "key with NUL": f"{{{text(chr(0))}:i1}}", "non-ASCII key": f"{{{text(chr(233))}:i1}}",
    "float beside integer": f"[i1,{number(1.0)}]", "empty in empty": "[[],{},[[]],[{}]]", "nested": f"{{{text('a')}:{{{text('b')}:[{{i1:[]}},{{}},[n]]}}}}",
    "map of 20": "{" + ",".join(sorted(f"{text('k%02d' % i)}:i{i}" for i in range(20))) + "}",
    "depth 31": nest(31), "depth 32": nest(32, ""), "map at depth 32": nest(31, "{}"), "400 kB of text": text("x" * 400000),
}
TOO_BIG_FOR_LUA = ("2^63", "2^64-1")
NOT_RELAYED = ("depth 32", "map at depth 32", "400 kB of text")  # too deep inside a map; too long when told as a word of a word

# What cannot be sent, per language: code, and pieces of the text.
BAD = {
    "C": {"utf8": ["value.items[2]|at byte 11 of 11"], "cut": [], "two": [], "key": [], "never_used": [], "deep": ["32"], "big": ["max_message"]},
    "Lua": {"utf8": ["value.items[3]", "UTF-8"], "surrogate": ["value.items[3]", "UTF-8"], "hole": ["value.items[3]", "hole"],
            "fn": ["value.items[3]", "function"], "thread": ["value.items[3]"], "file": ["value.items[3]"], "float_key": ["key"],
            "bool_key": ["key"], "cycle": ["value.t.t"], "deep": ["32"], "big": ["max_message"]},
    "Python": {"utf8": ["value['items'][2]|value.items[2]", "UTF-8"], "set": ["value.items[2]", "set"], "object": ["value.items[2]"],
               "complex": ["value.items[2]"], "over": ["value.items[2]", "2^64"], "under": ["value.items[2]", "2^63"], "float_key": ["key"],
               "bytes_key": ["key"], "none_key": ["key"], "cycle": ["value.t.t"], "deep": ["32"], "big": ["max_message"]},
}


class Hub(Program):
    """The hand: a C node that asks the senders."""

    def __init__(self):
        super().__init__(HOST, "hub")
        self.address, self.refs = self.line(), {}

    def do(self, *words):
        self.say(" ".join(("1",) + words))
        return self.line().split(" ", 2)[1:]

    def ref(self, name):
        if name not in self.refs:
            code, ref = self.do("lookup", name)
            assert code == "ok", f"{name}: {code} {ref}"
            self.refs[name] = ref
        return self.refs[name]

    def ask(self, name, handler, *words):
        code, said = self.do("ask", self.ref(name), handler, *words)
        return said if code == "ok" else f"the ask of the test: {code} {said}"


class Table:
    def __init__(self, wanted):
        self.wanted, self.passed, self.failed, self.skipped = wanted, 0, 0, 0

    def wants(self, row):
        return not self.wanted or any(word in row for word in self.wanted)

    def check(self, row, expected, got):
        """expected: the word, or a list of pieces of which each (or one of its alternatives) must be there."""
        good = got == expected if isinstance(expected, str) else all(any(one in got for one in piece.split("|")) for piece in expected)
        self.passed += good
        self.failed += not good
        if not good:
            show = [s if len(s) < 160 else s[:120] + "..." + s[-30:] for s in (str(expected), got)]
            print(f"FAILED  {row:<48} expected {show[0]}\n{'':<57}got      {show[1]}", flush=True)


def echoes(hub, table, here):
    for sender in here:
        for echo in here:
            for name, word in VALUES.items():
                row = f"echo {sender} - {echo}: {name}"
                if not table.wants(row) or (sender == "Lua" and name in TOO_BIG_FOR_LUA):
                    continue
                expected = "ok " + word
                if echo == "Lua" and name in TOO_BIG_FOR_LUA:
                    expected = ["bad_value "]  # never rounded
                table.check(row, expected, hub.ask(f"{sender}.send", "ask", hub.ref(f"{echo}2.echo"), "echo", word))


def relays(hub, table, here):
    for sender in here:
        for via in here:
            for receiver in here:
                for name, word in VALUES.items():
                    row = f"relay {sender} - {via} - {receiver}: {name}"
                    if not table.wants(row) or name in NOT_RELAYED or (sender == "Lua" and name in TOO_BIG_FOR_LUA):
                        continue
                    # What the receiver saw, told as text in the relay's words, told as text again by the sender.
                    expected = "ok " + text("ok " + text(word))
                    if "Lua" in (via, receiver) and name in TOO_BIG_FOR_LUA:
                        expected = ["bad_value "] if via == "Lua" else ["ok " + text("bad_value ")]
                    got = hub.ask(f"{sender}.send", "relay", hub.ref(f"{via}2.echo"), hub.ref(f"{receiver}3.echo"), word)
                    table.check(row, expected, got)


def makes(hub, table, here):
    for sender in here:
        for maker in here:
            for name in TOO_BIG_FOR_LUA + ("nil", "empty list", "empty map", "nils in a list", "NaN", "1.0", "keys 1..n"):
                row = f"make {sender} - {maker}: {name}"
                if not table.wants(row) or (maker == "Lua" and name in TOO_BIG_FOR_LUA):
                    continue
                expected = ["bad_value "] if sender == "Lua" and name in TOO_BIG_FOR_LUA else "ok " + VALUES[name]
                table.check(row, expected, hub.ask(f"{sender}.send", "ask", hub.ref(f"{maker}2.echo"), "make", text(VALUES[name])))


def pokes(hub, table, here):
    for sender in here:
        for echo in here:
            for target in here:
                row = f"poke {sender} - {echo} - {target}"
                ref = hub.ref(f"{target}3.echo")
                if table.wants(row):
                    table.check(row, "ok " + text("poked"), hub.ask(f"{sender}.send", "poke", hub.ref(f"{echo}2.echo"), ref))
                row = f"ref {sender} - {echo} - {target}"
                if table.wants(row):
                    word = f"{{{text('of')}:[r{ref},n]}}"
                    table.check(row, "ok " + word, hub.ask(f"{sender}.send", "ask", hub.ref(f"{echo}2.echo"), "echo", word))


def bads(hub, table, here):
    for sender in here:
        for echo in here:
            for name, pieces in BAD[sender].items():
                row = f"bad {sender} - {echo}: {name}"
                if table.wants(row):
                    code = "bad_value not_sent |limit not_sent " if name == "big" else "bad_value not_sent "
                    got = hub.ask(f"{sender}.send", "bad", hub.ref(f"{echo}2.echo"), name)
                    table.check(row, [code] + pieces, got)
            if table.wants(f"bad {sender} - {echo}: alive after"):
                table.check(f"bad {sender} - {echo}: alive after", "ok i1", hub.ask(f"{sender}.send", "ask", hub.ref(f"{echo}2.echo"), "echo", "i1"))
    if "C" in here and table.wants("bad C: put"):
        table.check("bad C: put", "bad_value", hub.ask("C.send", "put", "x"))


def commands(hub):
    """How each language that is built is started."""
    found = {"C": [HOST]}
    if (BUILD / "lua/shoal.lua").exists() and list((BUILD / "lua").glob("**/*.so")) and shutil.which("lua5.4"):
        os.environ["LUA_PATH"] = f"{BUILD}/lua/?.lua;{BUILD}/lua/?/init.lua;;"
        os.environ["LUA_CPATH"] = f"{BUILD}/lua/?.so;;"
        found["Lua"] = ["lua5.4", str(HERE / "host.lua")]
    if list((BUILD / "python/shoal").glob("_shoal*.so")):
        os.environ["PYTHONPATH"] = f"{BUILD}/python"
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        found["Python"] = [sys.executable, str(HERE / "host.py")]
    return found


def main():
    if not os.path.exists(HOST):
        sys.exit(f"{HOST} is not built: ./run build values_host")
    table = Table(sys.argv[1:])
    programs = [hub := Hub()]
    try:
        found = commands(hub)
        for language, command in found.items():
            for number in ("", "2", "3"):
                programs.append(Program(*command, language + number, hub.address))
        for program in programs[1:]:
            assert program.line() == "ready", program.process.args
        here = [language for language in LANGUAGES if language in found]
        for language in LANGUAGES:
            if language not in found:
                table.skipped += 1
                print(f"skipped {language}: not built in {BUILD}")
        for part in (echoes, makes, pokes, bads, relays):
            part(hub, table, here)
    except AssertionError as failure:
        table.failed += 1
        print(f"FAILED  {failure}")
    finally:
        for program in programs:
            program.close()
    print(f"{table.passed} passed, {table.failed} failed, {table.skipped} skipped")
    sys.exit(table.failed > 0)


if __name__ == "__main__":
    main()
