"""What tables say about cases: grades, and columns that only add facts."""

from __future__ import annotations

import csv
from pathlib import Path

from ..errors import UsageError

__all__ = ["parse_grade", "read_table"]

HIGH = {"hgg", "high", "3", "4", "iii", "iv"}
LOW = {"lgg", "low", "1", "2", "i", "ii"}
UNKNOWN = {"", "unknown", "na", "n/a", "nan"}


def parse_grade(text: str) -> str | None:
    """ "high", "low", or None for unknown.

    WHO grades 3 and 4 are high-grade gliomas, 1 and 2 low-grade ones. (The *folders* called LGG in BraTS hold
    the TCGA-LGG collection, which has grades 2 and 3: where a folder or a table says LGG, that is kept.)

    Raises:
        ValueError: anything else.

    Example:
        >>> parse_grade("HGG"), parse_grade("4.0"), parse_grade("II"), parse_grade("")
        ('high', 'high', 'low', None)
    """
    word = text.strip().lower().removeprefix("who ").removeprefix("grade ").removesuffix(".0")
    if word in UNKNOWN:
        return None
    if word in HIGH or word in LOW:
        return "high" if word in HIGH else "low"
    raise ValueError(f"{text!r} is no grade; HGG, LGG, 1 to 4, high, low or nothing were expected")


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Columns (lower-case) and rows of a CSV file with the line that each row ends on.

    Raises:
        UsageError: it cannot be read, is not UTF-8 text, has no header, or a row has more fields than that.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            columns = [name.strip().lower() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path}: not a CSV file in UTF-8: {error}") from None
    if not any(columns):
        raise UsageError(f"{path}: the table is empty; a header line was expected")
    return columns, [(line, _row(path, line, columns, row)) for line, row in rows]


def _row(path: Path, line: int, columns: list[str], row: list[str]) -> dict[str, str]:
    if len(row) > len(columns):
        raise UsageError(f"{path}:{line}: {len(row)} fields, but the header has {len(columns)} columns")
    values = [field.strip() for field in row] + [""] * (len(columns) - len(row))
    return dict(zip(columns, values, strict=True))
