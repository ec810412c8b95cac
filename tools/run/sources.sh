# c_sources: every C file that is ours, NUL-separated. Sourced, from the project's root.
c_sources() {
    find core abi bindings tools examples tests bench -type d -name target -prune -o \
        -type f \( -name '*.c' -o -name '*.h' \) -print0 2>/dev/null | sort -z
}
