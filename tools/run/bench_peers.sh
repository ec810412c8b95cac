#!/usr/bin/env bash
# bench_peers.sh FOLDER: builds the peers of the bench into FOLDER, kept by the hash of their sources; says what cannot be built.
set -euo pipefail
. tools/run/lib.sh
. tools/run/toolchains.sh
kept=$1
mark="$kept/built-$(cat bench/peers/*.* bench/peers/rust/Cargo.toml bench/peers/rust/src/* | sha256sum | cut -c1-16)"
[ ! -e "$mark" ] || exit 0
status=0
mkdir -p "$kept"
ensure erlang-base libzmq3-dev gcc libc6-dev python3 python3-venv python3-pip
erlc -o "$kept" bench/peers/peer_erlang.erl || status=1
gcc -O2 -D_GNU_SOURCE -Wall -Wextra -o "$kept/peer_zmq" bench/peers/peer_zmq.c -lzmq || status=1
{ $PY -m venv "$kept/venv" && "$kept/venv/bin/pip" install --quiet --disable-pip-version-check 'pykka==4.*'; } || status=1
RUST_FLOOR=1.88 # Kameo's
if (ensure_rust) && ensure_rust; then
    say "building the Rust peers: Actix, Kameo, rust-libp2p (minutes the first time)"
    rm -rf "$kept/rust-src"
    cp -r bench/peers/rust "$kept/rust-src"
    (cd "$kept/rust-src" && CARGO_TARGET_DIR="$kept/rust-target" nice -n 5 cargo build --release --quiet) &&
        cp "$kept/rust-target/release/shoal-bench-peers" "$kept/" || status=1
else
    say "Actix, Kameo and rust-libp2p are left out: they need rustc $RUST_FLOOR"
    status=1
fi
[ "$status" != 0 ] || touch "$mark"
exit "$status"
