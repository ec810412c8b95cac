#!/usr/bin/env python3
"""Shape of the C files: what a file opens with, how long and deep its functions are, words that do not belong.

Prints one line a fault and exits 1, else nothing."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from layers import code_of  # noqa: E402

FUNCTION_LINES = 70
DEPTH = 5  # braces, the function's own included
SHIPPED = {"core", "abi", "bindings", "tools", "examples"}
C_FOLDERS = SHIPPED | {"tests", "bench"}
TEXT_SUFFIXES = {".c", ".h", ".py", ".pyi", ".lua", ".sh", ".md", ".cmake", ".txt", ".toml", ".json", ".proto", ".rs", ".go", ""}
# Built from pieces so that this file does not name them itself.
WORDS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b|(?<![\w.-])/(?:" + "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot"]) + r")/\w")
SKIP = {"build", ".git", "target", "__pycache__", "corpus", "vectors", ".cache", "dist", "node_modules"}


def functions(code):
    """(first line, last line, deepest braces, labels) of each function whose brace stands alone in column 0."""
    depth, start, deepest, labels = 0, 0, 0, set()
    for number, line in enumerate(code.splitlines(), 1):
        if depth == 0 and line.startswith("{"):
            start, deepest, labels = number, 0, set()
        for ch in line:
            depth += (ch == "{") - (ch == "}")
            deepest = max(deepest, depth)
        m = re.match(r"(\w+):\s*$", line)
        if m and start and m.group(1) != "default":
            labels.add(m.group(1))
        if start and depth == 0:
            yield start, number, deepest, labels
            start = 0


def c_faults(rel, text):
    if not text.startswith("/*"):
        yield f"{rel}:1: a file opens with a comment that says what it is"
    if rel.parts[0] in SHIPPED:
        for first, last, deepest, labels in functions(code_of(text)):
            if last - first + 1 > FUNCTION_LINES:
                yield f"{rel}:{first}: function of {last - first + 1} lines, ceiling {FUNCTION_LINES}"
            if deepest > DEPTH:
                yield f"{rel}:{first}: braces {deepest} deep, ceiling {DEPTH}"
            if len(labels) > 1:
                yield f"{rel}:{first}: {len(labels)} goto labels, one is enough"


def faults(root):
    for path in sorted(root.rglob("*")):
        rel = path.relative_to(root)
        if set(rel.parts) & SKIP or not path.is_file() or path.suffix not in TEXT_SUFFIXES:
            continue
        text = path.read_text(errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            m = WORDS.search(line)
            if m:
                yield f"{rel}:{number}: '{m.group(0)}'"
        if path.suffix in (".c", ".h") and rel.parts[0] in C_FOLDERS:
            yield from c_faults(rel, text)


if __name__ == "__main__":
    found = list(faults(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
    if found:
        print("\n".join(found))
    sys.exit(1 if found else 0)
