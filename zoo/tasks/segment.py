"""The task ``segment``: canonical labels, the regions made of them, and how network channels become labels.

Every label volume inside voxzoo holds the same values, whatever its file used: 0 background, 1 necrosis
(NCR/NET), 2 edema, 3 enhancing. Regions overlap: the whole tumour holds the core, which holds the
enhancing part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ...rasterize.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABELS: dict[int, str] = {1: "necrosis", 2: "edema", 3: "enhancing"}
REGIONS: dict[str, tuple[int, ...]] = {"wt": (1, 2, 3), "tc": (1, 3), "et": (3,)}
REGION_NAMES: dict[str, str] = {"wt": "whole_tumour", "tc": "tumour_core", "et": "enhancing"}
BACKGROUND = "background"


def region_mask(labels: NDArray[np.integer], region: str) -> NDArray[np.bool_]:
    """Voxels of ``labels`` (canonical values, any shape) that belong to ``region``.

    Args:
        labels: integer array of canonical label values 0..3.
        region: one of "wt", "tc", "et".

    Returns:
        A bool array of the same shape and memory order.

    Raises:
        InputError: the region is not one of ``REGIONS``.

    Example:
        >>> import numpy as np
        >>> region_mask(np.array([0, 1, 2, 3]), "tc")
        array([False,  True, False,  True])
    """
    if region not in REGIONS:
        raise InputError(f"unknown region {region!r}: expected one of {', '.join(REGIONS)}")
    return mask_of(labels, REGIONS[region])


def mask_of(labels: NDArray[np.integer], values: Sequence[int]) -> NDArray[np.bool_]:
    """Voxels of ``labels`` whose value is one of ``values``, as bool.

    Example:
        >>> import numpy as np
        >>> mask_of(np.array([0, 1, 2, 3]), (2, 3))
        array([False, False,  True,  True])
    """
    import numpy as np

    out = np.zeros_like(labels, dtype=bool)
    for value in values:
        out |= labels == value
    return out


def region_values(channels: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Which mask values make up each region, for a network that predicts the regions ``channels``.

    All three regions give the canonical labels. Fewer give one value per region, outermost first:
    regions are nested, so an inner value belongs to the outer regions too.

    Example:
        >>> region_values(("wt",))
        {'wt': (1,)}
        >>> region_values(("et", "wt"))
        {'wt': (1, 2), 'et': (2,)}
        >>> region_values(("wt", "tc", "et")) == REGIONS
        True
    """
    unknown = [name for name in channels if name not in REGIONS]
    if unknown or not channels or len(set(channels)) != len(channels):
        raise InputError(f"region channels {tuple(channels)}: expected distinct names of {tuple(REGIONS)}")
    nested = [name for name in REGIONS if name in channels]
    if len(nested) == len(REGIONS):
        return dict(REGIONS)
    return {name: tuple(range(i + 1, len(nested) + 1)) for i, name in enumerate(nested)}


def region_labels(channels: Sequence[str]) -> dict[int, str]:
    """The names of the mask values that ``region_values(channels)`` speaks of.

    Example:
        >>> region_labels(("wt",))
        {1: 'whole_tumour'}
    """
    values = region_values(channels)
    if len(values) == len(REGIONS):
        return dict(LABELS)
    return {i + 1: REGION_NAMES[name] for i, name in enumerate(values)}


def regions_in(labels: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    """Regions of a mask that holds ``labels``: the glioma ones if all its labels are there, else none.

    Example:
        >>> regions_in({5: "edema", 6: "necrosis", 7: "enhancing"})
        {'wt': (6, 5, 7), 'tc': (6, 7), 'et': (7,)}
    """
    by_name = {name: value for value, name in labels.items()}
    if not set(LABELS.values()) <= set(by_name):
        return {}
    return {region: tuple(by_name[LABELS[v]] for v in values) for region, values in REGIONS.items()}


def paint_order(channels: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """(channel index, mask value) pairs in the order to paint them, so that inner regions win.

    Painting wt, then tc, then et gives the priority et > tc > wt even where a network's regions
    are not nested.

    Example:
        >>> paint_order(("et", "wt", "tc"))
        ((1, 2), (2, 1), (0, 3))
    """
    values = region_values(channels)
    if len(values) == len(REGIONS):
        return tuple((channels.index(name), value) for name, value in (("wt", 2), ("tc", 1), ("et", 3)))
    return tuple((channels.index(name), i + 1) for i, name in enumerate(values))
