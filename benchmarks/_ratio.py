"""Ratios beside peers: collected while benchmarks run, printed in one table when they end.

A time on one machine says little; how many times faster than a peer in the same run says more. With
``VOXZOO_BENCH_JSON=FILE`` the rows are also written as JSON.
"""

import json
import math
import os
import time
from pathlib import Path

ROWS = []


def fastest(calls, rounds):
    """Least seconds of each call; taken in turns, so that a busy machine is busy for all of them."""
    best = dict.fromkeys(calls, math.inf)
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(8):  # the first few find the caches as another call left them
                start = time.perf_counter()
                call()
                best[name] = min(best[name], time.perf_counter() - start)
    return best


def ratio_report(name, ours_s, peers, floors=None):
    """Note one result.

    Args:
        name: what was measured, on what.
        ours_s: seconds of ours (the minimum over rounds).
        peers: name -> seconds of each peer, measured in the same run.
        floors: peer -> the ratio that was asked for; ``tables.py --check`` fails below it.
    """
    ratios = {peer: seconds / ours_s for peer, seconds in peers.items()}
    unknown = set(floors or {}) - set(ratios)
    if unknown:
        raise KeyError(f"{name}: floors of peers that were not measured: {', '.join(sorted(unknown))}")
    file = Path(os.environ.get("PYTEST_CURRENT_TEST", "").split("::")[0]).stem
    row = {"file": file, "name": name.strip(), "ours_s": ours_s, "peers_s": dict(peers), "ratios": ratios}
    ROWS.append({**row, "floors": dict(floors or {})})


def has_amx():
    """Whether this processor multiplies tiles of bfloat16: some floors hold with it alone."""
    facts = Path("/proc/cpuinfo")
    return facts.is_file() and "amx_bf16" in facts.read_text(encoding="utf-8")


def lines():
    """The table, one line a row."""
    width = max((len(row["name"]) for row in ROWS), default=0)
    for row in ROWS:
        beside = "  ".join(f"{ratio:.3g}x {peer}" for peer, ratio in row["ratios"].items())
        yield f"{row['name']:<{width}}  {_duration(row['ours_s']):>9}  {beside}"


def dump(path):
    """Write all rows as JSON."""
    Path(path).write_text(json.dumps(ROWS, indent=1) + "\n", encoding="utf-8")


def _duration(seconds):
    for unit, factor in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
