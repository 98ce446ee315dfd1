"""What a person sees of runs beside each other on the same patients."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import markdown
from ..language.compare import holm
from ..pairs import Compared, Pair
from .common import plural, some

UNLIKE = ({"segment", "box"}, {"segment", "polygon"})
NONE = "—"


def pairs_text(pairs: Sequence[Pair], runs: Sequence[Compared], protocol: str) -> str:
    """The comparisons as Markdown."""
    title = "## Pairs, on the same patients"
    if not pairs:
        return f"{title}\n\nNo two of these runs were asked the same.\n"
    adjusted = holm({str(k): p.found.permutation for k, p in enumerate(pairs) if p.found is not None})
    header = ["figure", "first", "second", "patients", "first", "second", "difference [95 % CI]"]
    header += ["permutation p", "Holm p", "Wilcoxon p", "McNemar p"]
    rows = [_cells(pair, adjusted.get(str(k), math.nan)) for k, pair in enumerate(pairs)]
    language = any("scoring" in run.results.scores.details for run in runs)
    used = f" Language models under the protocol `{protocol}`." if language else ""
    legend = (
        "Difference: first minus second, mean over the patients that both were scored on, with its bootstrap "
        "interval. Two-sided tests; Holm adjusts the permutation test over the "
        f"{plural(len(pairs), 'pair')} here.{used}"
    )
    return "\n\n".join([title, legend, markdown.table(header, rows, left=3), *_remarks(pairs, runs)]) + "\n"


def _cells(pair: Pair, adjusted: float) -> list[str]:
    found = pair.found
    if found is None:
        return [pair.figure, pair.first, pair.second, "0", *[NONE] * 7]
    bounds = "" if found.ci95 is None else f" [{found.ci95[0]:+.4f}, {found.ci95[1]:+.4f}]"
    left_out = len(found.only_first) + len(found.only_second)
    count = f"{found.n}" + (f" ({left_out} left out)" if left_out else "")
    return [
        *(pair.figure, pair.first, pair.second, count, f"{found.first:.4f}", f"{found.second:.4f}"),
        f"{found.difference:+.4f}{bounds}",
        *map(_p, (found.permutation, adjusted, found.wilcoxon, found.mcnemar)),
    ]


def _p(value: float | None) -> str:
    if value is None or math.isnan(value):
        return NONE
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def _remarks(pairs: Sequence[Pair], runs: Sequence[Compared]) -> list[str]:
    remarks = []
    tasks = {run.name: run.results.task for run in runs}
    if any({tasks.get(pair.first), tasks.get(pair.second)} in UNLIKE for pair in pairs):
        remarks.append(
            "A CNN's Dice is that of its 3-D mask, a language model's the mean over the slices that it was "
            "asked about: the same patients and tumours, not the same quantity."
        )
    for run in runs:
        seen = run.results.scores.seen_in_training
        if seen:
            remarks.append(
                f"NOT HELD OUT: {run.name} was trained on {len(seen)} of its cases ({some(seen)})."
            )
    paired = {name for pair in pairs for name in (pair.first, pair.second)}
    alone = [f"{run.name} ({run.results.task})" for run in runs if run.name not in paired]
    if alone:
        remarks.append(f"In no pair: {', '.join(alone)}.")
    names = list(dict.fromkeys(run.results.dataset["name"] for run in runs))
    if len(names) > 1:
        remarks.append(f"Datasets of different names ({', '.join(names)}): patients were matched by id.")
    return remarks
