"""What a person sees of a segmentation: overlap, distance and volume, and the worst cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from ..names import FOREGROUND, full_name
from ..records import FAILED, CaseRecord
from .common import WORST, figures_table, number

if TYPE_CHECKING:
    from ..results import Results

SHOWN = (
    "dice",
    "iou",
    "precision",
    "recall",
    "specificity",
    "hd95",
    "hd",
    "assd",
    "nsd",
    "lesion_dice",
    "lesion_f1",
)
SHOWN_VOLUMES = ("volume_ml", "volume_ref_ml", "volume_error_ml", "volume_error_rel")
SHOWN_OF_REGIONS = ("dice", "precision", "recall", "hd95", "nsd")
UNITS = {"hd95": "mm", "hd": "mm", "assd": "mm"}
TITLES = {
    "volume_ml": "volume, ml",
    "volume_ref_ml": "volume of the reference, ml",
    "volume_error_ml": "volume error, ml",
    "volume_error_rel": "volume error, relative",
}


def tables(results: Results) -> list[Table]:
    """Whole foreground in full; regions in short, unless one is all there is."""
    rows = [
        (_metric_title(metric, region, results), full_name(metric, region))
        for metric, region in _lines(results)
    ]
    return [figures_table(results, rows, "n/miss/empty")]


def _lines(results: Results) -> list[tuple[str, str]]:
    lines = [(metric, FOREGROUND) for metric in (*SHOWN, *SHOWN_VOLUMES)]
    regions = list(results.scores.regions)
    if len(regions) > 1:
        lines += [(metric, region) for region in regions for metric in SHOWN_OF_REGIONS]
    return lines


def _metric_title(metric: str, region: str, results: Results) -> str:
    if metric == "nsd":
        title = f"nsd at {results.options['tolerance_mm']:g} mm"
    else:
        title = TITLES.get(metric, metric) + (f", {UNITS[metric]}" if metric in UNITS else "")
    return title if region == FOREGROUND else f"{region}: {title}"


def policy(results: Results) -> list[str]:
    """By which rules the figures came about."""
    options = results.options
    return [
        "n counts patients, those without a prediction (miss) included: they score as failures. "
        f"Distances: {options['preset']}; empty masks: {options['empty']}."
    ]


def notes(results: Results) -> list[str]:
    """Undefined values and the worst cases."""
    return [*_undefined(results), *_worst(results.cases)]


def _undefined(results: Results) -> list[str]:
    shown = [f"{name} ({count})" for name, count in results.scores.undefined.items() if "_wt" not in name]
    return (
        [f"Patients left out of a mean because the value is undefined: {', '.join(shown)}"] if shown else []
    )


def _worst(records: Sequence[CaseRecord]) -> list[str]:
    """The lowest Dice among the scored cases; failures have their own lines."""
    scored = [r for r in records if r.status != FAILED and not math.isnan(r.metrics.get("dice", math.nan))]
    if len(scored) < 2:
        return []
    lowest = sorted(scored, key=lambda r: r.metrics["dice"])[:WORST]
    return ["Worst cases:", *(f"  {case_line(record)}" for record in lowest)]


def case_line(record: CaseRecord) -> str:
    """A scored case in one line."""
    parts = [f"dice {number(record.metrics['dice'])}", f"hd95 {number(record.metrics['hd95'])} mm"]
    if record.empty_prediction.get(FOREGROUND):
        parts.append("empty prediction")
    if record.empty_reference.get(FOREGROUND):
        parts.append("no tumour in the reference")
    return f"{record.case}: {', '.join(parts)}"
