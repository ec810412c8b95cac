"""Runs what the pages show: every code block of README.md, docs/*.md and examples/README.md.

    python3 tests/docs/test_docs.py [PAGE...]      by hand; ctest runs it under pytest

A page is run top to bottom in a scratch folder that has `examples`, and a `./run` that uses the build under test.

    ```c ```lua ```python ```sh    runs, and must exit with 0
    ```sh serve                    runs until its page ends; in later blocks ADDRESS is the address it printed
    ```text output                 what the block before printed: `...` stands for any part of a line, alone for any lines
    ```text                        not run
"""
import atexit
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/examples"))
from programs import Program, main, run  # noqa: E402

PAGES = [ROOT / "README.md", ROOT / "examples/README.md", *sorted((ROOT / "docs").glob("*.md"))]
LAYERS = [ROOT / "core" / name for name in "base crypto proto swarm actor remote node io sim".split()]
MAPPED = [*LAYERS, *(ROOT / name for name in ("abi", "bindings/lua", "bindings/python", "bench", "tools"))]
TEXTS = [*PAGES, *sorted((ROOT / "docs/decisions").glob("*.md")), *(folder / "README.md" for folder in MAPPED),
         ROOT / "tests/README.md", ROOT / "CHANGELOG.md"]
RUN = """#!/bin/sh
# Stands for the project's ./run while its pages are tested.
command=$1
shift
case $command in
demo) exec bash examples/demo/run.sh "$@" ;;
sim) exec "$SHOAL_BUILD_DIR/bin/shoal-sim" "$@" ;;
env) ;;
*) echo "./run $command: not while the pages are tested; make the block text" >&2; exit 1 ;;
esac
"""
STARTS = {"c": "cc -std=c11 -Wall -Wextra -Werror {file} -o {file}.out $(pkg-config --cflags --libs shoal) && ./{file}.out",
          "lua": "lua5.4 {file}", "python": "python3 {file}", "sh": "bash -e {file}"}
scratch = pathlib.Path(tempfile.mkdtemp(prefix="shoal-docs-"))


class Block:
    def __init__(self, page, line, info, text):
        self.page, self.line, self.text = page, line, text
        self.info = info.split()
        self.name = f"{page.relative_to(ROOT)}:{line}"


def blocks_of(page):
    found, opened = [], None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if opened is None and line.startswith("```"):
            opened = (number, line[3:].strip(), [])
        elif line.startswith("```"):
            found.append(Block(page, opened[0], opened[1], "\n".join(opened[2]) + "\n"))
            opened = None
        elif opened is not None:
            opened[2].append(line)
    assert opened is None, f"{page.name}: the block of line {opened and opened[0]} does not end"
    return found


def pattern(shown):
    """A regular expression for shown output; columns may be wider or narrower than shown."""
    lines = []
    for line in shown.splitlines():
        parts = [r"\s+".join(map(re.escape, re.split(r"\s+", part))) for part in line.rstrip().split("...")]
        lines.append(r"(?:.*\n)*" if line.strip() == "..." else ".*".join(parts) + r"[ \t]*\n")
    return "".join(lines)


class Page:
    """Runs blocks in order, each once; a block asked for brings those before it."""

    def __init__(self, path):
        self.path = path
        self.blocks = blocks_of(path)
        self.results = []  # per block: None, or what is wrong
        self.output = ""
        self.served = None
        self.folder = scratch / path.relative_to(ROOT).as_posix().replace("/", "-")

    def prepare(self):
        self.folder.mkdir()
        (self.folder / "examples").symlink_to(ROOT / "examples")
        shim = self.folder / "run"
        shim.write_text(RUN)
        shim.chmod(0o755)

    def check(self, index):
        if not self.folder.exists():
            self.prepare()
        while len(self.results) <= index:
            try:
                self.results.append(self.run(self.blocks[len(self.results)]))
            except AssertionError as error:
                self.results.append(str(error))
        if index == len(self.blocks) - 1:
            self.close()
        assert self.results[index] is None, f"{self.blocks[index].name}: {self.results[index]}"

    def run(self, block):
        kind = block.info[0] if block.info else ""
        if kind == "text":
            return self.compare(block) if "output" in block.info else None
        if kind not in STARTS:
            return f"the block says {kind or 'nothing'!r}; it must be one of {', '.join(STARTS)}, or text"
        text = block.text
        if self.served:
            text = text.replace("ADDRESS", self.served.address())
        file = f"block{block.line}.{kind}"
        (self.folder / file).write_text(text)
        if "serve" in block.info:
            self.close()
            self.served = Program(text, self.folder)
            self.served.address()
            self.output = self.served.text
            return None
        status, self.output = run(STARTS[kind].format(file=file), self.folder)
        return None if status == 0 else f"exit status {status}:\n{self.output}"

    def compare(self, block):
        if re.fullmatch(pattern(block.text), self.output):
            return None
        return f"the page shows\n{block.text}but it printed\n{self.output}"

    def close(self):
        if self.served:
            self.served.close()
            self.served = None


