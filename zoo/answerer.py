"""What is asked of a language model about an image, and what it says: the words that runtimes and runs share.

A run asks, a runtime answers; neither knows more of the other than these three.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Answerer", "Question", "Reply"]


@dataclass(frozen=True, eq=False)
class Question:
    """What a model is shown and asked.

    Attributes:
        task: its name.
        prompt: the text.
        image: (height, width) or (height, width, 3) uint8; None where nothing is shown.
        grammar: the answers that are asked for, as GBNF.
        new_tokens: how many tokens an answer may take.
        case, plane, slice, repeat: what it is about; a model that looks at them cheats, but for ``repeat``,
            which may enter the seed of a sampler.
        schema: the same answers as JSON schema, for servers that take no GBNF; None where they are no JSON.
    """

    task: str
    prompt: str
    image: NDArray[np.uint8] | None
    grammar: str
    new_tokens: int
    case: str
    plane: str
    slice: int
    repeat: int
    schema: dict[str, Any] | None = None


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        text: raw.
        tokens_in, tokens_out: None when not known.
        probabilities: class -> probability, where the model gives real ones.
        sampling: temperature, seed and the like.
        distributions: where the model gives them: for each number of the answer, in its order, the
            probabilities (n,) of the values 0, 1, ... there. They are in no transcript.
    """

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    probabilities: dict[str, float] | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    distributions: tuple[NDArray[np.float64], ...] = field(default=(), compare=False)


@runtime_checkable
class Answerer(Protocol):
    """A model that can be asked.

    Attributes:
        name: as in transcripts and results.
        content_hash: changes when its answers may.
    """

    name: str
    content_hash: str

    def answer(self, question: Question) -> str | Reply:
        """The raw answer.

        Raises:
            VoxzooError: it cannot answer this one; the others are still asked.
        """
        ...
