"""Conversations: a slice, a task's prompt and the right answer, written as the task's own grammar has it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.tasks.grade import CLASSES
from ...zoo.tasks.prompt import choose_prompt, prompt_task
from ...zoo.tasks.slices import SliceRule
from .slices import UNKNOWN, Slice

Points = Sequence[Sequence[int]]
LARGE, MEDIUM = 0.10, 0.03
"""Shares of the shown head (what is not black) from which a tumour is called large, or medium."""

_SIDES = {  # what lies above, below, left and right in the radiological view of zoo/slices2d.py
    "axial": ("anterior", "posterior", "right", "left"),
    "coronal": ("superior", "inferior", "right", "left"),
    "sagittal": ("superior", "inferior", "anterior", "posterior"),
}


def prompt_text(task: str, wording: str, modality: str, plane: str, size: tuple[int, int]) -> str:
    """The prompt as a model gets it in a run.

    Example:
        >>> prompt_text("center", "brief", "flair", "axial", (128, 128))[:26]
        'FLAIR MRI, axial, 128 x 12'
    """
    rule = replace(SliceRule(), modality=modality, plane=plane, size=size)
    return choose_prompt(prompt_task(task), wording, rule).text


def targets_of(one: Slice, tasks: Sequence[str]) -> dict[str, Any]:
    """Task -> what is right about a slice; tasks without a right answer (a box of nothing) are left out."""
    found = {task: prompt_task(task).target(one.mask) for task in tasks if task != "grade"}
    if "grade" in tasks:
        found["grade"] = None if one.grade == UNKNOWN else one.grade
    return {task: found[task] for task in tasks if found[task] is not None}


def answer_text(task: str, target: Any, one: Slice) -> str:
    """A target as an answer.

    Args:
        task: a prompt task.
        target: of ``targets_of``.
        one: the slice, for the keywords of a grade.

    Example:
        >>> blank = np.zeros((128, 128))
        >>> one = Slice("a", 0, blank, blank > 0, 2)
        >>> answer_text("center", (10.5, 20.0), one), answer_text("polygon", ((1, 2), (3, 4), (5, 0)), one)
        ('(10, 20)', '((1, 2), (3, 4), (5, 0))')
        >>> answer_text("box", (1, 2, 30, 40), one)
        '[(1, 2), (1, 40), (30, 40), (30, 2)]'
        >>> answer_text("grade", 2, one)
        'Choice: 2 Reasoning: no tumour seen'
    """
    if task == "grade":
        return f"Choice: {target} Reasoning: {', '.join(keywords(target, one))}"
    if task == "center":
        return _point([math.ceil(value - 0.5) for value in target])  # halves down, as the parser rounds
    if task == "box":
        top, left, bottom, right = target
        corners = ((top, left), (top, right), (bottom, right), (bottom, left))
        return f"[{', '.join(map(_point, corners))}]"
    return f"({', '.join(map(_point, target))})"


def keywords(grade: int, one: Slice) -> list[str]:
    """Reasons that the mask bears out: the tumour's size and where in the head it lies.

    Example:
        >>> image = np.full((8, 8), 9, np.uint8)
        >>> mask = np.zeros((8, 8), bool)
        >>> mask[1:3, 6] = True
        >>> keywords(1, Slice("a", 0, image, mask, 1))
        ['high grade', 'medium', 'anterior', 'left']
    """
    if grade == CLASSES.index("none") or not one.mask.any():
        return ["no tumour seen"]
    share = one.mask.sum() / max(1, np.count_nonzero(one.image))
    size = "large" if share > LARGE else "medium" if share > MEDIUM else "small"
    rows, cols = np.nonzero(one.mask)
    height, width = one.mask.shape
    up, down, west, east = _SIDES[one.plane]
    places = [up if rows.mean() < height / 2 else down, west if cols.mean() < width / 2 else east]
    return [f"{CLASSES[grade]} grade", size, *places]


def _point(pair: Sequence[int]) -> str:
    return f"({int(pair[0])}, {int(pair[1])})"


@dataclass(frozen=True, eq=False)
class Packed:
    """Conversations about several images, one row each, its tasks one after the other.

    Tokens of one task see the image and their own conversation alone, as if they were asked one by one.

    Attributes:
        ids: (B, L) int64 tokens, padded.
        labels: (B, L) int64, the tokens to be answered, -100 elsewhere.
        positions: (B, L) int64, counted as if the task stood right behind the image.
        blocks: (B, L) int64, number of the task from 1; 0 is padding.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    positions: NDArray[np.int64]
    blocks: NDArray[np.int64]


def pack(rows: Sequence[Mapping[int, tuple[Sequence[int], Sequence[int]]]], pad: int, first: int) -> Packed:
    """Conversations as arrays.

    Args:
        rows: per image, number of a task (from 1) -> (tokens of the question, tokens of the answer).
        pad: the padding token.
        first: position of a conversation's first token: how many come before it.

    Example:
        >>> pack([{1: ([5, 6], [7]), 2: ([5], [8])}, {}], pad=0, first=65).positions.tolist()
        [[65, 66, 67, 65, 66], [0, 0, 0, 0, 0]]
    """
    length = max((sum(len(q) + len(a) for q, a in row.values()) for row in rows), default=0)
    shape = len(rows), length
    out = Packed(
        np.full(shape, pad, np.int64),
        np.full(shape, -100, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
    )
    for at, row in enumerate(rows):
        start = 0
        for number, (question, answer) in row.items():
            stop, asked = start + len(question) + len(answer), start + len(question)
            out.ids[at, start:stop] = [*question, *answer]
            out.labels[at, asked:stop] = answer
            out.positions[at, start:stop] = np.arange(first, first + stop - start)
            out.blocks[at, start:stop] = number
            start = stop
    return out
