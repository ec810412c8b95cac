#!/usr/bin/env python3
"""Shape of the sources: what a file opens with, how long it and its functions are, how deep, words that do not belong.

A function of more than 60 lines has its reason in a comment directly above, `long: WHY`, such as a table of cases.
Prints one line a fault and exits 1, else nothing."""
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from functions import functions_of, language_of  # noqa: E402

FUNCTION_LINES = 60
FILE_LINES = 800
DEPTH = 5  # braces, the function's own included
REASON = re.compile(r"\blong: \S.{8,}")
TEXT_SUFFIXES = {".c", ".h", ".py", ".pyi", ".lua", ".sh", ".md", ".cmake", ".txt", ".toml", ".json", ".proto", ".rs", ".go", ""}
# Built from pieces so that this file does not name them itself.
WORDS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b|(?<![\w.-])/(?:" +
                   "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot"]) + r")/\w")
SKIP = {"build", ".git", "target", "__pycache__", "corpus", "vectors", ".cache", "dist", "node_modules"}

# The first comment of a file, by language; its text is in the one group that matched.
SHEBANG = r"(?:#![^\n]*\n)?"
OPENINGS = {
    "c": re.compile(r"/\*(.*?)\*/", re.S),
    "python": re.compile(SHEBANG + r'(?:"""(.*?)"""|#([^\n]*))', re.S),
    "lua": re.compile(r"(?:---@meta[^\n]*\n)?--+([^\n]*)"),
    "cmake": re.compile(r"#([^\n]*)"),
    "shell": re.compile(SHEBANG + r"#([^\n]*)"),
    "go": re.compile(r"//([^\n]*)"),
    "rust": re.compile(r"//!([^\n]*)"),
    "proto": re.compile(r"//([^\n]*)"),
}
VAGUE = re.compile(r"\b(helpers?|helper functions|util(s|ities|ity)?|misc\w*|stuff|various)\b", re.I)


def opening_faults(rel, text, language):
    """A file says in its first lines what it is: `name - what`, or just what."""
    m = OPENINGS[language].match(text)
    if not m:
        yield f"{rel}:1: a file opens with a comment that says what it is"
        return
    said = next(group for group in m.groups() if group is not None)
    said = re.sub(r"\s*\n[ *]*", " ", said).strip()
    named = re.match(r"(\S+\.\w+|\S+/\S+) - ", said)
    if named and not f"/{rel}".endswith("/" + named.group(1)):
        yield f"{rel}:1: says that it is {named.group(1)}"
    what = said[named.end():] if named else said
    if len(what.split()) < 2 or re.fullmatch(r"see \S+", what):
        yield f"{rel}:1: says too little of what it is: '{said}'"
    vague = VAGUE.search(what.split(". ")[0])
    if vague:
        yield f"{rel}:1: '{vague.group(0)}' says nothing of what is in it"


def reason_above(lines, first):
    """Whether the comment above the function (its heading may have a few lines) gives a reason for its length."""
    for line in reversed(lines[max(0, first - 8):first]):
        if REASON.search(line):
            return True
        if not line.strip():
            return False
    return False


def function_faults(rel, text):
    lines = text.splitlines()
    for f in functions_of(rel, text):
        length = f.last - f.first + 1
        if length > FUNCTION_LINES and not reason_above(lines, f.first):
            yield f"{rel}:{f.first}: function of {length} lines, ceiling {FUNCTION_LINES}; or say why above: `long: ...`"
        if f.depth > DEPTH:
            yield f"{rel}:{f.first}: braces {f.depth} deep, ceiling {DEPTH}"
        if len(f.labels) > 1:
            yield f"{rel}:{f.first}: {len(f.labels)} goto labels, one is enough"


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
        language = language_of(path, text)
        if not language:
            continue
        if text.count("\n") > FILE_LINES:
            yield f"{rel}: {text.count(chr(10))} lines, ceiling {FILE_LINES}"
        yield from opening_faults(rel, text, language)
        yield from function_faults(rel, text)


if __name__ == "__main__":
    found = list(faults(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
    if found:
        print("\n".join(found))
    sys.exit(1 if found else 0)
