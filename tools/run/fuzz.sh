# ./run fuzz [SECONDS [TARGET...]]: every libFuzzer target from its corpus, two at a time. Sourced by ./run.
seconds=${1:-30}
[ $# -gt 0 ] && shift
build fuzz fuzzers
dir=build/fuzz/fuzz
if [ $# = 0 ]; then
    set -- $(cd "$dir" 2>/dev/null && ls fuzz_* 2>/dev/null || true)
fi
[ $# -gt 0 ] || die "there is no fuzz target yet (tests/fuzz/fuzz_<name>.c)"

fuzz_one() {
    local target=fuzz_${1#fuzz_} name=${1#fuzz_}
    local work=build/fuzz/run/$name
    rm -rf "$work/crashes"
    mkdir -p "$work/corpus" "$work/crashes"
    local seeds=tests/fuzz/corpus/$name
    [ -d "$seeds" ] || seeds=""
    # shellcheck disable=SC2086
    "$dir/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$work/crashes/" "$work/corpus" $seeds >"$work/log" 2>&1
    echo $? >"$work/status"
}
export -f fuzz_one
export seconds dir
say "fuzzing $# targets, $seconds s each, 2 at a time"
printf '%s\n' "$@" | xargs -P 2 -I{} bash -c 'fuzz_one {}'

passed=0 failed=0
printf '%-24s %12s %10s %8s %8s  %s\n' target runs exec/s edges crashes result
for target; do
    name=${target#fuzz_}
    work=build/fuzz/run/$name
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    speed=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$work/log")
    edges=$(grep -o 'cov: [0-9]*' "$work/log" | tail -n 1 | tr -dc 0-9 || true)
    crashes=$(find "$work/crashes" -type f | wc -l)
    result=ok
    if [ "$(cat "$work/status")" != 0 ]; then
        result="FAILED (build/fuzz/run/$name/log)"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
    printf '%-24s %12s %10s %8s %8s  %s\n' "$name" "${runs:--}" "${speed:--}" "${edges:--}" "$crashes" "$result"
done
for target; do
    work=build/fuzz/run/${target#fuzz_}
    if [ "$(cat "$work/status")" != 0 ]; then
        say "the end of $work/log (its input: Base64)"
        tail -n 40 "$work/log" | cut -c 1-2000
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
