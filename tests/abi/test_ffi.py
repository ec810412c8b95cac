#!/usr/bin/env python3
"""The public headers are read by FFIs: LuaJIT's ffi.cdef, and Python's cffi; each then calls the library through it."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = ROOT / "abi" / "include" / "shoal_object.h"  # includes shoal.h
BUILD = pathlib.Path(os.environ.get("SHOAL_BUILD_DIR", ROOT / "build" / "dev"))
LIBRARY = BUILD / "lib" / "libshoal.so"


def declarations() -> str:
    """The header's own lines after the preprocessor, as an FFI user would cut them out."""
    out = subprocess.run(["cc", "-E", "-DSHOAL_FFI", str(HEADER)], check=True, capture_output=True, text=True).stdout
    keep, lines = False, []
    for line in out.splitlines():
        if line.startswith("#"):
            keep = "/shoal" in line
        elif keep and line.strip():
            lines.append(line)
    return "\n".join(lines)


LUAJIT = """
local ffi = require "ffi"
ffi.cdef(io.open(arg[1]):read("*a"))
local lib = ffi.load(arg[2])
assert(ffi.string(lib.shoal_code_name(-4)) == "mailbox_full")
local node = ffi.new("shoal_node *[1]")
assert(lib.shoal_node_new(nil, node) == 0)
local id = ffi.new("char[80]")
assert(lib.shoal_peer_id(node[0], id, 80) > 40)
lib.shoal_node_free(node[0])
print(ffi.string(lib.shoal_version_string()))
"""


class Ffi(unittest.TestCase):
    def test_luajit(self) -> None:
        self.assertIsNotNone(shutil.which("luajit"), "luajit is not installed")
        work = pathlib.Path(os.environ.get("TMPDIR", "/tmp")) / f"shoal-ffi-{os.getpid()}"
        work.mkdir()
        try:
            (work / "shoal.cdef").write_text(declarations())
            (work / "t.lua").write_text(LUAJIT)
            run = subprocess.run(
                ["luajit", str(work / "t.lua"), str(work / "shoal.cdef"), str(LIBRARY)],
                capture_output=True, text=True, timeout=60)
            self.assertEqual(run.returncode, 0, run.stderr)
        finally:
            shutil.rmtree(work)

    def test_cffi(self) -> None:
        import cffi

        ffi = cffi.FFI()
        ffi.cdef(declarations())
        lib = ffi.dlopen(str(LIBRARY))
        self.assertEqual(ffi.string(lib.shoal_code_name(-1)), b"timeout")
        pack = ffi.new("shoal_pack *")
        lib.shoal_pack_init(pack, ffi.NULL, 0)
        lib.shoal_put_i64(pack, 5)
        self.assertEqual(lib.shoal_kind(lib.shoal_packed(pack)), lib.SHOAL_KIND_INT)
        lib.shoal_pack_free(pack)


if __name__ == "__main__":
    result = unittest.main(exit=False).result
    bad = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - bad} passed, {bad} failed, {len(result.skipped)} skipped")
    sys.exit(bad != 0)
