"""Likeness of two texts by the words or letters they share, as the libraries of these scores compute it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ....zoo.errors import MissingDependencyError

__all__ = ["PIP", "chrf", "rouge_l"]

PIP = 'pip install "voxzoo[reason]"'


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
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise MissingDependencyError(f"ROUGE-L needs rouge-score: {PIP}") from error
    return RougeScorer(["rougeL"], use_stemmer=True)


@lru_cache(maxsize=1)
def _chrf() -> Any:
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError as error:
        raise MissingDependencyError(f"chrF needs sacrebleu: {PIP}") from error
    return CHRF()
