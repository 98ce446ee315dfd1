"""Where voxels are: shape and affine, and a volume that knows its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import InputError

__all__ = ["Grid", "Volume"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the voxels of a volume are: its shape and its voxel-to-world affine.

    Args:
        shape: voxels along each array axis.
        affine: (4, 4) float64, array index -> mm in NIfTI's world (x to the right, y anterior, z superior).

    Example:
        >>> import numpy as np
        >>> grid = Grid((240, 240, 155), np.diag([-1.0, -1.0, 1.0, 1.0]))
        >>> grid.spacing_mm, grid.codes
        ((1.0, 1.0, 1.0), ('L', 'P', 'S'))
    """

    shape: tuple[int, int, int]
    affine: np.ndarray

    def __post_init__(self) -> None:
        affine = np.asarray(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise InputError(f"an affine has to be (4, 4) and finite, got {affine.tolist()}")
        if _is_flat(affine[:3, :3]):
            raise InputError(f"the affine {affine.tolist()} is flat: a spacing near zero or two equal axes")
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxel centres along each array axis, in mm (rounded to a nanometre)."""
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return tuple(round(float(v), 6) for v in lengths)  # type: ignore[return-value]

    @property
    def codes(self) -> tuple[str, str, str]:
        """The direction that each array axis runs to, e.g. ``("L", "P", "S")``; obliquity is ignored."""
        from nibabel.orientations import aff2axcodes

        return aff2axcodes(self.affine)

    def same_as(self, other: Grid, tolerance: float = 1e-3) -> bool:
        """Whether both grids have one shape and no affine entry that differs by more than ``tolerance``."""
        return self.shape == other.shape and bool(
            np.allclose(self.affine, other.affine, rtol=0.0, atol=tolerance)
        )

    def __str__(self) -> str:
        origin = ", ".join(f"{v:g}" for v in self.affine[:3, 3])
        spacing = " x ".join(f"{v:g}" for v in self.spacing_mm)
        return (
            f"{' x '.join(map(str, self.shape))} voxels of {spacing} mm {''.join(self.codes)} at ({origin})"
        )


def _is_flat(directions: np.ndarray) -> bool:
    """Whether the columns have no sensible length (a nanometre to a kilometre) or span no volume."""
    with np.errstate(over="ignore"):
        lengths = np.sqrt((directions**2).sum(axis=0))
    if not ((lengths > 1e-6) & (lengths < 1e6)).all():
        return True
    return bool(abs(np.linalg.det(directions / lengths)) < 1e-6)


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and the affine that places them.

    Args:
        array: 3-D or 4-D, in the file's own axis order (Fortran-ordered if it comes from a file), read-only.
        affine: (4, 4) float64.
    """

    array: np.ndarray
    affine: np.ndarray
