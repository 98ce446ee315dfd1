"""Figures of classifications: who is taken for whom, and whether a stated probability can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...eval.views.common import number
from ...zoo.errors import UsageError
from ..runs import Run
from .style import colour, dress, legend, marker, new_figure, plain, theme_of
from .values import board_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERED = 12
"""Most classes whose counts are written into the cells."""
GRADES = ("low", "high")


def confusion(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """The confusion matrix of each run: rows what is true, columns what was answered, shaded by row.

    Args:
        runs: that classify, or grade.
        metrics: not used.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different data beside each other.

    Raises:
        RunError: the runs cannot be compared.
        UsageError: a run has no confusions.
    """
    board = board_of(runs, mixed)
    found = {label: confusions(run) for label, run in board.runs.items()}
    size = max(len(rows) for rows, _, _ in found.values())
    side = max(2.6, 0.42 * size + 1.8)
    figure = new_figure(side * len(found) + 0.6, side, theme)
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    said = [_matrix(ax, label, *found[label], theme) for ax, label in zip(panels, found, strict=True)]
    figure.set_label(f"Confusion matrices on {board.dataset}. " + " ".join(said))
    return figure


def confusions(run: Run) -> tuple[list[str], list[str], np.ndarray[Any, np.dtype[np.int64]]]:
    """(true classes, answers, counts) of a run.

    Raises:
        UsageError: it has none.
    """
    plain_counts = run.details.get("confusion")
    if isinstance(plain_counts, Mapping):
        answers = ["no answer" if name is None else str(name) for name in plain_counts["answer"]]
        counts = np.array(plain_counts["counts"], np.int64)
        asked = counts.any(axis=0) | (
            np.arange(len(answers)) < len(answers) - 1
        )  # "no answer" only if there is one
        return (
            list(map(str, plain_counts["reference"])),
            [a for a, k in zip(answers, asked, strict=True) if k],
            counts[:, asked],
        )
    if run.task == "grade":
        counts = np.zeros((2, 3), np.int64)
        for record in run.cases:
            if record.reference in GRADES and record.metrics:
                predicted = record.metrics.get("predicted", float("nan"))
                counts[
                    GRADES.index(record.reference), 2 if predicted not in (0.0, 1.0) else int(predicted)
                ] += 1
        columns = 3 if counts[:, 2].any() else 2
        return list(GRADES), [*GRADES, "no answer"][:columns], counts[:, :columns]
    raise UsageError(f"{run.source}: a run of {run.task!r} has no confusion matrix")


def _matrix(ax: Axes, label: str, rows: list[str], answers: list[str], counts: Any, theme: str) -> str:
    ink = theme_of(theme).ink
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    ax.pcolormesh(share, cmap="Blues", vmin=0, vmax=1, edgecolors=ink, linewidth=0.4)
    if max(counts.shape) <= NUMBERED:
        for (i, j), count in np.ndenumerate(counts):
            shade = "#ffffff" if share[i, j] > 0.55 else "#10243a"
            ax.text(j + 0.5, i + 0.5, str(count), ha="center", va="center", color=shade, fontsize=9)
    ax.set_xticks(np.arange(len(answers)) + 0.5, [plain(a, 18) for a in answers], rotation=35, ha="right")
    ax.set_yticks(np.arange(len(rows)) + 0.5, [plain(r, 18) for r in rows])
    ax.invert_yaxis()
    ax.set_xlabel("answered")
    ax.set_ylabel("true")
    ax.set_title(plain(label))
    dress(ax, theme, "none")
    right = sum(int(counts[i, answers.index(name)]) for i, name in enumerate(rows) if name in answers)
    return f"{label}: {right} of {int(counts.sum())} on the diagonal."


def reliability(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """Share of right answers against the probability that was stated, in bins; below it, how many cases.

    Args:
        runs: that classify.
        metrics: not used.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different data beside each other.

    Raises:
        RunError: the runs cannot be compared.
        UsageError: a run has no calibration.
    """
    board = board_of(runs, mixed)
    for run in runs:
        if not isinstance(run.details.get("calibration"), Mapping):
            raise UsageError(f"{run.source}: a run of {run.task!r} has no calibration to draw")
    figure = new_figure(4.6, 5.2, theme)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], ":", color=theme_of(theme).ink, lw=1.2, label="calibrated")
    said = [_bins(above, below, i, label, run) for i, (label, run) in enumerate(board.runs.items())]
    above.set_ylim(-0.02, 1.02)
    above.set_xlim(0, 1.02)
    above.set_ylabel("share answered rightly")
    below.set_ylabel("cases")
    below.set_xlabel("probability of the answer")
    for ax in (above, below):
        dress(ax, theme)
    legend(above, theme, loc="upper left")
    figure.set_label(f"Reliability diagram on {board.dataset}. " + " ".join(said))
    return figure


def _bins(above: Axes, below: Axes, index: int, label: str, run: Run) -> str:
    found = run.details["calibration"]
    curve = found["curve"]
    ece = run.figures.get("ece")
    shown = f", ECE {number(ece.mean)}" if ece else ""
    x, y = [b["confidence"] for b in curve], [b["accuracy"] for b in curve]
    above.plot(x, y, marker=marker(index), color=colour(index), lw=1.6, ms=6, label=plain(label) + shown)
    edges = [(b["low"] + b["high"]) / 2 for b in curve]
    width = (curve[0]["high"] - curve[0]["low"]) * 0.8 if curve else 0.05
    below.bar(edges, [b["n"] for b in curve], width=width, color=colour(index), alpha=0.55)
    mean = f"mean probability {number(found['confidence'])}, share right {number(found['accuracy'])}"
    return f"{label}: {mean}{shown}."
