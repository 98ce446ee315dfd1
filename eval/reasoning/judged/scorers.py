"""Who judges: for a sentence and its gold, how likely the sentence is to be wrong.

==============  ==========================================================================================
``length``      shortness of the sentence; never looks at the gold: what guessing is worth
``verbatim``    whether the gold holds the sentence word for word (case and punctuation aside)
``overlap``     share of its words that the gold does not have
``rouge_l``     1 - ROUGE-L (``rouge-score``) with the sentence of the gold it is most like
``chrf``        1 - chrF2 (``sacrebleu``), likewise
``key_points``  1 - share of its words that the gold has with the same sign: what scores answers' precision
``aligned``     ``alignment.features``, combined by the coefficients below
``nli:DIR``     1 - P(the gold entails the sentence) of a local classifier; ``embed:DIR`` 1 - cosine
a judge         a language model asked whether the gold says this: no is 1, yes 0, an unreadable reply 0.5
==============  ==========================================================================================

Each reads the sentence and its gold alone: neither the mark, nor its place, nor the image's class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ....zoo.answerer import Answerer
from ....zoo.errors import UsageError
from ..scoring.keypoints import coverage
from ..scoring.lexical import chrf, rouge_l
from .alignment import FEATURES, Rarity, features
from .logistic import fit_logistic, probability
from .words import tokens

if TYPE_CHECKING:
    from ..scoring.section import TextScorer

Gold: TypeAlias = tuple[str, ...]
Pairs: TypeAlias = Sequence[tuple[str, Gold]]
Scores: TypeAlias = NDArray[np.float64]
Scorer: TypeAlias = Callable[[Pairs], Scores]
COEFFICIENTS: Mapping[str, float] = {
    "intercept": -2.943,
    "absent": 0.723,
    "denied": 2.072,
    "misplaced": 4.469,
    "unsaid": 0.454,
}
"""Of ``aligned``, on the log odds of being wrong: ``fit_aligned`` on the choosing half of GutVLM's training
images under the setting ``corrected``; ``zoo-eval judge --data DIR --fit`` prints them anew."""
FITTED_ON = 0
"""Seed of the halves then."""


def _each(score: Callable[[str, Gold], float]) -> Scorer:
    return lambda pairs: np.array([score(text, gold) for text, gold in pairs], dtype=np.float64)


def _length(text: str, gold: Gold) -> float:
    return 1 / (1 + len(tokens(text)))


def _verbatim(text: str, gold: Gold) -> float:
    return float(f" {' '.join(tokens(text))} " not in f" {' '.join(tokens(' '.join(gold)))} ")


def _overlap(text: str, gold: Gold) -> float:
    words, known = set(tokens(text)), set(tokens(" ".join(gold)))
    return 1 - len(words & known) / max(1, len(words))


def _key_points(text: str, gold: Gold) -> float:
    return 1 - coverage(text, "\n".join(gold))


_chrf, _rouge_l = lru_cache(maxsize=1 << 17)(chrf), lru_cache(maxsize=1 << 17)(rouge_l)
_WITHOUT_WEIGHTS: Mapping[str, Scorer] = {
    "length": _each(_length),
    "verbatim": _each(_verbatim),
    "overlap": _each(_overlap),
    "rouge_l": _each(lambda text, gold: 1 - max((_rouge_l(text, line) for line in gold), default=0.0)),
    "chrf": _each(lambda text, gold: 1 - max((_chrf(text, line) for line in gold), default=0.0)),
    "key_points": _each(_key_points),
}
ALIGNED = "aligned"
NAMES = (*_WITHOUT_WEIGHTS, ALIGNED)


def scorer(name: str, rarity: Rarity) -> Scorer:
    """One of ``NAMES``.

    Args:
        name: of it.
        rarity: of words, for ``aligned``.

    Raises:
        UsageError: another name.

    Example:
        >>> rarity = Rarity.of([["No polyps."]])
        >>> scorer("overlap", rarity)([("two polyps", ("No polyps.",))]).tolist()
        [0.5]
    """
    if name == ALIGNED:
        return lambda pairs: probability(aligned_features(pairs, rarity), list(COEFFICIENTS.values()))
    if name not in _WITHOUT_WEIGHTS:
        raise UsageError(f"scorer: got {name!r}, expected one of {', '.join(NAMES)}")
    return _WITHOUT_WEIGHTS[name]


def aligned_features(pairs: Pairs, rarity: Rarity) -> Scores:
    """(N, len(FEATURES))."""
    rows = [features(text, gold, rarity) for text, gold in pairs]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES))


def fit_aligned(pairs: Pairs, wrong: Sequence[bool], rarity: Rarity) -> dict[str, float]:
    """The coefficients that ``COEFFICIENTS`` writes down.

    Args:
        pairs: sentences with their golds.
        wrong: the experts' marks.
        rarity: of words in the golds of the same half.
    """
    found = fit_logistic(aligned_features(pairs, rarity), wrong)
    return dict(zip(("intercept", *FEATURES), found.tolist(), strict=True))


def by_text_model(model: TextScorer) -> Scorer:
    """A local model of inference or of embeddings, shown the whole gold."""
    return lambda pairs: 1 - np.array(model.score([(" ".join(gold), text) for text, gold in pairs]))


class JudgeScorer:
    """A language model that says whether the gold states a sentence.

    Attributes:
        asked: replies there should be.
        unread: kind -> how many could not be read.
    """

    def __init__(self, judge: Answerer) -> None:
        self.judge, self.asked, self.unread = judge, 0, dict[str, int]()

    def __call__(self, pairs: Pairs) -> Scores:
        return np.array([self._one(text, gold) for text, gold in pairs])

    def _one(self, text: str, gold: Gold) -> float:
        from ..benchmark import Item, KeyPoint
        from ..scoring.judge import ask_point

        point = KeyPoint("sentence", text)
        item = Item("gutvlm", "endoscopy", "description", (point,))
        stated, problem = ask_point(self.judge, item, point, " ".join(gold))
        self.asked += 1
        if stated is None:
            self.unread[problem] = self.unread.get(problem, 0) + 1
            return 0.5
        return float(not stated)
