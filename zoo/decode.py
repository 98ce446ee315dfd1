"""From a network's numbers to labels on the patient's grid, as the contract's output says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .preprocess import restore, restore_mask
from .tasks import segment
from .voxels import occupied_box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .contract import Contract
    from .preprocess import Plan


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
    output = contract.output
    if output.kind == "labels":
        labels = _strongest(prob, plan, output.channels, contract.labels)
    else:
        labels = _painted(restore_mask(prob, plan, output.threshold), output.channels)
    if output.min_component_mm3 > 0 or output.min_component_share > 0:
        drop_small(labels, plan.grid.spacing_mm, output.min_component_mm3, output.min_component_share)
    return labels


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


def _painted(masks: NDArray[np.bool_], channels: Sequence[str]) -> NDArray[np.uint8]:
    order = segment.paint_order(channels)
    if order == ((0, 1),):
        return masks[0].view(np.uint8)
    labels = np.zeros_like(masks[0], dtype=np.uint8)
    for channel, value in order:
        labels[masks[channel]] = value
    return labels


def _strongest(
    prob: NDArray[np.float32], plan: Plan, channels: Sequence[str], names: dict[int, str]
) -> NDArray[np.uint8]:
    """Argmax over restored channels, one at a time; ties and what no channel claims are background."""
    values = {name: value for value, name in names.items()}
    if segment.BACKGROUND in channels:
        k = channels.index(segment.BACKGROUND)
        best = restore(prob[k : k + 1], plan)[0]
    else:
        best = restore(np.zeros_like(prob[:1]), plan)[0]
    labels = np.zeros_like(best, dtype=np.uint8)
    for k, name in enumerate(channels):
        if name != segment.BACKGROUND:
            here = restore(prob[k : k + 1], plan)[0]
            wins = here > best
            labels[wins], best[wins] = values[name], here[wins]
    return labels
