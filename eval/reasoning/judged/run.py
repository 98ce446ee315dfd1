"""All judges under all settings, and the file that says what came of it.

The file (schema voxzoo.judged/1) holds figures only: no sentence of the data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....zoo.errors import InputError, UsageError
from ...environment import code_version
from .alignment import Rarity
from .golds import SETTINGS, golds
from .gutvlm import Description, GutVlm, Sentence
from .halves import choosing
from .kinds import kinds_of
from .measure import RESAMPLES, Judged, measure
from .scorers import ALIGNED, COEFFICIENTS, NAMES, JudgeScorer, Scorer, fit_aligned, scorer

SCHEMA = "voxzoo.judged/1"
DEEP = ("corrected", "answers")
"""Settings in which classes and kinds get intervals."""


@dataclass(frozen=True)
class Plan:
    """The data and how it is split.

    Attributes:
        data: what is judged.
        half: image -> whether choices are made on it.
        rarity: of words in the corrected texts of the choosing half.
        seed: of the split and of bootstraps.
    """

    data: GutVlm
    half: Mapping[str, bool]
    rarity: Rarity
    seed: int

    @classmethod
    def of(cls, data: GutVlm, seed: int = 0) -> Plan:
        """Split the images."""
        chosen = choosing(data.descriptions, seed)
        half = {one.image: bool(is_in) for one, is_in in zip(data.descriptions, chosen, strict=True)}
        return cls(data, half, Rarity.of(one.gold for one in data.descriptions if half[one.image]), seed)

    def pairs(self, setting: str) -> list[tuple[Sentence, tuple[str, ...]]]:
        """Sentences and golds under a setting.

        Raises:
            UsageError: no such setting.
        """
        if setting not in SETTINGS:
            raise UsageError(f"setting: got {setting!r}, expected one of {', '.join(SETTINGS)}")
        return list(golds(self.data, setting))

    def judged(self, sentences: Sequence[Sentence]) -> Judged:
        """With marks, classes and kinds."""
        of: dict[str, Description] = {one.image: one for one in self.data.descriptions}
        return Judged(
            [one.image for one in sentences],
            np.array([one.wrong for one in sentences], dtype=bool),
            [of[one.image].landmark for one in sentences],
            [kinds_of(one, of[one.image]) for one in sentences],
            np.array([self.half[one.image] for one in sentences], dtype=bool),
        )


def judge(
    data: GutVlm,
    names: Sequence[str] = NAMES,
    settings: Sequence[str] = SETTINGS,
    models: Mapping[str, Scorer] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """Let every judge judge, under every setting.

    Args:
        data: descriptions with marks.
        names: of ``scorers.NAMES``.
        settings: of ``golds.SETTINGS``.
        models: more judges: name -> scorer.
        seed: of the split and of bootstraps.
        resamples: of the bootstrap.

    Returns:
        What the file holds: ``data``, ``split``, ``settings`` {setting: {scorer: ``measure``'s record}},
        ``not_measured`` {setting: why}.

    Raises:
        UsageError: a name or setting that does not exist.
        InputError: no setting has right and wrong sentences in both halves.
    """
    plan = Plan.of(data, seed)
    if not names and not models:
        raise UsageError(f"scorer: none given, expected some of {', '.join(NAMES)}")
    judges = {**{name: scorer(name, plan.rarity) for name in names}, **(models or {})}
    found, reasons = {}, {}
    for setting in dict.fromkeys(settings):
        try:
            found[setting] = dict(_measured(plan, setting, judges, resamples))
        except InputError as error:
            reasons[setting] = str(error)
    if not found:
        raise InputError("; ".join(f"{setting}: {reason}" for setting, reason in reasons.items()))
    return {
        "schema": SCHEMA,
        "code_version": code_version(),
        "data": _described(data),
        "split": {"seed": seed, "choosing": sum(plan.half.values()), "images": len(plan.half)},
        "bootstrap": {"unit": "image", "resamples": resamples, "seed": seed},
        ALIGNED: dict(COEFFICIENTS),
        "settings": found,
        "not_measured": reasons,
    }


def _measured(
    plan: Plan, setting: str, judges: Mapping[str, Scorer], resamples: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    found = plan.pairs(setting)
    judged = plan.judged([sentence for sentence, _ in found])
    judged.check()
    pairs = [(sentence.text, gold) for sentence, gold in found]
    for name, score in judges.items():
        record = measure(score(pairs), judged, seed=plan.seed, resamples=resamples, deep=setting in DEEP)
        if isinstance(score, JudgeScorer):
            record["replies"] = {"asked": score.asked, "unread": dict(score.unread)}
        yield name, record


def _described(data: GutVlm) -> dict[str, Any]:
    sentences = data.sentences
    return {
        "name": data.name,
        "sha256": data.sha256,
        "descriptions": len(data.descriptions),
        "sentences": len(sentences),
        "wrong": sum(one.wrong for one in sentences),
        "verbatim": {
            "right": sum(one.verbatim and not one.wrong for one in sentences),
            "wrong": sum(one.verbatim and one.wrong for one in sentences),
        },
        "left_out": {
            "fragments": sum(one.fragments for one in data.descriptions),
            "oddities": sum(len(one.oddities) for one in data.descriptions),
        },
    }


def fit(data: GutVlm, seed: int = 0) -> dict[str, float]:
    """The coefficients of ``aligned``, from the choosing half under the setting ``corrected``."""
    plan = Plan.of(data, seed)
    found = [(s, gold) for s, gold in plan.pairs("corrected") if plan.half[s.image]]
    return fit_aligned([(s.text, gold) for s, gold in found], [s.wrong for s, _ in found], plan.rarity)


def to_json(record: Mapping[str, Any]) -> str:
    """As the file holds it."""
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
