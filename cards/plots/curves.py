"""Learning curves, from the ``curve.csv`` that a training leaves."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...eval.files import reason
from ...eval.views.common import number
from ...zoo.errors import RunError, UsageError
from .style import colour, dress, legend, marker, new_figure, plain, theme_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """A learning curve.

    Attributes:
        label: what to call it.
        steps: of the optimiser, at each line.
        loss: of training since the line before; NaN where it is not known.
        score: of validation; NaN where there was none.
    """

    label: str
    steps: tuple[float, ...]
    loss: tuple[float, ...]
    score: tuple[float, ...]


def read_curve(path: Path, label: str = "") -> Curve:
    """Read ``curve.csv`` (columns step, loss, score and more).

    Raises:
        RunError: it cannot be read, lacks a column, or holds something that is no number.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise RunError(f"{path}: cannot be read as a learning curve ({why})") from error
    if not rows or not {"step", "loss", "score"} <= set(rows[0]):
        raise RunError(f"{path}: no learning curve: expected lines with the columns step, loss and score")
    try:
        columns = [tuple(_number(row[name]) for row in rows) for name in ("step", "loss", "score")]
    except (ValueError, TypeError) as error:
        raise RunError(f"{path}: damaged: {error}") from error
    return Curve(label or path.parent.name or path.stem, *columns)


def _number(text: str | None) -> float:
    if text is None:
        raise ValueError("a line is cut short")
    return float(text) if text.strip() else math.nan


def curve(curves: Sequence[Curve], *, theme: str = "light") -> Figure:
    """Loss of training and score of validation, step by step; the best score is marked.

    Args:
        curves: from ``read_curve``.
        theme: "light", "dark" or "inline".

    Raises:
        UsageError: there are none.
    """
    if not curves:
        raise UsageError("no learning curve to draw: give curve.csv of a training with --curve")
    figure = new_figure(7.6, 3.2, theme)
    left, right = figure.subplots(1, 2)
    said = []
    for index, one in enumerate(curves):
        look = {"color": colour(index), "marker": marker(index), "markevery": 0.15, "ms": 5, "lw": 1.5}
        left.plot(one.steps, one.loss, label=plain(one.label), **look)
        right.plot(one.steps, one.score, **look)
        known = [
            (score, step) for score, step in zip(one.score, one.steps, strict=True) if not math.isnan(score)
        ]
        if known:
            best, step = max(known, key=lambda pair: (pair[0], -pair[1]))
            right.scatter([step], [best], s=90, facecolors="none", edgecolors=theme_of(theme).ink, zorder=4)
            said.append(f"{one.label}: best score {number(best)} at step {step:g}")
    for ax, title in ((left, "training loss"), (right, "validation score")):
        ax.set_xlabel("step")
        ax.set_title(title)
        dress(ax, theme)
    if len(curves) > 1:
        legend(left, theme, loc="upper right")
    figure.set_label("Learning curves. " + "; ".join(said))
    return figure
