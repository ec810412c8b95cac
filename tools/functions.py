"""tools/functions.py - where the functions of a source file begin and end: C, Python, Lua, shell, Go, Rust. Used by tidy.py.

functions_of(path, text) gives a Function for each, nested ones too where the language has them. C also gets its depth of
braces and its goto labels."""
import ast
import collections
import re

from layers import code_of

Function = collections.namedtuple("Function", "first last depth labels")

LUA_BLANK = re.compile(r"--\[(=*)\[.*?\]\1\]|--[^\n]*|\[(=*)\[.*?\]\2\]|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)
LUA_WORD = re.compile(r"\b(function|if|do|repeat|end|until)\b")  # for and while open their block with do
# Languages whose formatter puts the closing brace below the first letter of the heading.
HEADINGS = {
    "shell": re.compile(r"( *)\w+ *\(\) *\{$"),
    "go": re.compile(r"()func .*\{$"),
    "rust": re.compile(r"( *)(?:pub(?:\([a-z]+\))? )?(?:const )?(?:async )?(?:unsafe )?fn .*\{$"),
}


def language_of(path, text):
    """c, python, lua, cmake, shell, go, rust, proto; None: no source."""
    if path.name == "CMakeLists.txt":
        return "cmake"
    if not path.suffix and text.startswith("#!"):
        return "python" if "python" in text.split("\n", 1)[0] else "shell"
    return {".c": "c", ".h": "c", ".py": "python", ".pyi": "python", ".lua": "lua", ".cmake": "cmake", ".sh": "shell",
            ".go": "go", ".rs": "rust", ".proto": "proto"}.get(path.suffix)


def c_functions(text):
    """Bodies whose brace stands alone in column 0."""
    depth, start, deepest, labels = 0, 0, 0, set()
    for number, line in enumerate(code_of(text).splitlines(), 1):
        if depth == 0 and line.startswith("{"):
            start, deepest, labels = number, 0, set()
        for ch in line:
            depth += (ch == "{") - (ch == "}")
            deepest = max(deepest, depth)
        m = re.match(r"(\w+):\s*$", line)
        if m and start and m.group(1) != "default":
            labels.add(m.group(1))
        if start and depth == 0:
            yield Function(start, number, deepest, labels)
            start = 0


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno] + [d.lineno for d in node.decorator_list])
            yield Function(first, node.end_lineno, 0, set())


def lua_functions(text):
    code = LUA_BLANK.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)
    open_blocks = []
    for m in LUA_WORD.finditer(code):
        if m.group(1) not in ("end", "until"):
            open_blocks.append(m)
            continue
        begin = open_blocks.pop()
        if begin.group(1) == "function":
            yield Function(code.count("\n", 0, begin.start()) + 1, code.count("\n", 0, m.start()) + 1, 0, set())


def headed_functions(heading, text):
    lines = text.splitlines()
    for first, line in enumerate(lines, 1):
        m = heading.match(line)
        for last in range(first, len(lines)) if m else ():
            if lines[last].startswith(m.group(1) + "}"):
                yield Function(first, last + 1, 0, set())
                break


def functions_of(path, text):
    language = language_of(path, text)
    if language == "c":
        return c_functions(text)
    if language == "python":
        return python_functions(text)
    if language == "lua":
        return lua_functions(text)
    return headed_functions(HEADINGS[language], text) if language in HEADINGS else ()
