"""What a parser makes of an answer, and the reading that the parsers of all prompt tasks share.

A parse never raises on a text and never guesses silently: what was understood, what had to be repaired
and why an answer was refused are fields of :class:`Parsed`, and each repair is a sentence. Every pattern
used here and in the tasks runs in time linear in the answer, of which only the first ``LONGEST``
characters are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from ..errors import UsageError

__all__ = [
    "FRAME",
    "LONGEST",
    "PARSERS",
    "Parsed",
    "accept",
    "check_parser",
    "fit_point",
    "is_cut_off",
    "no_answer",
    "points_in",
    "readable",
    "refuse",
    "shorten",
    "whole_point",
]

FRAME = (128, 128)
"""(height, width) of the image a model is shown, unless a task is told otherwise."""

LONGEST = 1 << 15
"""Characters of an answer that are read: fifty times the longest one asked for."""

FARTHEST = 1_000_000
"""A coordinate beyond this is refused: nothing is drawn there (``rasterize.checks.FAR``)."""

PARSERS = ("strict", "lenient")
Status = Literal["understood", "repaired", "refused"]
Point = tuple[int, int]
Frame = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Parsed:
    """One answer as a parser read it.

    Attributes:
        value: the answer inside the frame: a class, a point, a box (row_min, col_min, row_max, col_max),
            a tuple of points; None exactly when ``status`` is "refused".
        status: "understood" as it stands, "repaired", or "refused".
        repairs: what had to be ignored, reordered, left out or moved, a sentence each.
        refused: why there is no value; "" otherwise.
        written: the same numbers as the model wrote them, inside the frame or not: (class,), or points.
            Masks are drawn from these, for a shape that is cut at the frame keeps its slopes, which moved
            points would not. () when no answer was found.

    Example:
        >>> Parsed((0, 0, 9, 9), "understood").answered
        True
        >>> Parsed(None, "refused", refused="no coordinates in it").answered
        False
    """

    value: Any
    status: Status
    repairs: tuple[str, ...] = ()
    refused: str = ""
    written: tuple[Any, ...] = ()

    @property
    def answered(self) -> bool:
        """An answer was given. One that lies outside the frame is refused, but it is wrong, not missing."""
        return self.value is not None or bool(self.written)


def accept(value: Any, written: Sequence[Any], repairs: Sequence[str] = ()) -> Parsed:
    """A value, "repaired" if anything had to be."""
    return Parsed(value, "repaired" if repairs else "understood", tuple(repairs), "", tuple(written))


def refuse(reason: str, repairs: Sequence[str] = (), written: Sequence[Any] = ()) -> Parsed:
    """No value, and why."""
    return Parsed(None, "refused", tuple(repairs), reason, tuple(written))


def check_parser(parser: str) -> bool:
    """Whether the strict parser is meant.

    Raises:
        UsageError: neither "strict" nor "lenient".
    """
    if parser not in PARSERS:
        raise UsageError(f"unknown parser {parser!r}: expected one of {', '.join(PARSERS)}")
    return parser == "strict"


def shorten(text: object) -> tuple[str, list[str]]:
    """The part of an answer that is read, and what to say about the rest."""
    if not isinstance(text, str):
        return "", []
    if len(text) <= LONGEST:
        return text, []
    return text[:LONGEST], [f"only the first {LONGEST} of {len(text)} characters were read"]


_BREAKS = re.compile(r"\|{2,}")


def readable(text: str) -> str:
    """Recorded answers write newlines as ``||``: turn those back.

    Example:
        >>> readable("Choice: 1 || Reasoning")
        'Choice: 1 \\n Reasoning'
    """
    return _BREAKS.sub("\n", text)


_DECLINED = ("can't", "can\u2019t", "cannot", "unable to", "not able to", "sorry", "i decline")


def no_answer(text: str, wanted: str) -> str:
    """Why a text without ``wanted`` in it is refused."""
    if not text.strip():
        return "the answer is empty"
    lower = text.lower()
    declined = any(phrase in lower for phrase in _DECLINED)
    return f"the model declined: no {wanted} in it" if declined else f"no {wanted} in it"


_POINT = re.compile(r"""\(\s*([-+.'"0-9]+)\s*,\s*([-+.'"0-9]+)\s*\)""")


def points_in(text: str) -> tuple[list[Point], list[str]]:
    """Every ``(row, col)`` of unsigned integers, in order, and what was left out or joined.

    Example:
        >>> points_in("((1, 2), (-5, 6), (3,4), (7")
        ([(1, 2), (3, 4)], ['1 point with a sign, a fraction or quotes left out', 'cut off within a point'])
    """
    found = list(_POINT.finditer(text))
    pairs = [match.groups() for match in found]
    plain = [pair for pair in pairs if (pair[0] + pair[1]).isdigit()]
    points = [whole_point(*pair) for pair in plain]
    near = [point for point in points if point is not None]
    remarks = _count(len(pairs) - len(plain), "with a sign, a fraction or quotes left out")
    remarks += _count(len(plain) - len(near), "with a number beyond a million left out")
    lists = 1 + sum(_is_a_break(text[a.end() : b.start()]) for a, b in pairwise(found))
    if lists > 1:
        remarks.append(f"the points of {lists} lists joined")
    if near and is_cut_off(text[found[-1].end() :]):
        remarks.append("cut off within a point")
    return near, remarks


def whole_point(row: str, col: str) -> Point | None:
    """Two runs of digits (with a sign or not) as a point; None beyond a million."""
    if len(row) > 12 or len(col) > 12:
        return None
    point = int(row), int(col)
    return None if abs(point[0]) > FARTHEST or abs(point[1]) > FARTHEST else point


def _count(n: int, what: str) -> list[str]:
    return [f"{n} point{'s' if n > 1 else ''} {what}"] if n > 0 else []


def _is_a_break(gap: str) -> bool:
    """Whether more than commas, blanks and an "and" stands between two points."""
    if gap in (", ", ","):
        return False
    return len(gap) > 40 or gap.replace("and", "").strip(" \t\r\n,;.*-") != ""


_CUT = re.compile(r"[\s,]*[(\[][\s(\[]*[0-9]*\s*,?\s*[0-9]*\Z")


def is_cut_off(tail: str) -> bool:
    """Whether ``tail``, what follows the last point, begins another one and ends there."""
    return len(tail) <= 40 and _CUT.match(tail) is not None


def fit_point(point: Point, frame: Frame) -> Point:
    """The point of the frame that is nearest to ``point``.

    Example:
        >>> fit_point((130, -4), (128, 128))
        (127, 0)
    """
    return min(max(point[0], 0), frame[0] - 1), min(max(point[1], 0), frame[1] - 1)
