"""Figures of a run by subgroup of its patients: tumour size, grade, site, true class, where known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..eval import stats
from ..eval.records import FAILED, NO_REFERENCE, CaseRecord
from .runs import Run

SIZES_ML = (30.0, 100.0)
"""Volumes of the reference that part small, medium and large tumours: fixed, so that cards compare."""
SIZE = "tumour size"
PLACES = ("site", "collection", "scanner", "vendor", "sex", "age_group")
"""Facts of a case by which patients are told apart."""
PER_CASE = {
    "segment": ("dice", "hd95", "nsd"),
    "classify": ("correct", "p_true"),
    "grade": ("correct",),
    "center": ("in_box", "euclid_p95"),
    "box": ("dice", "hd95"),
    "polygon": ("dice", "hd95"),
}
"""Task -> figures per case that subgroups are shown by."""


@dataclass(frozen=True)
class Cell:
    """One figure of one subgroup: mean over patients, its 95 % interval (None below 2 patients)."""

    mean: float
    ci95: tuple[float, float] | None


@dataclass(frozen=True)
class Group:
    """A subgroup.

    Attributes:
        by: what tells it apart: "tumour size", "grade", "site"...
        name: "below 30 ml", "high"...
        n: patients, those without a prediction included.
        missing: of them, without a prediction.
        cells: name of the figure -> what it is here.
    """

    by: str
    name: str
    n: int
    missing: int
    cells: dict[str, Cell]


def subgroups(run: Run) -> list[Group]:
    """All subgroups of a run that part its patients in two or more.

    A patient without the fact makes a group "not stated" of its own, so that every row of a fact adds up to
    all patients. The bootstrap is seeded by the run's own seed.
    """
    records = [record for record in run.cases if record.status != NO_REFERENCE and record.metrics]
    names = _figures(run, records)
    groups: list[Group] = []
    for by, of in _facts(run, records):
        parts = {name: [r for r in records if of(r) == name] for name in _order(by, map(of, records))}
        if len(parts) > 1 and names:
            seed = int(run.results.options.get("seed", 0))
            groups += [_group(by, name, some, names, seed) for name, some in parts.items()]
    return groups


def _figures(run: Run, records: Sequence[CaseRecord]) -> tuple[str, ...]:
    known = {name for record in records for name in record.metrics}
    wanted = PER_CASE.get(run.task, run.headline)
    return tuple(name for name in wanted if name in known)


Fact = Callable[[CaseRecord], str]


def _facts(run: Run, records: Sequence[CaseRecord]) -> list[tuple[str, Fact]]:
    """What is known by which patients can be told apart."""
    found: list[tuple[str, Fact]] = []
    if any(not math.isnan(_volume(record)) for record in records):
        found.append((SIZE, _size))
    truth = {"grade": "grade", "classify": str(run.details.get("target") or "class")}.get(run.task)
    if truth:
        found.append((truth, lambda record: record.reference))
    for fact in ("grade", *PLACES):
        if fact != truth and any(record.facts.get(fact) for record in records):
            found.append((fact, lambda record, fact=fact: record.facts.get(fact, "")))  # type: ignore[misc]
    return found


def _volume(record: CaseRecord) -> float:
    found = record.metrics.get("volume_ref_ml", math.nan)
    return record.reference_ml.get("foreground", math.nan) if math.isnan(found) else found


def _size(record: CaseRecord) -> str:
    volume = _volume(record)
    if math.isnan(volume):
        return ""
    low, high = SIZES_ML
    if volume == 0:
        return "no tumour"
    return (
        f"below {low:g} ml"
        if volume < low
        else f"{low:g} to {high:g} ml"
        if volume < high
        else f"{high:g} ml or more"
    )


def _order(by: str, names: Sequence[str] | map[str]) -> list[str]:
    """Sizes from small to large, everything else by name, what is not known last."""
    low, high = SIZES_ML
    sizes = ["no tumour", f"below {low:g} ml", f"{low:g} to {high:g} ml", f"{high:g} ml or more"]
    there = set(names)
    known = [name for name in sizes if name in there] if by == SIZE else sorted(there - {""})
    return [*known, *([""] if "" in there else [])]


def _group(by: str, name: str, some: Sequence[CaseRecord], names: Sequence[str], seed: int) -> Group:
    patients = [record.patient for record in some]
    cells = {}
    for figure in names:
        values = stats.by_patient(patients, [record.metrics.get(figure, math.nan) for record in some])
        defined = values[[not math.isnan(value) for value in values.tolist()]]
        cells[figure] = Cell(stats.mean(values), stats.bootstrap_ci(defined, seed=seed))
    missing = len({record.patient for record in some if record.status == FAILED})
    return Group(by, name, len(set(patients)), missing, cells)
