"""Every example in every language, by the line that its header says, and the demo.

    python3 tests/examples/test_examples.py      by hand; ctest runs it under pytest
"""
import atexit
import itertools
import pathlib
import re
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from programs import ROOT, Program, main, run  # noqa: E402

LANGUAGES = {"c": ".c", "lua": ".lua", "python": ".py"}
PAIRS = list(itertools.product(LANGUAGES, LANGUAGES))
scratch = pathlib.Path(tempfile.mkdtemp(prefix="shoal-examples-"))
atexit.register(shutil.rmtree, scratch, ignore_errors=True)


def lines(language, name):
    """The command lines in the header of an example, which is copied to the scratch folder first."""
    source = ROOT / "examples" / language / (name + LANGUAGES[language])
    if not (scratch / source.name).exists():  # not again: it may be running
        shutil.copy(source, scratch)
    head = source.read_text().split("#include" if language == "c" else "import" if language == "python" else "require")[0]
    found = re.findall(r"^(?: \*|--|)\s+((?:cc|lua5\.4|python3|\./)[^\n]*?)(?:\s{2,}.*|\s*\*/)?$", head, re.M)
    assert found, f"{source.name}: its header has no line that starts it"
    return found


def command(language, name, *words):
    """The line of the header that starts with these words after the program, its build line run before it."""
    program = rf"(?:\./{name}|lua5\.4 {name}\.lua|python3 {name}\.py)"
    header = lines(language, name)
    if language == "c" and not (scratch / name).exists():
        build = next((line for line in header if line.startswith("cc ")), None)
        build = (build or f"cc {name}.c -o {name} $(pkg-config --cflags --libs shoal)").split("&&")[0]
        status, out = run(build, scratch)
        assert status == 0, out
    for line in header:
        if match := re.search(rf"{program}((?: [^&]*)?)$", line):
            given = match.group(1).split()
            if given[: len(words)] == list(words) or (not words and not given):
                return line.split("&&")[-1].strip()
    raise AssertionError(f"{name}, {language}: no line for {words} in {header}")


def hello(language):
    status, out = run(command(language, "hello"), scratch)
    assert (status, out) == (0, "hello, world\n"), out


def counter(server, adder):
    with Program(command(server, "counter", "serve"), scratch) as serving:
        address = serving.address()
        add = command(adder, "counter", "add")
        for amount, total in ((5, 5), (2, 7)):
            status, out = run(add.replace("AMOUNT", str(amount)).replace("ADDRESS", address), scratch)
            assert (status, out) == (0, f"counter is {total}\n"), out
        serving.interrupt()
        serving.finish()  # it ends; Lua's own interpreter says that it was interrupted


def chat(host, guest):
    with Program(command(host, "chat", "ANNA"), scratch) as anna:
        join = command(guest, "chat", "BERT", "ADDRESS").replace("ADDRESS", anna.address())
        with Program(join, scratch) as bert:
            bert.say("hello")
            bert.wait_for("<BERT> hello")
            anna.wait_for("<BERT> hello")
            anna.say("good day")
            anna.wait_for("<ANNA> good day")
            bert.wait_for("<ANNA> good day")
            status, out = bert.finish()
            assert status == 0, out
        anna.say("alone again")
        anna.wait_for("<ANNA> alone again")
        status, out = anna.finish()
        assert status == 0, out


def demo():
    status, out = run(f"bash {ROOT}/examples/demo/run.sh", scratch)
    assert status == 0 and "6 of 6 calls" in out, out


def pytest_generate_tests(metafunc):
    if "language" in metafunc.fixturenames:
        metafunc.parametrize("language", LANGUAGES)
    if "pair" in metafunc.fixturenames:
        metafunc.parametrize("pair", PAIRS, ids="-".join)


def test_hello(language):
    hello(language)


def test_counter(pair):
    counter(*pair)


def test_chat(pair):
    chat(*pair)


def test_demo():
    demo()


if __name__ == "__main__":
    cases = [(f"hello {one}", lambda one=one: hello(one)) for one in LANGUAGES]
    for name, case in (("counter", counter), ("chat", chat)):
        cases += [(f"{name} {' '.join(pair)}", lambda case=case, pair=pair: case(*pair)) for pair in PAIRS]
    sys.exit(main(cases + [("demo", demo)]))
