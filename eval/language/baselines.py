"""What it takes no model to say, on the very slices that a model is scored on.

A Dice of 0.12 means nothing until one sees that a box around the whole frame scores 0.12.

=================  ============  =======================================================================
name               task          answer to every slice
=================  ============  =======================================================================
``always-high``    grade         high grade
``centred-point``  center        the middle of the frame
``full-frame``     box, polygon  the whole frame
``centred-box``    box, polygon  half the frame's height and width, in its middle
``most-frequent``  class         the class that is right most often
``random-box``     box, polygon  as high and wide as the slice's reference, anywhere in the frame, from the
                                 seed, the case and the slice (it is told the size: an upper bound for
                                 guessing)
=================  ============  =======================================================================
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ...zoo.tasks.answers import Parsed, refuse
from .center import reference_box
from .items import Item, Sheet
from .protocols import Protocol
from .regions import answered

Shape = tuple[int, int]
Box = tuple[int, int, int, int]
Maker = Callable[[Item, Protocol, Shape, int], Parsed]


def _point(item: Item, protocol: Protocol, shape: Shape, seed: int) -> Parsed:
    middle = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    return Parsed(middle, "understood", written=(middle,))


def _high(item: Item, protocol: Protocol, shape: Shape, seed: int) -> Parsed:
    return Parsed(1, "understood", written=(1,))


def _full(item: Item, protocol: Protocol, shape: Shape, seed: int) -> Parsed:
    return _corners((0, 0, shape[0] - 1, shape[1] - 1))


def _centred(item: Item, protocol: Protocol, shape: Shape, seed: int) -> Parsed:
    (height, width), (top, left) = (n // 2 for n in shape), (n // 4 for n in shape)
    return _corners((top, left, top + height - 1, left + width - 1))


def _random(item: Item, protocol: Protocol, shape: Shape, seed: int) -> Parsed:
    box = reference_of(item, protocol)
    if box is None:
        return refuse("no reference to take the size from")
    answer = item.answer
    text = f"{seed}/{answer.case}/{answer.plane}/{answer.slice}/{answer.repeat}"
    digest = hashlib.sha256(text.encode()).digest()
    height, width = box[2] - box[0] + 1, box[3] - box[1] + 1
    top = int.from_bytes(digest[:8]) % max(1, shape[0] - height + 1)
    left = int.from_bytes(digest[8:16]) % max(1, shape[1] - width + 1)
    return _corners((top, left, top + height - 1, left + width - 1))


def reference_of(item: Item, protocol: Protocol) -> Box | None:
    """The smallest box around an item's reference; None where it has none."""
    if item.answer.task == "box":
        box = reference_box(item, protocol)
        return None if box is None else (box[0], box[1], box[2], box[3])
    mask = item.case.masks.get(item.answer.slice)
    if mask is not None:
        from ...rasterize import mask_to_box

        top, left, bottom, right = mask_to_box(mask.pixels).tolist()
        return top, left, bottom, right
    points: Sequence[Any] = item.case.polygons.get(item.answer.slice) or ()
    if not points:
        return None
    rows, cols = zip(*points, strict=True)
    return min(rows), min(cols), max(rows), max(cols)


def _corners(box: Box) -> Parsed:
    top, left, bottom, right = box
    written = ((top, left), (top, right), (bottom, right), (bottom, left))
    return Parsed(box, "understood", written=written)


def _most_frequent(sheet: Sheet) -> Maker:
    """The class that is right most often, of those the one that comes first."""
    counts = Counter(item.case.targets.get(item.answer.slice) for item in sheet.items)
    del counts[None]
    found = counts.most_common(1)[0][0] if counts else None
    return lambda item, protocol, shape, seed: Parsed(found, "understood", written=(found,))


_REGIONS: dict[str, Maker] = {"full-frame": _full, "centred-box": _centred, "random-box": _random}
BASELINES: dict[str, dict[str, Maker]] = {
    "grade": {"always-high": _high},
    "center": {"centred-point": _point},
    "box": _REGIONS,
    "polygon": _REGIONS,
    "point": {"centred-point": _point},
}
"""Task or kind of a user's own task -> name -> what it answers."""
MOST_FREQUENT = "most-frequent"


def names_of(task: str) -> list[str]:
    """The baselines of a task."""
    return [MOST_FREQUENT] if task == "class" else list(BASELINES.get(task, ()))


def answer_as(name: str, sheet: Sheet, protocol: Protocol, seed: int = 0) -> Sheet:
    """The sheet with a baseline's answers instead of the model's.

    Where the protocol leaves out slices that the model did not answer, they stay unanswered.

    Args:
        name: one of ``names_of(sheet.task)``.
        sheet: of a model.
        protocol: that it will be scored under.
        seed: of what is random.
    """
    make = _most_frequent(sheet) if name == MOST_FREQUENT else BASELINES[sheet.task][name]
    skips = protocol.unanswered == "skip" and protocol.pooling == "slice" and sheet.task != "grade"
    patients = {
        patient: tuple(
            item
            if skips and not answered(item, protocol)
            else Item(item.answer, make(item, protocol, sheet.shape, seed), item.case)
            for item in items
        )
        for patient, items in sheet.patients.items()
    }
    return replace(sheet, patients=patients)
