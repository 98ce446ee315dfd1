"""A row per case: every figure, time, size and fact, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..zoo.errors import MissingDependencyError
from .jsonlines import flatten
from .records import CaseRecord
from .results import Scores

PIP_LINE = 'pip install "voxzoo[parquet]"'


def rows(scores: Scores) -> list[dict[str, Any]]:
    """One flat row per case; all rows have the same columns, in the same order.

    The metrics are the values that were counted: a failed case shows what the policy gave it.
    Undefined numbers and unknown facts are None.
    """
    columns = _Columns.of(scores.cases)
    return [_row(record, scores, columns) for record in scores.cases]


@dataclass(frozen=True)
class _Columns:
    """Names that occur in any record, each once, in the order in which they come."""

    answer: list[str]
    metrics: list[str]
    stages: list[str]
    facts: list[str]

    @classmethod
    def of(cls, records: Sequence[CaseRecord]) -> _Columns:
        parts = zip(*((flatten(r.answer), r.metrics, r.seconds, r.facts) for r in records), strict=True)
        names = (list(dict.fromkeys(name for one in part for name in one)) for part in parts)
        answer, metrics, stages, facts = names
        has_words = any(record.reference for record in records)
        return cls(["reference", *answer] if has_words else answer, metrics, stages, sorted(facts))


def _row(record: CaseRecord, scores: Scores, columns: _Columns) -> dict[str, Any]:
    row: dict[str, Any] = {
        "case": record.case,
        "patient": record.patient,
        "status": record.status,
        "reason": record.reason,
    }
    answer = {"reference": record.reference or None, **flatten(record.answer)}
    row.update({name: answer.get(name) for name in columns.answer})
    for name in columns.metrics:
        value = record.metrics.get(name, math.nan)
        row[name] = None if math.isnan(value) else value
    for region in scores.empties:
        row[f"empty_prediction_{region}"] = record.empty_prediction.get(region)
        row[f"empty_reference_{region}"] = record.empty_reference.get(region)
    row["shape"] = "x".join(map(str, record.shape)) or None
    row["spacing_mm"] = "x".join(f"{s:g}" for s in record.spacing_mm) or None
    row["axial_slices"] = record.slices or None
    row.update({f"seconds_{stage}": record.seconds.get(stage) for stage in columns.stages})
    row.update({_fact_column(name, row): record.facts.get(name) for name in columns.facts})
    row["sha256"] = record.fingerprint or None
    return row


def _fact_column(name: str, row: dict[str, Any]) -> str:
    """A fact keeps its own name unless a column of ours has it."""
    return f"fact_{name}" if name in row else name


def to_csv(scores: Scores) -> str:
    """The rows as CSV with a header; empty fields are undefined or unknown, booleans 0 and 1."""
    table = rows(scores)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({k: int(v) if isinstance(v, bool) else v for k, v in row.items()})
    return text.getvalue()


def to_parquet(scores: Scores) -> bytes:
    """The rows as a Parquet file.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """
    require_parquet()
    import pyarrow
    import pyarrow.parquet

    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows(scores)), sink)
    return sink.getvalue()


def require_parquet() -> None:
    """Say early that Parquet cannot be written."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"Parquet needs pyarrow: {PIP_LINE}") from error
