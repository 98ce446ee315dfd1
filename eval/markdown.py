"""Tables in Markdown that a person can read as they are."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table with its columns padded to one width.

    Args:
        header: titles.
        rows: cells, as many as titles.
        left: so many columns begin at the left; the rest, numbers, end at the right.

    Example:
        >>> print(table(["figure", "value"], [["dice", "0.5"]]))
        | figure | value |
        | :----- | ----: |
        | dice   |   0.5 |
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[k]) for row in cells)) for k in range(len(header))]
    rule = [":" + "-" * (w - 1) if k < left else "-" * (w - 1) + ":" for k, w in enumerate(widths)]
    lines = [_padded(row, widths, left) for row in cells]
    return "\n".join([lines[0], _padded(rule, widths, left), *lines[1:]])


def _padded(row: Sequence[str], widths: Sequence[int], left: int) -> str:
    cells = [c.ljust(w) if k < left else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))]
    return f"| {' | '.join(cells)} |"
