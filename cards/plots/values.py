"""What figures are drawn from: values per patient, straight from the records of runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...eval import stats
from ...eval.records import FAILED
from ...zoo.errors import UsageError
from ..runs import Board, Run, comparison

BOXES = {
    "segment": ("dice", "hd95", "precision", "recall", "specificity"),
    "box": ("dice", "hd95", "precision", "recall", "specificity"),
    "polygon": ("dice", "hd95", "precision", "recall", "specificity"),
    "center": ("in_box", "shortest_p95", "euclid_p95"),
    "grade": ("gldr",),
    "classify": ("p_true",),
}
"""Task -> figures per patient that are worth a box plot."""
WORDS = {"gldr": "share of votes for high grade", "p_true": "probability of the truth", "correct": "right"}


def board_of(runs: Sequence[Run], mixed: bool) -> Board:
    """The runs of one comparison; raises as ``comparison``."""
    if not runs:
        raise UsageError("no runs to draw: give some with --runs")
    return comparison(runs, mixed)


def by_patient(run: Run, metric: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(value of each patient, whether it has a case without a prediction); undefined values are left out."""
    taken = [record for record in run.cases if not math.isnan(record.metrics.get(metric, math.nan))]
    patients = [record.patient for record in taken]
    values = stats.by_patient(patients, [record.metrics[metric] for record in taken])
    failed = {record.patient for record in taken if record.status == FAILED}
    return values, np.array([patient in failed for patient in dict.fromkeys(patients)], bool)


def metrics_of(runs: Sequence[Run], asked: Sequence[str]) -> tuple[str, ...]:
    """Figures to draw: those asked for, else those of the task, that some record has.

    Raises:
        UsageError: none of the runs has one that was asked for; the message lists what there is.
    """
    known = list(dict.fromkeys(name for run in runs for record in run.cases for name in record.metrics))
    for name in asked:
        if name not in known:
            raise UsageError(f"--metric: no case has {name!r}; there are {', '.join(known) or 'none'}")
    return tuple(asked) or tuple(n for n in BOXES.get(runs[0].task, known[:3]) if n in known)


def title_of(run: Run, metric: str) -> str:
    """Of a figure, with its unit."""
    about = run.figure(metric)
    return WORDS.get(metric, about.title) + (f", {about.unit}" if about.unit else "")
