"""Transcripts: what a language model answered, one JSON line per case, slice, prompt and repeat.

Two line formats are read, and may not be told apart by the file's name:

- ours, ``voxzoo.transcript/1``: the fields of :class:`Answer`;
- the import format for anyone's recorded answers: ``task``, ``model``, ``view``, ``patient``, ``slice``,
  ``raw`` and optionally ``order``, ``repeat`` and the reference as it was quoted (``gt_label``,
  ``gt_box_recorded``, ``gt_polygon_recorded``, ``gt_centre_recorded``). Its task names are those of
  :data:`IMPORTED_TASKS`.

A line that cannot be used becomes a :class:`~voxzoo.eval.language.problems.Problem`; the rest is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ...zoo.errors import CaseError, RunError
from .. import files
from .problems import Problem, json_lines

SCHEMA = "voxzoo.transcript/1"
IMPORTED_TASKS = {
    "classification": "grade",
    "centre": "center",
    "bbox": "box",
    "grade": "grade",
    "center": "center",
    "box": "box",
    "polygon": "polygon",
}
PLANES = ("axial", "coronal", "sagittal")
QUOTED = {
    "gt_label": "label",
    "gt_box_recorded": "box",
    "gt_polygon_recorded": "polygon",
    "gt_centre_recorded": "center",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One raw answer and how it came about.

    Attributes:
        task: "grade", "center", "box", "polygon" or a user's own.
        model: who answered.
        case: the case's id.
        slice: index of the slice along ``plane``, absolute, from 0.
        raw: the answer, as it was given.
        plane: "axial", "coronal" or "sagittal".
        repeat: which of several answers to the same question.
        prompt: name of the prompt.
        prompt_sha256: of the prompt's text.
        image_sha256: of the image that was shown.
        tokens_in, tokens_out: how many were read and written; None when not known.
        seconds: wall time of the answer; None when not known.
        sampling: temperature, seed and the like.
        shown: the rule by which the slice was chosen and became an image (``SliceRule.record``).
        model_sha256: hash of the model's content.
        probabilities: class -> probability, where the model gives real ones.
        quoted: what an imported transcript says the reference is: label, box, polygon, center.
        order: place among the answers of its case, as recorded; None when not known.
        line: its line number in the file; 0 when it is not from a file.

    Example:
        >>> Answer("grade", "toy", "p1", 40, "Choice: 1").key
        ('grade', 'toy', 'axial', 'p1', 40, '', 0)
    """

    task: str
    model: str
    case: str
    slice: int
    raw: str
    plane: str = "axial"
    repeat: int = 0
    prompt: str = ""
    prompt_sha256: str = ""
    image_sha256: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, Any] = field(default_factory=dict)
    model_sha256: str = ""
    probabilities: dict[str, float] | None = None
    quoted: dict[str, Any] = field(default_factory=dict)
    order: int | None = None
    line: int = 0

    @property
    def key(self) -> tuple[str, str, str, str, int, str, int]:
        """What may be answered once only."""
        return (self.task, self.model, self.plane, self.case, self.slice, self.prompt, self.repeat)

    def to_line(self) -> str:
        """The JSON line, without its end; ``line`` is not part of it, nor what is not known."""
        plain = {name: value for name, value in asdict(self).items() if value not in (None, {}, "")}
        plain.pop("line")
        plain["raw"] = self.raw
        return json.dumps({"schema": SCHEMA, **plain}, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Transcript:
    """The answers of a file, and what in it could not be used.

    Attributes:
        path: the file.
        answers: in the file's order.
        problems: lines left out.
    """

    path: Path
    answers: tuple[Answer, ...]
    problems: tuple[Problem, ...] = ()

    def of_task(self, task: str) -> Transcript:
        """The answers to one task.

        Raises:
            CaseError: there is none, or they are of several models or planes.
        """
        found = tuple(answer for answer in self.answers if answer.task == task)
        if not found:
            tasks = ", ".join(sorted({answer.task for answer in self.answers})) or "no line that can be used"
            where = f"{self.path}:{self.problems[0].line}" if self.problems else str(self.path)
            raise CaseError(f"{where}: no answer to the task {task!r}; it holds {tasks}")
        for name in ("model", "plane"):
            several = sorted({getattr(answer, name) for answer in found})
            if len(several) > 1:
                raise CaseError(
                    f"{self.path}: answers of several {name}s ({', '.join(several)}); give one file for each"
                )
        return Transcript(self.path, found, self.problems)


def read_transcript(path: str | os.PathLike[str]) -> Transcript:
    """Read a transcript in either format.

    A second line for a key is left out and named, whether it says the same or something else.

    Args:
        path: the file.

    Returns:
        The transcript; look at its ``problems``.

    Raises:
        RunError: the file cannot be read.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> line = Answer("grade", "toy", "p1", 40, "Choice: 1").to_line()
        >>> _ = path.write_text("\\n".join([line, line, "oops"]))
        >>> transcript = read_transcript(path)
        >>> len(transcript.answers), [problem.line for problem in transcript.problems]
        (1, [2, 3])
    """
    path = Path(path)
    problems: list[Problem] = []
    first: dict[tuple[Any, ...], Answer] = {}
    for number, plain in json_lines(path, problems):
        try:
            answer = _answer(plain, number)
        except ValueError as error:
            problems.append(Problem(path, number, str(error)))
            continue
        earlier = first.setdefault(answer.key, answer)
        if earlier is not answer:
            problems.append(Problem(path, number, _second(earlier, answer)))
    return Transcript(path, tuple(first.values()), tuple(sorted(problems, key=lambda p: p.line)))


def _second(earlier: Answer, answer: Answer) -> str:
    what = f"case {answer.case}, slice {answer.slice}, repeat {answer.repeat}"
    if earlier.raw == answer.raw:
        return f"{what} is there twice, first in line {earlier.line}; the second is left out"
    return f"{what} has another answer in line {earlier.line}; that one is scored, this one is left out"


def _answer(plain: Mapping[str, Any], line: int) -> Answer:
    """An answer from a line of either format; ValueError says what is wrong with it."""
    schema = plain.get("schema")
    if schema == SCHEMA:
        return _own(plain, line)
    if schema is not None:
        raise ValueError(f"schema {schema!r}: this voxzoo reads {SCHEMA!r}; a newer one may read it")
    return _imported(plain, line)


_FIELDS = tuple(f.name for f in fields(Answer) if f.name != "line")
_INTEGERS = ("slice", "repeat")
_COUNTS = ("tokens_in", "tokens_out", "order")
_TEXTS = (
    "task", "model", "case", "raw", "plane", "prompt", "prompt_sha256", "image_sha256", "model_sha256",
)  # fmt: skip
_TABLES = ("sampling", "probabilities", "quoted", "shown")


def _own(plain: Mapping[str, Any], line: int) -> Answer:
    values = {name: plain[name] for name in _FIELDS if name in plain}
    for name in ("task", "model", "case", "slice", "raw"):
        _require(plain, name)
    for names, kind, what in ((_TEXTS, str, "a text"), (_TABLES, dict, "an object")):
        for name in names:
            if name in values and not isinstance(values[name], kind):
                raise ValueError(f"{name}: got {values[name]!r}, expected {what}")
    for name in (*_INTEGERS, *_COUNTS):
        if name in values:
            values[name] = _whole(name, values[name])
    _check_plane(values.get("plane", "axial"))
    _check_probabilities(values.get("probabilities"))
    return Answer(**values, line=line)


def _imported(plain: Mapping[str, Any], line: int) -> Answer:
    for name in ("task", "patient", "slice", "raw"):
        _require(plain, name)
    task, raw, plane = plain["task"], plain["raw"], plain.get("view", "axial")
    if not isinstance(task, str) or task not in IMPORTED_TASKS:
        raise ValueError(f"task {task!r}: expected one of {', '.join(IMPORTED_TASKS)}")
    if not isinstance(raw, str):
        raise ValueError(f"raw: got {raw!r}, expected the text of an answer")
    _check_plane(plane)
    return Answer(
        task=IMPORTED_TASKS[task],
        model=str(plain.get("model", "")),
        case=_name("patient", plain["patient"]),
        slice=_whole("slice", plain["slice"]),
        raw=raw,
        plane=plane,
        repeat=_whole("repeat", plain.get("repeat", 0)),
        prompt=str(plain.get("prompt", "")),
        quoted={ours: plain[theirs] for theirs, ours in QUOTED.items() if theirs in plain},
        order=_whole("order", plain["order"]) if "order" in plain else None,
        line=line,
    )


def _require(plain: Mapping[str, Any], name: str) -> None:
    if name not in plain:
        raise ValueError(f"no field {name!r}; fields are {', '.join(map(str, plain)) or 'none'}")


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name}: got {value!r}, expected a whole number of at least 0")
    return value


