"""The presets of surface distances: which points are surface, how two directions become one number.

The same pair of masks is 4.6, 5.0 or 5.2 mm apart at the 95th percentile, depending on the tool. A preset
names one tool's definition and equals its result within 1 ulp of the tool's own floats.

==================  ========  ==============================================  ===================
preset              surface   percentile                                      one / both empty
==================  ========  ==============================================  ===================
metrics-reloaded    erosion   larger of the two directed, linear              nan / 0
medpy               erosion   of both directions pooled, linear               raises / raises
monai               erosion   larger of the two directed, float32 linear      nan / nan
deepmind            corners   larger of the two directed, by area, no         inf / inf
                              interpolation
brats2023           corners   as deepmind                                     374 / 0
==================  ========  ==============================================  ===================

"erosion": voxels with a face (2-D: edge) neighbour outside the mask, what lies beyond the image counting as
outside. "corners": corners of the voxel grid with both inside and outside among their 8 (4) voxels,
weighted by the surface area (contour length) they stand for (``eval/areas.py``).

Sources: Maier-Hein et al., Metrics reloaded (2024); medpy 0.5; MONAI 1.6; Nikolov et al. (2018) and its
package surface-distance; the scripts of the BraTS 2023 challenge. Podobnik & Vrtovec (arXiv:2410.02630)
compare eleven tools.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..rasterize.errors import InputError
from .empty import PeerEmpty

DEFAULT_PRESET = "metrics-reloaded"


@dataclass(frozen=True)
class Preset:
    """One tool's definition of surface distances.

    Attributes:
        name: as in ``hd95(..., preset=name)``.
        surface: which points are surface, "erosion" or "corners".
        percentile: "linear" and "float32" interpolate between order statistics, "area" walks up the
            cumulated area.
        pooled: percentiles are taken over both directions together, not per direction.
        pooled_mean: ASSD is the mean over both directions together, not the mean of two means.
        penalty_mm: the tool's own finite penalty; None for the image diagonal.
        empty_distance: what the tool's Hausdorff distance returns on empty masks.
        empty_mean: the same for its average surface distance; None where the tool has none.
        empty_overlap: the same for its surface overlap (NSD); None where the tool has none.
    """

    name: str
    surface: Literal["erosion", "corners"]
    percentile: Literal["linear", "float32", "area"]
    pooled: bool
    pooled_mean: bool
    penalty_mm: float | None
    empty_distance: PeerEmpty
    empty_mean: PeerEmpty | None
    empty_overlap: PeerEmpty | None


_NAN = math.nan
PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "metrics-reloaded",
            "erosion",
            "linear",
            pooled=False,
            pooled_mean=True,
            penalty_mm=None,
            empty_distance=PeerEmpty(_NAN, 0.0),
            empty_mean=PeerEmpty(_NAN, 0.0),
            empty_overlap=None,
        ),
        Preset(
            "medpy",
            "erosion",
            "linear",
            pooled=True,
            pooled_mean=True,
            penalty_mm=None,
            empty_distance=PeerEmpty(None, None),
            empty_mean=PeerEmpty(None, None),
            empty_overlap=None,
        ),
        Preset(
            "monai",
            "erosion",
            "float32",
            pooled=False,
            pooled_mean=True,
            penalty_mm=None,
            empty_distance=PeerEmpty(_NAN, _NAN),
            empty_mean=PeerEmpty(math.inf, _NAN),
            empty_overlap=PeerEmpty(0.0, _NAN),
        ),
        Preset(
            "deepmind",
            "corners",
            "area",
            pooled=False,
            pooled_mean=False,
            penalty_mm=None,
            empty_distance=PeerEmpty(math.inf, math.inf),
            empty_mean=PeerEmpty(_NAN, _NAN),
            empty_overlap=PeerEmpty(0.0, _NAN),
        ),
        Preset(
            "brats2023",
            "corners",
            "area",
            pooled=False,
            pooled_mean=False,
            penalty_mm=374.0,
            empty_distance=PeerEmpty(374.0, 0.0),
            empty_mean=None,
            empty_overlap=None,
        ),
    )
}


def get_preset(name: str) -> Preset:
    """The preset of that name.

    Args:
        name: a key of ``PRESETS``.

    Returns:
        The preset.

    Raises:
        InputError: unknown name; the message lists all.

    Example:
        >>> get_preset("medpy").pooled
        True
    """
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: expected one of {', '.join(PRESETS)}")
    return PRESETS[name]
