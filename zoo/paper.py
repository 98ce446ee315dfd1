"""The preprocessing of the study that voxzoo grew out of (arXiv 2509.10683): ``preprocessing="paper"``.

What the study says: channels flair, t1, t1ce, t2 on BraTS's own 1 mm grid; the slices ``z[30:-30]``; a crop
to the brain's box; a clip to the 1st and 99th percentile and a histogram equalisation, jointly over the
modalities; a crop or pad to 95 x 128 x 128 at random offsets, without resizing. What it leaves open, and
what is done here:

* *Slices*: the D in the middle of the volume, which in BraTS's 155 are ``z[30:-30]`` for D = 95. In a volume
  of fewer slices than D, all of them, padded with zeros.
* *Brain*: what is not 0; its box is in-plane alone, since the number of slices is fixed, and is that of the
  kept slices, over all modalities.
* *Clip and equalisation*: the brain's voxels in that box, all modalities pooled as one sample. Background is
  neither counted nor changed, so that padding and background are one value, 0. Percentiles are numpy's linear
  ones. The equalisation is the usual cumulative histogram of 256 bins between the percentiles, read by linear
  interpolation between the bins' middles: values in (0, 1].
* *Offsets*: drawn when training (give ``place`` a generator); the middle when predicting.
* *Axes*: D, H, W run to superior, anterior and right, as everywhere in voxzoo; the study kept BraTS's own,
  which run to left and back. Learning does not mind.
* *Spacing*: volumes of other voxels than 1 mm are refused; the study resamples nothing.

Nothing looks at the segmentation. (The study's text has scans centred on the tumour by it; its code has not.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..rasterize.jit import kernel
from .errors import CaseError
from .intensity import brain_values, percentile
from .plan import Plan, Prepared, orientation
from .scan import Scan, read_scan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .cases import Case
    from .contract import InputSpec
    from .grid import Grid

__all__ = ["BINS", "CLIP_PERCENTILES", "cut", "equalisation", "offsets", "place", "prepare", "read"]

CLIP_PERCENTILES = (1.0, 99.0)
BINS = 256
SPACING_TOLERANCE = 0.01
"""How far from 1 mm a voxel's edge may be: headers round."""


def prepare(case: Case, spec: InputSpec, rng: np.random.Generator | None = None) -> Prepared:
    """Read and preprocess one case as the study did.

    Args:
        case: its modalities are taken by name, in the order of ``spec.channels``.
        spec: the contract's input; its shape and channels count.
        rng: draws the offset of the crop or pad in H and W; None takes the middle.

    Returns:
        Prepared with a (C, D, H, W) float32 tensor in 0..1; its plan leads back as everywhere.

    Raises:
        MissingModalityError, GridError: as ``preprocess.prepare``.
        CaseError: as there, or the voxels aren't of 1 mm.
    """
    return place(read(case, spec), spec.shape, rng)


def read(case: Case, spec: InputSpec) -> Prepared:
    """Everything before the offsets: D slices of the brain's box, equalised.

    For training, which reads a case once and draws many offsets: ``place`` does both, ``offsets`` and ``cut``
    apart do it to images and labels (of ``prepare_mask`` with this plan) alike.

    Returns:
        Prepared with a (C, D, h, w) float32 tensor, h and w as the brain's box needs.
    """
    scan = read_scan(case, spec.channels)
    _check_spacing(case, scan.grid)
    plan = _box_plan(scan, spec.shape[0])
    views = [_view(image, plan) for image in scan.images]
    low, high, heights = equalisation(views)
    # Slices beyond the volume stay zero.
    tensor = np.zeros((len(views), *plan.shape), dtype=np.float32)
    before = max(0, -int(plan.start[0]))
    for view, channel in zip(views, tensor, strict=True):
        _equalise(view, low, high, heights, channel[before : before + len(view)])
    return Prepared(tensor, plan)


def place(box: Prepared, shape: Sequence[int], rng: np.random.Generator | None = None) -> Prepared:
    """Crop or pad what ``read`` gave to a model's shape.

    Args:
        box: of ``read``.
        shape: (D, H, W) of the model.
        rng: draws where; None takes the middle.
    """
    corner = offsets(box.plan.shape, shape, rng)
    start = tuple(s + o for s, o in zip(box.plan.start, corner, strict=True))
    plan = Plan(box.plan.grid, tuple(shape), box.plan.axes, box.plan.flips, box.plan.scale, start)  # type: ignore[arg-type]
    return Prepared(cut(box.tensor, corner, shape), plan)


