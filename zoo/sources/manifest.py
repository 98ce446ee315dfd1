"""CSV tables: a manifest that names files, and tables that only add facts to cases found otherwise.

A manifest has the columns ``case`` and at least one of ``flair, t1, t1ce, t2`` (``t2f, t1n, ...`` also do),
and may have ``patient, seg, grade`` and any others, which become facts. Paths are relative to the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ..cases import Case, FailingSource, FileSource, Source
from ..errors import UsageError
from .brats import SUFFIXES, patient_of
from .facts import parse_grade, read_table

__all__ = ["Table", "add_facts", "add_name_mapping", "manifest_cases"]

KNOWN = {"case", "patient", "grade"}
_SUBJECT = re.compile(r"subject_?id$")


@dataclass(frozen=True)
class Table:
    """A CSV file, read. ``rows`` are (line, {column: text})."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[int, dict[str, str]], ...]

    @staticmethod
    def read(path: Path) -> Table:
        """Raises ``UsageError`` if the file is not a CSV table with a header."""
        columns, rows = read_table(path)
        return Table(path, tuple(columns), tuple(rows))

    @property
    def file_columns(self) -> dict[str, str]:
        """Column -> the modality (or "seg") whose file it names."""
        return {name: SUFFIXES[name] for name in self.columns if name in SUFFIXES}

    @property
    def names_files(self) -> bool:
        """Whether this is a manifest, rather than a table of facts."""
        return bool(set(self.file_columns.values()) - {"seg"})


def manifest_cases(table: Table) -> list[Case]:
    """One case per row; a file that is not there fails when its case is read, with the row's line.

    Raises:
        UsageError: no ``case`` column, a case without a name or named twice, no grade (with the line).
    """
    _need_case_column(table)
    return [_row_case(table, line, row) for line, row in _unique(table)]


def add_facts(cases: Iterable[Case], table: Table) -> list[Case]:
    """The cases with what ``table`` knows of them by their id; rows of other cases are left alone.

    Raises:
        UsageError: no ``case`` column, a case named twice, an unreadable grade (with the line).
    """
    _need_case_column(table)
    by_id = {row["case"]: (line, row) for line, row in _unique(table)}
    return [_with_row(case, table, *by_id[case.id]) if case.id in by_id else case for case in cases]


def add_name_mapping(cases: Iterable[Case], table: Table) -> list[Case]:
    """The cases with the grades of a BraTS ``name_mapping.csv``, whose ids of all years are columns."""
    subjects = [name for name in table.columns if _SUBJECT.search(name)]
    by_id = {row[s]: (line, row) for line, row in table.rows for s in subjects if row[s]}
    return [_with_row(case, table, *by_id[case.id]) if case.id in by_id else case for case in cases]


def _need_case_column(table: Table) -> None:
    if "case" not in table.columns:
        raise UsageError(f"{table.path}: there is no column 'case' among {', '.join(table.columns)}")


def _unique(table: Table) -> Iterable[tuple[int, dict[str, str]]]:
    seen: dict[str, int] = {}
    for line, row in table.rows:
        name = row["case"]
        if not name:
            raise UsageError(f"{table.path}:{line}: the row has no case name")
        if name in seen:
            raise UsageError(f"{table.path}:{line}: case {name} was already named in line {seen[name]}")
        seen[name] = line
        yield line, row


def _row_case(table: Table, line: int, row: dict[str, str]) -> Case:
    sources: dict[str, Source] = {}
    for column, modality in table.file_columns.items():
        if row[column]:
            if modality in sources:
                raise UsageError(f"{table.path}:{line}: two columns name a file for {modality}")
            sources[modality] = _source(table.path, line, row[column])
    reference = sources.pop("seg", None)
    case = Case(row["case"], patient_of(row["case"]), sources, reference)
    return _with_row(case, table, line, row)


def _source(table: Path, line: int, text: str) -> Source:
    path = table.parent / text
    if path.is_file():
        return FileSource(path)
    return FailingSource(str(path), f"{path}: there is no such file (named in {table}:{line})")


def _with_row(case: Case, table: Table, line: int, row: dict[str, str]) -> Case:
    extra = {k: v for k, v in row.items() if v and k not in KNOWN and k not in table.file_columns}
    return replace(
        case,
        patient=row.get("patient") or case.patient,
        grade=_grade(table.path, line, row.get("grade", "")) or case.grade,
        facts={**case.facts, **extra},
    )


def _grade(path: Path, line: int, text: str) -> str | None:
    try:
        return parse_grade(text)
    except ValueError as error:
        raise UsageError(f"{path}:{line}: {error}") from None
