"""Slot decoding: what the grammar dictates is not asked for, so an answer costs one pass a number.

Where a grammar leaves one way to go on ("), (" after a coordinate), its tokens are read together with the
next number's predecessor; where it leaves a few ("), (" or "))"), only those are compared; where a number
stands, only the numbers. The answers are those of grammar decoding token by token, provided that the
vocabulary writes every number as one token, which ``SlotWords.of`` checks; the noise of draws at a
temperature above 0 is the same too. Besides, each number comes with its distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..grammar import Grammar, State
from .hf_decode import Chooser
from .turns import Turns

__all__ = ["SlotPlan", "SlotWords", "decode_slots"]

_DIGITS = frozenset("0123456789")
_SAMPLES = ("[(12, 34), (56, 0)]", "((12, 34), (56, 0))", "(7, 99)", "Choice: 1")
_MOST_WAYS, _LONGEST = 8, 64


@dataclass(frozen=True)
class SlotWords:
    """A vocabulary that writes whole numbers as single tokens.

    Attributes:
        tokenize: text -> ids, nothing added.
        numbers: ids of "0", "1", ...
        ends: ids of the tokens that end an answer.
    """

    tokenize: Callable[[str], list[int]]
    numbers: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, tokenize: Callable[[str], list[int]], largest: int, ends: Sequence[int]) -> SlotWords | None:
        """The vocabulary; None where a number up to ``largest`` is not one token or runs into its neighbours.

        Example:
            >>> SlotWords.of(lambda text: [ord(char) for char in text], 127, [0]) is None
            True
        """
        ids = [tokenize(str(number)) for number in range(largest + 1)]
        if any(len(found) != 1 for found in ids) or len({found[0] for found in ids}) != len(ids):
            return None
        words = cls(tokenize, tuple(found[0] for found in ids), tuple(ends))
        cut = all(tokenize(sample) == words._pieces(sample) for sample in _SAMPLES)
        return words if cut else None

    def _pieces(self, text: str) -> list[int]:
        """The tokens of a text that is cut before and after each number."""
        out: list[int] = []
        piece = ""
        for char, following in zip(text, text[1:] + "\0", strict=True):
            piece += char
            if (char in _DIGITS) != (following in _DIGITS) or following == "\0":
                out += self.tokenize(piece)
                piece = ""
        return out


@dataclass(frozen=True)
class _Way:
    """A text that the grammar allows up to the next decision: "number", "end" or "free" text."""

    text: str
    state: State
    goal: str


@dataclass
class SlotPlan:
    """A grammar in a vocabulary; what was found out about a place in it is kept for the next answer.

    Attributes:
        grammar: of the answers.
        words: the vocabulary.
    """

    grammar: Grammar
    words: SlotWords
    _ahead: dict[tuple[State, bool], tuple[list[_Way], list[list[int]]]] = field(default_factory=dict)
    _numbers: dict[State, list[int]] = field(default_factory=dict)

    def ahead(self, state: State, after_digits: bool) -> tuple[list[_Way], list[list[int]]]:
        """The ways on, and the tokens of their texts."""
        key = (state, after_digits)
        if key not in self._ahead:
            ways = _ways(self.grammar, state, after_digits)
            self._ahead[key] = ways, [self.words.tokenize(way.text) if way.text else [] for way in ways]
        return self._ahead[key]

    def fitting(self, state: State) -> list[int]:
        """Ids of the numbers that the grammar lets stand here."""
        if state not in self._numbers:
            numbers = enumerate(self.words.numbers)
            self._numbers[state] = [token for n, token in numbers if self.grammar.after(state, str(n))]
        return self._numbers[state]


@dataclass
class _Answer:
    """An answer that is being decoded."""

    plan: SlotPlan
    chooser: Chooser
    n_vocab: int
    unread: list[int]
    digits: bool = False
    distributions: list[NDArray[np.float64]] = field(default_factory=list)

    def force(self, ids: Sequence[int]) -> None:
        if ids:
            self.chooser.force(ids, self.n_vocab)
            self.unread += ids
            self.digits = False

    def choose(self, among: Sequence[int] | None) -> Turns[int]:
        logits = yield self.unread
        self.unread = []
        if among is not None and set(among) <= set(self.plan.words.numbers):
            self.distributions.append(_distribution(logits, among, self.plan.words.numbers))
        token = self.chooser.choose(logits, among)
        self.unread.append(token)
        self.digits = among is not None and token in self.plan.words.numbers
        return token


def decode_slots(
    question: Sequence[int], plan: SlotPlan, chooser: Chooser, new_tokens: int, n_vocab: int
) -> Turns[list[NDArray[np.float64]]]:
    """Decode one answer, in turns with whoever reads; its tokens are in ``chooser.ids``.

    Args:
        question: tokens that were not read yet.
        plan: of the answer's grammar.
        chooser: of the same grammar, at its start.
        new_tokens: that the answer may take at most.
        n_vocab: length of the logits.

    Returns:
        For each number of the answer the probabilities of 0, 1, ... there, (n,) float64.
    """
    answer = _Answer(plan, chooser, n_vocab, list(question))
    ended = False
    while len(chooser.ids) < new_tokens and not ended:
        ended = yield from _step(answer)
    del chooser.ids[new_tokens:]
    return answer.distributions


def _step(answer: _Answer) -> Turns[bool]:
    """Go on to the next decision and take it; whether the answer has ended."""
    ways, tokens = answer.plan.ahead(answer.chooser.state, answer.digits)
    shared = _shared(tokens)
    answer.force(tokens[0][:shared])
    if len(ways) == 1 and ways[0].goal == "end":
        return True
    if len(ways) == 1 and ways[0].goal == "number":
        yield from answer.choose(answer.plan.fitting(ways[0].state))
        return False
    if len(ways) == 1 or any(way.goal == "free" for way in ways):
        return (yield from answer.choose(None)) in answer.plan.words.ends
    return (yield from _fork(answer, ways, [ids[shared:] for ids in tokens]))


def _fork(answer: _Answer, ways: Sequence[_Way], rests: Sequence[list[int]]) -> Turns[bool]:
    """Choose among a few ways by their first token that differs."""
    firsts: dict[int, list[int]] = {}
    for way, rest in zip(ways, rests, strict=True):
        if rest:
            firsts.setdefault(rest[0], rest[1:] if not firsts.get(rest[0]) else [])
        else:
            starts = answer.plan.words.ends if way.goal == "end" else answer.plan.fitting(way.state)
            firsts.update({start: [] for start in starts})
    token = yield from answer.choose(sorted(firsts))
    if token in answer.plan.words.ends:
        return True
    if sum(rest[:1] == [token] for rest in rests) == 1:
        answer.force(firsts[token])
    return False


def _ways(grammar: Grammar, state: State, after_digits: bool, room: int = _LONGEST) -> list[_Way]:
    """All texts up to the next decision. A number that was written as one token is not gone on with."""
    chars = grammar.next_chars(state)
    if chars is None or not room:
        return [_Way("", state, "free")]
    digits = frozenset() if after_digits else chars & _DIGITS
    ways = [_Way("", state, "end")] if grammar.allows_end(state) else []
    ways += [_Way("", state, "number")] if digits else []
    for char in sorted(chars - _DIGITS):
        for way in _ways(grammar, grammar.after(state, char), False, room - 1):
            ways.append(_Way(char + way.text, way.state, way.goal))
        if len(ways) > _MOST_WAYS:
            return [_Way("", state, "free")]
    return ways or [_Way("", state, "free")]


def _shared(lists: Sequence[list[int]]) -> int:
    """How many tokens all of them begin with."""
    count = 0
    while all(len(ids) > count for ids in lists) and len({ids[count] for ids in lists}) == 1:
        count += 1
    return count


def _distribution(
    logits: NDArray[np.float32], among: Sequence[int], numbers: Sequence[int]
) -> NDArray[np.float64]:
    """Softmax over the numbers that may stand there, in their order; 0 for the others."""
    out = np.zeros(len(numbers))
    chosen = set(among)
    places = [n for n, token in enumerate(numbers) if token in chosen]
    weights = np.exp(logits[list(among)].astype(np.float64) - logits[list(among)].max())
    out[places] = weights / weights.sum()
    return out
