"""2-D distances of many slices at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..rasterize.errors import InputError
from .empty import diagonal_mm, parse_empty, undefined_value
from .kernels import slices as kernels
from .kernels.surface import words_per_row
from .presets import DEFAULT_PRESET, Preset, get_preset
from .surface import SurfaceDistances
from .validate import MaskPair, Spacing, as_mask_pair, as_spacing, not_binary


def hd95_slices(
    pred: ArrayLike,
    ref: ArrayLike,
    spacing_mm: Spacing = 1.0,
    preset: str = DEFAULT_PRESET,
    empty: str | float = "penalty",
    *,
    percentile: float = 95.0,
) -> NDArray[np.float64]:
    """95th percentile of the contour distances, slice by slice: ``hd95`` of every pair of 2-D masks.

    Args:
        pred: predicted masks (N, H, W), bool or 0/1 integers, any memory order.
        ref: reference masks, same shape.
        spacing_mm: mm per pixel: one number, or two for (H, W).
        preset: as for :func:`voxzoo.eval.surface.hd95`; the erosion presets are the fast ones.
        empty: what an empty slice gives, see ``eval/empty.py``. Default: the slice diagonal in mm when one
            of the two is empty, 0 when both are.
        percentile: 0 to 100.

    Returns:
        N distances in mm, float64.

    Raises:
        InputError: masks that are not (N, H, W) or differ in shape, other dtypes or values, a bad spacing,
            percentile, preset or policy; an empty slice under ``empty="raise"``.

    Example:
        >>> a, b = np.zeros((2, 16, 16), bool), np.zeros((2, 16, 16), bool)
        >>> a[0, 4:8, 4:8] = b[0, 4:8, 4:11] = True
        >>> hd95_slices(a, b).tolist()
        [3.0, 0.0]
    """
    if not 0 <= percentile <= 100:
        raise InputError(f"percentile={percentile!r}: expected a number from 0 to 100")
    rule, empty = get_preset(preset), parse_empty(empty)
    pair = as_mask_pair(pred, ref, ndims=(3,))
    spacing = as_spacing(spacing_mm, 2)
    if rule.surface != "erosion":
        masks = zip(np.asarray(pred), np.asarray(ref), strict=True)
        one = (SurfaceDistances(p, r, spacing, preset, empty).hd_percentile(percentile) for p, r in masks)
        return np.fromiter(one, np.float64, pair.shape[0])
    return _fast(_slices_first(pair), spacing, rule, empty, (percentile,))[0]


def hd_slices(
    pred: NDArray[np.uint8], ref: NDArray[np.uint8], empty: str | float, percentiles: tuple[float, ...]
) -> list[NDArray[np.float64]]:
    """``hd95_slices`` at several percentiles for the distances of one search, in pixels.

    Args:
        pred: (N, H, W) uint8, 0/1.
        ref: the same.
        empty: as there.
        percentiles: 0 to 100 each.

    Returns:
        N distances for each percentile.

    Example:
        >>> a, b = np.zeros((2, 1, 16, 16), np.uint8)
        >>> a[0, 4:8, 4:8] = b[0, 4:8, 4:11] = 1
        >>> [values.tolist() for values in hd_slices(a, b, "penalty", (50.0, 100.0))]
        [[0.0], [3.0]]
    """
    pair = _slices_first(as_mask_pair(pred, ref, ndims=(3,)))
    return _fast(pair, (1.0, 1.0), get_preset(DEFAULT_PRESET), parse_empty(empty), percentiles)


def _slices_first(pair: MaskPair) -> MaskPair:
    """The pair with the slice axis slowest in memory: a copy only where it is not."""
    if pair.axes[0] == 0:
        return pair
    order = tuple(np.argsort(pair.axes))
    pred, ref = (np.ascontiguousarray(m.transpose(order)) for m in (pair.pred, pair.ref))
    return MaskPair(pred, ref, pair.shape, (0, 1, 2))


def _fast(
    pair: MaskPair,
    spacing: tuple[float, ...],
    rule: Preset,
    empty: str | float,
    percentiles: tuple[float, ...],
) -> list[NDArray[np.float64]]:
    """One kernel over all slices, then the percentile rule on all results at once."""
    for name, mask in (("pred", pair.pred), ("ref", pair.ref)):
        if mask.max() > 1:
            raise not_binary(name, mask)
    n, ny, nx = pair.pred.shape
    sy, sx = (spacing[k - 1] for k in pair.axes[1:])
    squares = (np.arange(ny + 1) * sy) ** 2.0, (np.arange(nx + 65) * sx) ** 2.0
    sizes = np.arange(2 * ny * nx + 1)
    positions = [_positions(sizes, rule, percentile) for percentile in percentiles]
    lows = [np.floor(position).astype(np.int64) for position in positions]
    ranks = np.stack(
        [r for low in lows for r in (low, np.minimum(low + 1, np.maximum(sizes - 1, 0)))], axis=1
    )
    found, counts = np.zeros((n, 2, ranks.shape[1])), np.zeros((n, 2), np.int64)
    masks = pair.pred.reshape(-1), pair.ref.reshape(-1)
    kernels.contour_order_statistics(
        *masks, n, ny, nx, words_per_row(nx), *squares, rule.pooled, ranks, found, counts
    )
    sizes = counts.sum(axis=1, keepdims=True) if rule.pooled else counts
    used = np.sqrt(found[:, : sizes.shape[1]])
    shares = [position[sizes] - low[sizes] for position, low in zip(positions, lows, strict=True)]
    values = [_interpolate(used[..., 2 * k : 2 * k + 2], t, rule).max(axis=1) for k, t in enumerate(shares)]
    return [_fill_empty(v, counts, rule, empty, diagonal_mm((ny, nx), (sy, sx))) for v in values]


def _positions(sizes: NDArray[np.int64], rule: Preset, percentile: float) -> NDArray[np.float64]:
    """Where a percentile lies among n sorted values, for every n; in the preset's own arithmetic."""
    last = np.maximum(sizes - 1, 0)
    if rule.percentile == "float32":
        share = np.float32(percentile / 100) if percentile else np.float32(1)
        return (share * last.astype(np.float32)).astype(np.float64)
    return last * (percentile / 100)


def _interpolate(pair: NDArray, t: NDArray, rule: Preset) -> NDArray[np.float64]:
    """Linear interpolation between two order statistics, from the nearer end as numpy and torch do."""
    kind = np.float32 if rule.percentile == "float32" else np.float64
    low: NDArray[Any] = pair[..., 0].astype(kind)
    high: NDArray[Any] = pair[..., 1].astype(kind)
    step = high - low
    share: NDArray[Any] = t.astype(kind)
    from_low, from_high = low + step * share, high - step * (1 - share)
    return np.where(share < 0.5, from_low, from_high).astype(np.float64)


def _fill_empty(
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    rule: Preset,
    empty: str | float,
    diagonal: float,
) -> NDArray[np.float64]:
    """Apply the policy to the slices without a contour on one side or both."""
    absent = (counts == 0).sum(axis=1)
    for number in (1, 2):
        if (absent == number).any():
            values[absent == number] = undefined_value(
                empty,
                both_empty=number == 2,
                perfect=0.0,
                penalty=diagonal if rule.penalty_mm is None else rule.penalty_mm,
                peer=rule.empty_distance,
                metric="hd95 of a slice",
            )
    return values
