"""How figures are written, and the table with models side by side that every task begins with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from rich import box
from rich.markup import escape
from rich.table import Table

from ..records import CaseRecord

if TYPE_CHECKING:
    from ..aggregate import Aggregate
    from ..results import Results, Scores

WORST = 3
"""Cases that are named as the worst ones."""


def figures_table(results: Results, rows: Iterable[tuple[str, str]], counted: str) -> Table:
    """Metrics down, models across; each mean with its interval and how many it is about.

    Args:
        results: the model and its baselines.
        rows: (title, name of the figure).
        counted: what the column beside a mean counts: "n/miss" or "n/miss/empty".
    """
    columns = {results.scores.model["name"]: results.scores, **results.baselines}
    out = Table(
        title=_title(results), title_justify="left", box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False
    )
    out.add_column("metric", no_wrap=True, vertical="bottom")
    for name in columns:
        title = escape(name).replace(":", ":\n")  # two models have to fit beside each other
        out.add_column(f"{title}\nmean \\[95 % CI]", justify="right", vertical="bottom")
        out.add_column(counted, justify="right", style="dim", vertical="bottom")
    for title, name in rows:
        out.add_row(title, *_cells(columns, name, counted))
    return out


def _cells(columns: Mapping[str, Scores], name: str, counted: str) -> list[str]:
    cells = []
    for scores in columns.values():
        found = scores.aggregate.get(name)
        if found is None:
            cells += ["-", ""]
        else:
            counts = (found.n, found.missing, found.empty)[: counted.count("/") + 1]
            cells += [figure(found), "/".join(map(str, counts))]
    return cells


def figure(a: Aggregate) -> str:
    """Mean and interval, as markup."""
    if a.ci95 is None:
        return number(a.mean)
    return f"{number(a.mean)} \\[{number(a.ci95[0])}, {number(a.ci95[1])}]"


def number(value: float) -> str:
    """Three decimals below 10, one above; undefined values as a dash.

    Example:
        >>> number(0.81234), number(31.25), number(float("nan"))
        ('0.812', '31.2', '-')
    """
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def _title(results: Results) -> str:
    counts = results.scores.counts
    patients = plural(counts["patients"], "patient")
    cases = "" if counts["cases"] == counts["patients"] else f", {plural(counts['cases'], 'case')}"
    return f"{escape(results.scores.model['name'])} on {escape(results.dataset['name'])} ({patients}{cases})"


def plural(count: int, word: str) -> str:
    """``1 case``, ``2 cases``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def failed_line(record: CaseRecord) -> str:
    """A case that was not scored, and why."""
    return f"{record.case}: {record.reason.removeprefix(record.case + ': ')}"


def some(names: Iterable[str], most: int = 12) -> str:
    """Names with commas between; of many the first, and how many more.

    Example:
        >>> some("abcd", most=2)
        'a, b and 2 more'
    """
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
