# ./run install PREFIX: what is tested is what is installed (build/dev), and a wheel with the library inside. Sourced by ./run.
prefix=$(mkdir -p "$1" && cd "$1" && pwd) || die "cannot make $1"
ensure $PACKAGES_BUILD python3-venv python3-pip
build "$PRESET"
cmake --install "build/$PRESET" --prefix "$prefix" >build/install.log 2>&1 || { cat build/install.log >&2; die "installing failed"; }

# The wheel. The build back end lives in a virtual environment of its own: Debian's Python takes no packages from pip.
wheels="$prefix/share/shoal"
mkdir -p "$wheels"
newest=$(ls -t "$wheels"/*.whl 2>/dev/null | head -n 1 || true)
if [ -z "$newest" ] || [ -n "$(find core abi bindings cmake CMakeLists.txt pyproject.toml -newer "$newest" -type f -print -quit)" ]; then
    if [ ! -x "$CACHE/wheel-venv/bin/pip" ] || ! "$CACHE/wheel-venv/bin/python" -c 'import scikit_build_core' 2>/dev/null; then
        say "installing: scikit-build-core (into $CACHE/wheel-venv)"
        $PY -m venv "$CACHE/wheel-venv"
        "$CACHE/wheel-venv/bin/pip" install --quiet --disable-pip-version-check 'scikit-build-core>=0.10,<1' >&2
    fi
    rm -f "$wheels"/*.whl
    "$CACHE/wheel-venv/bin/pip" wheel --quiet --disable-pip-version-check --no-build-isolation --no-deps -w "$wheels" . >&2
fi
say "installed into $prefix:"
(cd "$prefix" && find . \( -type f -o -type l \) \( -path './include/*' -o -path './lib/*' -o -path './bin/shoal' -o -path './share/*' \) |
    grep -E 'shoal' | sort | sed 's|^\./|  |') >&2