def _name(name: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{name}: got {value!r}, expected a number or a text")
    return str(value)


def _check_plane(plane: object) -> None:
    if plane not in PLANES:
        raise ValueError(f"plane {plane!r}: expected one of {', '.join(PLANES)}")


def _check_probabilities(values: Mapping[str, Any] | None) -> None:
    for name, value in (values or {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"probabilities: {name!r} has {value!r}, expected a number from 0 to 1")


def write_transcript(path: str | os.PathLike[str], answers: Iterable[Answer]) -> None:
    """Write answers in our own format, in one step.

    Raises:
        RunError: it cannot be written; what was there is untouched.
    """
    text = "".join(answer.to_line() + "\n" for answer in answers)
    files.atomic_write(Path(path), text.encode())


class TranscriptWriter:
    """Appends answers to a transcript as they come; each is on the disk before ``append`` returns.

    A line cut short by a crash is dropped when the file is opened again; :attr:`answers` are those already
    there.

    Args:
        path: the file; made if it is not there.

    Raises:
        RunError: it cannot be read or written, or holds lines that are no answers.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "t.jsonl"
        >>> with TranscriptWriter(path) as writer:
        ...     writer.append(Answer("grade", "toy", "p1", 40, "Choice: 1"))
        >>> with TranscriptWriter(path) as writer:
        ...     [answer.raw for answer in writer.answers]
        ['Choice: 1']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({files.reason(error)})") from error
        try:
            self._drop_torn_line()
            found = read_transcript(self.path)
        except BaseException:
            os.close(self._file)
            raise
        if found.problems:
            os.close(self._file)
            raise RunError(f"{found.problems[0]}; give another file, or repair this one")
        self.answers = found.answers

    def __enter__(self) -> TranscriptWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, answer: Answer) -> None:
        """Add one answer.

        Raises:
            RunError: it could not be written (disk full, say).
        """
        view = memoryview(answer.to_line().encode() + b"\n")
        try:
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            raise RunError(f"{self.path}: cannot be written ({files.reason(error)})") from error

    def close(self) -> None:
        """Release the file; twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _drop_torn_line(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
