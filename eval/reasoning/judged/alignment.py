"""A sentence laid beside its gold, word by word: what is missing there, what is denied there.

Words are weighed by how rare they are in the gold texts (inverse document frequency; Sparck Jones 1972), so
that "cecum" for "colon" costs more than "seen" for "visible".
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .words import alike, claims

FEATURES = ("absent", "denied", "misplaced", "unsaid")
"""Each from 0 (the gold says the same) to 1."""
_Words = tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Rarity:
    """How much a word weighs.

    Attributes:
        weights: stem -> ln((1 + texts) / (1 + texts with it)), 0 for a word of every text.
        unknown: of a word that no text has.
        mean: over the stems of all texts as they come, so that weights of two corpora compare.
    """

    weights: Mapping[str, float]
    unknown: float
    mean: float

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]]) -> Rarity:
        """Count the words of texts, each given as its sentences.

        Example:
            >>> rarity = Rarity.of([["No polyps."], ["One polyp.", "No bleeding."]])
            >>> rarity("polyp"), round(rarity("bleed"), 3), round(rarity("ulcer"), 3)
            (0.0, 0.405, 1.099)
        """
        known = [{stem for sentence in text for stem, _ in claims(sentence)} for text in texts]
        counts = Counter(stem for stems in known for stem in sorted(stems))
        weights = {stem: math.log((1 + len(known)) / (1 + n)) for stem, n in counts.items()}
        total = sum(counts.values())
        mean = math.fsum(weights[stem] * n for stem, n in counts.items()) / total if total else 0.0
        return cls(weights, math.log(1 + len(known)), mean or 1.0)

    def __call__(self, stem: str) -> float:
        return self.weights.get(stem, self.unknown)


def features(sentence: str, gold: Sequence[str], rarity: Rarity) -> tuple[float, ...]:
    """How far a sentence is from its gold.

    Args:
        sentence: one.
        gold: sentences that are true.
        rarity: of words.

    Returns:
        One number for each of ``FEATURES``:

        ``absent``     share of its words, by weight, that no sentence of the gold has
        ``denied``     share of its words that the gold has with the other sign only
        ``misplaced``  share of its words without a partner (same word, same sign) in that one sentence of the
                       gold which has most of them
        ``unsaid``     share of that sentence's words without a partner in this one

    Example:
        >>> rarity = Rarity.of([["It is the cecum.", "No polyps."], ["It is the colon.", "No polyps."]])
        >>> features("It is the colon.", ["It is the cecum.", "No polyps."], rarity)
        (1.0, 0.0, 1.0, 1.0)
        >>> features("There are no polyps.", ["It is the cecum.", "No polyps."], rarity)
        (0.0, 0.0, 0.0, 0.0)
    """
    said = claims(sentence)
    lines = [claims(line) for line in gold]
    everything = tuple(word for line in lines for word in line)
    states = [_state(word, everything) for word in said]
    weight = [rarity(stem) for stem, _ in said]
    total = math.fsum(weight) or 1.0
    absent, denied = (
        math.fsum(w for w, state in zip(weight, states, strict=True) if state == kind) / total
        for kind in ("absent", "denied")
    )
    return absent, denied, *_best_place(said, lines, rarity)


def _state(word: tuple[str, bool], gold: _Words) -> str:
    """Whether a word is in the gold with its sign, with the other one only, or not at all."""
    stem, denied = word
    signs = {sign for other, sign in gold if alike(stem, other)}
    return "absent" if not signs else "same" if denied in signs else "denied"


def _best_place(said: _Words, lines: Sequence[_Words], rarity: Rarity) -> tuple[float, float]:
    """(unmatched share of the sentence in the line that matches most, unmatched share of that line)."""
    if not said:
        return 0.0, 0.0
    found = [(_unmatched(said, line, rarity), _unmatched(line, said, rarity)) for line in lines if line]
    return min(found, default=(1.0, 1.0))


def _unmatched(words: _Words, others: _Words, rarity: Rarity) -> float:
    weight = [rarity(stem) + rarity.mean / 10 for stem, _ in words]
    missing = [w for w, word in zip(weight, words, strict=True) if _state(word, others) != "same"]
    return math.fsum(missing) / math.fsum(weight)
