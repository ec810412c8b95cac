"""bench/peers.py - which peers are held beside which of our rows, and how they are built; used by bench/run --peers.

A peer program prints one number in the unit of our row. They are built outside the tree, in ~/.cache/shoal/bench, from
bench/peers/; what they need is installed by tools/run/bench_peers.sh. PEER_CPU is the processor of a far end.
"""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KEPT = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "shoal", "bench")


def rust(mode):
    return [os.path.join(KEPT, "shoal-bench-peers"), mode]


def zmq(mode):
    return [os.path.join(KEPT, "peer_zmq"), mode]


def erlang(mode):
    return ["erl", "+S", "1:1", "+sbwt", "none", "-noshell", "-pa", KEPT, "-s", "peer_erlang", "main", mode]


def pykka(mode):
    return [os.path.join(KEPT, "venv", "bin", "python"), os.path.join(ROOT, "bench", "peers", "peer_pykka.py"), mode]


# row: (peer, command, count)...
PEERS = {
    "local_tell": [
        ("Actix", rust("actix_tell"), 4_000_000), ("Erlang", erlang("tell"), 2_000_000), ("Kameo", rust("kameo_tell"), 1_000_000)],
    "local_ask": [
        ("Actix", rust("actix_ask"), 500_000), ("Kameo", rust("kameo_ask"), 300_000), ("Erlang", erlang("ask"), 300_000)],
    "ring": [
        ("Actix", rust("actix_ring"), 1_000_000), ("Erlang", erlang("ring"), 1_000_000), ("Kameo", rust("kameo_ring"), 300_000)],
    "spawn": [
        ("Actix", rust("actix_spawn"), 300_000), ("Erlang", erlang("spawn"), 200_000), ("Kameo", rust("kameo_spawn"), 50_000)],
    "python_tell": [("Pykka", pykka("tell"), 50_000)],
    "python_ask": [("Pykka", pykka("ask"), 5_000)],
    "remote_ask_64": [
        ("rust-libp2p stream", rust("stream_ask64"), 10_000), ("ZeroMQ CURVE", zmq("ask64"), 10_000),
        ("Kameo", rust("kameo_remote_ask64"), 2_000)],
    "remote_ask_64_2": [
        ("rust-libp2p stream", rust("stream_ask64"), 10_000), ("ZeroMQ CURVE", zmq("ask64"), 10_000),
        ("Kameo", rust("kameo_remote_ask64"), 2_000)],
    "asks_in_flight": [("Kameo", rust("kameo_in_flight"), 5_000)],
    "remote_tell_64": [
        ("ZeroMQ CURVE", zmq("tell64"), 1_000_000), ("rust-libp2p stream", rust("stream_tell64"), 300_000),
        ("Kameo", rust("kameo_remote_tell64"), 5_000)],
    "remote_tell_64k": [
        ("ZeroMQ CURVE", zmq("tell64k"), 10_000), ("rust-libp2p stream", rust("stream_tell64k"), 5_000),
        ("Kameo", rust("kameo_remote_tell64k"), 500)],
    "connect": [("Kameo", rust("kameo_connect"), 30)],
    "lookup": [("Kameo", rust("kameo_lookup"), 40)],
}


def prepare():
    """Builds them all; True when every one is there."""
    script = os.path.join(ROOT, "tools", "run", "bench_peers.sh")
    return subprocess.run(["bash", script, KEPT], cwd=ROOT, check=False).returncode == 0


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def table(results):
    """Ours beside each peer; `times` > 1: we are so many times better."""
    print(f"\n{'name':<18}{'ours':>10} {'unit':<6}  peers (value, how many times better we are)")
    for row in results:
        cells = []
        for peer, values in row["peers"].items():
            theirs = sorted(values)[len(values) // 2] if values else None
            times = None
            if theirs and row["value"]:
                times = row["value"] / theirs if row["unit"].endswith("/s") else theirs / row["value"]
            row["peers"][peer] = {"value": theirs, "times": times}
            cells.append(f"{peer} {number(theirs)}" + (f" ({times:.3g} x)" if times else ""))
        if cells:
            print(f"{row['name']:<18}{number(row['value']):>10} {row['unit']:<6}  " + ", ".join(cells))
