#!/usr/bin/env python3
"""Writes docs/reference/{c,lua,python}.md from what the code says of itself: the comments of abi/include, the annotations of
bindings/lua/library/shoal.lua, the docstrings and stubs of the Python package.

    tools/reference.py            writes the pages
    tools/reference.py --check    writes nothing; prints a line a fault and exits 1 when a page is not what would be written

The Python page needs the built package on PYTHONPATH (./run env).
"""
import ast
import importlib
import inspect
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
HEADERS = [ROOT / "abi" / "include" / name for name in ("shoal.h", "shoal_object.h")]
LUA = ROOT / "bindings" / "lua" / "library" / "shoal.lua"
STUB = ROOT / "bindings" / "python" / "shoal" / "_shoal.pyi"
SECTION = re.compile(r"^/\* -{20,} (.+?) \*/$", re.M)
CODE = "```"


def anchor(text):
    return re.sub(r"[^\w-]", "", text.lower().replace(" ", "-"))


def page(title, source, intro, body, contents):
    made = f"Made from `{source}` by `tools/reference.py`: change that, not this page."
    listed = "\n".join(f"- [{name}](#{anchor(name)})" for name in contents)
    return f"# {title}\n\n{made}\n\n{intro}\n\n{listed}\n\n" + "\n".join(body).rstrip() + "\n"


# --- C ---

def comment_text(comment):
    lines = comment.strip().removeprefix("/*").removesuffix("*/").split("\n")
    return "\n".join(re.sub(r"^ ?\* ?", "", line.strip(" ")) for line in lines).strip()


def declarations(part):
    """(comment, declaration) of everything at the outer level; several declarations may share a comment above."""
    at = 0
    pattern = re.compile(r"(/\*(?:(?!\*/).)*\*/)?[ \n]*^((?:SHOAL_API|typedef|enum|#define SHOAL_\w+)\b.*?)(?:;[ ]*(/\*.*?\*/)?$|(?<=[^\\])$(?=\n))",
                         re.S | re.M)
    while match := pattern.search(part, at):
        comment, text = match.group(1), match.group(2)
        end = match.end()
        if text.startswith(("typedef struct", "typedef enum", "enum")) and "{" in text and text.count("{") > text.count("}"):
            close = re.compile(r"^\}[^;]*;", re.M).search(part, match.start(2))
            text, end = part[match.start(2):close.end()].rstrip(";"), close.end()
        at = end
        yield comment, text + ("" if text.startswith("#") else ";")


def c_entry(comment, text):
    name = re.search(r"\(\*(shoal_\w+)\)", text) or re.search(r"\b(shoal_\w+)\s*\(", text) or re.search(r"(\w+)\s*;$", text)
    said = comment_text(comment) if comment else ""
    text = re.sub(r"^SHOAL_API\s+", "", text)
    out = [f"### {name.group(1)}" if name and "enum" not in text[:5] else "", f"{CODE}text", text, CODE, ""]
    tag = re.search(r"\[(any|owner|handler)\]", said)
    if tag:
        said = said.replace(tag.group(0), f"**[{tag.group(1)}]**")
    return [line for line in out if line or out.index(line) > 0] + [said, ""]


def c_page():
    body, contents, parts = [], [], []
    for header in HEADERS:
        split = SECTION.split(header.read_text())
        parts += zip(split[1::2], split[2::2])
    for title, part in parts:
        entries = [c_entry(*declaration) for declaration in declarations(part)]
        if entries:
            contents.append(title)
            body += [f"## {title}", ""] + [line for entry in entries for line in entry]
    intro = ("Threads: **[any]** from any thread; **[owner]** on the thread that polls the node; **[handler]** inside a\n"
             "handler, hook or continuation of the context. Errors are negative codes: [errors](../errors.md).")
    return page("C reference", "abi/include", intro, body, contents)


# --- Lua ---

