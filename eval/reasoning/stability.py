"""Does a model reason the same way twice? Key points that flip, answers that change, ranks that turn over.

Everything is compared **within** a prompt (its repeats: the chance of sampling) and **between** prompts (its
paraphrases). A change between prompts holds chance too, so the two stand side by side.

A figure that cannot be known, of one prompt, one repeat or one model, is None and says why.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...zoo.errors import InputError
from .. import stats
from .scoring.lexical import PIP, chrf, is_installed

__all__ = ["FIGURES", "Answered", "Figure", "likeness", "stability", "stability_record"]

ONE_REPEAT, ONE_PROMPT, NO_ANSWER = "one repeat", "one prompt", "no answers to compare"
NO_LIBRARY = f"sacrebleu is not installed: {PIP}"
_Pairs: TypeAlias = list[tuple["Answered", "Answered"]]
Likeness: TypeAlias = Callable[[str, str], float]


@dataclass(frozen=True)
class Answered:
    """One scored section of one answer.

    Attributes:
        model: that answered.
        item: of the benchmark.
        arm: what the prompt said of the finding: "without", "predicted" or "true".
        prompt: name of the wording.
        repeat: which time it was asked in it.
        hits: per key point of the item, whether it is stated.
        score: recall, or another number that is higher for a better answer.
        text: of the section; "" without an answer.
    """

    model: str
    item: str
    arm: str
    prompt: str
    repeat: int
    hits: tuple[bool, ...]
    score: float
    text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Figure:
    """A number, or why there is none.

    Attributes:
        value: None if it cannot be known.
        n: what it is a share or mean of: key points of items and arms (``flips_within``: and of prompts);
            items and arms for a likeness; pairs of prompts for ranks.
        ci95: bootstrap interval over units; None with fewer than two.
        reason: why ``value`` is None, "" otherwise.
    """

    value: float | None
    n: int
    ci95: tuple[float, float] | None = None
    reason: str = ""

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        ci95 = None if self.ci95 is None else list(self.ci95)
        return {"value": self.value, "n": self.n, "ci95": ci95, "reason": self.reason}


def likeness(first: str, second: str) -> float:
    """How alike two answers are: chrF in both directions, averaged, 0 to 1.

    Raises:
        MissingDependencyError: ``sacrebleu`` is not installed.
    """
    if first.strip() == second.strip():
        return 1.0
    return (chrf(first, second) + chrf(second, first)) / 2


def stability(
    rows: Iterable[Answered],
    *,
    units: Mapping[str, str] | None = None,
    alike: Likeness | None = None,
    seed: int = 0,
) -> dict[str, Figure]:
    """How stable one model's reasoning is.

    ====================== ==================================================================================
    ``flips_within``       share of (key point, prompt) whose hits differ among the repeats
    ``flips_between``      share of key points whose majority over the repeats differs among the prompts
    ``flip_rate_within``   share of pairs of repeats of one prompt that differ in a key point
    ``flip_rate_between``  share of pairs of answers to different prompts that differ in a key point
    ``likeness_within``    mean likeness of the texts of pairs of repeats of one prompt, by item and arm
    ``likeness_between``   the same of pairs of answers to different prompts
    ====================== ==================================================================================

    The shares of flips grow with the number of repeats and prompts; the rates, over pairs, do not. A majority
    is more than half. Answers to different arms or items are never compared. Two answers without a word are
    left out of the likeness: silence is not agreement.

    Args:
        rows: of one model; every prompt as often as one likes.
        units: item -> what it belongs to (its condition), the unit of the bootstrap; default: the item.
        alike: of two texts -> 0 to 1; default ``likeness``, where ``sacrebleu`` is installed.
        seed: of the bootstrap.

    Raises:
        InputError: of several models, an answer twice, or key points that differ in number.

    Example:
        >>> rows = [Answered("m", "i", "without", prompt, 0, hits, 0.5, "same words")
        ...         for prompt, hits in (("plain", (True, False)), ("formal", (True, True)))]
        >>> found = stability(rows, alike=lambda a, b: float(a == b))
        >>> found["flips_between"].value, found["flips_between"].n, found["likeness_between"].value
        (0.5, 2, 1.0)
        >>> found["flips_within"]
        Figure(value=None, n=0, ci95=None, reason='one repeat')
    """
    groups = _grouped(rows)
    alike = alike or (likeness if is_installed("chrf") else None)
    parts: dict[str, _Sum] = {name: _Sum(seed) for name in FIGURES}
    for (item, _), prompts in groups.items():
        unit = (units or {}).get(item, item)
        within = [pair for told in prompts.values() for pair in itertools.combinations(told, 2)]
        between = [
            pair for a, b in itertools.combinations(prompts.values(), 2) for pair in itertools.product(a, b)
        ]
        for told in prompts.values():
            if len(told) > 1:
                parts["flips_within"].add(unit, _differ([row.hits for row in told]))
        if len(prompts) > 1:
            parts["flips_between"].add(unit, _differ([_majority(told) for told in prompts.values()]))
        for name, pairs in (("within", within), ("between", between)):
            parts[f"flip_rate_{name}"].add(unit, _turned(pairs))
            if alike is not None:
                parts[f"likeness_{name}"].add(unit, _alike(pairs, alike))
    reasons = {name: _reason(name, groups) for name in parts}
    if alike is None:
        reasons |= {name: NO_LIBRARY for name in parts if name.startswith("likeness")}
    return {name: part.figure(reasons[name]) for name, part in parts.items()}


FIGURES = (
    "flips_within",
    "flips_between",
    "flip_rate_within",
    "flip_rate_between",
    "likeness_within",
    "likeness_between",
)
"""Names of the figures of ``stability``."""


def stability_record(
    rows: Iterable[Answered],
    sections: Mapping[str, str],
    *,
    units: Mapping[str, str] | None = None,
    alike: Likeness | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """``details["stability"]`` of a results file: all figures of one model, together and by section.

    Args:
        rows: of one model.
        sections: item -> its section.
        units, alike, seed: as for ``stability``.

    Raises:
        InputError: as ``stability``; an item without a section.

    Example:
        >>> rows = [Answered("m", "i", "without", p, 0, (True,), 1.0, "text") for p in ("plain", "formal")]
        >>> found = stability_record(rows, {"i": "causes"})
        >>> found["sections"]["causes"]["flips_between"]
        {'value': 0.0, 'n': 1, 'ci95': None, 'reason': ''}
    """
    rows = list(rows)
    lacking = [row.item for row in rows if row.item not in sections]
    if lacking:
        raise InputError(f"item {lacking[0]!r}: got no section for it")
    alike = lru_cache(maxsize=None)(alike or likeness) if alike or is_installed("chrf") else None

    def figures(some: Sequence[Answered]) -> dict[str, Any]:
        found = stability(some, units=units, alike=alike, seed=seed)
        return {name: figure.record() for name, figure in found.items()}

    return {
        "arms": list(dict.fromkeys(row.arm for row in rows)),
        "prompts": list(dict.fromkeys(row.prompt for row in rows)),
        "repeats": len({row.repeat for row in rows}),
        "all": figures(rows),
        "sections": {
            section: figures([row for row in rows if sections[row.item] == section])
            for section in dict.fromkeys(sections[row.item] for row in rows)
        },
    }


class _Sum:
    """Numbers gathered by unit: their mean, and an interval over units."""

    def __init__(self, seed: int) -> None:
        self._values: list[float] = []
        self._units: list[Hashable] = []
        self._seed = seed

    def add(self, unit: Hashable, values: Sequence[float]) -> None:
        self._values += values
        self._units += [unit] * len(values)

    def figure(self, reason: str) -> Figure:
        if not self._values:
            return Figure(None, 0, reason=reason)
        values = np.array(self._values)
        found = stats.bootstrap_together(
            self._units, lambda w: (w @ values / w.sum(axis=1))[:, None], seed=self._seed
        )
        return Figure(stats.mean(values), len(values), found[0])


_Groups: TypeAlias = dict[tuple[str, str], dict[str, list[Answered]]]


def _grouped(rows: Iterable[Answered]) -> _Groups:
    """(item, arm) -> prompt -> answers by repeat; checked."""
    groups: _Groups = {}
    models: set[str] = set()
    seen: set[tuple[Hashable, ...]] = set()
    lengths: dict[str, int] = {}
    for row in rows:
        models.add(row.model)
        if len(models) > 1:
            raise InputError(f"got answers of {' and '.join(sorted(models))}, expected those of one model")
        place = (row.item, row.arm, row.prompt, row.repeat)
        if place in seen:
            raise InputError(
                f"item {row.item!r}, {row.arm}, {row.prompt}: repeat {row.repeat} is there twice"
            )
        seen.add(place)
        if lengths.setdefault(row.item, len(row.hits)) != len(row.hits):
            raise InputError(f"item {row.item!r}: got {lengths[row.item]} and {len(row.hits)} key points")
        groups.setdefault((row.item, row.arm), {}).setdefault(row.prompt, []).append(row)
    for prompts in groups.values():
        for told in prompts.values():
            told.sort(key=lambda row: row.repeat)
    return groups


def _reason(name: str, groups: _Groups) -> str:
    if not groups:
        return NO_ANSWER
    if name.endswith("within"):
        several = any(len(told) > 1 for prompts in groups.values() for told in prompts.values())
        return NO_ANSWER if several else ONE_REPEAT
    return NO_ANSWER if any(len(prompts) > 1 for prompts in groups.values()) else ONE_PROMPT


def _differ(hits: Sequence[tuple[bool, ...]]) -> list[float]:
    """Per key point, 1 unless all answers treat it alike."""
    return [float(len(set(column)) > 1) for column in zip(*hits, strict=True)]


def _majority(told: Sequence[Answered]) -> tuple[bool, ...]:
    return tuple(2 * sum(column) > len(told) for column in zip(*(row.hits for row in told), strict=True))


def _turned(pairs: _Pairs) -> list[float]:
    """Per key point, the share of pairs that differ in it."""
    if not pairs:
        return []
    counts: NDArray[np.float64] = np.array([np.not_equal(a.hits, b.hits) for a, b in pairs], np.float64)
    return [float(share) for share in counts.mean(axis=0)]


def _alike(pairs: _Pairs, alike: Likeness) -> list[float]:
    """The mean over the pairs of one item in which one of the two says something."""
    values = [alike(a.text, b.text) for a, b in pairs if a.text.strip() or b.text.strip()]
    return [math.fsum(values) / len(values)] if values else []
