"""Likeness of two texts by the words or letters they share, as the libraries of these scores compute it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ....zoo.errors import MissingDependencyError
from ....zoo.runtimes.base import package_found

__all__ = ["PIP", "check_installed", "chrf", "is_installed", "rouge_l"]

PIP = 'pip install "voxzoo[reason]"'
PACKAGES = {"rouge_l": ("ROUGE-L", "rouge_score"), "chrf": ("chrF", "sacrebleu")}
"""Score -> its name for people, the package that computes it."""


def is_installed(name: str) -> bool:
    """Whether the library of a score ("rouge_l", "chrf") is there; nothing is imported."""
    return package_found(PACKAGES[name][1])


def check_installed(names: Iterable[str]) -> None:
    """See that scores can be computed, before anything is asked.

    Args:
        names: "rouge_l", "chrf".

    Raises:
        MissingDependencyError: a library is not installed; the message has the pip line.
    """
    for name in names:
        if not is_installed(name):
            raise MissingDependencyError(
                f"{PACKAGES[name][0]} needs {PACKAGES[name][1].replace('_', '-')}: {PIP}"
            )


def rouge_l(text: str, gold: str) -> float:
    """ROUGE-L: F1 of the longest common subsequence of stemmed words (Lin 2004), by ``rouge-score``.

    With P = LCS / words of the text and R = LCS / words of the gold: F = 2 P R / (P + R).

    Args:
        text: that is scored.
        gold: that it is compared with.

    Returns:
        0 to 1; 0 where one of them has no words.

    Raises:
        MissingDependencyError: ``rouge-score`` is not installed.

    Example:
        >>> round(rouge_l("stop smoking now", "stop smoking"), 3)  # doctest: +SKIP
        0.8
    """
    if not text.strip() or not gold.strip():
        return 0.0
    return float(_rouge().score(gold, text)["rougeL"].fmeasure)


def chrf(text: str, gold: str) -> float:
    """chrF2: F-score of the shared character n-grams, n up to 6, recall twice as weighty (Popović 2015).

    F = (1 + 4) P R / (4 P + R), P and R averaged over n; by ``sacrebleu``, whose 100 is 1 here.

    Args:
        text: that is scored.
        gold: that it is compared with.

    Returns:
        0 to 1; 0 where one of them is empty.

    Raises:
        MissingDependencyError: ``sacrebleu`` is not installed.

    Example:
        >>> chrf("stop smoking", "stop smoking")  # doctest: +SKIP
        1.0
    """
    if not text.strip() or not gold.strip():
        return 0.0
    return float(_chrf().sentence_score(text, [gold]).score) / 100


@lru_cache(maxsize=1)
def _rouge() -> Any:
    check_installed(["rouge_l"])
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


@lru_cache(maxsize=1)
def _chrf() -> Any:
    check_installed(["chrf"])
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
