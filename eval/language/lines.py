"""Lines of transcripts: what makes one an answer, and what is wrong with it.

Two formats are read, and may not be told apart by the file's name:

- ours, ``voxzoo.transcript/1``: the fields of :class:`~voxzoo.eval.language.answers.Answer`;
- the import format for anyone's recorded answers: ``task``, ``model``, ``view``, ``patient``, ``slice``,
  ``raw`` and optionally ``order``, ``repeat`` and the reference as it was quoted (``gt_label``,
  ``gt_box_recorded``, ``gt_polygon_recorded``, ``gt_centre_recorded``). Its task names are those of
  :data:`IMPORTED_TASKS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from .answers import SCHEMA, Answer

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


def answer_of(plain: Mapping[str, Any], line: int) -> Answer:
    """An answer from the object of a line, in either format.

    Args:
        plain: the JSON object.
        line: its line number in the file.

    Raises:
        ValueError: says what is wrong with it.

    Example:
        >>> answer_of({"task": "bbox", "patient": 3, "slice": 40, "raw": "[(1, 2)]"}, 7).key
        ('box', '', 'axial', '3', 40, '', 0)
    """
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
