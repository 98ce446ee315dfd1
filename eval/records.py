"""What one model did on one case, and the journal that keeps it: appended and flushed, never rewritten.

A journal is a JSON Lines file. Its first line says which run it belongs to; each further line is a record.
A line cut short by a crash is dropped when the journal is opened again, so a run that was killed at any
moment goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..zoo.errors import RunError
from . import files, jsonnum

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
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RunError(f"{path}: cannot be written ({files.reason(error)})") from error
        try:
            self._claim()
            self._recover(run)
        except BaseException:
            os.close(self._file)
            raise

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
        with self._lock:
            self._write(record.to_dict())
            self._latest[record.model, record.case] = record

    def close(self) -> None:
        """Release the file; twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _claim(self) -> None:
        """Take the file for this process; two writers would mix their lines."""
        try:
            import fcntl
        except ImportError:  # not on Windows: there the second process is not noticed
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{self.path.parent}: in use by another process; wait for it or give another --out"
            ) from error
        except OSError:  # a file system without locks
            return

    def _recover(self, run: Mapping[str, Any]) -> None:
        """Read what is there, cut a torn last line, check the run, or begin with a first line."""
        lines = self._whole_lines()
        if not lines:
            self._write({"schema": SCHEMA, "run": dict(run)})
            return
        check_same_run(_header(self.path, lines[0]), run, self.path.parent)
        for line in lines[1:]:
            # An unreadable line in the middle (a disk fault) costs its one case a second run, no more.
            with contextlib.suppress(ValueError, RunError):
                record = CaseRecord.from_dict(json.loads(line))
                self._latest[record.model, record.case] = record

    def _whole_lines(self) -> list[bytes]:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        return data[:whole].splitlines()

    def _write(self, plain: Mapping[str, Any]) -> None:
        line = json.dumps(plain, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file).st_size
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size)
            raise RunError(
                f"{self.path}: cannot be written ({files.reason(error)}); everything before is kept, "
                "and the same command goes on from there"
            ) from error


def _header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        plain = json.loads(line)
    except ValueError:
        plain = None
    if not isinstance(plain, dict) or not isinstance(plain.get("run"), dict):
        raise RunError(f"{path}: not a journal of voxzoo; give another --out, or --overwrite to replace it")
    if plain.get("schema") != SCHEMA:
        raise RunError(
            f"{path}: written as {plain.get('schema')!r}, this voxzoo writes {SCHEMA!r}; "
            "give another --out, or --overwrite to start afresh"
        )
    return dict(plain["run"])


def check_same_run(found: Mapping[str, Any], asked: Mapping[str, Any], folder: Path) -> None:
    """Refuse to mix two runs, saying in what they differ.

    Raises:
        RunError: ``found`` and ``asked`` are not equal.

    Example:
        >>> check_same_run({"seed": 0, "of": {"model": "a"}}, {"of": {"model": "a"}, "seed": 0}, Path("run"))
    """
    # Through JSON, so that tuples and lists or 1 and 1.0 do not differ by their container alone.
    before, after = flatten(json.loads(json.dumps(found))), flatten(json.loads(json.dumps(asked)))
    differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not differing:
        return
    shown = "; ".join(f"{n}: {before.get(n)!r} there, {after.get(n)!r} asked for" for n in differing[:3])
    more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
    raise RunError(
        f"{folder}: holds another run ({shown}{more}); give another --out, or --overwrite to replace it"
    )


def flatten(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted names.

    Example:
        >>> flatten({"options": {"empty": "nan"}, "task": "segment"})
        {'options.empty': 'nan', 'task': 'segment'}
    """
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
