"""Prompt tasks of a user's own: what is right of each slice, and figures where none of our tasks has them.

What the task's ``target`` gives decides how answers are scored:

=========  ==========================================  ====================================================
kind       a target looks like                         figures
=========  ==========================================  ====================================================
class      a text, a whole number, True or False       ``accuracy``: the share of slices that are right
point      (row, col)                                  ``distance`` to it, pixels (``distance_mm`` in mm)
box        (row_min, col_min, row_max, col_max)        those of the task ``box``
polygon    three or more (row, col)                    those of the task ``polygon``
=========  ==========================================  ====================================================

A task that has a method ``score(parsed, target)`` gives figures itself: name -> number, the same names for
every slice. A task that is called ``grade``, ``center``, ``box`` or ``polygon`` and has no ``score`` is
scored as ours is.

All figures are means over a patient's slices, then over patients; a slice without a target takes no part. An
unanswered slice is left out or a miss, as the protocol has it: a miss is wrong (class), at the penalty
(point), an empty prediction (box, polygon); ``score`` is given it with ``parsed.value`` None.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ...zoo.errors import UsageError
from ...zoo.tasks.answers import Parsed
from .boxes import empty_distance
from .items import Item, Sheet
from .protocols import Protocol
from .references import CaseReference, References
from .scored import Scored, mean_over

if TYPE_CHECKING:
    from ...zoo.tasks.prompt import PromptTask
    from .answers import Answer

HOOK = "score"
Figures = Callable[[Item], Mapping[str, float]]


def kind_of(target: object) -> str:
    """What a target is: "class", "point", "box" or "polygon".

    Raises:
        UsageError: none of these.

    Example:
        >>> kind_of("left"), kind_of((3.5, 4)), kind_of((0, 0, 9, 9)), kind_of(((0, 0), (0, 5), (5, 0)))
        ('class', 'point', 'box', 'polygon')
    """
    if isinstance(target, str | bool | int | np.integer | np.bool_):
        return "class"
    try:
        shape = np.asarray(target, dtype=np.float64).shape
    except (TypeError, ValueError):
        shape = ()
    if shape in ((2,), (4,)):
        return "point" if shape == (2,) else "box"
    if len(shape) == 2 and shape[0] >= 3 and shape[1] == 2:
        return "polygon"
    raise UsageError(
        f"the target {target!r} is no class, point, box or polygon; give TASK a method score(parsed, target)"
    )


def restate(task: PromptTask, known: References, answers: Iterable[Answer]) -> tuple[str, References]:
    """The references with what the task's ``target`` says of the slices that were asked about.

    Args:
        task: of a user.
        known: the cohort; where the ground truth is recorded as polygons or boxes, ``target`` is given the
            mask that they draw.
        answers: about which slices.

    Returns:
        The kind of the targets ("score" where the task scores), and the references.

    Raises:
        UsageError: targets that cannot be scored, or of several kinds.
    """
    wanted: dict[str, set[int]] = {}
    for answer in answers:
        wanted.setdefault(answer.case, set()).add(answer.slice)
    targets = {
        name: _targets(task, case, sorted(wanted.get(name, ())), known.shape)
        for name, case in known.cases.items()
    }
    kind = HOOK if hasattr(task, HOOK) else _one_kind(task, targets)
    cases = {name: _with_targets(case, kind, targets[name]) for name, case in known.cases.items()}
    return kind, replace(known, cases=cases)


def _targets(
    task: PromptTask, case: CaseReference, slices: Iterable[int], shape: tuple[int, int]
) -> dict[int, Any]:
    grade = None if case.label is None else ("low", "high")[case.label]
    found = {index: task.target(_mask(case, index, shape), grade) for index in slices}
    return {index: target for index, target in found.items() if target is not None}


def _mask(case: CaseReference, index: int, shape: tuple[int, int]) -> Any:
    """The slice's mask, (height, width) bool; None where nothing is known of it."""
    from ...rasterize import fill_box, fill_polygon

    if index in case.masks:
        return case.masks[index].pixels != 0
    if index in case.polygons:
        return fill_polygon(case.polygons[index], shape, rule="outline") != 0
    return fill_box(case.boxes[index], shape) != 0 if index in case.boxes else None


def _one_kind(task: PromptTask, targets: Mapping[str, Mapping[int, Any]]) -> str:
    kinds = sorted({kind_of(target) for some in targets.values() for target in some.values()})
    if len(kinds) != 1:
        what = f"are of several kinds ({', '.join(kinds)})" if kinds else "are None on all slices"
        raise UsageError(f"task {task.name}: its targets {what}: nothing can be scored")
    return kinds[0]


