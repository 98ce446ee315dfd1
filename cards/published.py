"""The study's published figures, as rows of their own, and what recorded answers give again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..eval import jsonnum
from ..eval.language.published import ROWS, SOURCE, TITLES, Row, row_of
from .figures import figure
from .markdown import table
from .runs import Run

MARK = "published, not rerun here"
AGAIN = "recorded answers, the study's own rules"


@dataclass(frozen=True)
class PublishedRow:
    """A row of the study beside our own.

    Attributes:
        row: as published.
        run: the recorded answers that it was computed from, where they were scored here; else None.
    """

    row: Row
    run: Run | None

    @property
    def label(self) -> str:
        """Who it is about, always with the mark."""
        return f"{self.row.model} (Table {self.row.table}; {MARK})"

    def again(self, name: str) -> float | None:
        """A figure as the study's own rules give it from recorded answers; None without them."""
        if self.run is None:
            return None
        found: Any = (self.run.details.get("protocols") or {}).get("paper", {}).get(name)
        return jsonnum.decode(found["mean"]) if isinstance(found, Mapping) else None


def published_rows(task: str, runs: Sequence[Run] = (), names: Sequence[str] = ()) -> list[PublishedRow]:
    """Rows of the study about one task.

    Args:
        task: "grade", "center", "box" or "polygon"; others have none.
        runs: among which recorded answers of the study are looked for.
        names: "general/box"...; () for all of the task.
    """
    placed = {row.name: run for run in runs if run.task == task and (row := _row(run)) is not None}
    rows = [row for row in ROWS if row.task == task and (not names or f"{row.name}/{row.task}" in names)]
    return [PublishedRow(row, placed.get(row.name)) for row in rows]


def published_table(names: Sequence[str], runs: Sequence[Run]) -> str:
    """The rows named, and those that runs are about; "" if there are none."""
    own = [f"{row.name}/{row.task}" for run in runs if (row := _row(run)) is not None]
    wanted = tuple(dict.fromkeys((*names, *own)))
    found = [one for task in TITLES for one in published_rows(task, runs, wanted)] if wanted else []
    lines = [
        [TITLES[one.row.task], one.label, _title(one.row.task, name), f"{value:.4f}", _four(one.again(name))]
        for one in found
        for name, value in one.row.figures.items()
    ]
    if not lines:
        return ""
    note = f"Source: {SOURCE}; 55 test patients of BraTS 2020. Last column: {AGAIN}, a dash where none are."
    return table(["task", "model", "figure", "published", "again"], lines, left=3) + f"\n\n{note}"


def _title(task: str, name: str) -> str:
    about = figure(task, name)
    return about.title + (f", {about.unit}" if about.unit else "")


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _row(run: Run) -> Row | None:
    """The row that a run of recorded answers is about."""
    if run.scores.runtime.get("name") != "replay":
        return None
    shown = run.details.get("shown") or {}
    rules = ((run.details.get("scoring") or {}).get("paper") or {}).get("rules") or {}
    return row_of(run.task, run.label, run.model, str(shown.get("plane", "")), str(rules.get("slices", "")))
