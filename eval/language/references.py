"""References: what the right answers are, and which slices could be asked about.

Coordinates are (row, col) pixels of the slice as it was shown, origin top-left; boxes are [row_min, col_min,
row_max, col_max], both ends inclusive; label 1 is the positive class (high grade).

The import format for recorded ground truth is a folder ``gt/`` with three JSON Lines files:

- ``patients.jsonl``: ``patient``, ``label`` (0/1), ``tumour_range_axial``, ``..._coronal``,
  ``..._sagittal`` ([first, last], inclusive), optional ``core20_range`` (the axial one shrunk by 20 at each
  end, null where nothing is left), ``box_range`` and ``polygon_range`` (whose last slice was never asked
  about);
- ``boxes.jsonl``: ``patient``, ``slice``, ``new`` (the slice's box, or null) and optionally ``old``;
- ``polygons.jsonl``: ``patient``, ``slice``, ``points``;

and optionally ``frame.json``: ``{"shape": [128, 128], "slices": {"axial": 95, "coronal": 128, "sagittal":
128}}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.errors import RunError
from .problems import Problem, json_lines

Box = tuple[int, int, int, int]
Points = tuple[tuple[float, float], ...]
Range = tuple[int, int]

SHAPE = (128, 128)
SLICES = {"axial": 95, "coronal": 128, "sagittal": 128}
CORE = 20
"""Slices that ``core20`` leaves out at each end of the tumour."""


@dataclass(frozen=True, eq=False)
class SliceMask:
    """The reference of one slice as pixels, (height, width) uint8. Equal to nothing but itself."""

    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class CaseReference:
    """What is known about one case.

    Attributes:
        case: its id.
        patient: the patient's; several cases may share it.
        label: 0 or 1; None when not known.
        tumour: plane -> first and last slice with tumour, inclusive; None where there is none.
        asked: task -> first and last slice that was due; a task that is not here was due on the tumour.
        core20: plane -> as given; a plane that is not here is derived from ``tumour``.
        boxes: slice -> box.
        polygons: slice -> points.
        quoted: slice -> the other boxes that transcripts of this cohort may quote.
        masks: slice -> the tumour's pixels, where they are known; polygons are then scored against these.
        spacing_mm: (row, col) of a shown pixel; None when not known.
        targets: slice -> what a user's own task says is right.
    """

    case: str
    patient: str
    label: int | None = None
    tumour: Mapping[str, Range | None] = field(default_factory=dict)
    asked: Mapping[str, Range | None] = field(default_factory=dict)
    core20: Mapping[str, Range | None] = field(default_factory=dict)
    boxes: dict[int, Box] = field(default_factory=dict)
    polygons: dict[int, Points] = field(default_factory=dict)
    quoted: dict[int, Box | None] = field(default_factory=dict)
    masks: dict[int, SliceMask] = field(default_factory=dict)
    spacing_mm: tuple[float, float] | None = None
    targets: Mapping[int, Any] = field(default_factory=dict)

    def inner(self, plane: str) -> Range | None:
        """The tumour's slices without ``CORE`` at each end.

        Example:
            >>> CaseReference("a", "a", tumour={"axial": (10, 60)}).inner("axial")
            (30, 40)
        """
        if plane in self.core20:
            return self.core20[plane]
        whole = self.tumour.get(plane)
        if whole is None or whole[1] - whole[0] < 2 * CORE:
            return None
        return whole[0] + CORE, whole[1] - CORE


@dataclass(frozen=True)
class References:
    """The references of a cohort.

    Attributes:
        name: of the folder or dataset.
        cases: case id -> reference, in the cohort's order.
        shape: (height, width) of a shown slice.
        slices: plane -> number of slices.
        drawn: the plane that boxes and polygons are in.
        source: where they were read from.
        licence: of the data, as far as it is stated.
        problems: lines of the files that could not be used.
    """

    name: str
    cases: dict[str, CaseReference]
    shape: tuple[int, int] = SHAPE
    slices: Mapping[str, int] = field(default_factory=lambda: dict(SLICES))
    drawn: str = "axial"
    source: str = ""
    licence: str = "unconfirmed"
    problems: tuple[Problem, ...] = ()


def read_references(folder: str | os.PathLike[str]) -> References:
    """Read recorded ground truth: a folder ``gt/``, or the folder that holds it.

    Args:
        folder: either of the two.

    Returns:
        The references; look at their ``problems``.

    Raises:
        RunError: there is no ``patients.jsonl``, or a file cannot be read.
    """
    folder = Path(folder)
    folder = folder / "gt" if (folder / "gt").is_dir() else folder
    if not (folder / "patients.jsonl").is_file():
        raise RunError(f"{folder}: no patients.jsonl; recorded ground truth is a folder gt/ with that file")
    problems: list[Problem] = []
    cases = _read_patients(folder / "patients.jsonl", problems)
    shape, slices = _read_frame(folder / "frame.json")
    _read_geometry(folder / "boxes.jsonl", cases, problems, _add_box)
    _read_geometry(folder / "polygons.jsonl", cases, problems, _add_polygon)
    name = folder.parent.name if folder.name == "gt" else folder.name
    return References(name, cases, shape, slices, source=str(folder), problems=tuple(problems))


def has_references(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds recorded ground truth."""
    return any((Path(folder) / part / "patients.jsonl").is_file() for part in ("", "gt"))


