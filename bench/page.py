"""bench/page.py - docs/performance.md's table out of a run's result; `./run bench --peers --page`.

GOALS: what each row has to reach: ("ratio", most) against the floor, ("least", ratio) for rates, or ("most" / "rate", value). PEER_GOALS: how
many times better than a peer.
"""
import os
import platform

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PAGE = os.path.join(ROOT, "docs", "performance.md")
BEGIN, END = "<!-- table: made by ./run bench --page -->", "<!-- /table -->"
GOALS = {
    "local_tell": ("ratio", 2.5), "local_ask": ("ratio", 2.5), "ring": ("ratio", 2.5), "spawn": ("most", 150),
    "cross_tell": ("ratio", 3), "idle_actor_bytes": ("most", 250), "lua_tell": ("ratio", 4), "python_tell": ("ratio", 5),
    "python_tell_queue": ("ratio", 0.5), "python_ask": ("ratio", 0.25), "remote_ask_64": ("ratio", 1.25),
    "remote_ask_64_2": ("ratio", 1.35), "asks_in_flight": ("least", 0.25), "remote_tell_64": ("least", 0.4),
    "remote_tell_64k": ("least", 0.8), "remote_tell_lua": ("rate", 3), "remote_tell_python": ("rate", 2),
    "connect": ("ratio", 1.5), "lookup_50_trips": ("most", 3), "idle_connection_bytes": ("most", 4096), "idle_dialled_bytes": ("most", 4096),
}

PEER_GOALS = {("remote_ask_64", "Kameo"): 8, ("asks_in_flight", "Kameo"): 100, ("remote_tell_64", "Kameo"): 200, ("lookup", "Kameo"): 5,
              ("python_ask", "Pykka"): 5}


def number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def goal(row):
    """(text, reached or None)"""
    kind, bound = GOALS.get(row["name"], (None, None))
    if kind is None or row["value"] is None:
        return "", None
    if kind in ("ratio", "least"):
        if row["ratio"] is None:
            return "", None
        good = row["ratio"] <= bound if kind == "ratio" else row["ratio"] >= bound
        return f"{'at most' if kind == 'ratio' else 'at least'} {bound:g} x", good
    good = row["value"] <= bound if kind == "most" else row["value"] >= bound
    return f"{'at most' if kind == 'most' else 'at least'} {number(bound)}", good


def peers_text(row):
    cells = []
    for name, p in sorted(row["peers"].items(), key=lambda item: item[1]["times"] or 0):
        if p["times"]:
            word = f"{p['times']:.3g} x" if p["times"] >= 1 else f"{p['times']:.2g} x, **it is faster**"
            bound = PEER_GOALS.get((row["name"], name))
            if bound:
                word += f", min {bound}" if p["times"] >= bound else f", **min {bound}**"
            cells.append(f"{name} {number(p['value'])} ({word})")
    return ", ".join(cells)


def write(results, rounds, others):
    rows = ["| row | ours | floor | ratio | to reach | | peers: figure (how many times better we are) |", "|---|---|---|---|---|---|---|"]
    for row in results:
        wanted, good = goal(row)
        said = {True: "yes", False: "**no**", None: ""}[good]
        ratio = f"{row['ratio']:.2f}" if row["ratio"] is not None else ""
        rows.append(f"| {row['name']} | {number(row['value'])} {row['unit']} | {number(row['floor']) if row['floor'] else ''} | {ratio} | "
                    f"{wanted} | {said} | {peers_text(row)} |")
    about = (f"Medians of {rounds} interleaved rounds on {os.cpu_count()} processors ({platform.machine()}, {platform.system()} "
             f"{platform.release().split('-')[0]});\nothers used {others:.0f} % of the machine meanwhile.")
    with open(PAGE, encoding="utf-8") as f:
        head, _, rest = f.read().partition(BEGIN)
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(head + BEGIN + "\n" + about + "\n\n" + "\n".join(rows) + "\n" + END + rest.partition(END)[2])
