"""Runs of one model on changed data (noise, a missing modality, another scanner) beside its plain run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..eval import stats
from ..eval.language.compare import compare
from ..eval.views.common import number
from ..zoo.errors import InputError, RunError
from .markdown import MEAN, Md, interval, mean_of, table
from .runs import Run

HEADER = ("data", "figure", MEAN, "n", "missing", Md("change on the same patients [95 % CI]"), "p")


def robustness_table(runs: Sequence[Run], changed: Sequence[Run]) -> str:
    """A row per changed run and deciding figure, with the paired change against the first run of its task.

    Raises:
        RunError: a changed run is of another task than every plain run, or of other definitions.
    """
    rows = []
    for run in changed:
        plain = next((one for one in runs if one.task == run.task), None)
        if plain is None:
            raise RunError(f"{run.source}: no other run is of its task {run.task!r} to compare it with")
        if plain.definition != run.definition:
            raise RunError(f"{run.source} and {plain.source} define their figures differently")
        for name in run.headline:
            about, figure = run.figure(name), run.figures[name]
            title = about.title + (f", {about.unit}" if about.unit else "")
            label = run.label if run.label != run.model else run.dataset
            rows.append(
                [
                    label,
                    title,
                    mean_of(figure),
                    str(figure.n),
                    str(figure.missing),
                    *_change(plain, run, name),
                ]
            )
    return (
        table(HEADER, rows, left=2) + "\n\np: paired permutation test, not adjusted for the number of rows."
    )


def _change(plain: Run, run: Run, name: str) -> tuple[str, str]:
    """(difference with its interval, p) over the patients that both have; dashes where there are none."""
    try:
        found = compare(_by_patient(run, name), _by_patient(plain, name))
    except InputError:
        return "", ""
    return Md(f"{interval(found.difference, found.ci95)}, n {found.n}"), number(found.permutation)


def _by_patient(run: Run, name: str) -> dict[str, float]:
    taken = [record for record in run.cases if not math.isnan(record.metrics.get(name, math.nan))]
    patients = [record.patient for record in taken]
    values = stats.by_patient(patients, [record.metrics[name] for record in taken])
    return dict(zip(dict.fromkeys(patients), values.tolist(), strict=True))
