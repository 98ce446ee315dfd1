"""The prompt task ``grade``: is the glioma in this slice of low or of high grade, or is there none?

The answer asked for is ``Choice: <0 low, 1 high, 2 none> Reasoning: <10 keywords>``. The digit comes
first, so that an answer cut off after a few tokens still has it.

Parsers:
    strict: the answer begins with ``Choice: d``, d one of 0, 1, 2 (the rule of the published tables).
    lenient: also the first ``Choice`` that is followed by 0, 1 or 2 with nothing alphanumeric between,
        anywhere, and an answer that is nothing but the digit. Several different digits joined by "or",
        "/" or a comma are no choice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .answers import FRAME, Frame, Parsed, accept, check_parser, no_answer, readable, refuse, shorten
from .prompt import worded
from .slices import SliceRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CLASSES", "TASK", "GradeTask"]

CLASSES = ("low", "high", "none")
"""What the digits 0, 1 and 2 mean."""


PROMPTS = worded(
    {
        "default": "This is one {plane} {modality} slice of a brain MRI. Decide from the picture "
        "alone: {codes}. Reply in one line, exactly in this form and without anything before it:\n{form}",
        "brief": "{modality} MRI, {plane}. {codes}. Reply with: {form}",
        "reader": "You read brain MRI and are shown a single {plane} {modality} slice. What do you "
        "write down, {codes}? Use one line, nothing else:\n{form}",
        "question": "Does this {plane} {modality} slice show a glioma, and is it of low or high grade? "
        "Code your answer: {codes}. One line only:\n{form}",
        "findings": "Look at the {plane} {modality} slice: signal, margins, mass effect, oedema, "
        "necrosis. Then commit to one code: {codes}. Begin with the code, then ten keywords:\n{form}",
    },
    codes="0 for a low-grade glioma, 1 for a high-grade glioma, 2 for no glioma",
    form="Choice: <0, 1 or 2> Reasoning: <10 keywords>",
)

_STRICT = re.compile(r"Choice:\s*([012])(?![0-9])")
_CHOICE = re.compile(r"Choice[^0-9A-Za-z]+([012])(?![0-9]|\.[0-9])", re.IGNORECASE)
_ANOTHER = re.compile(r"[ \t]*(?:[,/]|or\b|and\b)[ \t]*[0-9]\b")
_RECORDED_ERROR = "ERROR: Unknown >>"

_GRAMMAR = r"""root ::= "Choice: " [0-2] " Reasoning: " keyword ("," " "? keyword){0,9}
keyword ::= [A-Za-z] [A-Za-z0-9 -]{0,39}
"""


@dataclass(frozen=True)
class GradeTask:
    """``grade``; see the module.

    Example:
        >>> TASK.parse("Choice: 1 Reasoning: necrosis").value
        1
        >>> TASK.parse("Answer: 1").refused
        'no Choice of 0, 1 or 2 in it'
    """

    name: str = "grade"
    new_tokens: int = 20
    slices: SliceRule = field(default_factory=SliceRule)
    prompts: Mapping[str, str] = field(default_factory=lambda: dict(PROMPTS))

    def grammar(self, frame: Frame = FRAME) -> str:
        """The answer asked for, as GBNF; the same for every frame."""
        return _GRAMMAR

    def parse(self, text: str, parser: str = "lenient", frame: Frame = FRAME) -> Parsed:
        """Read the class 0, 1 or 2; ``written`` is (class,)."""
        strict = check_parser(parser)
        text, repairs = shorten(text)
        match = _STRICT.match(text)
        if match and (strict or not _ANOTHER.match(text, match.end())):
            return _choice(match[1], repairs)
        if strict:
            return refuse(no_answer(text, "leading Choice of 0, 1 or 2"), repairs)
        return _recover(readable(text).removeprefix(_RECORDED_ERROR), repairs)

    def target(self, mask: NDArray[Any] | None = None, grade: str | None = None) -> int | None:
        """0 or 1 for the patient's "low" or "high"; a slice has no grade of its own: no mask is needed."""
        return CLASSES.index(grade) if grade in ("low", "high") else None


def _recover(text: str, repairs: list[str]) -> Parsed:
    match = _CHOICE.search(text)
    if match is None:
        lone = text.strip(" \t\r\n.,;:*`'\"()[]<>")
        if lone in ("0", "1", "2"):
            return _choice(lone, [*repairs, "a digit without the word Choice"])
        return refuse(no_answer(text, "Choice of 0, 1 or 2"), repairs)
    if _ANOTHER.match(text, match.end()):
        return refuse("it names several classes", repairs)
    repairs.append("not at the beginning, or written in another way")
    if any(other[1] != match[1] for other in _CHOICE.finditer(text, match.end())):
        repairs.append("the first of several choices that differ")
    return _choice(match[1], repairs)


def _choice(digit: str, repairs: list[str]) -> Parsed:
    return accept(int(digit), (int(digit),), repairs)


TASK = GradeTask()
