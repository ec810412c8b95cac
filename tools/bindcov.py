#!/usr/bin/env python3
"""Each function of shoal.h is used by the Lua and the Python binding, or excused here with the reason.

Prints one line a fault and exits 1; prints nothing and exits 0 when all are covered. An excuse that is no longer needed is a
fault too."""
import pathlib
import re
import sys

NO_WAIT = "the binding waits itself, so that Ctrl-C works"
REFERENCE = "by reference, within one VM: faster, but nothing more"
NATIVE = "the language has its own"
CODEC = "the codec writes and reads MessagePack itself"
EXCUSED = {
    "python": {
        r"shoal_(wait|keep|result_free)": NO_WAIT,
        r"shoal_put_(?!ref).*|shoal_as_(?!ref).*|shoal_field.*|shoal_(item|count|next|nil|pack_error)": CODEC,
        r"shoal_reply_.*": CODEC,
        r"shoal_listen": "an option of Node",
        r"shoal_version": "__version__ is the text",
        r"shoal_clock_us": "time.monotonic is there, also after the node has gone",
        r"shoal_cx_(node|self|state)": "the hooks' arguments tell",
        r"shoal_cx_lookup": "node.lookup in a held message does",
    },
    "lua": {
        r"shoal_wait": NO_WAIT,
        r"shoal_put_(?!ref).*|shoal_as_(?!ref).*|shoal_field.*|shoal_(item|count|next|nil|kind|pack_.*|packed)": CODEC,
        r"shoal_reply_.*": CODEC,
        r"shoal_.*_object": REFERENCE,
        r"shoal_listen": "an option of node",
        r"shoal_version": NATIVE,
        r"shoal_cx_(node|self|state|user|name|lookup|sender)": "the hooks' arguments tell",
    },
}


def functions(root):
    """What the header declares."""
    text = "".join((root / "abi/include" / name).read_text() for name in ("shoal.h", "shoal_object.h"))
    return sorted(set(re.findall(r"^SHOAL_API [^;(]*?\b(shoal_\w+)\(", text, re.M)))


def faults(root, languages=("lua", "python")):
    """One line for each function that a binding neither uses nor is excused from."""
    found = []
    for language in languages:
        folder = root / "bindings" / language
        used = set()
        for file in sorted(folder.glob("*.[ch]")):
            used |= set(re.findall(r"\bshoal_\w+", file.read_text()))
        for name in functions(root):
            excuse = next((why for pattern, why in EXCUSED[language].items() if re.fullmatch(pattern, name)), None)
            if name not in used and excuse is None:
                found.append(f"bindings/{language}: {name} is neither used nor excused in tools/bindcov.py")
        for pattern in EXCUSED[language]:
            if not any(re.fullmatch(pattern, n) for n in functions(root)):
                found.append(f"tools/bindcov.py: {language}: {pattern} names nothing in shoal.h")
    return found


if __name__ == "__main__":
    lines = faults(pathlib.Path(__file__).resolve().parents[1])
    print("\n".join(lines), end="\n" if lines else "")
    sys.exit(bool(lines))
