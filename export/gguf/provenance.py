"""Where a merged file came from: written into it, and read back so that nothing is merged twice.

The key-value ``voxzoo.merge`` is a JSON list with one object per merge: the base's file and sha256, the type
asked for, and of every adapter its name, the sha256 of its tensors, its weight, its scales, how many of its
tensors went into which file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...zoo.download import hash_file
from ...zoo.errors import ModelError, UsageError
from ...zoo.ggufheader import GgufHeader
from .adapter import Adapter
from .pair import Pair
from .plan import FATES, Plan

KEY = "voxzoo.merge"
_MOST_SCALES = 16


def merges_in(header: GgufHeader) -> list[dict[str, Any]]:
    """What was merged into a file so far, oldest first.

    Raises:
        ModelError: something stands there that is no such list.
    """
    text = header.get(KEY, "[]")
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{header.name}: what stands under {KEY!r} is no JSON ({error})") from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ModelError(f"{header.name}: {KEY!r} is {text[:60]!r}, expected a list of merges")
    return found


def refuse_twice(pair: Pair, adapters: Sequence[Adapter]) -> None:
    """Refuse an adapter that is in the base already, or that was given twice.

    Raises:
        UsageError: it is.
        ModelError: the base's own record cannot be read.
    """
    seen = {adapter.sha256: adapter for adapter in reversed(adapters)}
    if len(seen) < len(adapters):
        raise UsageError("the same adapter twice: give it once, with a greater --weight if that is meant")
    for header in filter(None, (pair.text, pair.mmproj)):
        for merge in merges_in(header):
            there = merge.get("adapters")
            hashes = [a.get("sha256") for a in there or () if isinstance(a, dict)]
            again = next((seen[h] for h in hashes if h in seen), None)
            if again:
                raise UsageError(
                    f"{header.name}: {again.folder} was merged into it already (its {KEY} says so); give the "
                    "base that it was trained on"
                )


def describe(header: GgufHeader, adapters: Sequence[Adapter], plan: Plan, type: str) -> str:
    """The text for ``voxzoo.merge``: what was there, and this merge behind it."""
    base = {"file": Path(header.name).name, "sha256": hash_file(Path(header.name))}
    merge = {"base": base, "type": type, "adapters": [_facts(a, plan) for a in adapters]}
    return json.dumps([*merges_in(header), merge], ensure_ascii=False)


def _facts(adapter: Adapter, plan: Plan) -> dict[str, Any]:
    lines = [line for line in plan.lines if line.adapter == str(adapter.folder)]
    counts = {fate: sum(len(x.keys) for x in lines if x.fate == fate) for fate in FATES}
    scales = sorted({module.scale for module in adapter.modules.values() if module.is_lora})
    return {
        "name": adapter.name,
        "sha256": adapter.sha256,
        "weight": adapter.weight,
        "scales": scales[:_MOST_SCALES],
        "trained_on": adapter.config.base,
        "tensors": {fate: count for fate, count in counts.items() if count},
    }
