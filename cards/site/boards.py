"""A leaderboard: rows with intervals, the order they start in, and how sure the order of neighbours is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup

from ...eval.aggregate import Aggregate
from ...eval.language.compare import Comparison, compare, holm
from ...eval.language.published import SOURCE
from ...eval.pairs import Compared, column
from ...eval.results import Results, Scores
from ...eval.views.common import number
from ...zoo.errors import InputError, UsageError
from ..figures import Figure, figure
from ..published import published_rows
from ..result_sections import unit_of
from ..runs import Board, Run
from .drawing import Dot, interval, pareto

ALPHA = 0.05
NONE = "–"  # noqa: RUF001
EXTRA = {"segment": ("dice_tc", "dice_et")}
"""Task -> figures that a board of ours shows beside the headline ones."""
TASKS = {
    "segment": "Masks",
    "classify": "Classes",
    "grade": "Grades, asked in words",
    "center": "Centres, asked in words",
    "box": "Boxes, asked in words",
    "polygon": "Polygons, asked in words",
    "reason": "Reasoning, against gold key points",
}


@dataclass(frozen=True)
class Cell:
    """A figure of a row: text, drawing, and the number that sorting goes by (None: last)."""

    text: str
    drawing: Markup
    value: float | None


@dataclass(frozen=True)
class Mark:
    """How a row differs from the one below it."""

    text: str
    title: str
    differs: bool


@dataclass(frozen=True)
class Row:
    """A run, or a trivial answer on the same cases."""

    label: str
    href: str
    trivial: bool
    counts: str
    cells: tuple[Cell, ...]
    seconds: float | None
    joules: str
    joules_value: float | None
    mark: Mark | None = None
    below: str = ""
    published: bool = False


@dataclass(frozen=True)
class BoardView:
    """One table of the first page.

    ``source`` is that of published rows, "" where there are none; ``unit`` is what time and energy are given
    for, ``people`` what intervals and tests are over.
    """

    anchor: str
    task: str
    title: str
    dataset: str
    figures: tuple[Figure, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    plot: Markup
    plot_note: str
    source: str = ""
    unit: str = "slice"
    people: str = "patients"


@dataclass(frozen=True)
class _Entry:
    label: str
    run: Run
    scores: Scores
    trivial: bool

    def compared(self) -> Compared:
        results: Results = self.run.results
        own = results if not self.trivial else replace(results, scores=self.scores)
        return Compared(self.label, str(self.run.source), own)


def board_view(board: Board, anchor: str, hrefs: Mapping[str, str]) -> BoardView:
    """The table of a board.

    Args:
        board: runs that can be compared.
        anchor: its name in addresses.
        hrefs: label of a run -> its page.
    """
    names = _columns(board)
    main = names[0] if names else ""
    options = next(iter(board.runs.values())).results.options
    figures = tuple(figure(board.task, name, options) for name in names)
    lower = bool(figures) and figures[0].better == "lower"
    entries = sorted(_entries(board), key=lambda e: _rank(e.scores.aggregate.get(main), lower))
    marks, problems = _marks(entries, board)
    scales = {name: _scale([e.scores.aggregate.get(name) for e in entries]) for name in names}
    rows = [_row(entry, names, scales, hrefs) for entry in entries]
    rows = [
        replace(row, mark=mark, below=below.label if mark else "")
        for row, mark, below in zip(rows, [*marks, None], [*rows[1:], rows[-1]], strict=True)
    ]
    published = _published(board, names)
    rows += published
    source = SOURCE if published else ""
    plot, plot_note = _plot(entries, figures[0] if figures else None, hrefs, lower)
    notes = (*board.mixed, *problems, *(run.held_out for run in board.runs.values() if run.held_out))
    title = TASKS.get(board.task, board.task)
    first = next(iter(board.runs.values()))
    told = (notes, plot, plot_note, source, first.unit.rpartition(" ")[2], unit_of(first, "patient") + "s")
    return BoardView(anchor, board.task, title, board.dataset, figures, tuple(rows), *told)


def ranked(board: Board) -> list[str]:
    """Labels of the runs of a board, best first."""
    first = next(iter(board.runs.values()))
    main = first.headline[0] if first.headline else ""
    lower = bool(main) and first.figure(main).better == "lower"
    return sorted(board.runs, key=lambda label: _rank(board.runs[label].figures.get(main), lower))


def _columns(board: Board) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for run in board.runs.values():
        found.update(dict.fromkeys(run.headline))
        found.update(dict.fromkeys(name for name in EXTRA.get(board.task, ()) if name in run.figures))
    first = next(iter(board.runs.values())).headline
    return tuple(dict.fromkeys((*first, *found)))


def _entries(board: Board) -> list[_Entry]:
    out = [_Entry(label, run, run.scores, False) for label, run in board.runs.items()]
    asked = {run.model for run in board.runs.values()}
    trivial: dict[str, _Entry] = {}
    for run in board.runs.values():
        for name, scores in run.baselines.items():
            if name not in asked:
                label = name.removeprefix("baseline:")
                trivial.setdefault(name, _Entry(f"trivial: {label}", run, scores, True))
    return out + list(trivial.values())


def _rank(a: Aggregate | None, lower: bool) -> tuple[bool, float]:
    if a is None or math.isnan(a.mean):
        return True, 0.0
    return False, a.mean if lower else -a.mean


def _scale(found: Sequence[Aggregate | None]) -> tuple[float, float]:
    """0 to 1 for shares, from 0 to the largest bound for the rest."""
    values = [v for a in found if a is not None for v in (a.mean, *(a.ci95 or ())) if math.isfinite(v)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    return min(low, 0.0), max(high, 1.0) if high <= 1 else high


def _row(
    entry: _Entry, names: Sequence[str], scales: Mapping[str, tuple[float, float]], hrefs: Mapping[str, str]
) -> Row:
    scores = entry.scores
    cells = tuple(_cell(scores.aggregate.get(name), *scales[name]) for name in names)
    first = scores.aggregate.get(names[0]) if names else None
    energy = entry.run.energy if not entry.trivial else None
    per_slice = energy.per_slice if energy else None
    seconds = scores.times.get("seconds_per_axial_slice") if entry.trivial else entry.run.seconds_per_slice
    counts = f"{first.n} / {first.missing} / {first.empty}" if first else ""
    joules = f"{per_slice:.3g} J, {energy.kind}" if energy and per_slice is not None else "not measured"
    href = "" if entry.trivial else hrefs[entry.label]
    return Row(
        entry.label, href, entry.trivial, counts, cells, _positive(seconds), joules, _positive(per_slice)
    )


def _published(board: Board, names: Sequence[str]) -> list[Row]:
    """Rows of the study whose recorded answers are on this board: as published, and as they come out."""
    out = []
    for one in published_rows(board.task, list(board.runs.values())):
        if one.run is None:
            continue
        cells = []
        for name in names:
            value, again = one.row.figures.get(name), one.again(name)
            text = NONE if value is None else f"{value:.4f}"
            cells.append(Cell(text if again is None else f"{text} (again {again:.4f})", Markup(""), value))
        none = ("", tuple(cells), None, "not published", None)
        out.append(Row(one.label, "", False, *none, published=True))
    return out


def _positive(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 and math.isfinite(value) else None


def _cell(a: Aggregate | None, low: float, high: float) -> Cell:
    if a is None:
        return Cell(NONE, Markup(""), None)
    bounds = "" if a.ci95 is None else f" [{number(a.ci95[0])}, {number(a.ci95[1])}]"
    return Cell(number(a.mean) + bounds, interval(a, low, high), None if math.isnan(a.mean) else a.mean)


def _marks(entries: Sequence[_Entry], board: Board) -> tuple[list[Mark | None], list[str]]:
    """One for each row but the last, and what could not be tested."""
    problems: list[str] = []
    columns = []
    for entry in entries:
        try:
            columns.append(column(entry.compared(), _protocol(entry.run)))
        except UsageError as error:
            problems.append(f"No paired tests: {error}")
            columns.append(None)
    found: dict[str, Comparison] = {}
    for k, (one, other) in enumerate(pairwise(columns)):
        if one is not None and other is not None:
            try:
                found[str(k)] = compare(one[1], other[1])
            except InputError as error:
                problems.append(f"{entries[k].label} and {entries[k + 1].label}: no paired test: {error}.")
    adjusted = holm({k: c.permutation for k, c in found.items()})
    marks = [
        _mark(found[str(k)], adjusted[str(k)], columns[k][0], entries[k + 1].label)  # type: ignore[index]
        if str(k) in found
        else None
        for k in range(len(entries) - 1)
    ]
    return marks, list(dict.fromkeys(problems))


def _protocol(run: Run) -> str:
    return str(run.results.options.get("protocol", "all"))


def _mark(found: Comparison, p: float, figure: str, below: str) -> Mark:
    differs = p < ALPHA
    shown = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    bounds = "" if found.ci95 is None else f" [{found.ci95[0]:+.3f}, {found.ci95[1]:+.3f}]"
    told = "differs from" if differs else "not shown to differ from"
    title = (
        f"{told} {below}: difference in {figure.replace('_', ' ')} {found.difference:+.3f}{bounds} over "
        f"{found.n} shared patients; paired permutation test, Holm-adjusted {shown}"
    )
    return Mark(shown, title, differs)


def _plot(
    entries: Sequence[_Entry], main: Figure | None, hrefs: Mapping[str, str], lower: bool
) -> tuple[Markup, str]:
    """Against energy where any run has it; else against time, and that is said."""
    if main is None:
        return Markup(""), ""
    runs = [entry for entry in entries if not entry.trivial]
    by_energy = any(entry.run.energy and entry.run.energy.per_slice for entry in runs)
    dots, without = [], []
    for entry in runs:
        a, cost = entry.scores.aggregate.get(main.name), _cost(entry.run, by_energy)
        if a is None or not math.isfinite(a.mean) or cost is None:
            without.append(entry.label)
        else:
            dots.append(Dot(entry.label, hrefs[entry.label], *cost[:3], a.mean, cost[3]))
    each = runs[0].run.unit
    unit = f"energy per {each}, J" if by_energy else f"seconds per {each}"
    notes = [] if by_energy else ["Energy was not measured in these runs: time stands in for it."]
    if without and dots:
        notes.append(f"Without a cost: {', '.join(without)}.")
    if len(dots) < 2:
        return Markup(""), " ".join(notes)
    return pareto(dots, unit, main.title + (f", {main.unit}" if main.unit else ""), lower), " ".join(notes)


def _cost(run: Run, by_energy: bool) -> tuple[float, float, float, bool] | None:
    """(cost, low, high, measured) per axial slice."""
    if not by_energy:
        seconds = _positive(run.seconds_per_slice)
        return None if seconds is None else (seconds, seconds, seconds, True)
    energy = run.energy
    if energy is None or not energy.per_slice or not energy.joules:
        return None
    scale = energy.per_slice / energy.joules
    return energy.per_slice, energy.low * scale or energy.per_slice, energy.high * scale, energy.measured
