"""From a network's numbers to labels on the patient's grid, as the contract's output says.

Labels are written plane by plane as probabilities come (``LabelWriter``): neither the probabilities of one
region nor the masks of all of them ever exist on the patient's grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .cleanup import clean
from .errors import InputError
from .preprocess import native_flat, native_zeros
from .scatter import scatter_above, scatter_strongest
from .tasks import segment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .contract import Contract
    from .plan import Plan
    from .resample import Tables


def activate(raw: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    """Apply what the graph left out to (K, D, H, W): "none", "sigmoid", or "softmax" over the channels.

    Example:
        >>> activate(np.zeros((2, 1, 1, 1), np.float32), "softmax").ravel()
        array([0.5, 0.5], dtype=float32)
    """
    if activation == "sigmoid":
        return 0.5 * np.tanh(0.5 * raw) + 0.5  # the same function, and it cannot overflow
    if activation == "softmax":
        powers = np.exp(raw - raw.max(axis=0, keepdims=True))
        return powers / powers.sum(axis=0, keepdims=True)
    return raw


def decode(prob: NDArray[np.float32], plan: Plan, contract: Contract) -> NDArray[np.uint8]:
    """Labels on the patient's grid.

    Args:
        prob: (K, D, H, W) on the model's grid, activation applied.
        plan: of the ``prepare`` that made the input.
        contract: its output and labels.

    Returns:
        uint8 in the patient's axis order; background outside the model's window.
    """
    writer = LabelWriter(plan, contract)
    writer.add(prob)
    return clean(writer.labels, plan.grid.spacing_mm, contract.output)


class LabelWriter:
    """Labels on the patient's grid, from probabilities that come in slabs of planes, the lowest first.

    Args:
        plan: of the ``prepare`` that made the input.
        contract: its output and labels.

    Attributes:
        labels: uint8 (X, Y, Z), Fortran-ordered; whole once all planes were added.
    """

    def __init__(self, plan: Plan, contract: Contract) -> None:
        self.labels = native_zeros(1, plan, np.uint8)[0]
        self._plan = plan
        self._output = contract.output
        self._values = _values(contract)
        self._held = np.empty((len(self._values), 0, *plan.shape[1:]), np.float32)
        self._next = 0
        taps = plan.backward[0]
        self._first, self._end = taps.first, taps.first + taps.count
        self._todo = taps.count > 0

    def add(self, prob: NDArray[np.float32]) -> None:
        """Write what the next planes complete.

        Args:
            prob: (K, n, H, W), the next n planes of the model's grid; not needed afterwards.

        Raises:
            InputError: another shape, or more planes than the model's grid has.
        """
        self._check(prob)
        begin, end = self._next, self._next + prob.shape[1]
        ready = self._todo & (self._end <= end)
        across = ready & (self._first < begin)
        if across.any():
            most = int(self._end[across].max()) - begin
            self._write(np.concatenate([self._held, prob[:, :most]], axis=1), self._held_from, across)
        self._write(prob, begin, ready & ~across)
        self._todo &= ~ready
        self._next = end
        self._hold(prob, begin)

    def _check(self, prob: NDArray[np.float32]) -> None:
        wanted = (len(self._values), *self._plan.shape)
        left = wanted[1] - self._next
        if prob.ndim != 4 or (len(prob), *prob.shape[2:]) != (wanted[0], *wanted[2:]) or prob.shape[1] > left:
            raise InputError(
                f"probabilities of shape {prob.shape}; at most {left} planes of {wanted} expected"
            )

    @property
    def _held_from(self) -> int:
        return self._next - self._held.shape[1]

    def _hold(self, prob: NDArray[np.float32], begin: int) -> None:
        """Keep the planes that native planes to come need."""
        least = int(self._first[self._todo].min(initial=self._next))
        if least >= begin:
            self._held = prob[:, least - begin :].copy()
        else:
            self._held = np.concatenate([self._held, prob], axis=1)[:, least - self._next :].copy()

    def _write(self, slab: NDArray[np.float32], origin: int, chosen: NDArray[np.bool_]) -> None:
        """Write the ``chosen`` native planes, which are neighbours, from planes ``origin`` and on."""
        if not chosen.any():
            return
        low, high = int(chosen.argmax()), len(chosen) - int(chosen[::-1].argmax())
        z, y, x = self._plan.backward
        flat, strides = native_flat(self.labels, self._plan)
        self._paint(slab, (z.part(low, high, origin), y, x), strides, flat[low * strides[0] :])

    def _paint(
        self, slab: NDArray[np.float32], tables: Tables, strides: NDArray[np.int64], flat: NDArray[np.uint8]
    ) -> None:
        if self._output.kind == "labels":
            scatter_strongest(np.ascontiguousarray(slab), tables, strides, self._values, flat)
            return
        for channel, value in segment.paint_order(self._output.channels):
            prob = np.ascontiguousarray(slab[channel])
            scatter_above(prob, tables, strides, self._output.threshold, value, flat)


def _values(contract: Contract) -> NDArray[np.uint8]:
    """The mask value of each channel; 0 for the background."""
    channels = contract.output.channels
    if contract.output.kind == "labels":
        values = {name: value for value, name in contract.labels.items()}
        return np.array([values.get(name, 0) for name in channels], np.uint8)
    return np.array([value for _, value in sorted(segment.paint_order(channels))], np.uint8)
