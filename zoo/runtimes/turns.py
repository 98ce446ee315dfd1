"""Decoding in turns: an answer asks for tokens to be read, whoever reads gives the logits after them.

So one answer, or several at once in one batch, are decoded by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..grammar import Grammar
from .hf_decode import Chooser

__all__ = ["Turns", "decode_tokens", "take_turns"]

T = TypeVar("T")
Logits = NDArray[np.float32]
Turns: TypeAlias = Generator[Sequence[int], Logits, T]
"""Yields tokens to read, is sent the logits (V,) after the last of them, and returns a result."""
Read = Callable[[dict[int, Sequence[int]]], dict[int, Logits]]
"""Reads on with several answers: number of the answer -> tokens, to number -> logits (V,)."""


def take_turns(answers: Sequence[Turns[T]], read: Read) -> list[T]:
    """Decode all answers together; those that have ended are waited for by nobody.

    Example:
        >>> def adds(start):
        ...     first = yield [start]
        ...     second = yield [int(first[0])]
        ...     return int(second[0])
        >>> def one_more(asked):
        ...     return {number: np.array([ids[-1] + 1]) for number, ids in asked.items()}
        >>> take_turns([adds(1), adds(5)], one_more)
        [3, 7]
    """
    results: dict[int, T] = {}
    asked: dict[int, Sequence[int]] = {}

    def go_on(number: int, logits: Logits | None) -> None:
        try:
            asked[number] = answers[number].send(logits)  # type: ignore[arg-type]  # None starts it
        except StopIteration as end:
            results[number] = end.value

    for number in range(len(answers)):
        go_on(number, None)
    while asked:
        given = read(asked)
        asked = {}
        for number, logits in given.items():
            go_on(number, logits)
    return [results[number] for number in range(len(answers))]


def decode_tokens(
    question: Sequence[int], chooser: Chooser, ends: Sequence[int], most: int, grammar: Grammar | None
) -> Turns[None]:
    """Token by token; an answer after which nothing may follow needs no mark of its end.

    Args:
        question: tokens that were not read yet.
        chooser: at its start; the answer's tokens are in ``chooser.ids``.
        ends: tokens that end an answer.
        most: tokens that the answer may take.
        grammar: of the answer, None for any text.
    """
    unread = list(question)
    while len(chooser.ids) < most:
        token = chooser.choose((yield unread))
        if token in ends or (grammar is not None and grammar.must_end(chooser.state)):
            return
        unread = [token]
