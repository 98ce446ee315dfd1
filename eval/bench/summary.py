"""From turns to figures: per patient and per slice, and ratios to the first model."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..energy.carbon import Grid
from ..energy.items import co2, sums
from ..energy.reading import Energy, total
from .turns import Item, Turn


def patients(item: Item) -> float:
    """How much of a patient an item is: all of one, or a slice's share of those due."""
    return item.slices / item.due if item.due else 1.0


def row(opened: Mapping[str, Any], turns: Sequence[Turn], peak: float | None, grid: Grid) -> dict[str, Any]:
    """All figures of one model.

    Args:
        opened: from ``Opened.to_dict``.
        turns: of this model.
        peak: operations per second of the machine in this model's runtime; None where not known.
        grid: that the machine hangs on.

    Returns:
        JSON values; ``docs/energy.md`` names them.
    """
    items = [item for turn in turns for item in turn.items]
    good = [item for item in items if not item.reason]
    failed = [item for item in items if item.reason]
    out: dict[str, Any] = {
        **opened,
        "items": len(good),
        "failed": len(failed),
        "reason": failed[0].reason if failed else "",
        "patients": round(sum(map(patients, good)), 6),
        "slices": sum(item.slices for item in good),
        "cases": sorted({item.case for item in good}),
    }
    return out if not good else {**out, **_times(good), **_energy(turns, grid), **_work(opened, good, peak)}


def _times(good: Sequence[Item]) -> dict[str, Any]:
    seconds, slices = sum(i.total_s for i in good), sum(i.slices for i in good)
    whole, cpu = sum(map(patients, good)), sum(i.cpu_s for i in good)
    stages = list(dict.fromkeys(stage for item in good for stage in item.seconds))
    return {
        "slices_per_patient": slices / whole if slices else None,
        "seconds_per_patient": _spread(good, lambda i: i.total_s / patients(i)),
        "seconds_per_slice": _spread(good, lambda i: i.total_s / i.slices) if slices else None,
        "stages_s_per_patient": {
            s: statistics.median(i.seconds.get(s, 0.0) / patients(i) for i in good) for s in stages
        },
        "patients_per_s": whole / seconds,
        "slices_per_s": slices / seconds if slices else None,
        "cpu_s_per_patient": cpu / whole,
        "cpu_s_per_slice": cpu / slices if slices else None,
    }


def _spread(good: Sequence[Item], of: Callable[[Item], float]) -> dict[str, float]:
    values = sorted(of(item) for item in good)
    return {
        "median": statistics.median(values),
        "p95": float(np.percentile(values, 95)),
        "least": values[0],
        "n": len(values),
    }


def _energy(turns: Sequence[Turn], grid: Grid) -> dict[str, Any]:
    """Over the turns in which nothing failed."""
    used = [turn for turn in turns if not turn.failed]
    whole, per_patient, per_slice = [], [], []
    for one, which in sums([turn.energy for turn in used]).values():
        items = [item for k in which for item in used[k].items]
        whole.append(one)
        per_patient.append(one.per(sum(map(patients, items))))
        per_slice.append(one.per(sum(item.slices for item in items)))
    every = total(per_slice)
    return {
        "energy_per_patient": total(per_patient).to_dict(),
        "energy_per_slice": every.to_dict(),
        "watts": total(whole).watts,
        "gco2e_per_1000_slices": co2(every, grid, 1000),
    }


def _work(opened: Mapping[str, Any], good: Sequence[Item], peak: float | None) -> dict[str, Any]:
    """Operations per second while inferring, and their share of what the machine can."""
    flops, runs = opened.get("flops_per_run"), opened.get("runs_per_volume")
    infer = [item.seconds["infer"] for item in good if "infer" in item.seconds]
    rate = flops * runs / statistics.median(infer) if flops and runs and infer else None
    share = rate / peak if rate and peak else None
    return {"flops_per_s": rate, "peak_flops_per_s": peak, "share_of_peak": share}


def ratios(rows: Mapping[str, dict[str, Any]], turns: Sequence[Turn]) -> dict[str, dict[str, float | None]]:
    """How many times as much as the first model each model takes.

    Times are compared round by round, on the same case one after the other, and the median of that is taken:
    a machine that is busy for a while is busy for all. CPU time and energy are compared as sums.

    Args:
        rows: name -> figures, the first model first.
        turns: of all models.
    """
    first = next(iter(rows))
    return {name: _beside(rows, name, first, turns) for name in rows}


def _beside(
    rows: Mapping[str, Mapping[str, Any]], name: str, first: str, turns: Sequence[Turn]
) -> dict[str, float | None]:
    ours, theirs = rows[name], rows[first]
    sliced = ours.get("slices") and theirs.get("slices")
    per_slice = _by_round(turns, name, first, lambda i: i.total_s / i.slices) if sliced else None
    return {
        "seconds_per_patient": _by_round(turns, name, first, lambda i: i.total_s / patients(i)),
        "seconds_per_slice": per_slice,
        "cpu_s_per_patient": _over(ours.get("cpu_s_per_patient"), theirs.get("cpu_s_per_patient")),
        "joules_per_patient": _joules(ours, theirs, "energy_per_patient"),
        "joules_per_slice": _joules(ours, theirs, "energy_per_slice"),
    }


def _by_round(turns: Sequence[Turn], name: str, first: str, of: Callable[[Item], float]) -> float | None:
    means = {
        who: {t.round: statistics.fmean(map(of, t.items)) for t in turns if t.model == who and not t.failed}
        for who in (name, first)
    }
    common = [means[name][k] / means[first][k] for k in means[name] if k in means[first]]
    return statistics.median(common) if common else None


def _over(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def _joules(ours: Mapping[str, Any], theirs: Mapping[str, Any], key: str) -> float | None:
    """Only figures by one method are compared."""
    if key not in ours or key not in theirs:
        return None
    mine, other = Energy.from_dict(ours[key]), Energy.from_dict(theirs[key])
    return _over(mine.joules, other.joules) if mine.method == other.method else None