def offsets(
    extent: Sequence[int], shape: Sequence[int], rng: np.random.Generator | None = None
) -> tuple[int, ...]:
    """Where a window of ``shape`` begins in a box of ``extent``: negative where it is padded.

    Args:
        extent: sizes of the box.
        shape: sizes of the window.
        rng: every offset that crops no more, or pads no more, than it must is as likely; None is the middle.

    Example:
        >>> offsets((95, 140, 100), (95, 128, 128))
        (0, 6, -14)
    """
    room = [n - m for n, m in zip(extent, shape, strict=True)]
    if rng is None:
        return tuple(r // 2 for r in room)
    return tuple(int(rng.integers(min(r, 0), max(r, 0) + 1)) for r in room)


def cut(array: NDArray[np.generic], corner: Sequence[int], shape: Sequence[int]) -> NDArray[np.generic]:
    """The window of ``shape`` from ``corner`` on, over the last axes; zeros where there is nothing.

    Example:
        >>> cut(np.arange(1, 5), (-1,), (3,)), cut(np.arange(1, 5), (2,), (3,))
        (array([0, 1, 2]), array([3, 4, 0]))
    """
    leading = array.ndim - len(shape)
    out = np.zeros((*array.shape[:leading], *shape), dtype=array.dtype)
    source, target = [slice(None)] * leading, [slice(None)] * leading
    for n, c, m in zip(array.shape[leading:], corner, shape, strict=True):
        begin, end = max(c, 0), max(min(c + m, n), max(c, 0))
        source.append(slice(begin, end))
        target.append(slice(begin - c, end - c))
    out[tuple(target)] = array[tuple(source)]
    return out


def equalisation(images: Sequence[NDArray[np.generic]]) -> tuple[float, float, NDArray[np.float64]]:
    """The joint clip and equalisation of some images, from all their voxels that are not 0.

    Args:
        images: 8- or 16-bit integers or float32.

    Returns:
        (low, high, heights): the percentiles, and the cumulative share (BINS,) at the middle of each of BINS
        bins between them.

    Example:
        >>> low, high, heights = equalisation([np.array([[[0, 1, 101]]], np.int16)])
        >>> low, high, heights[[0, 254, 255]].tolist()
        (2.0, 100.0, [0.5, 0.5, 1.0])
    """
    samples = [brain_values(image) for image in images]
    values, where = np.unique(np.concatenate([v for v, _ in samples]), return_inverse=True)
    counts = np.bincount(where, weights=np.concatenate([c for _, c in samples]))
    low, high = (percentile(values, counts, q) for q in CLIP_PERCENTILES)
    if not high > low:
        return low, low, np.ones(BINS)
    inside = np.clip(values, low, high)
    histogram, _ = np.histogram(inside, bins=BINS, range=(low, high), weights=counts)
    return low, high, np.cumsum(histogram) / counts.sum()


def _check_spacing(case: Case, grid: Grid) -> None:
    if max(abs(s - 1.0) for s in grid.spacing_mm) > SPACING_TOLERANCE:
        found = " x ".join(f"{s:g}" for s in grid.spacing_mm)
        raise CaseError(
            f"{case.id}: voxels of {found} mm; the paper's preprocessing takes 1 mm and resamples nothing: "
            'resample the images, or use a model with preprocessing "grid"'
        )


def _box_plan(scan: Scan, slices: int) -> Plan:
    """The middle slices of the volume, and the brain's box within them."""
    axes, flips = orientation(scan.grid)
    n = scan.grid.shape[axes[0]]
    first = (n - slices) // 2
    kept = [slice(None)] * 3
    kept[axes[0]] = _native(max(first, 0), min(first + slices, n), n, flips[0])
    box = scan.box(kept)
    shape, start = [slices], [float(first)]
    for axis, flip in zip(axes[1:], flips[1:], strict=True):
        low, high = box[axis]
        shape.append(high - low + 1)
        start.append(float(scan.grid.shape[axis] - 1 - high if flip else low))
    return Plan(scan.grid, tuple(shape), axes, flips, (1.0, 1.0, 1.0), tuple(start))  # type: ignore[arg-type]


def _native(begin: int, end: int, n: int, flip: bool) -> slice:
    """The native range behind ``begin:end`` counted along the model's axis."""
    return slice(n - end, n - begin) if flip else slice(begin, end)


def _view(image: NDArray[np.generic], plan: Plan) -> NDArray[np.generic]:
    """What lies in the plan's box, read-only, axes (D, H, W)."""
    turned = image.transpose(plan.axes)[tuple(slice(None, None, -1 if f else 1) for f in plan.flips)]
    begins = [int(s) for s in plan.start]
    window = (slice(max(b, 0), b + n) for b, n in zip(begins, plan.shape, strict=True))
    view = turned[tuple(window)]
    view.flags.writeable = False
    return view


@kernel
def _equalise(view: np.ndarray, low: float, high: float, heights: np.ndarray, out: np.ndarray) -> None:
    """out = heights at clip(view), linear between the middles of the bins; 0 stays 0."""
    last = heights.size - 1
    per_bin = heights.size / (high - low) if high > low else 0.0
    for z in range(view.shape[0]):
        for y in range(view.shape[1]):
            for x in range(view.shape[2]):
                v = np.float64(view[z, y, x])
                if v == 0:
                    out[z, y, x] = 0
                    continue
                at = min(max((min(max(v, low), high) - low) * per_bin - 0.5, 0.0), float(last))
                i = min(int(at), last - 1)
                out[z, y, x] = heights[i] + (heights[i + 1] - heights[i]) * (at - i)
