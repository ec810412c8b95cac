#!/usr/bin/env python3
"""Lines of core/proto that the unit tests and the fuzzers' corpora run, file by file; called by ./run coverage.

    tools/coverage.py BUILD [--floor PERCENT] [--layer LAYER]... [--missing]

BUILD was made with --coverage and its tests have run. The closing line counts files at or above the floor (95) as passed.
Lines that only SH_ASSERT's failure or a case that cannot happen would run are not left out: they count.
"""
import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def lines_of(build, layer):
    """file -> line -> times run, over all objects that the file was compiled into."""
    found = collections.defaultdict(lambda: collections.defaultdict(int))
    objects = sorted(build.glob(f"core/CMakeFiles/sh_{layer}.dir/**/*.gcda"))
    for data in objects:
        done = subprocess.run(["gcov", "--json-format", "--stdout", str(data)], capture_output=True, check=True, cwd=build)
        for text in filter(None, done.stdout.decode().split("\n")):
            for file in json.loads(text)["files"]:
                path = os.path.relpath(os.path.join(build, file["file"]), ROOT)
                if path.startswith(f"core/{layer}/"):
                    for line in file["lines"]:
                        found[path][line["line_number"]] += line["count"]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--floor", type=float, default=95)
    parser.add_argument("--layer", action="append")
    parser.add_argument("--missing", action="store_true", help="the lines that were not run")
    parser.add_argument("--json", help="where the figures go")
    options = parser.parse_args()
    passed, failed, total, rows = 0, 0, [0, 0], []
    print(f"{'file':<36}{'lines':>8}{'run':>8}{'percent':>9}")
    for layer in options.layer or ["proto"]:
        found = lines_of(options.build.resolve(), layer)
        sources = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "core" / layer).glob("*.c"))
        for path in sources:
            lines = found.get(path, {})
            run = sum(count > 0 for count in lines.values())
            percent = 100 * run / len(lines) if lines else 0.0
            good = percent >= options.floor
            passed, failed = passed + good, failed + (not good)
            total = [total[0] + len(lines), total[1] + run]
            rows.append({"file": path, "lines": len(lines), "run": run})
            print(f"{path:<36}{len(lines):>8}{run:>8}{percent:>8.1f} %{'' if good else '   below ' + str(options.floor)}")
            if options.missing and run < len(lines):
                print("    not run: " + " ".join(str(n) for n in sorted(lines) if not lines[n]))
    print(f"{'in all':<36}{total[0]:>8}{total[1]:>8}{100 * total[1] / max(1, total[0]):>8.1f} %")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows, indent=2) + "\n")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
