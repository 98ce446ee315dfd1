"""What the figures of a task are called, in which unit, which way is better, and by which definition."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..eval.names import DISTANCES, FOREGROUND, METRICS, OVERLAPS, split_name

REASON = "reason"
ARMS = {
    "predicted": "told a classifier's finding",
    "true": "told the true finding",
    "without": "told nothing",
}
"""Arms of the task reason: what the prompt says about the finding."""
REASONED = {
    "recall": "share of key points that are stated; 0 without an answer",
    "precision": "share of sentences that the gold bears out; 0 without an answer",
    "contradictions": "key points that are denied",
    "forbidden": "forbidden points that are stated",
    "rouge_l": "ROUGE-L with the gold: words in common, in order",
    "chrf": "chrF with the gold: characters in common",
}
_ARM = re.compile(
    r"(?P<base>.+?)_(?P<arm>predicted|true|without)(?:_minus_(?P<second>[a-z]+)|_(?P<section>.+))?"
)
REGIONS = {"wt": "whole tumour", "tc": "tumour core", "et": "enhancing tumour"}
HEADLINE = {
    "segment": ("dice", "hd95", "nsd"),
    "classify": ("balanced_accuracy", "macro_f1", "auc", "ece"),
    "grade": ("accuracy", "balanced_accuracy", "mcc", "auc"),
    "center": ("in_box", "euclid_p95"),
    "box": ("dice", "iou", "hd95"),
    "polygon": ("dice", "iou", "hd95"),
    REASON: tuple(
        f"{base}_{arm}" for base in ("recall", "precision") for arm in ("predicted", "true", "without")
    ),
}
"""Task -> the figures of a leaderboard, the deciding one first."""
_TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "hd95": "HD95",
    "hd": "HD",
    "assd": "ASSD",
    "nsd": "NSD",
    "lesion_dice": "lesion-wise Dice",
    "lesion_f1": "lesion F1",
    "volume_ml": "volume",
    "volume_ref_ml": "volume of the reference",
    "volume_error_ml": "volume error",
    "volume_abs_error_ml": "absolute volume error",
    "volume_error_rel": "relative volume error",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mcc": "MCC",
    "auc": "AUC",
    "ece": "ECE",
    "nll": "NLL",
    "brier": "Brier score",
    "f1": "F1",
    "in_box": "centre in the box",
    "shortest_p95": "distance to the box, 95th percentile",
    "euclid_p95": "distance to the middle, 95th percentile",
    "shortest_p95_mm": "distance to the box, 95th percentile",
    "euclid_p95_mm": "distance to the middle, 95th percentile",
    "distance": "distance",
    "distance_mm": "distance",
}
_LOWER = {
    *DISTANCES,
    "volume_abs_error_ml",
    "ece",
    "nll",
    "brier",
    "shortest_p95",
    "euclid_p95",
    "shortest_p95_mm",
    "euclid_p95_mm",
    "distance",
    "distance_mm",
}
_NEITHER = {"volume_ml", "volume_ref_ml", "volume_error_ml", "volume_error_rel"}
_CLASS_FIGURES = ("recall", "precision", "f1", "auc")


@dataclass(frozen=True)
class Figure:
    """A figure of the results file, as it is shown.

    Attributes:
        name: in the file, e.g. "hd95_et".
        title: for people, e.g. "HD95, enhancing tumour".
        unit: "mm", "ml", "px", "nats" or "" for a number without one.
        better: "higher", "lower", or "" where neither end is good.
        definition: how it is computed, in a sentence; "" where the title says it.
    """

    name: str
    title: str
    unit: str
    better: str
    definition: str


def figure(task: str, name: str, options: Mapping[str, Any] | None = None) -> Figure:
    """All that is said about one figure.

    Args:
        task: of the run.
        name: of the figure in its results file. A name that is not ours (of a task of one's own) is shown as
            it is, without a direction.
        options: of the run; preset, empty policy and tolerance are part of the definition.

    Example:
        >>> f = figure("segment", "hd95_et", {"preset": "medpy", "empty": "penalty"})
        >>> f.title, f.unit, f.better, f.definition
        ('HD95, enhancing tumour', 'mm', 'lower', 'preset medpy, empty masks: penalty')
    """
    if task == REASON and (found := _ARM.fullmatch(name)):
        return _reasoned(name, found)
    base, part = _parts(task, name)
    title = _TITLES.get(base, base.replace("_", " ")) + (f", {REGIONS.get(part, part)}" if part else "")
    known = base in METRICS or base in _TITLES or base in ("accuracy", *_CLASS_FIGURES, "specificity")
    better = "" if base in _NEITHER or not known else "lower" if base in _LOWER else "higher"
    return Figure(name, title, _unit(task, base), better, _definition(task, base, options or {}))


def _reasoned(name: str, found: re.Match[str]) -> Figure:
    """Of the task reason: which figure, in which arm, of which section, or how much more than in another arm.

    Example:
        >>> figure("reason", "recall_true_causes").title, figure("reason", "recall_true_minus_without").title
        ('recall, told the true finding: causes', 'gain of recall: true minus without')
    """
    base, arm, second, section = found.group("base", "arm", "second", "section")
    words = {"rouge_l": "ROUGE-L", "chrf": "chrF"}.get(base, base.replace("_", " "))
    title = f"{words}, {ARMS[arm]}" + (f": {section}" if section else "")
    if second:
        title = f"gain of {words}: {arm} minus {second}"
    better = "lower" if base in ("contradictions", "forbidden") else "higher"
    return Figure(name, title, "", better, REASONED.get(base, "as its scorer says"))


def arm_of(name: str) -> tuple[str, str, str] | None:
    """(figure, arm, section) of a figure of the task reason; None for gains and anything else.

    Example:
        >>> arm_of("recall_true_follow-up"), arm_of("rouge_l_without"), arm_of("recall_true_minus_without")
        (('recall', 'true', 'follow-up'), ('rouge_l', 'without', ''), None)
    """
    found = _ARM.fullmatch(name)
    return None if found is None or found["second"] else (found["base"], found["arm"], found["section"] or "")


def headline(task: str, names: Mapping[str, object]) -> tuple[str, ...]:
    """The figures that a leaderboard of ``task`` shows: those of ``HEADLINE`` that are among ``names``.

    Example:
        >>> headline("segment", {"iou": 1, "dice": 1}), headline("side", {"accuracy": 1, "x": 2})
        (('dice',), ('accuracy', 'x'))
    """
    known = tuple(name for name in HEADLINE.get(task, ()) if name in names)
    return known or tuple(names)[:3]


def _parts(task: str, name: str) -> tuple[str, str]:
    """(figure, region or class it is about)."""
    if task == "segment" and any(name == m or name.startswith(f"{m}_") for m in METRICS):
        base, region = split_name(name)
        return base, "" if region == FOREGROUND else region
    if task == "classify":
        for base in _CLASS_FIGURES:
            if name.startswith(f"{base}_"):
                return base, name[len(base) + 1 :]
    return name, ""


def _unit(task: str, base: str) -> str:
    if base.endswith("_mm") or (base in DISTANCES and task == "segment"):
        return "mm"
    if base.endswith("_ml"):
        return "ml"
    if base in DISTANCES or base in ("shortest_p95", "euclid_p95", "distance"):
        return "px"
    return "nats" if base == "nll" else ""


def _definition(task: str, base: str, options: Mapping[str, Any]) -> str:
    empty = f"empty masks: {options['empty']}" if "empty" in options else ""
    if task == "segment" and base in DISTANCES:
        return ", ".join(filter(None, (f"preset {options.get('preset', 'not stated')}", empty)))
    if base == "nsd" and "tolerance_mm" in options:
        return f"tolerance {options['tolerance_mm']:g} mm, {empty}"
    if base in (*OVERLAPS, *DISTANCES) and task in ("segment", "box", "polygon"):
        return empty
    if base == "ece":
        return "15 equally wide bins"
    return ""
