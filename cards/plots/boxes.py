"""Box plots: how the patients of each run are spread, one panel per figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...eval.views.common import number
from ...zoo.errors import UsageError
from ..runs import Run
from .style import colour, dress, new_figure, plain, theme_of
from .values import board_of, by_patient, metrics_of, title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

GOLDEN = 0.618034
LEGEND = "line: median; diamond: mean; dot: a patient; cross: a patient without a prediction"


def box(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """Box plots of values per patient.

    A box spans the quartiles, with the median as a line and the mean as a diamond; whiskers reach the last
    patient within 1.5 times the box. Every patient is a dot, one without a prediction a cross at its penalty.

    Args:
        runs: of one task on the same data.
        metrics: names of figures per case; default: those of the study's figures for the task.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different data or definitions beside each other.

    Raises:
        RunError: the runs cannot be compared.
        UsageError: none of them has such a figure.
    """
    board = board_of(runs, mixed)
    names = metrics_of(runs, metrics)
    if not names:
        raise UsageError(f"{runs[0].source}: no figure per patient to draw")
    figure = new_figure(1.2 + 2.6 * len(names), 1.3 + 0.55 * len(board.runs), theme)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    said = [_panel(ax, list(board.runs.items()), name, theme) for ax, name in zip(panels, names, strict=True)]
    figure.supxlabel(LEGEND, fontsize=8, color=theme_of(theme).ink)
    figure.set_label(f"Box plots of {board.task} on {board.dataset}. " + " ".join(said))
    return figure


def _panel(ax: Axes, runs: Sequence[tuple[str, Run]], metric: str, theme: str) -> str:
    """Draw one figure of all runs; what is seen, in words."""
    said = []
    for row, (label, run) in enumerate(runs):
        values, failed = by_patient(run, metric)
        finite = np.isfinite(values)
        _row(ax, row, values[finite], failed[finite], theme)
        middle = number(float(np.median(values[finite]))) if finite.any() else "none"
        said.append(f"{label} median {middle} of {len(values)} patients")
        if not finite.all():
            said[-1] += f", {int((~finite).sum())} infinite and not drawn"
    ax.set_yticks(range(len(runs)), [plain(label) for label, _ in runs])
    ax.set_ylim(len(runs) - 0.4, -0.6)
    ax.set_xlabel(title_of(runs[0][1], metric))
    dress(ax, theme, "x")
    return f"{title_of(runs[0][1], metric)}: {'; '.join(said)}."


def _row(ax: Axes, row: int, values: NDArray[np.float64], failed: NDArray[np.bool_], theme: str) -> None:
    ink, tint = theme_of(theme).ink, colour(row)
    if not len(values):
        return
    ax.boxplot(
        values,
        positions=[row],
        orientation="horizontal",
        widths=0.5,
        showfliers=False,
        patch_artist=True,
        boxprops={"facecolor": tint, "alpha": 0.35, "edgecolor": ink},
        medianprops={"color": ink, "linewidth": 2},
        whiskerprops={"color": ink},
        capprops={"color": ink},
    )
    spread = ((np.arange(len(values)) * GOLDEN) % 1 - 0.5) * 0.36  # even, and the same every time
    place = row + spread
    ax.scatter(values[~failed], place[~failed], s=12, color=tint, edgecolors=ink, linewidths=0.4, zorder=3)
    ax.scatter(values[failed], place[failed], s=26, color=ink, marker="x", linewidths=1.4, zorder=4)
    ax.scatter([values.mean()], [row], s=42, marker="D", color=ink, edgecolors=tint, zorder=5)
