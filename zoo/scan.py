"""The images that a model takes of one case, checked, in the types that kernels are compiled for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import CaseError
from .voxels import occupied_box

if TYPE_CHECKING:
    from .cases import Case
    from .grid import Grid

Box = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Scan:
    """Native voxels of some modalities.

    Attributes:
        grid: they all lie on it.
        names: what messages call each image.
        images: in the order asked for; 8- or 16-bit integers or float32, axes as stored.
    """

    grid: Grid
    names: tuple[str, ...]
    images: list[np.ndarray]

    def box(self, within: Sequence[slice] = (slice(None),) * 3) -> Box:
        """First and last index, along each native axis, of what is not 0 in one of the images.

        Args:
            within: part of the volume to look at; indices count from its first voxel.

        Raises:
            CaseError: an image holds nothing but zeros there.
        """
        boxes = [occupied_box(image[tuple(within)]) for image in self.images]
        found = [box for box in boxes if box is not None]
        if len(found) < len(boxes):
            name = self.names[boxes.index(None)]
            raise CaseError(f"{name} image holds nothing but zeros")
        return tuple((min(b[a][0] for b in found), max(b[a][1] for b in found)) for a in range(3))


def read_scan(case: Case, channels: Sequence[str]) -> Scan:
    """Read the images ``channels`` of a case.

    Raises:
        MissingModalityError: the case lacks one.
        GridError: they lie on different grids.
        CaseError: a file cannot be read, or holds NaN or infinity.
    """
    grid = case.grid()
    images = [_compact(image) for image in case.read_images(channels)]
    return Scan(grid, tuple(f"{case.images[name].name}: the {name}" for name in channels), images)


def _compact(image: np.ndarray) -> np.ndarray:
    """The voxels as one of the types that kernels are compiled for: 8- and 16-bit integers, float32."""
    if (image.dtype.kind in "iu" and image.dtype.itemsize <= 2) or image.dtype == np.float32:
        return image
    if image.dtype.kind in "iu" and image.size and image.min() >= -32768 and image.max() <= 32767:
        return image.astype(np.int16)
    return image.astype(np.float32)
