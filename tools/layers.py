#!/usr/bin/env python3
"""The layers of docs/architecture.md: who may include what, and what the pure ones may not call.

Prints one line a fault and exits 1; prints nothing and exits 0 when there is none."""
import pathlib
import re
import sys

LEVEL = {"base": 0, "crypto": 1, "proto": 2, "swarm": 3, "actor": 3, "remote": 4, "node": 5, "io": 6, "sim": 6, "abi": 7}
APART = [{"swarm", "actor"}, {"io", "sim"}]
OUTSIDE = {"bindings", "tools", "examples"}  # see shoal.h and nothing else
PURE = {"base", "crypto", "proto", "swarm", "actor", "remote", "node"}

# Header -> the layers or files that may include it.
HEADERS = {
    r"uv\.h|ares.*\.h": {"io"},
    r"openssl/.*": {"crypto"},
    r"gnutls/.*|ngtcp2/.*": {"core/proto/tls.c", "core/proto/quic.c"},
    r"wslay/.*": {"core/proto/ws.c"},
    r"cbor.*": {"core/proto/kameo_msg.c"},
    r"sodium.*": {"core/proto/pnet.c"},
    r"protobuf-c/.*": {"proto"},
    r"msgpack.*": {"abi", "bindings", "tools", "examples"},
    r"lua.*\.h|lauxlib\.h": {"bindings", "tools"},
    r"Python\.h": {"bindings"},
    r"(sys/socket|netinet/.*|arpa/inet|sys/epoll|sys/eventfd|netdb|pthread|threads)\.h": {"io", "tools", "examples"},
    r"time\.h|sys/time\.h": {"io", "sim", "tools", "examples"},
    r"stdatomic\.h": {"base", "actor", "io", "bindings", "abi"},
    r"math\.h|fenv\.h": {"abi", "bindings", "tools", "examples"},
}

# Call or word -> the layers it must not appear in, and the files excepted.
WORDS = {
    r"(?<!->)(?<!\.)\b(malloc|calloc|realloc|free|strdup|strndup|alloca)\s*\(": (set(LEVEL), {"core/base/mem.c"}),
    r"\b(rand|srand|random|getrandom|getentropy|RAND_bytes)\s*\(": (PURE | {"sim"}, {"core/base/rng.c"}),
    r"\b(time|clock|clock_gettime|gettimeofday|usleep|nanosleep|sleep)\s*\(": (PURE | {"sim"}, set()),
    r"\b(float|double)\b": (PURE | {"io", "sim"}, set()),
    r"\b(printf|puts|fprintf|perror|exit|abort|signal|sigaction)\s*\(": (PURE | {"io", "abi"}, {"core/base/sh_assert.h", "core/base/sh_assert.c"}),
    r"\b(strcpy|strcat|sprintf|gets|vsprintf)\s*\(": (set(LEVEL) | OUTSIDE, set()),
}
CEILING_LINES = 800


def layer_of(rel):
    return rel.parts[1] if rel.parts[0] == "core" and len(rel.parts) > 2 else rel.parts[0]


def code_of(text):
    """The text with comments and literals blanked, line for line."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def include_faults(rel, layer, number, line):
    m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
    if not m:
        return
    target = m.group(2)
    for pattern, allowed in HEADERS.items():
        if re.fullmatch(pattern, target) and layer not in allowed and str(rel) not in allowed:
            yield f"{rel}:{number}: <{target}> belongs in {', '.join(sorted(allowed))}"
    if m.group(1) != '"':
        return
    other = target.split("/")[0]
    if layer in OUTSIDE:
        if (other in LEVEL and "/" in target) or target.startswith(("core/", "abi/", "../")):
            yield f"{rel}:{number}: {layer} sees shoal.h only, not {target}"
    elif target.startswith(("core/", "../")):
        yield f"{rel}:{number}: write it from the root core/, not {target}"
    elif "/" in target and other in LEVEL:
        if LEVEL[other] > LEVEL[layer] or any({layer, other} == pair for pair in APART):
            yield f"{rel}:{number}: {layer} must not look into {other}"
    elif "/" not in target and layer in LEVEL and layer != "abi":
        yield f'{rel}:{number}: write "{layer}/{target}", not "{target}"'


def faults(root):
    for path in sorted(root.rglob("*")):
        rel = path.relative_to(root)
        if path.suffix not in (".c", ".h") or rel.parts[0] not in {"core", "abi"} | OUTSIDE:
            continue
        layer, text = layer_of(rel), path.read_text(errors="replace")
        if text.count("\n") > CEILING_LINES:
            yield f"{rel}: {text.count(chr(10))} lines, ceiling {CEILING_LINES}"
        for number, line in enumerate(text.splitlines(), 1):
            yield from include_faults(rel, layer, number, line)
        for number, line in enumerate(code_of(text).splitlines(), 1):
            for pattern, (layers, excepted) in WORDS.items():
                m = re.search(pattern, line)
                if m and layer in layers and str(rel) not in excepted:
                    yield f"{rel}:{number}: '{m.group(0).strip('( ')}' has no place in {layer}"


if __name__ == "__main__":
    found = list(faults(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
    if found:
        print("\n".join(found))
    sys.exit(1 if found else 0)
