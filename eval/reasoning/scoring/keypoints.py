"""Key points in an answer: which it states, which it denies, and how much of it is to the point.

A wording is **found** in a sentence if each of its words is (``words.stem``), in any order; words that say
nothing do not count (``words.STOP``). Each word is affirmed or denied (``negation``), in the wording as in
the answer:

* a key point is **stated** if a sentence has all words of one of its wordings, each with the same sign: "no
  bleeding" does not state "bleeding", and the key point "no bleeding" is stated by "bleeding was ruled out";
* it is **denied** if a sentence has all words of a wording, some of them only with the other sign, and states
  none of its wordings. Naming what a key point advises against is no denial ("avoid alcohol": "alcohol
  irritates the mucosa").

An answer may state a key point in one sentence and deny it in another; both are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ....zoo.errors import InputError
from .negation import Word, signed_words
from .words import STOP, sentences_of, stem, tokens_of

if TYPE_CHECKING:
    from ..benchmark import Item, KeyPoint

__all__ = ["COVERED", "Found", "coverage", "denies", "find", "states"]

COVERED = 0.5
"""Share of a sentence's words that the gold has to hold for the sentence to be to the point: a convention."""
_Sentence = tuple[Word, ...]


@dataclass(frozen=True)
class Found:
    """What an answer holds of an item's gold.

    Attributes:
        hits: per key point, whether it is stated.
        denied: per key point, whether it is denied somewhere.
        forbidden: per forbidden claim, whether it is stated.
        sentences: that say something.
        supporting: of these, those to the point; see ``precision``.
    """

    hits: tuple[bool, ...]
    denied: tuple[bool, ...]
    forbidden: tuple[bool, ...]
    sentences: int
    supporting: int

    @property
    def recall(self) -> float:
        """Share of the key points that are stated: sum(hits) / len(hits)."""
        return sum(self.hits) / len(self.hits)

    @property
    def precision(self) -> float:
        """Share of the sentences that are to the point, 0 where there is none.

        A sentence is to the point if it states a key point, or if at least half of its distinct words are in
        the reference answer with the same sign; never if it denies a key point or states a forbidden claim.
        """
        return self.supporting / self.sentences if self.sentences else 0.0

    @property
    def contradictions(self) -> int:
        """How many key points are denied."""
        return sum(self.denied)


def find(answer: str, item: Item) -> Found:
    """Look for an item's key points and forbidden claims.

    Args:
        answer: the text of the item's section.
        item: with its gold.

    Raises:
        InputError: no key points, or a wording without a word in it.

    Example:
        >>> from voxzoo.eval.reasoning.benchmark import Item, KeyPoint
        >>> points = (KeyPoint("k1", "infection"), KeyPoint("k2", "stop smoking"), KeyPoint("k3", "fever"))
        >>> item = Item("1", "gastritis", "causes", points, (KeyPoint("f1", "it is contagious"),))
        >>> found = find("Often an infection. Do not smoke. There is no fever. Eat soup.", item)
        >>> found.hits, found.denied, round(found.recall, 3), found.precision
        ((True, True, False), (False, False, True), 0.667, 0.5)
    """
    if not item.key_points:
        raise InputError(f"item {item.id!r}: got no key points, expected one at least")
    sentences = [words for words in _read(answer) if any(not word.stem[0].isdigit() for word in words)]
    reference = {(word.stem, word.denied) for words in _read(item.reference) for word in words}
    supporting = sum(_to_the_point(words, item, reference) for words in sentences)
    return Found(
        tuple(_any_states(sentences, point) for point in item.key_points),
        tuple(_any_denies(sentences, point) for point in item.key_points),
        tuple(_any_states(sentences, claim) for claim in item.forbidden),
        len(sentences),
        supporting,
    )


def states(answer: str, point: KeyPoint) -> bool:
    """Whether an answer states a key point in one of its wordings.

    Example:
        >>> from voxzoo.eval.reasoning.benchmark import KeyPoint
        >>> point = KeyPoint("k1", "two weeks of antibiotics")
        >>> states("Antibiotics are given for 2 weeks.", point), states("No antibiotics for 2 weeks.", point)
        (True, False)
    """
    return _any_states(_read(answer), point)


def denies(answer: str, point: KeyPoint) -> bool:
    """Whether an answer denies a key point somewhere.

    Example:
        >>> from voxzoo.eval.reasoning.benchmark import KeyPoint
        >>> denies("Bleeding was ruled out.", KeyPoint("k1", "bleeding"))
        True
    """
    return _any_denies(_read(answer), point)


def coverage(text: str, gold: str) -> float:
    """Share of the distinct words of a text that its gold holds with the same sign; 0 without a word.

    Example:
        >>> coverage("no polyps and no ulcers", "There are polyps. There is no ulcer.")
        0.5
    """
    words = {(word.stem, word.denied) for sentence in _read(text) for word in sentence}
    known = {(word.stem, word.denied) for sentence in _read(gold) for word in sentence}
    return len(words & known) / len(words) if words else 0.0


def _read(text: str) -> list[_Sentence]:
    return [signed_words(sentence) for sentence in sentences_of(text)]


def _any_states(sentences: Iterable[_Sentence], point: KeyPoint) -> bool:
    return any(_states(words, point) for words in sentences)


def _any_denies(sentences: Iterable[_Sentence], point: KeyPoint) -> bool:
    return any(_denies(words, point) for words in sentences)


def _states(words: _Sentence, point: KeyPoint) -> bool:
    signs = {(word.stem, word.denied) for word in words}
    return any(all((word.stem, word.denied) in signs for word in _wording(text)) for text in _wordings(point))


def _denies(words: _Sentence, point: KeyPoint) -> bool:
    stems, signs = {word.stem for word in words}, {(word.stem, word.denied) for word in words}
    for text in _wordings(point):
        wording = _wording(text)
        if not all(word.stem in stems for word in wording):
            continue
        turned = [word for word in wording if (word.stem, word.denied) not in signs]
        if any(not word.denied or not word.advice for word in turned):
            return not _states(words, point)
    return False


def _to_the_point(words: _Sentence, item: Item, reference: set[tuple[str, bool]]) -> bool:
    if any(_denies(words, point) for point in item.key_points):
        return False
    if any(_states(words, claim) for claim in item.forbidden):
        return False
    if any(_states(words, point) for point in item.key_points):
        return True
    distinct = {(word.stem, word.denied) for word in words}
    return len(distinct & reference) >= COVERED * len(distinct)


def _wordings(point: KeyPoint) -> Sequence[str]:
    return (point.text, *point.accepted)


@lru_cache(maxsize=8192)
def _wording(text: str) -> _Sentence:
    """The words that an answer has to hold; of a wording without any ("to be"), all its tokens."""
    sentences = sentences_of(text)
    words = tuple(word for sentence in sentences for word in signed_words(sentence, verdicts=False))
    words = words or tuple(
        Word(stem(token), False)
        for sentence in sentences
        for token in tokens_of(sentence)
        if token.isalnum() and token not in STOP
    )
    if not words:
        raise InputError(f"wording {text!r}: got no word that says something, expected one at least")
    return words
