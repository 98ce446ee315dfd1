"""The prompt task ``polygon``: the outline of the tumour in this slice.

The answer asked for is ``((row1, col1), (row2, col2), ...)``, 10 to 15 points, clockwise.

Parsers:
    strict: every ``(row, col)`` of unsigned integers, of which the first 15 count, be it one point only.
    lenient: every such point, and at least three of them. Points of several lists are joined, and said to be.

Points with a sign, a fraction or quotes are left out, and counted. Answers may cross themselves: the
even-odd rule says what is inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .answers import (
    FRAME,
    Frame,
    Parsed,
    Point,
    accept,
    check_parser,
    fit_point,
    no_answer,
    points_in,
    refuse,
    shorten,
)
from .gbnf import point_rules
from .prompt import worded
from .slices import SliceRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TASK", "PolygonTask"]

PROMPTS = worded(
    {
        "default": "This {plane} {modality} slice of a brain MRI shows a glioma. Outline the whole "
        "tumour, oedema included, by 10 to 15 points, clockwise from its topmost one. In this {rows} x "
        "{cols} image {axes}. Reply with integers in this form and nothing else:\n{form}",
        "brief": "{modality} MRI, {plane}, {rows} x {cols} pixels; {axes}. Tumour outline, 10-15 "
        "points, clockwise, as {form}:",
        "reader": "You contour lesions on brain MRI. Contour the glioma of this {plane} {modality} "
        "slice with 10 to 15 points, going clockwise; {axes}. Only the points:\n{form}",
        "question": "Which polygon of 10 to 15 pixels, listed clockwise, runs along the border of the "
        "tumour in this {rows} x {cols} {plane} {modality} slice? Mind that {axes}. Answer with "
        "integers as {form}",
        "steps": "Find the glioma on the {plane} {modality} slice, begin where it reaches highest and "
        "go round it clockwise, noting 10 to 15 points. Do not write the steps; {axes}. Write only the "
        "points:\n{form}",
    },
    form="((row1, col1), (row2, col2), ...)",
)

MOST_POINTS = 15
FEWEST_POINTS = 3


@dataclass(frozen=True)
class PolygonTask:
    """``polygon``; see the module.

    Example:
        >>> TASK.parse("((10, 20), (10, 40), (30, 40), (30, 2")
        Parsed(value=((10, 20), (10, 40), (30, 40)), status='repaired', repairs=('cut off within a point',),
               refused='', written=((10, 20), (10, 40), (30, 40)))
    """

    name: str = "polygon"
    new_tokens: int = 140
    slices: SliceRule = field(default_factory=SliceRule)
    prompts: Mapping[str, str] = field(default_factory=lambda: dict(PROMPTS))

    def grammar(self, frame: Frame = FRAME) -> str:
        """The answer asked for, as GBNF: 3 to 15 points, since a small tumour has no 10."""
        root = 'root ::= "(" point (", " point){2,14} ")"'
        return "\n".join([root, *point_rules(frame)]) + "\n"

    def parse(self, text: str, parser: str = "lenient", frame: Frame = FRAME) -> Parsed:
        """Read a tuple of (row, col).

        ``value`` has points outside the frame moved to its border; ``written`` has them where the model
        put them, which is what is drawn and then cut.
        """
        strict = check_parser(parser)
        text, repairs = shorten(text)
        points, remarks = points_in(text)
        repairs += remarks
        if strict and len(points) > MOST_POINTS:
            repairs.append(f"the first {MOST_POINTS} of {len(points)} points taken")
            points = points[:MOST_POINTS]
        if len(points) < (1 if strict else FEWEST_POINTS):
            return refuse(_why(text, points), repairs)
        return _framed(points, repairs, frame)

    def target(self, mask: NDArray[Any] | None = None, grade: str | None = None) -> tuple[Point, ...] | None:
        """3 to 15 pixels around the mask's largest part, clockwise from the north-most; None without one."""
        from .outline import outline

        return None if mask is None or not mask.any() else outline(mask, MOST_POINTS)


def _why(text: str, points: list[Point]) -> str:
    if not points:
        return no_answer(text, "point (row, col)")
    return f"{len(points)} point{'s' if len(points) > 1 else ''}, a polygon needs {FEWEST_POINTS}"


def _framed(points: list[Point], repairs: list[str], frame: Frame) -> Parsed:
    rows, cols = zip(*points, strict=True)
    if min(rows) >= frame[0] or min(cols) >= frame[1]:
        return refuse("the polygon lies outside the frame", repairs, points)
    if max(rows) < frame[0] and max(cols) < frame[1]:
        return accept(tuple(points), points, repairs)
    inside = tuple(fit_point(point, frame) for point in points)
    moved = sum(a != b for a, b in zip(points, inside, strict=True))
    repairs.append(f"{moved} point{'s' if moved > 1 else ''} moved to the border of the frame")
    return accept(inside, points, repairs)


TASK = PolygonTask()
