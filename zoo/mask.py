"""What a model gives back: labels on the patient's own grid, with their names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..rasterize.errors import InputError
from .tasks.segment import mask_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Mask:
    """A segmentation on the grid and in the axis order of the input.

    Attributes:
        array: uint8, 0 is background.
        labels: value -> name.
        affine: (4, 4) float64, array index -> world mm.
        regions: region name -> the values it is made of; regions may overlap.

    Example:
        >>> mask = Mask(np.array([[[0, 2, 3]]], np.uint8), {2: "edema", 3: "enhancing"}, np.eye(4),
        ...             {"wt": (2, 3)})
        >>> mask.region("wt").sum(), mask.region("edema").sum(), mask.volume_ml("wt")
        (np.int64(2), np.int64(1), 0.002)
    """

    array: NDArray[np.uint8]
    labels: Mapping[int, str]
    affine: NDArray[np.float64]
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """``np.asarray(mask)`` is ``mask.array``."""
        return np.array(self.array, dtype=dtype, copy=copy)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel edge along each array axis."""
        lengths = np.sqrt((np.asarray(self.affine)[:3, :3] ** 2).sum(axis=0))
        return tuple(round(float(v), 6) for v in lengths)  # type: ignore[return-value]

    def region(self, name: str) -> NDArray[np.bool_]:
        """The voxels of a region ("wt") or of one label by its name ("edema").

        Raises:
            InputError: the mask has neither under that name.
        """
        return mask_of(self.array, self._values(name))

    def volume_ml(self, name: str | None = None) -> float:
        """Volume of a region or label, or of everything that is not background.

        Raises:
            InputError: the mask has no region or label of that name.
        """
        chosen = self.array != 0 if name is None else self.region(name)
        voxel_mm3 = abs(float(np.linalg.det(np.asarray(self.affine)[:3, :3])))
        return round(int(np.count_nonzero(chosen)) * voxel_mm3 / 1000, 9)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a NIfTI file (``.nii.gz`` or ``.nii``), whole or not at all.

        Raises:
            UsageError: another suffix.
            RunError: it cannot be written there.
        """
        from .nifti import write_nifti

        write_nifti(path, self.array, self.affine, np.uint8)

    def _values(self, name: str) -> tuple[int, ...]:
        if name in self.regions:
            return tuple(self.regions[name])
        values = tuple(value for value, label in self.labels.items() if label == name)
        if not values:
            known = ", ".join(dict.fromkeys([*self.regions, *self.labels.values()]))
            raise InputError(f"the mask has no region or label {name!r}; it has {known}")
        return values
