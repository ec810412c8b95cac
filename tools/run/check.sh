# ./run check: style as a test. Each check prints ok, or its faults; the last line sums them. Sourced by ./run.
ensure $PACKAGES_BUILD $PACKAGES_CHECK
. tools/run/sources.sh
passed=0 failed=0
dir=build/$PRESET

# check WHAT COMMAND...: a check passes when its command does.
check() {
    local what=$1 out
    shift
    if out=$("$@" 2>&1); then
        echo "ok     $what"
        passed=$((passed + 1))
    else
        printf '%s\n' "$out" | head -n 60 | sed 's/^/       /'
        echo "FAULT  $what"
        failed=$((failed + 1))
    fi
}

format() { c_sources | xargs -0 clang-format-14 --dry-run -Werror --ferror-limit=3; }

same_names() { diff -u --label abi/symbols.txt --label "$1" abi/symbols.txt - >&2; }
exported_shared() { nm -D --defined-only "$dir/lib/libshoal.so" | awk '$2 != "A" {sub(/@.*/, "", $3); print $3}' | sort | same_names libshoal.so; }
exported_static() { nm -g --defined-only "$dir/lib/libshoal.a" | awk 'NF == 3 {print $3}' | sort | same_names libshoal.a; }
declared() { $PY tools/docs_check.py --names | same_names shoal.h; }

# Mutable data in the layers: none, but for what a thread owns (.tbss) and tables that only relocation writes (.data.rel.ro).
no_mutable_statics() {
    local found
    found=$(objdump -t "$dir"/lib/libsh_*.a 2>/dev/null | awk '/^[^ ]*:.*file format/ {file = $1}
        $0 ~ / O \.(data|bss|tdata)/ && $0 !~ /\.data\.rel\.ro/ {print file, $NF}')
    [ -z "$found" ] || { echo "$found"; return 1; }
}

header_as() {
    local compiler=$1
    shift
    printf '#include <shoal.h>\n#include <shoal_object.h>\n#include <shoal.h>\nint main(void) { return 0; }\n' |
        "$compiler" "$@" -Wall -Wextra -Wpedantic -Werror -Iabi/include -fsyntax-only -
}
header_everywhere() {
    local std
    for std in c99 c11 c17; do header_as gcc -x c -std=$std || return 1; done
    for std in c++11 c++17 c++20; do header_as g++ -x c++ -std=$std || return 1; done
}

one_version() {
    local version
    version=$(sed -n 's/^project(shoal VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
    ! grep -rnF --include='*.[ch]' --include='*.py' --include='*.lua' --include='*.toml' "\"$version\"" core abi bindings tools pyproject.toml
}

build "$PRESET"
check "layers: includes go down only, libraries in their layers" $PY tools/layers.py
check "shape: openings, function length, depth, words" $PY tools/tidy.py
check "limits: each is used, and named by a test that runs into it" $PY tools/limits_check.py
check "format: clang-format 14" format
reference() { PYTHONPATH="$dir/python" LD_LIBRARY_PATH="$dir/lib" $PY tools/reference.py --check; }
check "reference: docs/reference is what the code says of itself" reference
check "mutants: every bug of tests/mutants fits the source" $PY tests/mutants/run.py --check
check "ABI: types, functions and constants of shoal.h are those of abi/baseline" $PY tools/abi_check.py
check "no mutable statics in the layers" no_mutable_statics
check "exported names: libshoal.so = abi/symbols.txt" exported_shared
check "exported names: libshoal.a = abi/symbols.txt" exported_static
check "declared names: shoal.h = abi/symbols.txt" declared
check "shoal.h as C99, C11, C17, C++11, C++17, C++20, pedantic" header_everywhere
check "shoal.h: every function documented" $PY tools/docs_check.py
check "the version has one home" one_version
if [ -e tools/bindcov.py ]; then
    check "bindings: every function bound or excused, stubs in step" $PY tools/bindcov.py
fi
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