pages = [Page(path) for path in PAGES if path.exists()]


def clean():
    for page in pages:
        page.close()
    shutil.rmtree(scratch, ignore_errors=True)


atexit.register(clean)


def blocks(paths=None):
    return [(page, index) for page in pages if not paths or page.path in paths
            for index, block in enumerate(page.blocks) if block.info != ["text"]]


# What holds of the pages themselves.

def links_lead_somewhere():
    for page in TEXTS:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if not re.match(r"\w+:", target):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target} is not there"


def named_files_exist():
    """`core/x/y.c`, `actor/y.h`, `tests/x/` in backticks are files of the tree."""
    for page in TEXTS:
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for name in re.findall(r"`([a-z_]+(?:/[\w.-]+)*/[\w.-]*|[a-z_]+(?:/[\w.-]+)+\.\w+)`", prose):
            places = (ROOT, ROOT / "core", page.parent)
            assert name.startswith("build/") or any((place / name).exists() for place in places), \
                f"{page.relative_to(ROOT)} names {name}, which is not there"


def named_functions_exist():
    exported = set((ROOT / "abi/symbols.txt").read_text().split())
    header = "".join(f.read_text() for f in sorted((ROOT / "abi/include").glob("*.h")))
    core = "".join(f.read_text() for f in [*ROOT.glob("core/*/*.h"), *ROOT.glob("core/*/*.c")])
    for page in TEXTS:
        for name in re.findall(r"\b(shoal_[a-z0-9_]+|SHOAL_[A-Z0-9_]+|sh_[a-z0-9_]+|SH_[A-Z0-9_]+)\b(?!\*|\.)", page.read_text()):
            known = name in exported or re.search(rf"\b{name}\b", header) or name.startswith(("SHOAL_BUILD_DIR", "SHOAL_PRESET"))
            known = known or (name.startswith(("sh_", "SH_")) and re.search(rf"\b{name}", core))
            assert known or name.startswith("sh_limits"), f"{page.relative_to(ROOT)} names {name}, which is not there"


def every_code_is_explained():
    """docs/errors.md has each public code of core/base/err.h, with its number, in order."""
    codes = re.findall(r'X\(\w+, (-\d+), "(\w+)"', (ROOT / "core/base/err.h").read_text().split("SH_ERRORS_CORE")[0])
    shown = re.findall(r"^\| `(\w+)` \| (-\d+) \|", (ROOT / "docs/errors.md").read_text(), re.M)
    assert [(name, number) for number, name in codes] == shown


def every_layer_has_a_page():
    for folder in MAPPED:
        page = folder / "README.md"
        assert page.exists(), f"{folder.relative_to(ROOT)} has no README.md"
        count = len(page.read_text().splitlines())
        assert count <= 20, f"{page.relative_to(ROOT)} has {count} lines, at most 20"


def named_in(page, names):
    """A map names what there is: a word of the page, for each."""
    text = page.read_text()
    missing = [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)]
    assert not missing, f"{page.relative_to(ROOT)} does not name {', '.join(missing)}"


def maps_are_whole():
    """README.md names each folder and page, tests/README.md each suite, the README of a folder each of its files."""
    def folders_of(path):
        return sorted(f.name for f in path.iterdir() if f.is_dir() and f.name[0] not in "._" and f.name not in ("build", "dist"))
    pages = [str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("*.md"))]
    named_in(ROOT / "README.md", [f"{name}/" for name in folders_of(ROOT)] + pages)
    named_in(ROOT / "tests/README.md", folders_of(ROOT / "tests"))
    for folder in MAPPED:
        named_in(folder / "README.md", sorted({f.stem for f in folder.glob("*") if f.suffix in (".c", ".h", ".py", ".lua")}))


def lines_are_short():
    for page in TEXTS:
        for number, line in enumerate(page.read_text().splitlines(), 1):
            assert len(line) <= 160 if "|" in line else len(line) <= 120, f"{page.relative_to(ROOT)}:{number} has {len(line)} columns"


CHECKS = [links_lead_somewhere, named_files_exist, named_functions_exist, every_code_is_explained, every_layer_has_a_page,
          maps_are_whole, lines_are_short]


def pytest_generate_tests(metafunc):
    if "block" in metafunc.fixturenames:
        metafunc.parametrize("block", blocks(), ids=lambda b: b[0].blocks[b[1]].name)
    if "check" in metafunc.fixturenames:
        metafunc.parametrize("check", CHECKS, ids=lambda c: c.__name__)


def test_block(block):
    page, index = block
    page.check(index)


def test_pages(check):
    check()


if __name__ == "__main__":
    chosen = [pathlib.Path(argument).resolve() for argument in sys.argv[1:]]
    cases = [(page.blocks[index].name, lambda page=page, index=index: page.check(index)) for page, index in blocks(chosen)]
    sys.exit(main(cases + ([] if chosen else [(check.__name__, check) for check in CHECKS])))
