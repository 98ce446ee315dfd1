"""Per-case records in, one figure per metric out: nothing is dropped, misses count as failures.

The policy for a case without a prediction (it could not be read, or the model could not be run on it):
overlaps, NSD included, are 0 and distances are the diagonal of the case's image, whatever the metric's own
formula says; the predicted volume is 0. Where not even the image's size is known, the distance is the
largest diagonal among the run's other cases, or 374 mm (the constant of the BraTS challenges since 2023)
if there is none. A preset's own penalty replaces the diagonal, and so does a number given as ``empty``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import stats
from .names import DISTANCES, FOREGROUND, VOLUMES, metric_names, split_name
from .options import ScoreOptions
from .presets import get_preset
from .records import FAILED, CaseRecord

UNKNOWN_DIAGONAL_MM = 374.0


@dataclass(frozen=True)
class Aggregate:
    """One metric over all patients.

    Attributes:
        mean: over patients (a statistic that is no mean, like AUC, stands here too).
        ci95: its 95 % bootstrap interval over patients; None with fewer than 2, or with infinite values.
        n: patients (cases, where classes are scored), those without a prediction included.
        missing: of them, with a case that has no prediction; they count as failures.
        empty: of them, with a case whose prediction holds nothing of this region.
    """

    mean: float
    ci95: tuple[float, float] | None
    n: int
    missing: int
    empty: int


@dataclass(frozen=True)
class Summary:
    """All metrics of one model over one set of cases.

    Attributes:
        aggregate: metric name -> figure.
        undefined: metric name -> patients without a defined value, left out of its mean (only under the
            policies "nan" and "peer", and for relative volumes of an empty reference); absent when 0.
        empties: region -> cases with an empty prediction, an empty reference, both.
        records: the cases as they were counted, in order; failed ones with the values of the policy.
        regions: region -> the reference's label values that it is made of.
        details: what only this task has to say, JSON values by field name of the results file.
    """

    aggregate: dict[str, Aggregate]
    undefined: dict[str, int]
    empties: dict[str, dict[str, int]]
    records: tuple[CaseRecord, ...]
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def summarise(
    records: Sequence[CaseRecord],
    regions: Sequence[str],
    *,
    options: ScoreOptions | None = None,
    seed: int = 0,
) -> Summary:
    """Reduce the records of one model to a figure per metric.

    Args:
        records: one per case, in the dataset's order.
        regions: what the model segments, e.g. ("wt",).
        options: of the run; preset and empty policy decide what a miss costs (see the module).
        seed: of the bootstrap.

    Returns:
        The summary. The same records, regions and seed give the same bytes.
    """
    counted = count_misses(records, regions, options or ScoreOptions())
    patients = [record.patient for record in counted]
    aggregates, undefined = {}, {}
    for name in metric_names(regions):
        values = stats.by_patient(patients, [record.metrics.get(name, math.nan) for record in counted])
        aggregates[name] = _aggregate(name, values, counted, seed)
        absent = sum(map(math.isnan, values.tolist()))
        if absent:
            undefined[name] = absent
    empties = {region: _empties(counted, region) for region in (FOREGROUND, *regions)}
    return Summary(aggregates, undefined, empties, tuple(counted))


def count_misses(
    records: Sequence[CaseRecord], regions: Sequence[str], options: ScoreOptions
) -> list[CaseRecord]:
    """Give every failed record the values that the policy says; the others stay as they are."""
    largest = max((record.diagonal_mm for record in records), default=0.0) or UNKNOWN_DIAGONAL_MM
    fixed = options.empty if isinstance(options.empty, float) else get_preset(options.preset).penalty_mm
    out = []
    for record in records:
        if record.status == FAILED:
            penalty = fixed if fixed is not None else record.diagonal_mm or largest
            record = replace(record, metrics=_missed(record, regions, penalty))
        out.append(record)
    return out


def _missed(record: CaseRecord, regions: Sequence[str], penalty: float) -> dict[str, float]:
    return {name: _missed_value(name, record, penalty) for name in metric_names(regions)}


def _missed_value(name: str, record: CaseRecord, penalty: float) -> float:
    base, region = split_name(name)
    if base in DISTANCES:
        return penalty
    if base not in VOLUMES:
        return 0.0
    reference = record.reference_ml.get(region, math.nan)
    relative = -1.0 if reference > 0 else math.nan
    return {
        "volume_ml": 0.0,
        "volume_ref_ml": reference,
        "volume_error_ml": -reference,
        "volume_abs_error_ml": reference,
        "volume_error_rel": relative,
    }[base]


def _aggregate(name: str, values: stats.Array, records: Sequence[CaseRecord], seed: int) -> Aggregate:
    _, region = split_name(name)
    defined = values[[not math.isnan(v) for v in values.tolist()]]
    return Aggregate(
        mean=stats.mean(values),
        ci95=stats.bootstrap_ci(defined, seed=seed),
        n=len(values),
        missing=len({r.patient for r in records if r.status == FAILED}),
        empty=len({r.patient for r in records if r.empty_prediction.get(region, False)}),
    )


def _empties(records: Sequence[CaseRecord], region: str) -> dict[str, int]:
    pairs = [(r.empty_prediction.get(region, False), r.empty_reference.get(region, False)) for r in records]
    return {
        "prediction": sum(p for p, _ in pairs),
        "reference": sum(r for _, r in pairs),
        "both": sum(p and r for p, r in pairs),
    }
