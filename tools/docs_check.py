#!/usr/bin/env python3
"""Every function of shoal.h has a comment that names its arguments, its thread tag, its errors and since when it exists.

Prints one line a fault and exits 1, else nothing. `--names` prints the functions instead."""
import pathlib
import re
import sys

HEADER = pathlib.Path("abi/include/shoal.h")
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


def faults(text):
    for m in PROTOTYPE.finditer(text):
        returns, name, arguments = m.group(1).strip(), m.group(2), m.group(3)
        line = text.count("\n", 0, m.start()) + 1
        comment = comment_before(text, m.start())
        if comment is None:
            yield f"{HEADER}:{line}: {name} has no comment directly above"
            continue
        if not any(tag in comment for tag in TAGS):
            yield f"{HEADER}:{line}: {name}: no thread tag ({' '.join(TAGS)})"
        if not re.search(r"\bSince\b", comment):
            yield f"{HEADER}:{line}: {name}: does not say since when (Since)"
        if returns in ("int", "int32_t") and not re.search(r"\bErrors?\b|SHOAL_E_|\bnever fails\b", comment):
            yield f"{HEADER}:{line}: {name}: does not say its errors"
        for argument in argument_names(arguments):
            if not re.search(rf"\b{argument}\b", comment):
                yield f"{HEADER}:{line}: {name}: the comment does not name '{argument}'"


def main():
    if not HEADER.exists():
        print(f"{HEADER}: missing")
        return 1
    text = HEADER.read_text()
    if "--names" in sys.argv:
        print("\n".join(sorted(m.group(2) for m in PROTOTYPE.finditer(text))))
        return 0
    found = list(faults(text))
    if not PROTOTYPE.search(text):
        found.append(f"{HEADER}: no function found")
    if found:
        print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
