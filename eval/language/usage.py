"""Tokens that answers took, and what they cost at a stated price."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

NOT_STATED = "not stated"


class Counted(Protocol):
    """An answer, and how many tokens were read and written for it; None when not known."""

    @property
    def raw(self) -> str: ...

    @property
    def tokens_in(self) -> int | None: ...

    @property
    def tokens_out(self) -> int | None: ...


def usage(
    answers: Sequence[Counted], price_in: float | None = None, price_out: float | None = None
) -> dict[str, Any]:
    """Sums over the answers of a transcript; {} where no answer says anything.

    Args:
        answers: of one model to one task.
        price_in, price_out: of a million tokens read and written, in whatever currency; None if not stated.

    Returns:
        ``tokens_in``, ``tokens_out`` and over how many of ``answers`` they are; ``cost`` is a number only
        where both prices are stated and every answer has its counts, else "not stated" or "not known".

    Example:
        >>> from .answers import Answer
        >>> answer = Answer("grade", "toy", "p1", 40, "Choice: 1", tokens_in=1000, tokens_out=50)
        >>> usage([answer], price_in=2.0, price_out=8.0)["cost"]
        0.0024
        >>> usage([answer])["cost"]
        'not stated'
    """
    answers = [answer for answer in answers if answer.raw or answer.tokens_in is not None]  # those that came
    read = [answer.tokens_in for answer in answers if answer.tokens_in is not None]
    written = [answer.tokens_out for answer in answers if answer.tokens_out is not None]
    if not read and not written:
        return {}
    known = min(len(read), len(written)) == len(answers)
    cost: float | str = NOT_STATED
    if price_in is not None and price_out is not None:
        cost = round((sum(read) * price_in + sum(written) * price_out) / 1e6, 9) if known else "not known"
    return {
        "answers": len(answers),
        "tokens_in": sum(read),
        "answers_with_tokens_in": len(read),
        "tokens_out": sum(written),
        "answers_with_tokens_out": len(written),
        "price_in_per_million": NOT_STATED if price_in is None else price_in,
        "price_out_per_million": NOT_STATED if price_out is None else price_out,
        "cost": cost,
    }
