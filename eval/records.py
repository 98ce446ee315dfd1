"""What one model did on one case, and the journal that keeps it: appended and flushed, never rewritten.

A journal is a JSON Lines file. Its first line says which run it belongs to; each further line is a record.
A line cut short by a crash is dropped when the journal is opened again, so a run that was killed at any
moment goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..zoo.errors import RunError
from . import jsonnum
from .jsonlines import JsonLines

SCHEMA = "voxzoo.records/1"
SCORED = "scored"
FAILED = "failed"
NO_REFERENCE = "no-reference"


@dataclass(frozen=True)
class CaseRecord:
    """One model on one case.

    Attributes:
        model: name of the model, as in the results.
        case: the case's id.
        patient: the patient's id; several cases may share it.
        status: "scored"; "failed" when there is no prediction that could be scored; "no-reference" when
            nothing says what is true, so that the case takes no part.
        reason: why it was not scored, in one line; "" when it was.
        key: cache key; an equal key means an equal answer. "" when the case could not even be hashed.
        fingerprint: sha256 over the case's files; "" when they could not be read.
        metrics: flat name -> number (see ``docs/results.md``); empty when failed.
        empty_prediction: region -> whether the model predicted nothing there.
        empty_reference: region -> whether the reference holds nothing there.
        shape: of the native grid; () when not known.
        spacing_mm: per array axis; () when not known.
        slices: axial slices of the native grid that the model answered for (0: not known).
        diagonal_mm: of the native grid; 0 when not known.
        reference_ml: volume of the reference per region, also for a failed case if it could be read.
        facts: what the dataset says about the case (grade and the like).
        seconds: stage -> wall seconds.
        mask_sha256: of the saved mask file; "" when none was asked for.
        reference: what is true, where one word says it (the class); "" elsewhere.
        answer: what the model answered, as its task records it (JSON values); {} for masks.
        energy: CPU seconds by stage and readings of energy (see ``docs/energy.md``); {} when not metered.
    """

    model: str
    case: str
    patient: str
    status: str
    reason: str = ""
    key: str = ""
    fingerprint: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    empty_prediction: dict[str, bool] = field(default_factory=dict)
    empty_reference: dict[str, bool] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    spacing_mm: tuple[float, ...] = ()
    slices: int = 0
    diagonal_mm: float = 0.0
    reference_ml: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    mask_sha256: str = ""
    reference: str = ""
    answer: dict[str, Any] = field(default_factory=dict)
    energy: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready values."""
        plain = asdict(self)
        plain["metrics"] = jsonnum.encode_all(self.metrics)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> CaseRecord:
        """The inverse of ``to_dict``; keys that this version does not know are left out.

        Raises:
            RunError: a field is missing or no number where one is due.
        """
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in plain.items() if name in known}
        try:
            values["metrics"] = jsonnum.decode_all(values.get("metrics", {}))
            values["shape"] = tuple(values.get("shape", ()))
            values["spacing_mm"] = tuple(values.get("spacing_mm", ()))
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise RunError(f"not a record of a case: {error}") from error


def cache_key(parts: Mapping[str, Any]) -> str:
    """sha256 over ``parts`` (JSON values), independent of their order.

    Example:
        >>> cache_key({"a": 1, "b": 2}) == cache_key({"b": 2, "a": 1})
        True
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Journal:
    """Records on disk, one JSON line each, flushed to the disk before ``append`` returns.

    Args:
        path: the file; made with its first line if it is not there.
        run: what identifies the run; a journal that holds another one is refused.

    Raises:
        RunError: the file belongs to another run, is in use by another process, or cannot be written.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "records.jsonl"
        >>> with Journal(path, {"model": "toy"}) as journal:
        ...     journal.append(CaseRecord("toy", "c1", "p1", SCORED, metrics={"dice": 0.5}))
        >>> with Journal(path, {"model": "toy"}) as journal:
        ...     journal.find("toy", "c1").metrics
        {'dice': 0.5}
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        self._latest: dict[tuple[str, str], CaseRecord] = {}
        self._lines = JsonLines(path, SCHEMA, run)
        for plain in self._lines.found:
            # As with an unreadable line: it costs its one case a second run.
            with contextlib.suppress(ValueError, RunError, AttributeError):
                record = CaseRecord.from_dict(plain)
                self._latest[record.model, record.case] = record

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._latest)

    def find(self, model: str, case: str) -> CaseRecord | None:
        """The newest record of ``model`` on ``case``, or None."""
        return self._latest.get((model, case))

    def append(self, record: CaseRecord) -> None:
        """Add a record; it is on the disk when this returns. Safe from several threads.

        Raises:
            RunError: it could not be written (disk full, say); the journal ends with its last whole line.
        """
        self._lines.append(record.to_dict())
        self._latest[record.model, record.case] = record

    def close(self) -> None:
        """Release the file; twice does no harm."""
        self._lines.close()
