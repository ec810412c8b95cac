#!/usr/bin/env bash
# Builds the foreign peers (outside the tree, kept by the hash of their sources) and runs the interop
# cells. Arguments go to runner.py: --pairs go-rust, --cells ping,name, ...
# SHOAL_INTEROP_PEER names our peer's program; without it the newest in the build tree is taken.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shoal/interop
if ! declare -F ensure_go >/dev/null; then # not started by ./run
    cd "$root"
    . tools/run/lib.sh
    . tools/run/toolchains.sh
fi

# The hash of a peer's sources names its program.
sources_hash() {
    (cd "$1" && find . -type f ! -path '*/.*/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) |
        sha256sum | cut -c1-16
}

build_go() { # <program>
    ensure_go || return 1
    say "interop: building the go peer (minutes the first time)"
    (cd "$here/go" && nice -n 5 go build -trimpath -ldflags "-s -w" -o "$1" .)
}

build_rust() { # <program>
    ensure_rust || return 1
    say "interop: building the rust peer (minutes the first time)"
    local from=$cache/rust-src
    rm -rf "$from"
    cp -r "$here/rust" "$from"
    lock_rust "$from" &&
        (cd "$from" && CARGO_TARGET_DIR=$cache/rust-target nice -n 5 cargo build --locked --quiet) &&
        cp "$cache/rust-target/debug/shoal-interop-rust" "$1"
}

# Cargo.lock.in leaves out where the crates come from: cargo itself says it, in a lock file of its own.
lock_rust() { # <folder of the sources>
    local probe=$1/probe source
    mkdir -p "$probe/src"
    : > "$probe/src/lib.rs"
    printf '[package]\nname = "probe"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\nitoa = "1"\n[workspace]\n' \
        > "$probe/Cargo.toml"
    (cd "$probe" && cargo generate-lockfile --quiet) || return 1
    source=$(sed -n 's/^source = "\(.*\)"$/\1/p' "$probe/Cargo.lock" | head -n 1)
    rm -rf "$probe"
    sed "s|@registry@|$source|" "$1/Cargo.lock.in" > "$1/Cargo.lock"
}

# Prints the path of a peer's program, built if it is not there yet.
peer_program() { # <go|rust>
    local dir
    dir=$cache/$1-$(sources_hash "$here/$1")
    if [ ! -x "$dir/peer" ]; then
        mkdir -p "$dir"
        "build_$1" "$dir/peer.$$" >&2 || return 1
        mv "$dir/peer.$$" "$dir/peer"
    fi
    echo "$dir/peer"
}

our_program() {
    local build=${SHOAL_BUILD_DIR:-$root/build}
    if [ -n "${SHOAL_INTEROP_PEER:-}" ]; then
        echo "$SHOAL_INTEROP_PEER"
    elif [ -d "$build" ]; then
        find "$build" -type f -name shoal-interop-peer -printf '%T@ %p\n' | sort -rn |
            head -n 1 | cut -d' ' -f2-
    fi
}

go_peer=$(peer_program go)
rust_peer=$(peer_program rust)
exec "$PY" "$here/runner.py" --go "$go_peer" --rust "$rust_peer" --ours "$(our_program)" "$@"
