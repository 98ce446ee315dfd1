"""Answers about slices in memory, scored by the code of ``eval/language`` as a run would score them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...eval.language.answers import Answer
from ...eval.language.references import CaseReference, References, SliceMask
from ...eval.language.scoring import Reading, score_with
from ...eval.language.transcripts import Transcript
from ...rasterize import mask_to_box
from ...zoo.tasks.prompt import prompt_task
from .slices import Slice

FIGURES = {"box": "dice", "center": "in_box", "polygon": "dice"}
"""Task -> the figure that it is judged by; a grade by the share of right answers."""

SCORED = ("box-dice", "center-in_box", "polygon-dice")
"""What the score of a training is the mean of; a grade is known of too few."""


def judge(slices: Sequence[Slice], answers: dict[str, list[str]]) -> dict[str, dict[str, float]]:
    """Case -> figures, mean over its slices; the protocol is "all".

    Args:
        slices: with tumour, of any number of cases.
        answers: task -> a raw answer per slice.

    Example:
        >>> mask = np.zeros((128, 128), bool); mask[10:20, 30:50] = True
        >>> one = Slice("a", 4, mask.astype(np.uint8), mask, 1)
        >>> judge([one], {"center": ["(15, 40)"], "grade": ["Choice: 0 Reasoning: none"]})
        {'a': {'center-in_box': 1.0, 'grade-right': 0.0}}
    """
    out: dict[str, dict[str, float]] = {one.case: {} for one in slices}
    for task, texts in answers.items():
        if task == "grade":
            rows = {case: {"grade-right": value} for case, value in _right(slices, texts).items()}
        else:
            figure = FIGURES[task]
            scored = score_with(_reading(task, slices, texts), "all").patients if slices else {}
            rows = {case: {f"{task}-{figure}": round(row[figure], 4)} for case, row in scored.items()}
        for case, row in rows.items():
            out[case] |= row
    return out


def _right(slices: Sequence[Slice], texts: Sequence[str]) -> dict[str, float]:
    """Share of right grades of every case whose grade is known."""
    hits: dict[str, list[bool]] = {}
    for one, text in zip(slices, texts, strict=True):
        if one.grade >= 0:
            hits.setdefault(one.case, []).append(prompt_task("grade").parse(text).value == one.grade)
    return {case: round(float(np.mean(found)), 4) for case, found in hits.items()}


def _reading(task: str, slices: Sequence[Slice], texts: Sequence[str]) -> Reading:
    """Answers and references as a run has them."""
    pairs = zip(slices, texts, strict=True)
    answers = [
        Answer(task, "training", one.case, one.index, text, plane=one.plane, line=line)
        for line, (one, text) in enumerate(pairs, start=1)
    ]
    cases = {case: _reference(case, [s for s in slices if s.case == case]) for case in _cases(slices)}
    deepest = 1 + max(one.index for one in slices)
    known = References(
        "training", cases, slices[0].mask.shape, {one.plane: deepest for one in slices}, drawn=slices[0].plane
    )
    return Reading(Transcript(Path("training"), tuple(answers)), known, task)


def _reference(case: str, slices: Sequence[Slice]) -> CaseReference:
    indices = [one.index for one in slices]
    return CaseReference(
        case,
        case,
        tumour={slices[0].plane: (min(indices), max(indices))},
        boxes={one.index: tuple(mask_to_box(one.mask).tolist()) for one in slices},
        masks={one.index: SliceMask(one.mask.astype(np.uint8)) for one in slices},
        spacing_mm=slices[0].spacing_mm,
    )


def _cases(slices: Sequence[Slice]) -> list[str]:
    return list(dict.fromkeys(one.case for one in slices))
