#!/usr/bin/env bash
# Starts a C, a Lua and a Python node as three processes and prints the table of their calls.
#   examples/demo/run.sh        in the environment of `eval "$(./run env)"`
#
# Each node prints lines of tab-separated fields: "listening NAME ADDRESS" first, "call FROM TO REF REPLY" for each ask
# that was answered, "failed TEXT", and "done NAME". Only the Python node's address is given to the other two: they find
# each other through it, in the DHT.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
pids=()

finish() {
    exec 3>&- || true
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# Waits until FILE has a line that begins with WORD; prints it.
await() {
    local file=$1 word=$2 deadline=$((SECONDS + 40))
    until grep -m1 "^$word	" "$file" 2>/dev/null; do
        if ((SECONDS >= deadline)); then
            echo "demo: no '$word' from $(basename "$file") within 40 s:" >&2
            cat "$file" "$file.err" >&2
            return 1
        fi
        read -r -t 0.05 <> <(:) || true
    done
}

cc -std=c11 -O1 -o "$work/demo_c" "$here/demo.c" $(pkg-config --cflags --libs shoal)
mkfifo "$work/open"
exec 3<> "$work/open" # what the nodes read: it ends when this script does

python3 "$here/demo_node.py" < "$work/open" > "$work/python" 2> "$work/python.err" 3>&- &
pids+=($!)
address=$(await "$work/python" listening | cut -f3)
echo "python  listens on $address"
"$work/demo_c" "$address" < "$work/open" > "$work/c" 2> "$work/c.err" 3>&- &
pids+=($!)
lua5.4 "$here/demo.lua" "$address" < "$work/open" > "$work/lua" 2> "$work/lua.err" 3>&- &
pids+=($!)
for node in c lua; do
    echo "$node	listens on $(await "$work/$node" listening | cut -f3)" | expand -t8
done

for node in python c lua; do
    await "$work/$node" done > /dev/null
done
cat "$work/python" "$work/c" "$work/lua" > "$work/all"
echo
grep '^call' "$work/all" | awk -F '\t' '
    BEGIN { printf "%-12s %-12s %-24s %s\n", "from", "found by name", "at", "answer" }
    { printf "%-12s %-13s %-24s %s\n", $2, $3, substr($4, 1, 10) ".." substr($4, length($4) - 9), $5 }'
calls=$(grep -c '^call' "$work/all" || true)
grep '^failed' "$work/all" >&2 || true
echo
echo "$calls of 6 calls between three processes, each by a name in the DHT"
[ "$calls" -eq 6 ]
