"""Does a model say the same thing twice? The same image and prompt again, and the same question in other
words.

An answer that cannot be read is a category of its own: saying nothing is not agreeing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...zoo.errors import InputError
from .items import Item, Sheet

UNREAD = "unread"


@dataclass(frozen=True)
class Agreement:
    """How alike several answers to one question are.

    Attributes:
        n: answers.
        distribution: answer -> how often, most frequent first.
        majority: the most frequent answer (of several: the one given first).
        agreement: share of the majority.
        entropy_bits: of the distribution; 0 when all are the same.
        flip_rate: share of pairs of answers that differ; NaN with a single answer.
    """

    n: int
    distribution: dict[str, int]
    majority: str
    agreement: float
    entropy_bits: float
    flip_rate: float


def agreement(answers: Sequence[Hashable]) -> Agreement:
    """Compare answers to one question.

    Args:
        answers: at least one.

    Raises:
        InputError: none.

    Example:
        >>> found = agreement(["high"] * 77 + ["low"] * 18)
        >>> found.majority, round(found.agreement, 4), round(found.entropy_bits, 4), round(found.flip_rate, 4)
        ('high', 0.8105, 0.7004, 0.3104)
    """
    if not answers:
        raise InputError("got no answer to compare")
    counts = Counter(map(str, answers))
    n = len(answers)
    shares = [count / n for count in counts.values()]
    same = sum(count * (count - 1) for count in counts.values())
    majority, most = counts.most_common(1)[0]
    return Agreement(
        n=n,
        distribution=dict(counts.most_common()),
        majority=majority,
        agreement=most / n,
        entropy_bits=abs(sum(share * math.log2(share) for share in shares)),
        flip_rate=1 - same / (n * (n - 1)) if n > 1 else math.nan,
    )


def fleiss_kappa(counts: ArrayLike) -> float:
    """Agreement of raters beyond chance (Fleiss 1971); repeats are the raters.

    Questions may have different numbers of answers: each has its own share of agreeing pairs.

    Args:
        counts: (questions, categories), how often each answer was given; 2 or more answers a question.

    Returns:
        1 for full agreement, 0 for chance; NaN where only one category was ever given.

    Raises:
        InputError: another shape, or a question with fewer than 2 answers.

    Example:
        >>> fleiss_kappa([[3, 0], [0, 3]]), round(fleiss_kappa([[2, 1], [1, 2]]), 4)
        (1.0, -0.3333)
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or not table.size or (table.sum(axis=1) < 2).any():
        raise InputError(f"counts of shape {table.shape}: expected (questions, categories), 2 answers each")
    raters = table.sum(axis=1)
    agreed = ((table * (table - 1)).sum(axis=1) / (raters * (raters - 1))).mean()
    chance = ((table.sum(axis=0) / table.sum()) ** 2).sum()
    return math.nan if chance == 1 else float((agreed - chance) / (1 - chance))


@dataclass(frozen=True)
class Spread:
    """How far several answers with the same number of coordinates lie apart, in pixels.

    Attributes:
        n: answers.
        deviation: standard deviation of each coordinate.
        rms: root of the mean squared distance of points (of corners, for boxes) from their mean place.
    """

    n: int
    deviation: tuple[float, ...]
    rms: float


def spread(points: ArrayLike) -> Spread:
    """Spread of coordinates over repeats.

    Args:
        points: (n, k) numbers: (row, col), or (row_min, col_min, row_max, col_max).

    Raises:
        InputError: another shape, or none.

    Example:
        >>> spread([(0, 0), (6, 8)]).rms
        5.0
    """
    array = np.asarray(points, dtype=np.float64)
    if array.ndim != 2 or not array.size:
        raise InputError(f"points of shape {array.shape}: expected (answers, coordinates)")
    off = array - array.mean(axis=0)
    pairs = array.shape[1] // 2 or 1
    return Spread(
        len(array), tuple(array.std(axis=0).tolist()), float(np.sqrt((off**2).sum(axis=1).mean() / pairs))
    )


def consistency(sheet: Sheet, over: str = "repeats") -> dict[str, Any]:
    """Agreement of all answers to the same question, for every slice with two or more.

    Args:
        sheet: of one model and task.
        over: "repeats": the same prompt; "prompts": every wording of it, and its repeats.

    Returns:
        JSON values: ``questions``, ``answers``, means of ``agreement``, ``entropy_bits``, ``flip_rate``,
        ``kappa`` (for grades), ``rms_px`` (for points and boxes); {} where nothing was asked twice.
    """
    groups = [items for items in questions(sheet, over).values() if len(items) > 1]
    if not groups:
        return {}
    answers = [[answer_text(item) for item in items] for items in groups]
    found = [agreement(given) for given in answers]
    out: dict[str, Any] = {
        "over": over,
        "questions": len(groups),
        "answers": sum(map(len, groups)),
        "agreement": _mean([a.agreement for a in found]),
        "entropy_bits": _mean([a.entropy_bits for a in found]),
        "flip_rate": _mean([a.flip_rate for a in found]),
        "distribution": dict(Counter(text for given in answers for text in given).most_common(10)),
    }
    if sheet.task == "grade":
        names = sorted({text for given in answers for text in given})
        kappa = fleiss_kappa([[given.count(name) for name in names] for given in answers])
        out["kappa"] = None if math.isnan(kappa) else kappa
    if sheet.task in ("center", "box"):
        said = [[i.parsed.value for i in items if i.parsed.value is not None] for items in groups]
        lengths = [spread(values).rms for values in said if len(values) > 1]
        out["rms_px"] = _mean(lengths) if lengths else None
    return out


def questions(sheet: Sheet, over: str = "repeats") -> Mapping[tuple[Any, ...], list[Item]]:
    """Items by what was asked: case and slice, and the prompt unless all wordings count as one question."""
    if over not in ("repeats", "prompts"):
        raise InputError(f"over={over!r}: expected repeats or prompts")
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for item in sheet.items:
        prompt = item.answer.prompt if over == "repeats" else ""
        groups.setdefault((item.answer.case, item.answer.slice, prompt), []).append(item)
    return groups


def answer_text(item: Item) -> str:
    """An answer as a category."""
    return UNREAD if item.parsed.value is None else str(item.parsed.value)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
