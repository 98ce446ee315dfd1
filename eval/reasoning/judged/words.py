"""Sentences as words that are affirmed or denied: what alignments of two texts compare.

Nothing here knows a medical term. Denial follows the idea of NegEx (Chapman et al., "A simple algorithm for
identifying negated findings and diseases in discharge summaries", J Biomed Inform 34, 2001): a cue denies
what comes after it until the clause ends.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

_END = re.compile(r"(?<=[.!?;])(?!\d)\s*|\n+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+")
_CLAUSE = re.compile(
    r"[.;:!?]|\b(?:but|while|whereas|although|though|however|except|aside from|other than|which|with)\b"
    r"|,?\s*\band (?=(?:there|it|the|one|an?|two|three|several|multiple|many|is|are|appears?)\b)"
)
_AHEAD = frozenset({"no", "not", "without", "neither", "nor", "never", "none", "lack", "lacks", "free"})
_BEHIND = frozenset({"absent", "not"})
"""Cues that deny the whole clause when its subject stands before them: "polyps are absent"."""
_NUMBERS = {
    "one": "1", "single": "1", "two": "2", "three": "3", "four": "4", "five": "5", "couple": "2",
    "several": "many", "multiple": "many", "numerous": "many", "zero": "no",
}  # fmt: skip
_EMPTY = frozenset(
    "a an the this that these those it its there is are was were be been being has have had of in on at to by for "
    "from as and or with within image picture frame view visible seen observed evident present noted detected "
    "identifiable apparent shown shows show appear appears appearing any also which sign signs evidence some "
    "located situated color colour colored coloured can may could possibly likely if indication".split()
)
"""Words that carry no claim of their own."""


class Word(NamedTuple):
    """A word that carries a claim: its stem, and whether it is denied."""

    stem: str
    denied: bool


def split_sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, without the space around them.

    Example:
        >>> split_sentences("An image of cecum. No polyps.It is 1.5 cm")
        ('An image of cecum.', 'No polyps.', 'It is 1.5 cm')
    """
    return tuple(part for part in (piece.strip() for piece in _END.split(text)) if _WORD.search(part.lower()))


@lru_cache(maxsize=1 << 15)
def tokens(text: str) -> tuple[str, ...]:
    """Every word, in lower case; hyphens part words.

    Example:
        >>> tokens("A reddish-pink Z-line.")
        ('a', 'reddish', 'pink', 'z', 'line')
    """
    return tuple(_WORD.findall(text.lower()))


@lru_cache(maxsize=1 << 15)
def stem(word: str) -> str:
    """A word without the endings that do not change what is claimed; numbers in digits.

    Example:
        >>> [stem(w) for w in ("polyps", "reddish", "bodies", "centrally", "single", "mass")]
        ['polyp', 'red', 'body', 'central', '1', 'mass']
    """
    if word in _NUMBERS:
        return _NUMBERS[word]
    for ending, instead in (("'s", ""), ("ies", "y"), ("ly", "")):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            word = word[: -len(ending)] + instead
            break
    else:
        word = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
    if len(word) > 5 and word.endswith("ish"):
        word = word[:-3]
        word = word[:-1] if word[-1] == word[-2] else word
    return word


@lru_cache(maxsize=1 << 15)
def claims(sentence: str) -> tuple[Word, ...]:
    """The words of a sentence that carry a claim, in its order, each affirmed or denied.

    Example:
        >>> [word.stem for word in claims("No polyps or bleeding, but one instrument is visible.") if word.denied]
        ['polyp', 'bleeding']
        >>> claims("Signs of infection are not apparent.")
        (Word(stem='infection', denied=True),)
    """
    return tuple(word for clause in _CLAUSE.split(sentence.lower()) for word in _clause(clause))


def _clause(clause: str) -> list[Word]:
    words = _WORD.findall(clause)
    found: list[Word] = []
    denied = False
    for word in words:
        if word in _BEHIND and found:
            found = [Word(one.stem, True) for one in found]
        if word in _AHEAD or word in _BEHIND or word.endswith("n't") or word == "zero":
            denied = True
        elif word not in _EMPTY:
            found.append(Word(stem(word), denied))
    return found


@lru_cache(maxsize=1 << 16)
def alike(one: str, other: str) -> bool:
    """The same stem, or one misspelt: pairs of letters in common (Dice) in at least three of four.

    Example:
        >>> alike("cecum", "cecume"), alike("cecum", "colon"), alike("inflammation", "inflamation")
        (True, False, True)
    """
    if one == other:
        return True
    if min(len(one), len(other)) < 4:
        return False
    first, second = _pairs(one), _pairs(other)
    return 2 * len(first & second) >= 0.75 * (len(first) + len(second))


@lru_cache(maxsize=1 << 14)
def _pairs(word: str) -> frozenset[str]:
    padded = f"^{word}$"
    return frozenset(padded[i : i + 2] for i in range(len(padded) - 1))
