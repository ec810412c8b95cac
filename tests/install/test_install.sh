#!/usr/bin/env bash
# `./run install PREFIX`, and then everything that a user does with a prefix, from a folder outside the tree.
set -uo pipefail
source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
prefix="$tmp/a prefix"
# What the build tree put into the environment must not help.
unset LD_LIBRARY_PATH PYTHONPATH LUA_PATH LUA_CPATH LUA_PATH_5_4 LUA_CPATH_5_4 PKG_CONFIG_PATH LD_PRELOAD
version="shoal $(sed -n 's/^project(shoal VERSION \([0-9.]*\).*/\1/p' "$source_dir/CMakeLists.txt")"
passed=0 failed=0

try() {
    local what=$1 out
    shift
    if out=$("$@" 2>&1); then
        echo "ok     $what"
        passed=$((passed + 1))
    else
        printf '%s\n' "$out"
        echo "FAULT  $what"
        failed=$((failed + 1))
    fi
}
says_version() { [ "$("$@")" = "$version" ]; }

by_pkg_config() {
    local flags
    flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs shoal) || return 1
    eval "cc '$tmp/main.c' $flags -o '$tmp/by_pkg_config'" && says_version "$tmp/by_pkg_config"
}
by_archive() {
    local flags
    flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --static --libs-only-l shoal | sed 's/-lshoal//') || return 1
    eval "cc '$tmp/main.c' -I'$prefix/include' '$prefix/lib/libshoal.a' $flags -o '$tmp/by_archive'" || return 1
    ! readelf -d "$tmp/by_archive" | grep -q libshoal && says_version "$tmp/by_archive"
}
by_cmake() {
    cmake -S "$tmp/consumer" -B "$tmp/consumer/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" >"$tmp/cmake.log" 2>&1 &&
        cmake --build "$tmp/consumer/build" >>"$tmp/cmake.log" 2>&1 || { cat "$tmp/cmake.log"; return 1; }
    says_version "$tmp/consumer/build/shared" && says_version "$tmp/consumer/build/static"
}
lua_module() {
    [ -d "$prefix/lib/lua/5.4" ] &&
        LUA_CPATH="$prefix/lib/lua/5.4/?.so;;" LUA_PATH="$prefix/share/lua/5.4/?.lua;;" lua5.4 -e 'assert(type(require "shoal") == "table")'
}
wheel() {
    /usr/bin/python3 -m venv "$tmp/venv" &&
        "$tmp/venv/bin/pip" install --quiet --no-index --disable-pip-version-check "$prefix"/share/shoal/*.whl &&
        (cd "$tmp" && "$tmp/venv/bin/python" -c 'import shoal, sys; assert shoal.__file__.startswith(sys.prefix), shoal.__file__')
}
# The archive of sources has everything the wheel needs and little else.
sdist() {
    local back_end=${XDG_CACHE_HOME:-$HOME/.cache}/shoal/wheel-venv/bin/python
    (cd "$source_dir" && "$back_end" -c 'import sys, scikit_build_core.build as b; b.build_sdist(sys.argv[1])' "$tmp/sdist") &&
        "$back_end" -m pip wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w "$tmp/from-sdist" "$tmp"/sdist/*.tar.gz &&
        ls "$tmp"/from-sdist/shoal-*-cp311-abi3-*.whl &&
        ! tar tzf "$tmp"/sdist/*.tar.gz | grep -E '^shoal-[^/]*/(tests|docs|build|\.ci)/'
}
command_line() { [ -x "$prefix/bin/shoal" ] && "$prefix/bin/shoal" --help >"$tmp/help" && [ -s "$tmp/help" ]; }

try "./run install PREFIX" "$source_dir/run" install "$prefix"
cp -r "$source_dir/tests/install/consumer" "$tmp/consumer"
cp "$tmp/consumer/main.c" "$tmp/main.c"
cd "$tmp" || exit 1
try "C, by pkg-config" by_pkg_config
try "C, by the archive" by_archive
try "C, by find_package, shared and static" by_cmake
try "bin/shoal runs" command_line
try "Lua 5.4 loads the module" lua_module
try "the wheel installs and imports" wheel
try "a source archive builds to the same wheel" sdist
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
