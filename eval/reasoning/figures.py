"""From rows to figures: means over items by arm and section, and what the classification gains.

An item's value in an arm is the mean over images, paraphrases and repeats; questions without an answer count
0. The sections of a condition come from one answer, so intervals resample conditions, all items of a drawn
condition together. A gain is the difference of two arms on the same items.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import stats
from ..aggregate import Aggregate
from ..records import FAILED, SCORED, CaseRecord
from .lines import Item
from .questions import PREDICTED, TRUE, WITHOUT
from .rows import NO_REPLY, Row

MAIN = ("recall", "precision")
"""Figures that are given by section and as differences, too."""
GAINS = ((PREDICTED, WITHOUT), (TRUE, WITHOUT), (TRUE, PREDICTED))
"""Differences of arms: first minus second."""
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sheet:
    """The rows of one model, by item and arm.

    Attributes:
        items: of the benchmark.
        arms: that were asked.
        cells: (item id, arm) -> its rows; only where something was asked.
    """

    items: tuple[Item, ...]
    arms: tuple[str, ...]
    cells: Mapping[tuple[str, str], tuple[Row, ...]]

    @classmethod
    def of(cls, items: Sequence[Item], arms: Sequence[str], rows: Sequence[Row]) -> Sheet:
        """Rows gathered."""
        cells: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            cells.setdefault((row.item.id, row.asking.arm), []).append(row)
        return cls(tuple(items), tuple(arms), {key: tuple(some) for key, some in cells.items()})

    def metrics(self, item: Item) -> dict[str, float]:
        """``<figure>_<arm>`` -> value of an item."""
        out: dict[str, float] = {}
        for arm in self.arms:
            rows = self.cells.get((item.id, arm), ())
            each = [row.score.metrics() for row in rows]
            for name in each[0] if each else ():
                out[f"{name}_{arm}"] = stats.mean(np.array([one[name] for one in each]))
        return out

    def statuses(self, item: Item) -> dict[str, dict[str, int]]:
        """Arm -> status -> how many answers."""
        return {
            arm: dict(Counter(row.status for row in self.cells[item.id, arm]))
            for arm in self.arms
            if (item.id, arm) in self.cells
        }


def records_of(model: str, sheet: Sheet) -> tuple[CaseRecord, ...]:
    """A record per item, in the benchmark's order; failed is one without any answer."""
    return tuple(_record(model, item, sheet) for item in sheet.items)


def _record(model: str, item: Item, sheet: Sheet) -> CaseRecord:
    statuses = sheet.statuses(item)
    total = sum(sum(counts.values()) for counts in statuses.values())
    lost = sum(counts.get(NO_REPLY, 0) for counts in statuses.values())
    failed = lost == total
    return CaseRecord(
        model=model,
        case=item.id,
        patient=item.condition,
        status=FAILED if failed else SCORED,
        reason="no question about it was answered" if failed else "",
        metrics=sheet.metrics(item),
        facts={
            "section": item.section,
            "source": item.source,
            "verified_by": item.verified_by or "nobody",
        },
        reference=item.condition,
        answer=dict(statuses),
    )


def aggregates(sheet: Sheet, records: Sequence[CaseRecord], seed: int) -> dict[str, Aggregate]:
    """Every figure with its interval.

    Args:
        sheet: of one model.
        records: of its items, in the same order.
        seed: of the bootstrap.

    Returns:
        ``<figure>_<arm>``; ``<figure>_<arm>_minus_<arm>`` and ``<figure>_<arm>_<section>`` of recall and
        precision.
    """
    columns: dict[str, Array] = {}
    names = list(dict.fromkeys(name for record in records for name in record.metrics))
    for name in names:
        columns[name] = np.array([record.metrics.get(name, math.nan) for record in records], np.float64)
    arms: dict[str, str] = {name: name.rpartition("_")[2] for name in names}
    for metric in MAIN:
        for first, second in GAINS:
            if f"{metric}_{first}" in columns and f"{metric}_{second}" in columns:
                gain = f"{metric}_{first}_minus_{second}"
                columns[gain] = columns[f"{metric}_{first}"] - columns[f"{metric}_{second}"]
                arms[gain] = first
    sections = dict.fromkeys(item.section for item in sheet.items)
    for name in [name for name in names if name.rpartition("_")[0] in MAIN]:
        for section in sections:
            of_section = np.array([item.section == section for item in sheet.items])
            columns[f"{name}_{section}"] = np.where(of_section, columns[name], math.nan)
            arms[f"{name}_{section}"] = arms[name]
    columns = {name: values for name, values in columns.items() if not np.isnan(values).all()}
    intervals = _intervals(columns, [record.patient for record in records], seed)
    return {
        name: Aggregate(
            stats.mean(values[~np.isnan(values)]), intervals[name], *_sizes(sheet, values, arms[name])
        )
        for name, values in columns.items()
    }


def _intervals(
    columns: Mapping[str, Array], units: Sequence[str], seed: int
) -> dict[str, tuple[float, float] | None]:
    values = np.array(list(columns.values()), np.float64).T
    defined = ~np.isnan(values)
    filled = np.where(defined, values, 0.0)

    def means(weights: Array) -> Array:
        counted = weights @ defined
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(counted > 0, (weights @ filled) / counted, math.nan)

    return dict(zip(columns, stats.bootstrap_together(units, means, seed=seed), strict=True))


def _sizes(sheet: Sheet, values: Array, arm: str) -> tuple[int, int, int]:
    """Items; of them, those without any answer in the arm; of them, those of which nothing is said."""
    found = [
        sheet.cells.get((item.id, arm), ())
        for item, value in zip(sheet.items, values.tolist(), strict=True)
        if not math.isnan(value)
    ]
    missing = sum(all(row.answer is None for row in rows) for rows in found)
    silent = sum(all(row.answer is None or not row.score.sentences for row in rows) for rows in found)
    return len(found), missing, silent - missing


def status_counts(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, int]]]:
    """Arm -> section ("all" for all) -> status -> how many."""
    out: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        for section in ("all", row.item.section):
            counts = out.setdefault(row.asking.arm, {}).setdefault(section, {})
            counts[row.status] = counts.get(row.status, 0) + 1
    return out


def facts_of(rows: Sequence[Row]) -> dict[str, Any]:
    """How the answers came: how many, what had to be repaired."""
    answers = {id(row.answer): row for row in rows if row.answer is not None}
    asked = {row.asking.key for row in rows}
    repairs = Counter(repair for row in answers.values() for repair in row.repairs)
    return {
        "questions": len(asked),
        "answers": len(answers),
        "no_reply": len(asked) - len(answers),
        "repairs": dict(repairs.most_common(10)),
    }
