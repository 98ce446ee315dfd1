"""The prompt task ``box``: the smallest box around the tumour in this slice.

The answer asked for lists four corners, clockwise from the top left:
``[(row_min, col_min), (row_min, col_max), (row_max, col_max), (row_max, col_min)]``.

Parsers:
    strict: that list as the study's recorder kept it; else the first line, up to the first ``:`` or
        ``||``, has to be a Python literal of four pairs, and nothing else: any brackets, quoted integers
        and fractions (truncated) allowed, a flat list of four numbers not. Four times (-1, -1) is no answer.
    lenient: also the first four pairs of integers anywhere, with round or square brackets, even mixed;
        else the first ``[row_min, col_min, row_max, col_max]``. Lists cut off before the fourth corner
        are refused.

Either way the box is the smallest one around the four corners, in whatever order they come, cut at the frame.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .answers import (
    FARTHEST,
    FRAME,
    Frame,
    Parsed,
    Point,
    accept,
    check_parser,
    is_cut_off,
    no_answer,
    readable,
    refuse,
    shorten,
    whole_point,
)
from .gbnf import point_rules
from .prompt import worded
from .slices import SliceRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TASK", "BoxTask"]

PROMPTS = worded(
    {
        "default": "This {plane} {modality} slice of a brain MRI shows a glioma. Give the smallest box "
        "that holds the whole tumour, oedema included. In this {rows} x {cols} image {axes}. Reply "
        "with its corners as integers in this form and nothing else:\n{form}",
        "brief": "{modality} MRI, {plane}, {rows} x {cols} pixels; {axes}. Box of the tumour, as {form}:",
        "reader": "You mark lesions on brain MRI. Frame the glioma of this {plane} {modality} slice as "
        "closely as a box allows and report the corners; {axes}. Only the list:\n{form}",
        "question": "Which box of pixels does the tumour occupy in this {rows} x {cols} {plane} "
        "{modality} slice? Mind that {axes}. Answer with integers as {form}",
        "steps": "Find the glioma on the {plane} {modality} slice and note the first and last row and "
        "the first and last column it reaches. Do not write the steps; {axes}. Write only the "
        "corners:\n{form}",
    },
    form="[(row_min, col_min), (row_min, col_max), (row_max, col_max), (row_max, col_min)]",
)

_RECORDED = re.compile(r"\[" + ", ".join([r"\([0-9]+, [0-9]+\)"] * 4) + r"\]")
_CORNER = re.compile(r"[\[(]\s*(-?[0-9]+)\s*,\s*(-?[0-9]+)\s*[\])]")
_FLAT = re.compile(r"\[\s*" + r"\s*,\s*".join([r"(-?[0-9]+)"] * 4) + r"\s*\]")
_QUOTED = re.compile(r"[(\[]\s*[\"']\s*-?[0-9]")
_FRACTION = re.compile(r"[(\[]\s*-?[0-9]*\.[0-9]")
_LONGEST_LITERAL = 400


def _literal() -> re.Pattern[str]:
    """A Python literal of four pairs: lists or tuples, of integers, fractions and quoted integers."""
    whole, fraction = r"[-+]?(?:0+|[1-9][0-9]*)", r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)"
    number = rf"(?:{fraction}|{whole}|'\s*[-+]?[0-9]+\s*'|\"\s*[-+]?[0-9]+\s*\")"
    inner = rf"\s*{number}\s*,\s*{number}\s*(?:,\s*)?"
    pair = rf"(?:\({inner}\)|\[{inner}\])"
    four = r"\s*,\s*".join([pair] * 4) + r"\s*(?:,\s*)?"
    return re.compile(rf"(?:\(\s*{four}\)|\[\s*{four}\]|{four})\Z")


_LITERAL = _literal()
_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]+")


@dataclass(frozen=True)
class BoxTask:
    """``box``; see the module.

    Example:
        >>> TASK.parse("[29, 24, 72, 130]")
        Parsed(value=(29, 24, 72, 127), status='repaired',
               repairs=('four numbers taken as row_min, col_min, row_max, col_max', 'cut at the frame'),
               refused='', written=((29, 24), (29, 130), (72, 130), (72, 24)))
    """

    name: str = "box"
    new_tokens: int = 40
    slices: SliceRule = field(default_factory=SliceRule)
    prompts: Mapping[str, str] = field(default_factory=lambda: dict(PROMPTS))

    def grammar(self, frame: Frame = FRAME) -> str:
        """The answer asked for, as GBNF; that a min is not above its max, a grammar cannot say."""
        root = 'root ::= "[" point ", " point ", " point ", " point "]"'
        return "\n".join([root, *point_rules(frame)]) + "\n"

    def parse(self, text: str, parser: str = "lenient", frame: Frame = FRAME) -> Parsed:
        """Read (row_min, col_min, row_max, col_max), inclusive; ``written`` are the four corners.

        A box that lies outside the frame altogether is refused, but written.
        """
        strict = check_parser(parser)
        text, repairs = shorten(text)
        corners = _strict(text)
        if corners is None and not strict:
            corners = _recover(readable(text), repairs)
        if corners is None:
            return refuse(_why(text, strict), repairs)
        return _box(corners, repairs, frame)

    def target(self, mask: NDArray[Any] | None = None, grade: str | None = None) -> tuple[int, ...] | None:
        """(row_min, col_min, row_max, col_max) of the mask, inclusive; None for a slice without tumour."""
        from ...rasterize import mask_to_box

        return None if mask is None or not mask.any() else tuple(mask_to_box(mask).tolist())


Corners = list[Point]


def _strict(text: str) -> Corners | None:
    match = _RECORDED.search(text)
    line = match[0] if match else text.split("\n", 1)[0].split("||", 1)[0].split(":", 1)[0].strip()
    if len(line) > _LONGEST_LITERAL or _LITERAL.match(line) is None:
        return None
    return _corners([number.split(".")[0] or "0" for number in _NUMBER.findall(line)])


def _corners(numbers: Sequence[str]) -> Corners | None:
    numbers = ["0" if number in ("-", "+") else number for number in numbers]
    points = [whole_point(row, col) for row, col in zip(numbers[::2], numbers[1::2], strict=True)]
    return None if None in points else points  # type: ignore[return-value]


def _recover(text: str, repairs: list[str]) -> Corners | None:
    pairs = _CORNER.findall(text)
    if len(pairs) >= 4:
        repairs.append("corners found in a text, or not in one list")
        if len(pairs) > 4:
            repairs.append(f"the first 4 of {len(pairs)} points taken")
        return _corners([number for pair in pairs[:4] for number in pair])
    match = _FLAT.search(text)
    if match is None:
        return None
    repairs.append("four numbers taken as row_min, col_min, row_max, col_max")
    top, left, bottom, right = match.groups()
    return _corners([top, left, top, right, bottom, right, bottom, left])


def _why(text: str, strict: bool) -> str:
    pairs = list(_CORNER.finditer(text))
    if strict and (len(pairs) >= 4 or _FLAT.search(text)):
        return "no list of four corners that stands alone"
    if len(pairs) >= 4 or _FLAT.search(text):
        return f"a number beyond {FARTHEST}"
    if pairs:
        cut = "cut off after" if is_cut_off(text[pairs[-1].end() :]) else "only"
        return f"{cut} {len(pairs)} of 4 corners"
    if _QUOTED.search(text):
        return "numbers in quotes, but no list that stands alone"
    if _FRACTION.search(text):
        return "fractions, but no list of four corners that stands alone"
    return no_answer(text, "box")


def _box(corners: Corners, repairs: list[str], frame: Frame) -> Parsed:
    if all(corner == (-1, -1) for corner in corners):
        return refuse("four times (-1, -1) stands for no answer", repairs)
    rows, cols = zip(*corners, strict=True)
    top, left, bottom, right = min(rows), min(cols), max(rows), max(cols)
    asked = [(top, left), (top, right), (bottom, right), (bottom, left)]
    if set(corners) != set(asked):
        repairs.append("the corners are no rectangle: the smallest box around them taken")
    elif corners != asked:
        repairs.append("the corners come in another order")
    box = max(top, 0), max(left, 0), min(bottom, frame[0] - 1), min(right, frame[1] - 1)
    if box[0] > box[2] or box[1] > box[3]:
        return refuse("the box lies outside the frame", repairs, corners)
    if box != (top, left, bottom, right):
        repairs.append("cut at the frame")
    return accept(box, corners, repairs)


TASK = BoxTask()
