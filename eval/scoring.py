"""One mask against one reference, on the reference's own full grid: a flat set of figures.

Overlaps come from one pass over both masks, distances from one surface table per region. Regions with the
same voxels (the whole foreground of a model that segments only ``wt``, say) are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..zoo.errors import ContractError, GridError
from ..zoo.tasks import segment
from ..zoo.voxels import occupied_box
from . import overlap
from .empty import undefined_value
from .label_counts import confusion
from .lesion import lesion_f1, lesion_wise
from .names import FOREGROUND, LESIONS, OVERLAPS, full_name
from .options import ScoreOptions
from .overlap import Counts
from .surface import SurfaceDistances

if TYPE_CHECKING:
    from ..zoo.mask import Mask
    from ..zoo.model import Model

Regions = Mapping[str, tuple[int, ...]]
Values = tuple[tuple[int, ...], tuple[int, ...]]
"""What a region is made of: values in the mask, values in the reference."""
Cells = NDArray[np.int64]
LESION_DILATION = 3
"""Steps by which BraTS grows glioma lesions before they are matched."""


@dataclass(frozen=True)
class Score:
    """The figures of one case.

    Attributes:
        metrics: flat name -> number; ``dice`` is the whole foreground, ``dice_tc`` a region.
        empty_prediction: region (and "foreground") -> whether nothing was predicted.
        empty_reference: the same for the reference.
    """

    metrics: dict[str, float]
    empty_prediction: dict[str, bool]
    empty_reference: dict[str, bool]


def score(
    mask: Mask, reference: NDArray[np.uint8], spacing_mm: Sequence[float], options: ScoreOptions
) -> Score:
    """Score a mask against a reference.

    Args:
        mask: what was predicted, on the native grid.
        reference: canonical labels, uint8, same shape.
        spacing_mm: per array axis.
        options: preset, empty policy, tolerance.

    Returns:
        Every figure for the whole foreground (all that the model segments) and for each region.

    Raises:
        GridError: mask and reference have different shapes.
        InputError: an undefined value under the policy "raise".
    """
    if mask.array.shape != reference.shape:
        raise GridError(f"the mask has shape {mask.array.shape}, the reference {reference.shape}")
    pairs = _pairs(regions_in(mask.regions, mask.labels))
    cells = _cells(mask.array, reference, pairs)
    metrics: dict[str, float] = {}
    empties: tuple[dict[str, bool], dict[str, bool]] = ({}, {})
    done: dict[Values, dict[str, float]] = {}
    for region, values in pairs.items():
        counts = _counts(cells, values)
        if values not in done:
            masks = segment.mask_of(mask.array, values[0]), segment.mask_of(reference, values[1])
            done[values] = {
                **_overlaps(counts, options),
                **_surface(*masks, spacing_mm, options),
                **_lesions(*masks, spacing_mm, options),
                **_volumes(counts, spacing_mm),
            }
        metrics.update({full_name(name, region): value for name, value in done[values].items()})
        empties[0][region], empties[1][region] = counts.pred == 0, counts.ref == 0
    return Score(metrics, *empties)


def _cells(mask: NDArray[np.uint8], reference: NDArray[np.uint8], pairs: Mapping[str, Values]) -> Cells:
    """How often each pair of values occurs: row by the reference's, column by the mask's."""
    highest = max(max(side) for values in pairs.values() for side in values)
    return confusion(mask, reference, range(max(highest, *segment.LABELS) + 1)).counts


def _counts(cells: Cells, values: Values) -> Counts:
    mine, theirs = (list(side) for side in values)
    both = int(cells[np.ix_(theirs, mine)].sum())
    return Counts.from_sizes(
        both, int(cells[:, mine].sum()), int(cells[theirs].sum()), total=int(cells.sum())
    )


def _overlaps(counts: Counts, options: ScoreOptions) -> dict[str, float]:
    return {name: overlap.score(counts, name, _overlap_policy(options)) for name in OVERLAPS}


def _volumes(counts: Counts, spacing_mm: Sequence[float]) -> dict[str, float]:
    """Volumes in ml; the relative error is undefined where something is predicted and nothing is there."""
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    error = counts.pred - counts.ref
    nothing = 0.0 if error == 0 else math.nan
    return {
        "volume_ml": counts.pred * voxel_ml,
        "volume_ref_ml": counts.ref * voxel_ml,
        "volume_error_ml": error * voxel_ml,
        "volume_abs_error_ml": abs(error) * voxel_ml,
        "volume_error_rel": error / counts.ref if counts.ref else nothing,
    }


def regions_in(regions: Regions, labels: Mapping[int, str]) -> dict[str, tuple[int, ...]]:
    """What is scored apart: the regions that a mask knows, else each of its labels by name."""
    return dict(regions) or {name: (value,) for value, name in labels.items()}


def regions_of(model: Model) -> dict[str, tuple[int, ...]]:
    """Region -> the reference's label values, for what a model segments.

    Raises:
        ContractError: the model has a label that references do not know.
    """
    contract = model.contract
    return {name: reference_values(name) for name in regions_in(contract.regions, contract.labels)}


def reference_values(region: str) -> tuple[int, ...]:
    """The canonical label values of a region, or of a single label by its name.

    Raises:
        ContractError: neither a region nor a canonical label.

    Example:
        >>> reference_values("tc"), reference_values("edema")
        ((1, 3), (2,))
    """
    if region in segment.REGIONS:
        return segment.REGIONS[region]
    values = tuple(value for value, name in segment.LABELS.items() if name == region)
    if not values:
        known = ", ".join([*segment.REGIONS, *segment.LABELS.values()])
        raise ContractError(f"the model segments {region!r}; references know {known}")
    return values


def reference_volumes(
    reference: NDArray[np.uint8], regions: Regions, spacing_mm: Sequence[float]
) -> dict[str, float]:
    """Volume in ml of each region of a reference, and of them together as "foreground"."""
    counts = np.bincount(reference.ravel(order="K"), minlength=256)
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    union = tuple(sorted({value for values in regions.values() for value in values}))
    return {
        name: float(counts[list(values)].sum()) * voxel_ml
        for name, values in {FOREGROUND: union, **regions}.items()
    }


def _pairs(mine: Regions) -> dict[str, Values]:
    """Region -> (values in the mask, values in the reference), the whole foreground first."""
    pairs = {name: (tuple(sorted(values)), reference_values(name)) for name, values in mine.items()}
    union = tuple(tuple(sorted({v for pair in pairs.values() for v in pair[side]})) for side in (0, 1))
    return {FOREGROUND: (union[0], union[1]), **pairs}


def _surface(
    pred: NDArray[np.bool_],
    ref: NDArray[np.bool_],
    spacing_mm: Sequence[float],
    options: ScoreOptions,
) -> dict[str, float]:
    """Distances in mm and the NSD, from one pair of surfaces."""
    found = SurfaceDistances(pred, ref, spacing_mm, options.preset, options.empty)
    if found.any_empty:
        return _without_surface(found, not (pred.any() or ref.any()), options)
    return {
        "hd95": found.hd95(),
        "hd": found.hd(),
        "assd": found.assd(),
        "nsd": found.nsd(options.tolerance_mm),
    }


def _without_surface(found: SurfaceDistances, both: bool, options: ScoreOptions) -> dict[str, float]:
    """What the policy gives where a mask is empty."""
    has_mean = found.preset.empty_mean is not None or options.empty != "peer"
    nsd = undefined_value(_overlap_policy(options), both_empty=both, perfect=1.0, penalty=0.0, metric="nsd")
    return {
        "hd95": found.hd95(),
        "hd": found.hd(),
        "assd": found.assd() if has_mean else 0.0 if both else found.penalty_mm,
        "nsd": nsd,
    }


def _lesions(
    pred: NDArray[np.bool_], ref: NDArray[np.bool_], spacing_mm: Sequence[float], options: ScoreOptions
) -> dict[str, float]:
    """Lesion-wise Dice as BraTS 2023 has it, and the F1 of finding lesions."""
    policy = _overlap_policy(options)
    if not (pred.any() or ref.any()):
        perfect = undefined_value(policy, both_empty=True, perfect=1.0, penalty=0.0, metric="lesion_dice")
        return dict.fromkeys(LESIONS, perfect)
    pred, ref = _cropped(pred, ref)
    return {
        "lesion_dice": lesion_wise(pred, ref, spacing_mm=spacing_mm, dilation=LESION_DILATION).dice,
        "lesion_f1": lesion_f1(pred, ref, empty=policy),
    }


def _cropped(pred: NDArray[np.bool_], ref: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Both masks within the box of their union, as far around it as lesions are dilated.

    Nothing outside takes part, and a tumour fills a tenth of a head: components cost that much less.
    """
    box = occupied_box((pred | ref).view(np.uint8))
    if box is None:
        return pred, ref
    window = tuple(slice(max(low - LESION_DILATION, 0), high + LESION_DILATION + 1) for low, high in box)
    return pred[window], ref[window]


def _overlap_policy(options: ScoreOptions) -> str:
    """Infinite, a peer's or in mm is for distances; overlaps then keep their own worst value."""
    return options.empty if options.empty in ("nan", "raise") else "penalty"