def _read_patients(path: Path, problems: list[Problem]) -> dict[str, CaseReference]:
    cases: dict[str, CaseReference] = {}
    for line, plain in json_lines(path, problems):
        try:
            case = _patient(plain)
        except ValueError as error:
            problems.append(Problem(path, line, str(error)))
            continue
        if case.case in cases:
            problems.append(Problem(path, line, f"patient {case.case} is there twice"))
        else:
            cases[case.case] = case
    if not cases:
        raise RunError(f"{path}: no patient in it")
    return cases


def _patient(plain: Mapping[str, Any]) -> CaseReference:
    name, label = _id(plain), plain.get("label")
    if label not in (0, 1, None) or isinstance(label, bool):
        raise ValueError(f"label: got {label!r}, expected 0, 1 or null")
    asked = {
        task: _but_last(_range(plain, f"{kind}_range"))
        for task, kind in (("center", "box"), ("polygon", "polygon"))
        if f"{kind}_range" in plain
    }
    return CaseReference(
        case=name,
        patient=name,
        label=label,
        tumour={plane: _range(plain, f"tumour_range_{plane}") for plane in SLICES},
        asked=asked,
        core20={"axial": _range(plain, "core20_range")} if "core20_range" in plain else {},
    )


def _id(plain: Mapping[str, Any]) -> str:
    value = plain.get("patient")
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"patient: got {value!r}, expected a number or a text")
    return str(value)


def _range(plain: Mapping[str, Any], name: str) -> Range | None:
    value = plain.get(name)
    if value is None:
        return None
    if not _are_whole(value, 2) or value[0] > value[1]:
        raise ValueError(f"{name}: got {value!r}, expected [first, last]")
    return value[0], value[1]


def _but_last(whole: Range | None) -> Range | None:
    return (whole[0], whole[1] - 1) if whole is not None and whole[0] < whole[1] else None


def _are_whole(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(number, int) and not isinstance(number, bool) for number in value)
    )


def _read_frame(path: Path) -> tuple[tuple[int, int], dict[str, int]]:
    if not path.is_file():
        return SHAPE, dict(SLICES)
    try:
        plain = json.loads(path.read_bytes())
        height, width = (int(n) for n in plain["shape"])
        slices = {plane: int(plain["slices"][plane]) for plane in plain["slices"]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: cannot be used: {type(error).__name__} {error}") from error
    if min(height, width, *slices.values()) < 1:
        raise RunError(f"{path}: sizes must be at least 1, got {plain}")
    return (height, width), slices


def _read_geometry(path: Path, cases: dict[str, CaseReference], problems: list[Problem], add: Any) -> None:
    """Boxes or polygons, where the file is there."""
    if not path.is_file():
        return
    for line, plain in json_lines(path, problems):
        try:
            name = _id(plain)
            if name not in cases:
                raise ValueError(f"patient {name} is not in patients.jsonl")
            if not _are_whole([plain.get("slice")], 1):
                raise ValueError(f"slice: got {plain.get('slice')!r}, expected a whole number")
            add(cases[name], plain)
        except ValueError as error:
            problems.append(Problem(path, line, str(error)))


def _add_box(case: CaseReference, plain: Mapping[str, Any]) -> None:
    new, old = (_box(plain, name) for name in ("new", "old"))
    if new is not None:
        case.boxes[plain["slice"]] = new
    if "old" in plain:
        case.quoted[plain["slice"]] = old


def _box(plain: Mapping[str, Any], name: str) -> Box | None:
    value = plain.get(name)
    if value is None:
        return None
    if not _are_whole(value, 4) or value[0] > value[2] or value[1] > value[3]:
        raise ValueError(f"{name}: got {value!r}, expected [row_min, col_min, row_max, col_max]")
    return value[0], value[1], value[2], value[3]


def _add_polygon(case: CaseReference, plain: Mapping[str, Any]) -> None:
    points = plain.get("points")
    if not isinstance(points, list) or len(points) < 3 or not all(_are_whole(p, 2) for p in points):
        raise ValueError(f"points: got {points!r}, expected at least three [row, col]")
    case.polygons[plain["slice"]] = tuple((p[0], p[1]) for p in points)
