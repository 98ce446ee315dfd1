"""From a network's numbers to labels on the patient's grid, as the contract's output says.

Labels are written plane by plane as probabilities come (``LabelWriter``): neither the probabilities of one
region nor the masks of all of them ever exist on the patient's grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .errors import InputError
from .preprocess import native_flat, native_zeros
from .scatter import scatter_above, scatter_strongest
from .tasks import segment
from .voxels import occupied_box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .contract import Contract, OutputSpec
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


def clean(labels: NDArray[np.uint8], spacing_mm: Sequence[float], output: OutputSpec) -> NDArray[np.uint8]:
    """Remove, in place, what the contract says is too small: components first, then regions.

    Args:
        labels: uint8 (X, Y, Z), changed in place.
        spacing_mm: per array axis.
        output: says how small.
    """
    if output.min_component_mm3 > 0 or output.min_component_share > 0:
        drop_small(labels, spacing_mm, output.min_component_mm3, output.min_component_share)
    if output.min_region_mm3:
        fill_small(labels, spacing_mm, output.channels, output.min_region_mm3)
    return labels


def fill_small(
    labels: NDArray[np.uint8], spacing_mm: Sequence[float], channels: Sequence[str], floors: dict[str, float]
) -> None:
    """Give the voxels of a region that is too small, in place, to the region around it.

    A network that sees a few voxels of enhancing tumour in one without any has not found a small one: it
    errs. The innermost region is judged first; its voxels count for the next.

    Args:
        labels: uint8 (X, Y, Z), changed in place.
        spacing_mm: per array axis.
        channels: regions of the network.
        floors: region -> mm3; what has exactly this volume, in all its components, stays.

    Example:
        >>> labels = np.array([[[2, 1, 3, 3, 1, 2]]], np.uint8)
        >>> fill_small(labels, (1, 1, 1), ("wt", "tc", "et"), {"et": 3.0})
        >>> labels
        array([[[2, 1, 1, 1, 1, 2]]], dtype=uint8)
    """
    voxel_mm3 = float(np.prod(spacing_mm))
    nested = [(channels[channel], value) for channel, value in segment.paint_order(channels)]
    counts = np.bincount(labels.ravel(order="K"), minlength=256)
    for i in range(len(nested) - 1, -1, -1):
        inside = [value for _, value in nested[i:]]
        if counts[inside].sum() * voxel_mm3 >= floors.get(nested[i][0], 0.0) * (1 - 1e-9):
            continue
        around = nested[i - 1][1] if i else 0
        labels[np.isin(labels, inside)] = around
        counts[around] += counts[inside].sum()
        counts[inside] = 0


def drop_small(
    labels: NDArray[np.uint8], spacing_mm: Sequence[float], min_mm3: float, min_share: float = 0.0
) -> None:
    """Set to 0, in place, the components of the foreground that are too small.

    Components are of all labels together, 26-connected.

    Args:
        labels: uint8 (X, Y, Z), changed in place.
        spacing_mm: per array axis.
        min_mm3: what is smaller goes; what has exactly this volume stays.
        min_share: what is smaller than this share of the largest component goes too.

    Example:
        >>> labels = np.array([[[1, 1, 0, 2]]], np.uint8)
        >>> drop_small(labels, (1, 1, 1), 2.0)
        >>> labels
        array([[[1, 1, 0, 0]]], dtype=uint8)
    """
    from scipy import ndimage

    box = occupied_box(labels)
    if box is None:
        return
    window = labels[tuple(slice(low, high + 1) for low, high in box)]
    components, _ = ndimage.label(window, structure=np.ones((3, 3, 3), bool))
    sizes = np.bincount(components.ravel(order="K"))
    sizes[0] = 0
    limit = max(min_mm3 / float(np.prod(spacing_mm)), min_share * int(sizes.max())) * (1 - 1e-9)
    small = sizes < limit
    small[0] = False
    if small.any():
        window[small[components]] = 0


def _values(contract: Contract) -> NDArray[np.uint8]:
    """The mask value of each channel; 0 for the background."""
    channels = contract.output.channels
    if contract.output.kind == "labels":
        values = {name: value for value, name in contract.labels.items()}
        return np.array([values.get(name, 0) for name in channels], np.uint8)
    return np.array([value for _, value in sorted(segment.paint_order(channels))], np.uint8)