def _with_targets(case: CaseReference, kind: str, targets: dict[int, Any]) -> CaseReference:
    boxes = {i: tuple(t) for i, t in targets.items()} if kind == "box" else {}
    polygons = {i: tuple(map(tuple, t)) for i, t in targets.items()} if kind == "polygon" else {}
    return replace(
        case,
        asked={},
        boxes=boxes,
        polygons=polygons,
        masks={},
        targets=targets,
    )


def drawn(parsed: Parsed, kind: str) -> Parsed:
    """An answer with its shape as points, where a parser of a user gave the value alone.

    Example:
        >>> drawn(Parsed((1, 2, 3, 4), "understood"), "box").written
        ((1, 2), (3, 4))
    """
    if kind not in ("point", "box", "polygon") or parsed.written or parsed.value is None:
        return parsed
    value = parsed.value
    points = {"point": (value,), "box": (tuple(value[:2]), tuple(value[2:])), "polygon": tuple(value)}[kind]
    return replace(parsed, written=points)


def score_class(sheet: Sheet, protocol: Protocol) -> Scored:
    """The share of slices whose class is right; a refused answer is wrong."""
    return _score(sheet, protocol, lambda i: {"accuracy": float(i.parsed.value == _target(i))})


def score_point(sheet: Sheet, protocol: Protocol) -> Scored:
    """Mean distance to the point, in pixels, and in mm where the size of a pixel is known."""
    spacings = [item.case.spacing_mm for item in sheet.items]
    with_mm = bool(spacings) and None not in spacings
    far = empty_distance(protocol.empty, sheet.shape)

    def figures(item: Item) -> Mapping[str, float]:
        spacing = item.case.spacing_mm or (1.0, 1.0)
        if not item.parsed.answered:
            return {"distance": far, **({"distance_mm": far * max(spacing)} if with_mm else {})}
        off = np.subtract(item.parsed.written[0], _target(item))
        found = {"distance": math.hypot(*off)}
        return found | ({"distance_mm": math.hypot(*(off * spacing))} if with_mm else {})

    return _score(sheet, protocol, figures)


def score_by_task(task: Any, sheet: Sheet, protocol: Protocol) -> Scored:
    """The figures that the task's own ``score`` gives.

    Raises:
        UsageError: not a mapping of names to numbers, or other names than for the slice before.
    """
    names: list[str] = []

    def figures(item: Item) -> Mapping[str, float]:
        given = task.score(item.parsed, _target(item))
        where = f"task {task.name}: score() of case {item.answer.case}, slice {item.answer.slice}"
        if not isinstance(given, Mapping) or not given or not all(map(_is_number, given.values())):
            raise UsageError(f"{where} gave {given!r}, expected names and numbers")
        names[:] = names or list(given)
        if set(given) != set(names):
            raise UsageError(f"{where} gave {', '.join(given)}, before {', '.join(names)}")
        return {name: float(given[name]) for name in names}

    return _score(sheet, protocol, figures)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number)


def _target(item: Item) -> Any:
    return item.case.targets.get(item.answer.slice)


def _score(sheet: Sheet, protocol: Protocol, figures: Figures) -> Scored:
    """Means over the slices of each patient, then over patients."""
    known = {p: [i for i in items if _target(i) is not None] for p, items in sheet.patients.items()}
    skips = protocol.unanswered == "skip"
    kept = {p: [i for i in items if i.parsed.answered or not skips] for p, items in known.items()}
    rows = {p: [figures(i) for i in items] for p, items in kept.items() if items}
    patients = {p: mean_over(dict(enumerate(some)), list(some[0])) for p, some in rows.items()}  # type: ignore[arg-type]
    silent = tuple(p for p, items in kept.items() if not items)
    left_out = {"no_slices": sheet.no_slices, "not_recorded": sheet.not_recorded, "unscored": silent}
    metrics = list(next(iter(patients.values()), {}))
    asked = sum(map(len, sheet.patients.values()))
    counted = sum(map(len, known.values()))
    return Scored(
        sheet.task,
        protocol,
        mean_over(patients, metrics),
        patients,
        {
            "slices": asked,
            "slices_scored": sum(map(len, kept.values())),
            "unanswered": sum(not i.parsed.answered for items in known.values() for i in items),
            "no_reference": asked - counted,
            "patients": len(patients),
        },
        {why: names for why, names in left_out.items() if names},
    )
