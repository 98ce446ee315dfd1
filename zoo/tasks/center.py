"""The prompt task ``center``: where is the middle of the tumour in this slice?

The answer asked for is ``(row, col)``, whole pixels from the top left, which is (0, 0).

Parsers:
    strict: the first ``(row, col)`` of unsigned integers, as the study's recorder kept it.
    lenient: else, the first pair in round or square brackets, of numbers with a sign, a fraction
        (rounded, halves down) or quotes; else "row 40, column 55" in words; else an answer that is
        nothing but two numbers. Two fractions below 1 are shares of the image, not pixels, and refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from .answers import (
    FRAME,
    Frame,
    Parsed,
    Point,
    accept,
    check_parser,
    fit_point,
    no_answer,
    readable,
    refuse,
    shorten,
    whole_point,
)
from .gbnf import number_rule
from .prompt import worded
from .slices import SliceRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TASK", "CenterTask"]

PROMPTS = worded(
    {
        "default": "This {plane} {modality} slice of a brain MRI shows a glioma. Give the pixel in the "
        "middle of the whole tumour, oedema included. In this {rows} x {cols} image {axes}. Reply with "
        "two integers in this form and nothing else:\n{form}",
        "brief": "{modality} MRI, {plane}, {rows} x {cols} pixels; {axes}. Tumour centre, as {form}:",
        "reader": "You mark lesions on brain MRI. Put one mark in the middle of the glioma of this "
        "{plane} {modality} slice and report where it is; {axes}. Only the mark:\n{form}",
        "question": "At which pixel of this {rows} x {cols} {plane} {modality} slice does the middle "
        "of the tumour lie? Mind that {axes}. Answer with integers as {form}",
        "steps": "Find the glioma on the {plane} {modality} slice, note its first and last row and its "
        "first and last column, and take the middle of both. Do not write the steps; {axes}. Write "
        "only:\n{form}",
    },
    form="(row, col)",
)

_STRICT = re.compile(r"\(\s*([0-9]+)\s*,\s*([0-9]+)\s*\)")
_NUMBER = r"([-+]?[0-9]+(?:\.[0-9]*)?)"
_PAIR = re.compile(rf"[(\[]\s*[\"']?{_NUMBER}[\"']?\s*,\s*[\"']?{_NUMBER}[\"']?\s*[)\]]")
_WORDS = re.compile(
    rf"\brow\b[^0-9\n+-]{{0,12}}{_NUMBER}[^0-9\n]{{1,20}}col(?:umn)?\b[^0-9\n+-]{{0,12}}{_NUMBER}",
    re.IGNORECASE,
)
_BARE = re.compile(rf"{_NUMBER}[ \t]*[,; \t][ \t]*{_NUMBER}\Z")
_NONE = (-1, -1)


@dataclass(frozen=True)
class CenterTask:
    """``center``; see the module.

    Args:
        of: the target is the middle of the mask's box ("box", as in the study) or its centre of mass
            ("mass").

    Example:
        >>> TASK.parse("The centre is at [64.2, 32].")
        Parsed(value=(64, 32), status='repaired', repairs=('not as (row, col)', 'fractions rounded'),
        refused='',
               written=((64, 32),))
    """

    name: str = "center"
    of: Literal["box", "mass"] = "box"
    new_tokens: int = 40
    slices: SliceRule = field(default_factory=SliceRule)
    prompts: Mapping[str, str] = field(default_factory=lambda: dict(PROMPTS))

    def grammar(self, frame: Frame = FRAME) -> str:
        """The answer asked for, as GBNF."""
        rules = number_rule(frame[0] - 1, "row"), number_rule(frame[1] - 1, "col")
        return "\n".join(['root ::= "(" row ", " col ")"', *rules]) + "\n"

    def parse(self, text: str, parser: str = "lenient", frame: Frame = FRAME) -> Parsed:
        """Read (row, col); ``written`` is ((row, col),). A point out of the frame is refused, but written."""
        strict = check_parser(parser)
        text, repairs = shorten(text)
        found = _STRICT.findall(text)
        if found:
            repairs += _first_of(found)
            row, col = found[0]
            return _point(row, col, repairs, frame)
        if strict:
            return refuse(no_answer(text, "(row, col)"), repairs)
        return _recover(readable(text), repairs, frame)

    def target(
        self, mask: NDArray[Any] | None = None, grade: str | None = None
    ) -> tuple[float, float] | None:
        """The centre, (row, col) in pixels, half-integers kept; None for a slice without tumour."""
        from ...rasterize import mask_to_center

        if mask is None or not mask.any():
            return None
        row, col = mask_to_center(mask, of=self.of).tolist()
        return row, col


def _recover(text: str, repairs: list[str], frame: Frame) -> Parsed:
    pairs = _PAIR.findall(text)
    match = None if pairs else _WORDS.search(text) or _bare(text)
    if not pairs and match is None:
        return refuse(no_answer(text, "(row, col)"), repairs)
    row, col = pairs[0] if pairs else match.groups()  # type: ignore[union-attr]
    repairs += ["not as (row, col)", *_first_of(pairs)]
    return _point(row, col, repairs, frame)


def _bare(text: str) -> re.Match[str] | None:
    text = text.strip(" \t\r\n.*`")
    return _BARE.match(text) if len(text) < 64 else None


def _first_of(points: list[Any]) -> list[str]:
    differ = len(set(points))
    return [f"the first of {differ} points taken"] if differ > 1 else []


def _point(row: str, col: str, repairs: list[str], frame: Frame) -> Parsed:
    if "." in row + col:
        if max(len(row), len(col)) <= 20 and abs(float(row)) <= 1 and abs(float(col)) <= 1:
            return refuse("shares of the image, not pixels", repairs)
        row, col = _rounded(row), _rounded(col)
        repairs.append("fractions rounded")
    point = whole_point(row, col)
    if point is None:
        return refuse("a number beyond a million", repairs)
    return _framed(point, repairs, frame)


def _rounded(number: str) -> str:
    return (
        str(math.ceil(float(number) - 0.5)) if "." in number and len(number) <= 20 else number.split(".")[0]
    )


def _framed(point: Point, repairs: list[str], frame: Frame) -> Parsed:
    if point == _NONE:
        return refuse("(-1, -1) stands for no answer", repairs)
    if fit_point(point, frame) != point:
        return refuse(f"{point} lies outside the frame", repairs, (point,))
    return accept(point, (point,), repairs)


TASK = CenterTask()
