# What ./run and the scripts beside this one share: saying, installing, building, testing. Sourced, from the project's root.
ROOT=${ROOT:-$PWD}
PRESET=${SHOAL_PRESET:-dev}
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/shoal
JOBS=$(nproc 2>/dev/null || echo 2)
PY=/usr/bin/python3 # Debian's, for our own tools; user programs run with the first python3 on the PATH

PACKAGES_BUILD="gcc libc6-dev binutils cmake ninja-build pkg-config libuv1-dev libssl-dev libprotobuf-c-dev protobuf-c-compiler
    libc-ares-dev libmsgpack-dev liblua5.4-dev lua5.4 python3 python3-dev libcmocka-dev
    libluajit-5.1-dev liblua5.1-0-dev liblua5.2-dev liblua5.3-dev"
PACKAGES_TEST="lua-luv g++ python3-pytest python3-cffi python3-venv python3-pip mypy luajit lua5.1 lua5.2 lua5.3"
PACKAGES_CHECK="g++ clang-format-14 abigail-tools"
PACKAGES_FAULTS="iproute2 util-linux"
PACKAGES_CLANG="clang libclang-rt-14-dev llvm-14"

say() { printf '%s\n' "$*" >&2; }
die() { say "run: $*"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        say "this needs root, or sudo: $*"
        return 1
    fi
}

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 -q -y "$@"; }

# ensure package...: installs what is missing, after saying so.
ensure() {
    command -v dpkg-query >/dev/null || { say "not a Debian system; taking it that these are here: $*"; return 0; }
    local have missing="" package
    have=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "$@" 2>/dev/null || true)"
    for package; do
        case $have in *" installed:$package "*) ;; *) missing="$missing $package" ;; esac
    done
    [ -n "$missing" ] || return 0
    say "installing:$missing"
    mkdir -p build
    # shellcheck disable=SC2086
    { apt_get update && apt_get install --no-install-recommends $missing; } >build/apt.log 2>&1 ||
        { tail -n 30 build/apt.log >&2; die "apt-get failed (build/apt.log)"; }
    rm -f build/*/.configured # what was not there for the last cmake may be a test now
}

packages_of_preset() {
    case $1 in
    clang | clang-debug | fuzz) echo $PACKAGES_BUILD $PACKAGES_CLANG ;;
    *) echo $PACKAGES_BUILD ;;
    esac
}

# build preset [target...]: configures if needed and builds; all words go to standard error.
build() {
    local preset=$1 dir="build/$1" target targets=""
    shift
    ensure $(packages_of_preset "$preset")
    if command -v ccache >/dev/null; then
        export CMAKE_C_COMPILER_LAUNCHER=ccache CCACHE_NOHASHDIR=1
        export CCACHE_DIR=${CCACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ccache}
    fi
    if [ ! -f "$dir/build.ninja" ] || [ CMakePresets.json -nt "$dir/.configured" ]; then
        say "configuring $dir"
        mkdir -p build
        cmake --preset "$preset" >"$dir.log" 2>&1 || { cat "$dir.log" >&2; die "cmake --preset $preset failed"; }
        touch "$dir/.configured"
    fi
    for target; do targets="$targets --target $target"; done
    # shellcheck disable=SC2086
    cmake --build "$dir" -j "$JOBS" $targets >&2
}

# suite preset [ctest arguments...]: runs the tests and ends with the closing line.
suite() {
    local preset=$1 status=0
    shift
    ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$JOBS" --output-junit "junit.xml" \
        --test-output-size-passed 20000 --test-output-truncation head "$@" || status=$?
    $PY tools/run/tally.py "build/$preset/junit.xml" || status=1
    return $status
}
