"""Test-time flips: a network's mean answer over mirrored copies of its input.

A patient mirrored left to right is a patient; upside down is none, but a network that was trained on such
flips answers them as well. Each copy costs a run of the network.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from .errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLIPS: dict[str, tuple[tuple[int, ...], ...]] = {
    "none": ((),),
    "lr": ((), (3,)),
    "all": tuple(axes for n in range(4) for axes in combinations((1, 2, 3), n)),
}
"""Word -> the axes of (C, D, H, W) that each copy is mirrored along; W runs from left to right."""


def check_flips(flips: str, labels: Iterable[str] = ()) -> str:
    """``flips``, if it is a word of ``FLIPS`` and the labels allow it.

    Args:
        flips: "none", "lr" or "all".
        labels: what the model names; one that has a side cannot be averaged with its mirror image.

    Raises:
        UsageError: an unknown word, or a label of one side.

    Example:
        >>> check_flips("lr", ["whole_tumour"])
        'lr'
    """
    if flips not in FLIPS:
        raise UsageError(f"unknown flips {flips!r}: expected one of {', '.join(FLIPS)}")
    sided = [name for name in labels if re.search(r"(^|[^a-z])(left|right)([^a-z]|$)", name.lower())]
    if flips != "none" and sided:
        raise UsageError(f"flips {flips!r}: the label {sided[0]!r} has a side, and flips exchange sides")
    return flips


def mean_over_flips(
    answer: Callable[[NDArray[np.float32]], NDArray[np.float32]], tensor: NDArray[np.float32], flips: str
) -> NDArray[np.float32]:
    """The mean of ``answer`` over the mirrored copies of ``tensor``, each mirrored back.

    Args:
        answer: (C, D, H, W) -> (K, D, H, W) probabilities.
        tensor: (C, D, H, W).
        flips: a word of ``FLIPS``.

    Example:
        >>> x = np.array([[[[1.0, 2.0]]]], np.float32)
        >>> mean_over_flips(lambda t: t * [1.0, 3.0], x, "lr")
        array([[[[2., 4.]]]])
    """
    copies = FLIPS[flips]
    total = answer(tensor)
    if len(copies) == 1:
        return total
    total = np.array(total)  # an answer is its runtime's own
    for axes in copies[1:]:
        total += np.flip(answer(np.ascontiguousarray(np.flip(tensor, axes))), axes)
    total /= len(copies)
    return total
