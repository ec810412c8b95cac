#!/usr/bin/env python3
"""Every function of the public headers has a comment that names its arguments, its thread tag, its errors and since.

Prints one line a fault and exits 1, else nothing. `--names` prints the functions instead."""
import pathlib
import re
import sys

HEADERS = [pathlib.Path("abi/include/shoal.h"), pathlib.Path("abi/include/shoal_object.h")]
PROTOTYPE = re.compile(r"^SHOAL_API\s+([^;{]*?)\b(shoal_\w+)\s*\(([^;]*)\)\s*;", re.M | re.S)
TAGS = ("[any]", "[owner]", "[handler]")


def comment_before(text, position):
    """The comment that ends directly above, or None."""
    above = text[:position].rstrip()
    if not above.endswith("*/") or text[len(above):position].count("\n") > 1:
        return None
    return above[above.rindex("/*"):]


def argument_names(arguments):
    for one in re.sub(r"\([^()]*\)(?=\s*$|\s*,)", "", arguments).split(","):
        m = re.search(r"\(\s*\*\s*(\w+)\s*\)|(\w+)\s*(?:\[[^\]]*\])?\s*$", one.strip())
        name = m and (m.group(1) or m.group(2))
        if name and name != "void":
            yield name


def faults(header, text):
    for m in PROTOTYPE.finditer(text):
        returns, name, arguments = m.group(1).strip(), m.group(2), m.group(3)
        line = text.count("\n", 0, m.start()) + 1
        comment = comment_before(text, m.start())
        if comment is None:
            yield f"{header}:{line}: {name} has no comment directly above"
            continue
        if not any(tag in comment for tag in TAGS):
            yield f"{header}:{line}: {name}: no thread tag ({' '.join(TAGS)})"
        if not re.search(r"\bSince\b", comment):
            yield f"{header}:{line}: {name}: does not say since when (Since)"
        if returns in ("int", "int32_t") and not re.search(r"\bErrors?\b|SHOAL_E_|\bnever fails\b", comment):
            yield f"{header}:{line}: {name}: does not say its errors"
        for argument in argument_names(arguments):
            if not re.search(rf"\b{argument}\b", comment):
                yield f"{header}:{line}: {name}: the comment does not name '{argument}'"


def main():
    found, names = [], []
    for header in HEADERS:
        if not header.exists():
            print(f"{header}: missing")
            return 1
        text = header.read_text()
        names += [m.group(2) for m in PROTOTYPE.finditer(text)]
        found += faults(header, text)
        if not PROTOTYPE.search(text):
            found.append(f"{header}: no function found")
    if "--names" in sys.argv:
        print("\n".join(sorted(names)))
        return 0
    if found:
        print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
