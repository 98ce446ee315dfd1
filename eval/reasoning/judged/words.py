"""What alignments of two texts compare: sentences, and words as the scoring of answers reads them.

Denial and spelling are those of ``scoring.negation`` and ``scoring.words``: what is judged here is what
scores answers. Nothing here knows a medical term.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ..scoring.negation import signed_words
from ..scoring.words import sentences_of

_GLUED = re.compile(r"(?<=[a-z][.;])(?=[A-Z])")
_WORD = re.compile(r"[a-z]+|\d+")
ALIKE = 0.75


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text; a full stop without the space behind it ends one, too.

    Example:
        >>> split_sentences("An image of cecum. No polyps.It is 1.5 cm")
        ('An image of cecum.', 'No polyps.', 'It is 1.5 cm')
    """
    return tuple(sentences_of(_GLUED.sub(" ", text)))


@lru_cache(maxsize=1 << 15)
def tokens(text: str) -> tuple[str, ...]:
    """Every word in lower case, without any punctuation; hyphens part words.

    Example:
        >>> tokens("A reddish-pink Z-line.")
        ('a', 'reddish', 'pink', 'z', 'line')
    """
    return tuple(_WORD.findall(text.lower()))


@lru_cache(maxsize=1 << 15)
def claims(sentence: str) -> tuple[tuple[str, bool], ...]:
    """The words of a sentence that say something, (stem, denied), in order; "reddish" counts as "red".

    Example:
        >>> claims("No polyps, but a reddish spot.")
        (('polyp', True), ('red', False), ('spot', False))
    """
    return tuple((_plain(word.stem), word.denied) for word in signed_words(sentence))


def _plain(stem: str) -> str:
    """Without "ish", which the stems of scored answers keep."""
    if len(stem) < 6 or not stem.endswith("ish"):
        return stem
    stem = stem[:-3]
    return stem[:-1] if stem[-1] == stem[-2] else stem


@lru_cache(maxsize=1 << 17)
def alike(one: str, other: str) -> bool:
    """The same word, or one misspelt: three of four pairs of neighbouring letters in common (Dice).

    Example:
        >>> alike("cecum", "cecume"), alike("cecum", "colon"), alike("inflammation", "inflamation")
        (True, False, True)
    """
    if one == other:
        return True
    if min(len(one), len(other)) < 4:
        return False
    first, second = _pairs(one), _pairs(other)
    return 2 * len(first & second) >= ALIKE * (len(first) + len(second))


@lru_cache(maxsize=1 << 14)
def _pairs(word: str) -> frozenset[str]:
    padded = f"^{word}$"
    return frozenset(padded[i : i + 2] for i in range(len(padded) - 1))
