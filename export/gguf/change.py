"""What adapters do to one tensor, a block of rows at a time.

W becomes W + s * B @ A (LoRA), m * (W + s * B @ A) / |W + s * B @ A| by rows (DoRA), or another tensor
altogether (``modules_to_save``, trained biases). Several adapters act one after the other, as in PEFT's own
merge, each with its weight.

E. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021); S. Liu et al., DoRA:
Weight-Decomposed Low-Rank Adaptation (2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...zoo.ggufheader import GgufTensor
from .adapter import Adapter, Module
from .product import product

Rows = npt.NDArray[np.float32]
Order = npt.NDArray[np.intp] | None
#: (rows as they are now, the base's own rows, first row, row behind the last) -> the rows from now on.
Step = Callable[[Rows, Rows, int, int], Rows]


@dataclass(frozen=True)
class Change:
    """A tensor of the merged file that differs from the base's.

    Attributes:
        target: its name.
        source: the tensor of the base that it starts from.
        steps: openers of what happens to it, in order; none of a plain copy under a new name.
    """

    target: str
    source: GgufTensor
    steps: tuple[Callable[[], Step], ...]

    @property
    def is_new(self) -> bool:
        """Whether the base has no tensor of this name."""
        return self.target != self.source.name


def low_rank(adapter: Adapter, module: Module, order: Order) -> Step:
    """The step of a LoRA or DoRA on a weight.

    Args:
        adapter: holds the factors.
        module: which ones.
        order: for each row in the GGUF its row in the Hugging Face tensor.
    """
    a, b = (adapter.file.read(key) for key in module.factors)
    if module.on_embedding:  # B @ A is (width, tokens), the table (tokens, width)
        left, right = a.T, b.T
    else:
        left, right = b.reshape(len(b), -1), a.reshape(len(a), -1)
    left = np.ascontiguousarray(_ordered(left, order))
    if "magnitude" in module.keys:
        magnitude = _ordered(adapter.file.read(module.keys["magnitude"]).reshape(-1), order)
        return _dora(left, right, module.scale, magnitude, adapter.weight)
    return _lora(left, right, module.scale * adapter.weight)


def bias_of_lora(adapter: Adapter, module: Module, order: Order) -> Step:
    """The step of ``lora_bias``: the bias of B, scaled like B @ A."""
    bias = _ordered(adapter.file.read(module.keys["b_bias"]).reshape(-1, 1), order)
    return _lora(bias, np.ones((1, 1), np.float32), module.scale * adapter.weight)


def whole(adapter: Adapter, key: str, order: Order) -> Step:
    """The step of a parameter that was trained as a whole; a weight below 1 goes only part of the way.

    Args:
        adapter: holds it.
        key: its name in the file.
        order: as in ``low_rank``.
    """
    shuffled = None if order is None else adapter.file.read(key)[order]

    def step(now: Rows, base: Rows, start: int, stop: int) -> Rows:
        new = adapter.file.read(key, start, stop) if shuffled is None else shuffled[start:stop]
        return _part_way(now, new.reshape(now.shape), adapter.weight)

    return step


def _ordered(values: Rows, order: Order) -> Rows:
    return values if order is None else values[order]


def _lora(left: Rows, right: Rows, scale: float) -> Step:
    def step(now: Rows, base: Rows, start: int, stop: int) -> Rows:
        return now + product(left[start:stop], right) * np.float32(scale)

    return step


def _dora(left: Rows, right: Rows, scale: float, magnitude: Rows, weight: float) -> Step:
    """Rows keep the length ``magnitude`` says; the norm is that of the base with this adapter alone."""

    def step(now: Rows, base: Rows, start: int, stop: int) -> Rows:
        delta = product(left[start:stop], right) * np.float32(scale)
        moved = base + delta
        norm = np.sqrt(np.einsum("ij,ij->i", moved, moved, dtype=np.float64)).astype(np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):  # a row of zeros is refused when it is written
            factor = magnitude[start:stop] / norm
            return _part_way(now, factor[:, None] * (now + delta), weight)

    return step


def _part_way(now: Rows, new: Rows, weight: float) -> Rows:
    return new if weight == 1 else now + np.float32(weight) * (new - now)
