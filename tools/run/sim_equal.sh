#!/usr/bin/env bash
# The same seeds give the same trace under gcc and clang, -O0 and -O2: builds bin/shoal-sim four times and compares the lines
# that name a trace hash. Arguments go to shoal-sim.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. tools/run/lib.sh
passed=0 failed=0 expected=""
for preset in dev debug clang clang-debug; do
    build "$preset" shoal-sim
    hashes=$("build/$preset/bin/shoal-sim" --trace "$@" | grep -Eo 'trace[ =:]+[0-9a-f]+' || true)
    expected=${expected:-$hashes}
    if [ -n "$hashes" ] && [ "$hashes" = "$expected" ]; then
        echo "ok     $preset: $(printf '%s\n' "$hashes" | sha256sum | cut -c 1-16) over $(printf '%s\n' "$hashes" | wc -l) traces"
        passed=$((passed + 1))
    else
        echo "FAULT  $preset: its traces differ from dev's (or it printed none)"
        diff <(printf '%s\n' "$expected") <(printf '%s\n' "$hashes") | head -n 20 || true
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
