"""What the 3-plane viewer shows: a case made small enough for a page, as NIfTI inside a script.

A script, because a page opened from ``file://`` may load one and may not fetch anything else.
"""

from __future__ import annotations

import base64
import itertools
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.nifti import encode_nifti
from ...zoo.slices2d import CaseSlices
from ...zoo.voxels import occupied_box
from .slices import Levels

MARGIN = 2
"""Voxels kept around the brain."""
LEAST, MOST = 250_000, 3_000_000
SITE = 25_000_000
"""Voxels of one case, at least and at most, and of all cases of a site together."""


@dataclass(frozen=True)
class Small:
    """How a case is reduced: a box of its grid, averaged in blocks of ``step`` voxels a side."""

    box: tuple[slice, slice, slice]
    step: int
    affine: NDArray[np.float64]

    @classmethod
    def of(cls, slices: CaseSlices, voxels: int) -> Small:
        """The brain's box in the fewest steps that leave at most ``voxels``."""
        grid = slices.plan.grid
        found = occupied_box(slices.volume) or tuple((0, n - 1) for n in grid.shape)
        spans = [
            (max(0, a - MARGIN), min(n, b + 1 + MARGIN)) for (a, b), n in zip(found, grid.shape, strict=True)
        ]
        step = 1
        while np.prod([(b - a) // step for a, b in spans]) > voxels:
            step += 1
        box = tuple(slice(a, a + max(1, (b - a) // step) * step) for a, b in spans)
        affine = grid.affine.astype(np.float64).copy()
        affine[:3, 3] += affine[:3, :3] @ (np.array([a for a, _ in spans]) + (step - 1) / 2)
        affine[:3, :3] *= step
        return cls(box, step, affine)  # type: ignore[arg-type]

    def image(self, volume: NDArray[Any]) -> NDArray[np.uint8]:
        """Means of blocks, the 1st to the 99th percentile of what is not 0 over 1..255."""
        small = self._means(volume[self.box].astype(np.float32))
        inside = small[small != 0]
        low, high = np.percentile(inside, (1, 99)) if inside.size else (0.0, 1.0)
        scaled = np.clip((small - low) / max(high - low, 1e-6), 0, 1) * 254 + 1
        return np.where(small != 0, scaled, 0).astype(np.uint8)

    def levels(self, levels: Levels) -> NDArray[np.uint8]:
        """Regions that fill half of a block or more."""
        blocks = tuple(map(self._blocks, self.box, levels.box))
        out = np.zeros([(b.stop - b.start) // self.step for b in self.box], np.uint8)
        inside = levels.array[self.box][tuple(slice(b.start * self.step, b.stop * self.step) for b in blocks)]
        for level in range(1, len(levels.regions) + 1):
            out[blocks][self._means((inside >= level).astype(np.float32)) >= 0.5] = level
        return out

    def _blocks(self, whole: slice, part: slice) -> slice:
        """The blocks along an axis that ``part`` of the grid touches."""
        last = (whole.stop - whole.start) // self.step
        first = min(max((part.start - whole.start) // self.step, 0), last)
        return slice(first, min(max(-((whole.start - part.stop) // self.step), first), last))

    def _means(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of blocks; eight sums of strided views are ten times as fast as one sum over three axes."""
        s = self.step
        total = np.zeros([n // s for n in array.shape], np.float32)
        for i, j, k in itertools.product(range(s), repeat=3):
            total += array[i::s, j::s, k::s]
        return total / np.float32(s**3)


def voxels_per_case(cases: int) -> int:
    """How many voxels a case may keep in a site of so many.

    Example:
        >>> voxels_per_case(1), voxels_per_case(50), voxels_per_case(10_000)
        (3000000, 500000, 250000)
    """
    return min(MOST, max(LEAST, SITE // max(1, cases)))


def volume_script(
    small: Small, volume: NDArray[Any], reference: Levels | None, predictions: Mapping[str, Levels]
) -> bytes:
    """A script that hands the page its volumes.

    Args:
        small: how to reduce them.
        volume: the image.
        reference: its own segmentation.
        predictions: key of a model -> its mask.
    """
    content = {
        "image": _nifti(small.image(volume), small),
        "reference": _nifti(small.levels(reference), small) if reference is not None else "",
        "predictions": {key: _nifti(small.levels(one), small) for key, one in predictions.items()},
    }
    return f"window.voxzooVolumes={json.dumps(content, separators=(',', ':'))};\n".encode()


def _nifti(array: NDArray[np.uint8], small: Small) -> str:
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: with a gzip header, which holds no time here
    packed = packer.compress(encode_nifti(array, small.affine)) + packer.flush()
    return base64.b64encode(packed).decode()
