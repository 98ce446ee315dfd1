"""How cards write: tables, numbers, statements. Every text is escaped here, once, whoever wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..eval.aggregate import Aggregate
from ..eval.views.common import number
from .names import as_markdown, visible
from .stated import NOT_STATED

DASH = "-"


class Md(str):
    """Text that is Markdown already, made of parts that are escaped or are our own."""

    __slots__ = ()


MEAN = Md("mean [95 % CI]")
"""The title of a column of ``interval``."""


def table(header: Sequence[str], rows: Iterable[Sequence[object]], left: int = 1) -> str:
    """A table; its cells are escaped unless they are ``Md``.

    Args:
        header: titles.
        rows: cells, as many as titles; None and "" become a dash.
        left: so many columns begin at the left; numbers, in the others, end at the right.

    Example:
        >>> print(table(["case", "Dice"], [["a|b", "0.5"], ["c", None]]))
        | case | Dice |
        | :-- | --: |
        | a\\|b | 0.5 |
        | c | - |
    """
    rule = [":--" if k < left else "--:" for k in range(len(header))]
    lines = [[_cell(cell) for cell in header], rule, *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: object) -> str:
    if cell is None or cell in ("", DASH):
        return DASH
    return str(cell) if isinstance(cell, Md) else as_markdown(cell)


def interval(mean: float, ci95: tuple[float, float] | None) -> Md:
    """A mean with its interval.

    Example:
        >>> interval(0.81234, (0.7, 0.9)), interval(float("nan"), None)
        ('0.812 [0.700, 0.900]', '-')
    """
    bounds = "" if ci95 is None else f" [{number(ci95[0])}, {number(ci95[1])}]"
    return Md(number(mean) + bounds)


def mean_of(figure: Aggregate | None) -> Md:
    """Mean and interval of a figure; a dash where there is none."""
    return Md(DASH) if figure is None else interval(figure.mean, figure.ci95)


def statement(title: str, text: str) -> str:
    """A titled statement; "not stated" where there is none.

    Example:
        >>> statement("Users", ""), statement("Users", "researchers")
        ('**Users:** not stated', '**Users:** researchers')
    """
    return f"**{as_markdown(title)}:** {as_markdown(text) if text else NOT_STATED}"


def bullets(lines: Iterable[str]) -> str:
    """A list of lines that are Markdown already."""
    return "\n".join(f"- {line}" for line in lines)


def code(text: str) -> str:
    """A code block of one line or more; nothing in it can end it."""
    return "\n".join(f"    {visible(line)}" for line in text.splitlines())


def inline_code(text: str) -> str:
    """Code within a line, whatever back-ticks it holds.

    Example:
        >>> inline_code("a`b"), inline_code("")
        ('`` a`b ``', '-')
    """
    shown = visible(text)
    if not shown:
        return DASH
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in shown).split()), default=0)
    fence = "`" * (longest + 1)
    pad = " " if longest else ""
    return f"{fence}{pad}{shown}{pad}{fence}".replace("|", "\\|")


def rounded(value: float | None, digits: int = 3) -> str:
    """A quantity with so many digits that count; a dash for None.

    Example:
        >>> rounded(0.0123456), rounded(1234.5), rounded(None)
        ('0.0123', '1230', '-')
    """
    if value is None or math.isnan(value):
        return DASH
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, places):.{max(places, 0)}f}"