def lua_page():
    body, contents, comment, klass = [], [], [], None
    for line in LUA.read_text().split("\n"):
        if line.startswith("---"):
            comment.append(line[3:].strip())
            continue
        function = re.match(r"^function ([\w.:]+)\((.*)\)", line)
        named = next((c.split()[1] for c in comment if c.startswith("@class ")), None)
        alias = next((c.split()[1] for c in comment if c.startswith("@alias ")), None)
        if named or alias:
            klass = named or alias
            contents.append(klass)
            body += [f"## {klass}", ""]
        if function:
            body += [f"### {function.group(1)}", "", f"{CODE}text", f"{function.group(1)}({function.group(2)})", CODE, ""]
        if comment:
            said = [c for c in comment if not c.startswith(("@", "|"))]
            rows = [lua_row(c) for c in comment if re.match(r"@(param|return|field|overload)|\|", c)]
            body += [" ".join(said), ""] if said else []
            body += [*rows, ""] if rows else []
        comment = []
    head = LUA.read_text().split("\n\n")[0].split("\n")[1:]
    intro = "\n".join(line.removeprefix("--").strip() for line in head)
    return page("Lua reference", "bindings/lua/library/shoal.lua", intro, body, contents)


def lua_row(text):
    if text.startswith("|"):
        value, _, why = text[1:].partition("#")
        return f"- `{value.strip()}` {why.strip()}".rstrip()
    kind, _, rest = text[1:].partition(" ")
    name, _, rest = rest.partition(" ")
    if kind == "return":
        return f"- returns `{name}` {rest}".rstrip()
    if kind == "overload":
        return f"- also `{name} {rest}`"
    kind_of, _, why = rest.partition(" ")
    return f"- `{name}` `{kind_of}` {why}".rstrip()


# --- Python ---

def stub_signatures():
    found = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    found[f"{node.name.removesuffix('Base')}.{member.name}"] = f"({ast.unparse(member.args)}) -> {ast.unparse(member.returns)}"
        elif isinstance(node, ast.FunctionDef):
            found[node.name] = f"({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"
    return found


def unwrapped(thing):
    return thing.__func__ if isinstance(thing, (staticmethod, classmethod)) else thing


def signature(owner, name, thing, stubs):
    known = stubs.get(f"{owner}.{name}" if owner else name)
    if known:
        return known.replace("(self, ", "(").replace("(self)", "()")
    try:
        shown = re.sub(r"\((self|cls|/|\$self)(, )?(/, )?", "(", str(inspect.signature(unwrapped(thing))))
        return shown.replace("'", "")
    except (TypeError, ValueError):
        return "(...)"


def python_entry(owner, name, thing, stubs, level):
    doc = inspect.getdoc(thing) or ""
    if isinstance(thing, property) or type(thing).__name__ in ("getset_descriptor", "member_descriptor"):
        return [f"{level} {owner}.{name}", "", doc, ""]
    full = f"{owner}.{name}" if owner else name
    return [f"{level} {full}", "", f"{CODE}text", wrapped(full + signature(owner, name, thing, stubs)), CODE, "", doc, ""]


def wrapped(text):
    while max(map(len, text.split("\n"))) > 110:
        lines = text.split("\n")
        cut = lines[-1].rfind(", ", 0, 108)
        if cut < 0:
            break
        text = "\n".join(lines[:-1] + [lines[-1][:cut + 1], "    " + lines[-1][cut + 2:]])
    return text


def python_page():

    shoal = importlib.import_module("shoal")
    stubs, body, contents = stub_signatures(), [], []
    for name in sorted(n for n in shoal.__all__ if not n.startswith("_")):
        thing = getattr(shoal, name)
        contents.append(name)
        if inspect.isclass(thing):
            body += [f"## {name}", "", inspect.getdoc(thing) or "", ""]
            if issubclass(thing, BaseException):
                continue
            for member in sorted(m for m in dir(thing) if not m.startswith("_")):
                body += python_entry(name, member, inspect.getattr_static(thing, member), stubs, "###")
        elif callable(thing):
            body += python_entry("", name, thing, stubs, "##")
        else:
            body += [f"## {name}", "", (type(thing).__doc__ or "").strip(), ""]
    return page("Python reference", "docstrings of bindings/python", (inspect.getdoc(shoal) or "").strip(), body, contents)


def folded(line):
    if len(line) < 120:
        return line
    return "\n".join(textwrap.wrap(line, 117, subsequent_indent="  " if line.startswith("- ") else "", break_on_hyphens=False))


def main():
    wanted = {"c.md": c_page(), "lua.md": lua_page(), "python.md": python_page()}
    stale = []
    for name, text in wanted.items():
        text = "\n".join(folded(line.rstrip()) for line in text.split("\n"))
        text = re.sub(r"\n{3,}", "\n\n", text)
        path = PAGES / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(f"docs/reference/{name} is stale: run tools/reference.py with the built package on PYTHONPATH")
        else:
            PAGES.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    print("\n".join(stale), end="\n" if stale else "")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
