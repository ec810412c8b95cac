"""What the process tests share: the promised times, who is told of a death, and running the tests of a file.

python3 tests/process/test_deaths.py [SUBSTRING]...    runs the tests whose names contain one of them; SHOAL_SEED picks
other random moments. The promises are those of the architecture page, on real processes over loopback."""
import inspect
import os
import sys
import time
import traceback

from world import GONE, HOST, PEER_LOST, Gone, World

SEED = int(os.environ.get("SHOAL_SEED", "1"))
DEATH_TOLD_MS = 250
CONFIRM_MS = 100  # what an ask may take beyond its deadline
SCHEDULING_MS = 40  # what a busy machine may add to our own clock readings
RESTARTED = (PEER_LOST, GONE)
figures = {}


def main(tests):
    """Runs the tests of a file, each in a world of its own: those whose names contain a word of the command line."""
    if not HOST.exists():
        sys.exit(f"{HOST} is not built: ./run build process_host")
    wanted = sys.argv[1:]
    passed = failed = 0
    for name, test in list(tests.items()):
        if not name.startswith("test_") or not inspect.isfunction(test) or (wanted and not any(w in name for w in wanted)):
            continue
        begun = time.monotonic()
        try:
            with World() as world:
                test(world)
            passed += 1
            print(f"ok      {name} ({time.monotonic() - begun:.1f} s)", flush=True)
        except (AssertionError, Gone, OSError, ValueError) as failure:
            failed += 1
            where = traceback.extract_tb(failure.__traceback__)[-1]
            print(f"FAILED  {name} ({time.monotonic() - begun:.1f} s), line {where.lineno} of {where.name}: {failure or where.line}", flush=True)
    for what, figure in figures.items():
        print(f"        {what}: {figure}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)
