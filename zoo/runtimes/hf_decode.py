"""Choosing tokens and reading class probabilities with models of ``transformers``.

One rule chooses every token: to each logit over the temperature comes Gumbel noise of the question's own
generator, and of the tokens that the grammar lets follow the highest is taken. That is a draw from the
softmax over the allowed tokens (the Gumbel-max trick; E. J. Gumbel, Statistical Theory of Extreme Values,
1954) that touches no random state but its own; at temperature 0 there is no noise, and it is the likeliest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..grammar import Grammar, State
from ..tasks.grade import CLASSES

__all__ = ["CHOICE", "Chooser", "class_tokens", "softmax_of"]

CHOICE = "Choice: "
"""What stands before the digit of a grade."""
_FEW = 64


class Chooser:
    """Chooses the tokens of one answer; as a logits processor it leaves ``generate`` no other choice.

    Args:
        decode: ids -> text, special tokens left out.
        ends: ids that end an answer.
        grammar: what answers look like; None for any text.
        temperature: 0 is greedy.
        seed: of the noise.
    """

    def __init__(
        self,
        decode: Callable[[list[int]], str],
        ends: Sequence[int],
        grammar: Grammar | None = None,
        temperature: float = 0.0,
        seed: int = 0,
    ) -> None:
        self._decode, self._ends, self._grammar = decode, sorted(ends), grammar
        self._temperature = temperature
        self._noise = np.random.default_rng(seed) if temperature else None
        self._state: State = frozenset() if grammar is None else grammar.start
        self._text = ""
        self.ids: list[int] = []

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """Scores (1, V) that are -inf but for the token that was chosen."""
        chosen = self.choose(scores[0].float().cpu().numpy())
        out = scores.new_full(scores.shape, float("-inf"))
        out[0, chosen] = 0
        return out

    @property
    def state(self) -> State:
        """Where in the grammar the answer is; empty without a grammar."""
        return self._state

    def force(self, ids: Sequence[int], n_vocab: int) -> None:
        """Go on with tokens that nobody was asked for, since the grammar leaves no others.

        Each takes its noise with it, so that those drawn later are the same as if all had been asked for.

        Raises:
            ModelError: the grammar does not go on like that.
        """
        for token in ids:
            if self._noise is not None:
                self._noise.gumbel(size=n_vocab)
            if not self._take(token):
                raise ModelError(
                    f"token {token} does not go on from {self._text[-40:]!r} as the grammar asks"
                )
            self.ids.append(token)

    def choose(self, logits: NDArray[np.float32], among: Sequence[int] | None = None) -> int:
        """The next token's id, from logits (V,).

        Args:
            logits: of all tokens.
            among: the tokens that may follow, if fewer than the grammar lets.

        Raises:
            ModelError: logits that are no numbers, or no token that the grammar lets follow.
        """
        if np.isnan(logits).any() or not np.isfinite(logits.max(initial=-np.inf)):
            raise ModelError("the model's logits are no finite numbers: its weights are damaged or overflow")
        scores = logits.astype(np.float64)
        if self._noise is not None:
            scores = scores / self._temperature + self._noise.gumbel(size=len(scores))
        if among is not None:
            kept = np.full_like(scores, -np.inf)
            kept[list(among)] = scores[list(among)]
            scores = kept
        for token in self._candidates(scores):
            if self._take(token):
                self.ids.append(token)
                return token
        raise ModelError(f"the model has no token that goes on from {self._text[-40:]!r} as the grammar asks")

    def _candidates(self, scores: NDArray[np.float64]) -> Iterator[int]:
        """Ids, the highest score first; nearly always one of the first few is taken."""
        if self._grammar is None:
            yield int(scores.argmax())
        elif self._grammar.must_end(self._state):
            yield from self._ends
        else:
            few = np.argpartition(-scores, min(_FEW, len(scores) - 1))[:_FEW]
            yield from few[np.argsort(-scores[few], kind="stable")].tolist()
            yield from np.argsort(-scores, kind="stable").tolist()

    def _take(self, token: int) -> bool:
        """Go on with a token, if it may follow."""
        if self._grammar is None:
            return True
        if token in self._ends:
            return self._grammar.allows_end(self._state)
        text = self._decode([*self.ids, token])
        if len(text) <= len(self._text) or not text.startswith(self._text):
            return False  # a special token, or half a character
        state = self._grammar.after(self._state, text[len(self._text) :])
        if state:
            self._state, self._text = state, text
        return bool(state)


def class_tokens(encode: Callable[[str], list[int]], before: str) -> list[int] | None:
    """Ids of the digits "0", "1" and "2" of a grade after ``before``; None if a digit is not one token there.

    Args:
        encode: text -> ids, without tokens at the ends.
        before: the prompt, up to and with ``CHOICE``.

    Example:
        >>> class_tokens(lambda text: [ord(char) for char in text], "Choice: ")
        [48, 49, 50]
        >>> class_tokens(lambda text: [len(text)] * int(text[-1]), "Choice: ") is None
        True
    """
    answers = [encode(f"{before}{digit}") for digit in range(len(CLASSES))]
    same = all(ids and ids[:-1] == answers[0][:-1] for ids in answers)
    last = [ids[-1] for ids in answers] if same else []
    return last if len(set(last)) == len(CLASSES) else None


def softmax_of(logits: NDArray[np.float32]) -> dict[str, float]:
    """Class -> probability, from the logits (3,) of its digits.

    Example:
        >>> softmax_of(np.log(np.array([1, 2, 5], np.float32)))
        {'low': 0.125, 'high': 0.25, 'none': 0.625}
    """
    weights = np.exp(logits.astype(np.float64) - logits.max())
    return {name: round(float(w / weights.sum()), 6) for name, w in zip(CLASSES, weights, strict=True)}
