"""The task ``classify``: one class for a whole case, with a probability for each.

What the true class of a case is, is a *fact* of the case under the name that the contract calls ``target``
("grade", "class"); ``case.fact(target)`` reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...rasterize.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Classification:
    """What a classifier answered.

    Attributes:
        labels: index -> class name, of all classes.
        probabilities: (K,) float32 in the order of the indices; they add up to 1.

    Raises:
        InputError: as many probabilities as classes were expected.

    Example:
        >>> answer = Classification({0: "low", 1: "high"}, np.array([0.25, 0.75], np.float32))
        >>> answer.index, answer.label, answer.probability
        (1, 'high', 0.75)
        >>> print(answer)
        high (0.750)
        >>> answer.by_label
        {'low': 0.25, 'high': 0.75}
    """

    labels: Mapping[int, str]
    probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        if np.shape(self.probabilities) != (len(self.labels),):
            raise InputError(
                f"probabilities of shape {np.shape(self.probabilities)} for {len(self.labels)} classes; "
                f"({len(self.labels)},) was expected"
            )

    def __str__(self) -> str:
        return f"{self.label} ({self.probability:.3f})"

    @property
    def index(self) -> int:
        """Index of the most probable class; of equals the first."""
        return int(np.argmax(self.probabilities))

    @property
    def label(self) -> str:
        """Name of the most probable class."""
        return self.labels[self.index]

    @property
    def probability(self) -> float:
        """Probability of that class."""
        return float(self.probabilities[self.index])

    @property
    def by_label(self) -> dict[str, float]:
        """Class name -> probability."""
        return {name: float(self.probabilities[index]) for index, name in self.labels.items()}


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float32]:
    """``exp(z / T) / sum(exp(z / T))`` over the last axis, computed in float64 so that nothing overflows.

    A temperature above 1 makes a network that is too sure less so, and never changes which class is first:
    Guo et al., "On calibration of modern neural networks", ICML 2017.

    Args:
        logits: (..., K) finite numbers.
        temperature: T, above 0.

    Returns:
        (..., K) float32.

    Raises:
        InputError: a temperature that is not above 0, or no class at all.

    Example:
        >>> softmax([0.0, 0.0])
        array([0.5, 0.5], dtype=float32)
        >>> softmax([2.0, 0.0], temperature=2.0).round(3)
        array([0.731, 0.269], dtype=float32)
    """
    wide = np.asarray(logits, dtype=np.float64)
    if not temperature > 0:
        raise InputError(f"temperature {temperature}: a number above 0 was expected")
    if wide.ndim == 0 or wide.shape[-1] == 0:
        raise InputError(f"logits of shape {wide.shape}: at least one class was expected on the last axis")
    powers = np.exp((wide - wide.max(axis=-1, keepdims=True)) / temperature)
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
