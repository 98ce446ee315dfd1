"""How the next token is chosen, the same for every runtime of language models.

At temperature 0 it is the likeliest one. Above 0 it is drawn, and the seed of the draw is a function of the
question alone, so a run that was cut off and continued, or asked in another order, gives the same answers.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .answerer import Question
from .errors import UsageError

__all__ = ["Sampling"]


@dataclass(frozen=True)
class Sampling:
    """Temperature and seed of a run.

    Args:
        temperature: 0 is greedy; above, logits are divided by it.
        seed: of the run; each question has its own, from this one.

    Raises:
        UsageError: a temperature below 0 or not finite, a seed that is no whole number of at least 0.

    Example:
        >>> image = np.zeros((2, 3), np.uint8)
        >>> ask = lambda repeat: Question("box", "Where?", image, "", 9, "a", "axial", 4, repeat)
        >>> drawn = Sampling(0.7, seed=1)
        >>> drawn.seed_of(ask(0)) == drawn.seed_of(ask(0)), drawn.seed_of(ask(0)) == drawn.seed_of(ask(1))
        (True, False)
        >>> Sampling().settings()
        {'temperature': 0.0}
    """

    temperature: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        given = self.temperature
        number = isinstance(given, int | float) and not isinstance(given, bool)
        if not number or not math.isfinite(given) or given < 0:
            raise UsageError(f"temperature: got {given!r}, expected 0 or more")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise UsageError(f"seed: got {self.seed!r}, expected a whole number of at least 0")
        object.__setattr__(self, "temperature", float(given))

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken, so that no seed matters."""
        return self.temperature == 0

    def seed_of(self, question: Question) -> int:
        """The seed of one question, 0 .. 2**31 - 1: sha256 over seed, repeat, image (size and bytes), prompt.

        Which case or slice the image is of does not enter: what a model is not shown changes no answer.
        No image is one of no size.
        """
        shown = np.empty((0, 0), np.uint8) if question.image is None else question.image
        image = np.ascontiguousarray(shown)
        head = f"{self.seed} {question.repeat} {'x'.join(map(str, image.shape))}\0".encode()
        told = question.prompt.encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(head + image.tobytes() + told).digest()
        return int.from_bytes(digest[:4], "big") >> 1

    def settings(self) -> dict[str, Any]:
        """What every answer of a run has in common; at temperature 0 the seed is none of it."""
        return {"temperature": self.temperature} if self.greedy else self._drawn()

    def record(self, question: Question) -> dict[str, Any]:
        """``settings`` and the seed of this question: what ``Reply.sampling`` says."""
        return self.settings() if self.greedy else {**self._drawn(), "question_seed": self.seed_of(question)}

    def _drawn(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "seed": self.seed}
