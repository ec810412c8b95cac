"""The fault matrix: each row a test `fNN`, on real processes.   python3 run.py [NAME...]   (names begin with one of them: f04, f21b)

Rows run beside each other, those that need the machine for themselves at the end. docs/faults.md has what each shows."""
import inspect
import os
import subprocess
import sys
import time
import traceback

import ground
import machine
import processes
import wires

ALONE = ("f01", "f22", "g18", "f28")  # what others disturb, or who disturb others
BESIDE = 4
LIMIT_S = 100


def rows():
    found = {}
    for module in (processes, wires, machine):
        for name, test in vars(module).items():
            if inspect.isfunction(test) and test.__module__ == module.__name__ and name[0] in "fg" and name[1:3].isdigit():
                found[name] = test
    return dict(sorted(found.items()))


def run_here(name):
    """One row in this process; a line, and an exit code."""
    begun, why = time.monotonic(), None
    with ground.Ground() as g:
        try:
            rows()[name](g)
        except Exception as failure:
            where = traceback.extract_tb(failure.__traceback__)[-1]
            why = f"{type(failure).__name__}, line {where.lineno} of {where.name}: {failure or where.line}"
    print(f"{'FAILED ' if why else 'ok     '} {name} ({time.monotonic() - begun:.1f} s)  {'; '.join(g.figures)}")
    if why:
        print(f"        {why}")
    return why is not None


def run_beside(names, width):
    """Rows in processes of their own; how many failed."""
    waiting, running, failed = list(names), {}, 0
    while waiting or running:
        while waiting and len(running) < width:
            name = waiting.pop(0)
            running[name] = subprocess.Popen([sys.executable, __file__, "--here", name], stdout=subprocess.PIPE), time.monotonic()
        for name, (process, begun) in list(running.items()):
            if process.poll() is None and time.monotonic() > begun + LIMIT_S:
                process.terminate()
            if process.poll() is not None:
                print(process.stdout.read().decode().rstrip() or f"FAILED  {name}: ended after {LIMIT_S} s without a word", flush=True)
                failed += process.returncode != 0
                del running[name]
        time.sleep(0.02)
    return failed


def main():
    if sys.argv[1:2] == ["--here"]:
        return run_here(sys.argv[2])
    wanted = sys.argv[1:]
    names = [name for name in rows() if not wanted or any(name.startswith(w.lower()) for w in wanted)]
    if not names:
        sys.exit(f"no such row: {' '.join(wanted)}; there are: {' '.join(rows())}")
    if os.geteuid() != 0:
        print("not root: the rows that need network, mount or time namespaces will fail", flush=True)
    alone = [name for name in names if name.startswith(ALONE)]
    failed = run_beside([name for name in names if name not in alone], BESIDE) + run_beside(alone, 1)
    print(f"{len(names) - failed} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
