#!/usr/bin/env python3
"""Compares what shoal.h promises to programs already built with abi/baseline: types and functions (abidw, abidiff), constants.

    tools/abi_check.py            prints what would break them, and what is new; exits 1 when something breaks or is not in the baseline
    tools/abi_check.py --update   writes the baseline: with a new SOVERSION, or when something was only added

The functions are described from a library made of the header alone, so that no type of the inside comes into the baseline; that
libshoal.so exports exactly these is a check of its own (abi/symbols.txt). Needs gcc and abigail-tools.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADERS = [ROOT / "abi" / "include" / name for name in ("shoal.h", "shoal_object.h")]
BASE = ROOT / "abi" / "baseline"
PROTOTYPE = re.compile(r"^SHOAL_API\s+([^;{]*?\bshoal_\w+\s*\([^;]*\))\s*;", re.M | re.S)


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)


def must(done, what):
    if done.returncode != 0:
        sys.exit(f"{what}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def describe(folder):
    """The file that abidw makes of a library with every function of the header."""
    text = without_comments("".join(header.read_text() for header in HEADERS))
    source, library, out = folder / "probe.c", folder / "libshoal.so.0", folder / "types.abi"
    bodies = "\n".join(f"{m.group(1)}\n{{\n    __builtin_unreachable();\n}}" for m in PROTOTYPE.finditer(text))
    source.write_text(f"#include <shoal_object.h>\n#pragma GCC diagnostic ignored \"-Wunused-parameter\"\n{bodies}\n")
    must(run("gcc", "-std=c11", "-g", "-O0", "-shared", "-fPIC", "-Wl,-soname,libshoal.so.0", f"-I{HEADERS[0].parent}", source, "-o", library),
         "gcc")
    must(run("abidw", "--no-show-locs", "--no-corpus-path", "--no-comp-dir-path", "--no-elf-needed", library, "--out-file", out), "abidw")
    return out


def constants(folder):
    """Every enumerator and SHOAL_ macro with its value, a line each."""
    text = without_comments("".join(header.read_text() for header in HEADERS))
    names = re.findall(r"^#define (SHOAL_\w+) +\S", text, re.M)
    for body in re.findall(r"\benum\b[^{;]*\{(.*?)\}", text, re.S):
        names += re.findall(r"\b(SHOAL_\w+)\b(?=\s*(?:=|,|$))", body)
    names = sorted(set(names) - {"SHOAL_API", "SHOAL_H", "SHOAL_OBJECT_H"})
    source, program = folder / "constants.c", folder / "constants"
    lines = "\n".join(f'#ifdef {n}\n    SHOW({n})\n#else\n    SHOW({n})\n#endif' for n in names)
    source.write_text('#include <shoal_object.h>\n#include <stdio.h>\n#define TEXT(x) _Generic((x), char *: 1, default: 0)\n'
                      '#define SHOW(n) if (!TEXT(n)) printf("%s %lld\\n", #n, (long long)(n));\nint main(void)\n{\n' + lines + "\n}\n")
    must(run("gcc", "-std=c11", "-w", f"-I{HEADERS[0].parent}", source, "-o", program), "gcc")
    return must(run(program), "constants")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        types, values = describe(folder), constants(folder)
        if "--update" in sys.argv:
            BASE.mkdir(exist_ok=True)
            (BASE / "types.abi").write_text(types.read_text())
            (BASE / "constants.txt").write_text(values)
            return 0
        if not (BASE / "types.abi").exists():
            sys.exit("abi/baseline is missing")
        broken = []
        done = run("abidiff", BASE / "types.abi", types)
        if done.returncode != 0:
            added = re.search(r"Functions changes summary: 0 Removed, 0 Changed", done.stdout)
            kind = "has more than the baseline: --update" if added else "is not what programs were built with"
            broken.append(f"shoal.h {kind}:\n{done.stdout.strip()}")
        before = dict(line.rsplit(" ", 1) for line in (BASE / "constants.txt").read_text().splitlines())
        now = dict(line.rsplit(" ", 1) for line in values.splitlines())
        for constant in sorted(before.keys() | now.keys()):
            if before.get(constant) != now.get(constant):
                broken.append(f"{constant}: was {before.get(constant, 'not there')}, is {now.get(constant, 'gone')}")
        print("\n".join(broken), end="\n" if broken else "")
        return 1 if broken else 0


sys.exit(main())
