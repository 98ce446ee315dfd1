"""What the figures of a task are called, in which unit, which way is better, and by which definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..eval.names import DISTANCES, FOREGROUND, METRICS, OVERLAPS, split_name

REGIONS = {"wt": "whole tumour", "tc": "tumour core", "et": "enhancing tumour"}
HEADLINE = {
    "segment": ("dice", "hd95", "nsd"),
    "classify": ("balanced_accuracy", "macro_f1", "auc", "ece"),
    "grade": ("accuracy", "balanced_accuracy", "mcc", "auc"),
    "center": ("in_box", "euclid_p95"),
    "box": ("dice", "iou", "hd95"),
    "polygon": ("dice", "iou", "hd95"),
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
    base, part = _parts(task, name)
    title = _TITLES.get(base, base.replace("_", " ")) + (f", {REGIONS.get(part, part)}" if part else "")
    known = base in METRICS or base in _TITLES or base in ("accuracy", *_CLASS_FIGURES, "specificity")
    better = "" if base in _NEITHER or not known else "lower" if base in _LOWER else "higher"
    return Figure(name, title, _unit(task, base), better, _definition(task, base, options or {}))


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
