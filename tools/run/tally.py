"""Sums test results into the closing line `N passed, N failed, N skipped`.

tally.py junit.xml   one ctest run: the cases inside each program are counted where its output says how many there were
tally.py --text      standard input: sums every closing line found in it

Exit status 1 if anything failed or nothing ran."""
import re
import sys
import xml.etree.ElementTree as ET

CLOSING = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped\s*$", re.M)
CMOCKA = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) *\] *(\d+) test\(s\)", re.M)
PYTEST = re.compile(r"^(?:=+ )?((?:\d+ (?:passed|failed|skipped|error|errors|xfailed|warning|warnings)(?:, )?)+) in [\d.]+s", re.M)


def cases(output, passed):
    """(passed, failed, skipped) of one test program."""
    lines = CLOSING.findall(output)
    if lines:
        count = [int(n) for n in lines[-1]]
    elif CMOCKA.search(output):
        found = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
        for kind, number in CMOCKA.findall(output):
            found[kind] += int(number)
        count = list(found.values())
    elif PYTEST.search(output):
        words = dict((k.rstrip("s"), int(n)) for n, k in re.findall(r"(\d+) (\w+)", PYTEST.findall(output)[-1]))
        count = [words.get("passed", 0) + words.get("xfailed", 0), words.get("failed", 0) + words.get("error", 0), words.get("skipped", 0)]
    else:
        return (1, 0, 0) if passed else (0, 1, 0)
    if not passed and count[1] == 0:  # it counted well, then crashed or leaked
        count[1] = 1
    return tuple(count)


def of_junit(path):
    total = [0, 0, 0]
    for case in ET.parse(path).getroot().iter("testcase"):
        status = case.get("status", "run")
        output = case.findtext("system-out") or ""
        if status in ("notrun", "disabled") or case.find("skipped") is not None:
            one = (0, 0, 1)
        else:
            one = cases(output, status == "run" and case.find("failure") is None)
        total = [a + b for a, b in zip(total, one)]
    return total


def main():
    if sys.argv[1] == "--text":
        total = [sum(column) for column in zip(*[map(int, m) for m in CLOSING.findall(sys.stdin.read())])] or [0, 0, 0]
    else:
        total = of_junit(sys.argv[1])
    print("%d passed, %d failed, %d skipped" % tuple(total))
    return 1 if total[1] or not sum(total) else 0


if __name__ == "__main__":
    sys.exit(main())
