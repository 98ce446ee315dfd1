"""Accuracy against what it costs: energy per axial slice where it was measured, else time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...eval.views.common import number
from ...zoo.errors import UsageError
from ..markdown import rounded
from ..runs import Run
from .style import colour, dress, marker, new_figure, plain, theme_of
from .values import board_of, title_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """One run: what it costs, what it reaches.

    Attributes:
        label: of the run.
        cost, low, high: joules or milliseconds per axial slice, and their band.
        value: of the figure.
        ci95: of the value; None where there is none.
        measured: whether a sensor or clock stands behind the cost.
    """

    label: str
    cost: float
    low: float
    high: float
    value: float
    ci95: tuple[float, float] | None
    measured: bool


def pareto(
    runs: Sequence[Run], metrics: Sequence[str] = (), *, theme: str = "light", mixed: bool = False
) -> Figure:
    """A dot per run with the intervals of both axes, and the front of those that none beats on both.

    Hollow dots are estimates. If no run has a figure of energy, time per slice takes its place; runs without
    the cost that is drawn are named below, never drawn at 0.

    Args:
        runs: of one task on the same data.
        metrics: the figure to draw, one; default: the deciding one of the task.
        theme: "light", "dark" or "inline".
        mixed: draw runs of different data or definitions beside each other.

    Raises:
        RunError: the runs cannot be compared.
        UsageError: none of them has such a figure, or any cost.
    """
    board = board_of(runs, mixed)
    first = runs[0]
    name = metrics[0] if metrics else next(iter(first.headline), "")
    by_energy = any(run.energy is not None and run.energy.per_slice for run in runs)
    known = {label: _point(label, run, name, by_energy) for label, run in board.runs.items()}
    points = [point for point in known.values() if point is not None]
    if not points:
        raise UsageError(f"no run has both the figure {name!r} and a time or an energy to draw it against")
    lower = first.figure(name).better == "lower"
    figure = new_figure(6.2, 4.2, theme)
    ax = figure.subplots()
    for index, point in enumerate(points):
        _dot(ax, index, point, theme)
    best = front(points, lower)
    ax.plot([p.cost for p in best], [p.value for p in best], "--", color=theme_of(theme).ink, lw=1, zorder=1)
    cost = "J" if by_energy else "ms"
    _axes(ax, cost, first.unit, title_of(first, name), points, theme)
    absent = [label for label, point in known.items() if point is None]
    _label(figure, board.dataset, title_of(first, name), f"{cost} per {first.unit}", points, absent, theme)
    return figure


def front(points: Sequence[Point], lower: bool = False) -> list[Point]:
    """The points that no other beats in cost and value, cheapest first.

    Example:
        >>> make = lambda cost, value: Point(f"{cost}", cost, cost, cost, value, None, True)
        >>> [p.label for p in front([make(2, 0.9), make(1, 0.5), make(3, 0.8)])]
        ['1', '2']
    """
    sign = -1.0 if lower else 1.0
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -sign * p.value)):
        if not best or sign * point.value > sign * best[-1].value:
            best.append(point)
    return best


def _point(label: str, run: Run, name: str, by_energy: bool) -> Point | None:
    found = run.figures.get(name)
    if found is None or not math.isfinite(found.mean):
        return None
    energy = run.energy
    if by_energy:
        if energy is None or not energy.per_slice:
            return None
        low, high = energy.low_per_slice or 0.0, energy.high_per_slice or energy.per_slice
        return Point(label, energy.per_slice, low, high, found.mean, found.ci95, energy.measured)
    if not run.seconds_per_slice:
        return None
    cost = 1000 * run.seconds_per_slice
    return Point(label, cost, cost, cost, found.mean, found.ci95, True)


def _dot(ax: Axes, index: int, point: Point, theme: str) -> None:
    ink, tint = theme_of(theme).ink, colour(index)
    low, high = point.ci95 or (point.value, point.value)
    ax.errorbar(
        [point.cost],
        [point.value],
        xerr=[[point.cost - point.low], [point.high - point.cost]],
        yerr=[[max(0.0, point.value - low)], [max(0.0, high - point.value)]],
        fmt=marker(index),
        ms=8,
        color=tint,
        markerfacecolor=tint if point.measured else "none",
        markeredgecolor=tint,
        markeredgewidth=1.6,
        lw=1.2,
        capsize=3,
        zorder=3,
    )
    ax.annotate(
        plain(point.label), (point.cost, point.value), xytext=(9, 6), textcoords="offset points",
        color=ink, fontsize=9,
    )  # fmt: skip


def _axes(ax: Axes, cost: str, unit: str, title: str, points: Sequence[Point], theme: str) -> None:
    costs = [p.cost for p in points]
    if min(costs) > 0:
        ax.set_xscale("log")
    ax.margins(x=0.25, y=0.15)
    words = f"energy, J per {unit}" if cost == "J" else f"time, ms per {unit}"
    ax.set_xlabel(f"{words} (log)" if min(costs) > 0 else words)
    ax.set_ylabel(title)
    dress(ax, theme)


def _label(
    figure: Figure,
    data: str,
    title: str,
    cost: str,
    points: Sequence[Point],
    absent: Sequence[str],
    theme: str,
) -> None:
    words = [
        f"{p.label}: {number(p.value)} at {rounded(p.cost)} {cost}" + ("" if p.measured else " (estimated)")
        for p in points
    ]
    missing = f"Not measured, so not drawn: {', '.join(absent)}." if absent else ""
    hollow = "Hollow: estimated. " if any(not p.measured for p in points) else ""
    figure.set_label(f"{title} against cost on {data}. {'; '.join(words)}. {missing}".strip())
    if missing or hollow:
        note = plain(hollow + missing, 110)
        figure.supxlabel(note, fontsize=8, color=theme_of(theme).ink)
