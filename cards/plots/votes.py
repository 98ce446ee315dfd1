"""Figures of answers and how sure they are: votes of slices per patient, and risk against coverage."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...eval.language.selective import risk_coverage as curve_of
from ...eval.records import FAILED, SCORED
from ...eval.views.common import number
from ...zoo.errors import UsageError
from ..runs import Run
from .style import colour, dress, legend, marker, new_figure, plain, theme_of
from .values import board_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Floats = NDArray[np.float64]


def gldr(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """A dot per patient at its share of votes for high grade, low grade beside high; hollow where wrong.

    Args:
        runs: of the task grade.
        metrics: not used.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different data beside each other.

    Raises:
        RunError: the runs cannot be compared.
        UsageError: a run holds no votes.
    """
    board = board_of(runs, mixed)
    for run in runs:
        if not any("gldr" in record.metrics for record in run.cases):
            raise UsageError(f"{run.source}: a run of {run.task!r} has no votes for a grade")
    figure = new_figure(6.4, 2.5 * len(board.runs) + 0.4, theme)
    panels = figure.subplots(len(board.runs), 1, squeeze=False)[:, 0]
    said = [
        _votes(ax, label, run, theme) for ax, (label, run) in zip(panels, board.runs.items(), strict=True)
    ]
    figure.set_label(f"Share of votes for high grade by patient on {board.dataset}. " + " ".join(said))
    return figure


def _votes(ax: Axes, label: str, run: Run, theme: str) -> str:
    left, said, middles = 0, [], []
    for index, grade in enumerate(("low", "high")):
        rows = [r.metrics for r in run.cases if r.reference == grade and "gldr" in r.metrics]
        known = sorted((m["gldr"], m.get("correct", 0.0)) for m in rows if not math.isnan(m["gldr"]))
        shares, right = np.array([s for s, _ in known]), np.array([c > 0 for _, c in known], bool)
        x, tint = left + np.arange(len(known)), colour(index)
        ax.scatter(x[right], shares[right], s=26, marker=marker(index), color=tint)
        ax.scatter(x[~right], shares[~right], s=26, marker=marker(index), facecolors="none", edgecolors=tint)
        middles.append((left + (len(known) - 1) / 2, f"{grade} grade ({len(known)})"))
        said.append(f"{grade} grade: {int(right.sum())} of {len(rows)} patients right")
        left += len(known) + 2
    ax.axhline(0.5, color=theme_of(theme).ink, lw=0.8, ls=":")
    ax.set_xticks([x for x, _ in middles], [text for _, text in middles])
    ax.set_ylim(-0.04, 1.04)
    ax.set_ylabel("share of votes\nfor high grade")
    ax.set_title(f"{plain(label)} (hollow: wrong)")
    dress(ax, theme, "y")
    return f"{label}: {'; '.join(said)}."


def risk_coverage(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """Share of wrong answers against the share that is answered, the surest first.

    Args:
        runs: that classify or grade.
        metrics: not used.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different data beside each other.

    Raises:
        RunError: the runs cannot be compared.
        UsageError: a run says nothing of how sure its answers are.
    """
    board = board_of(runs, mixed)
    figure = new_figure(5.2, 4.0, theme)
    ax = figure.subplots()
    said = []
    for index, (label, run) in enumerate(board.runs.items()):
        coverage, risk, area = risks(run)
        text = f"{plain(label)}, area {number(area)}"
        ax.plot(
            coverage,
            risk,
            color=colour(index),
            marker=marker(index),
            markevery=0.12,
            ms=6,
            lw=1.6,
            label=text,
        )
        said.append(f"{label}: area {number(area)}, {number(float(risk[-1]))} wrong if all are answered.")
    ax.set_xlim(0, 1.02)
    ax.set_ylim(bottom=-0.01)
    ax.set_xlabel("coverage: share answered, the surest first")
    ax.set_ylabel("risk: share of these that is wrong")
    dress(ax, theme)
    legend(ax, theme, loc="best")
    figure.set_label(f"Risk against coverage on {board.dataset}. " + " ".join(said))
    return figure


def risks(run: Run) -> tuple[Floats, Floats, float]:
    """(coverage, risk, area under it) by case or, of a language model, by patient.

    Raises:
        UsageError: the run has no confidences.
    """
    found = (run.details.get("selective") or {}).get("patient") or {}
    if found.get("coverage"):
        return np.array(found["coverage"]), np.array(found["risk"]), float(found["aurc"])
    if run.task == "classify":
        counted = [record for record in run.cases if record.status in (SCORED, FAILED)]
        wrong = [not record.metrics.get("correct", 0.0) for record in counted]
        sure = [max((record.answer.get("probabilities") or {"": 0.0}).values()) for record in counted]
        if counted:
            made = curve_of(wrong, sure)
            return made.coverage, made.risk, made.aurc
    raise UsageError(f"{run.source}: a run of {run.task!r} does not say how sure its answers are")
