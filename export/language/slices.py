"""Slices in memory: what a model is shown, the mask that the answers follow from, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...zoo.cases import Case
from ...zoo.contract import ImageSpec
from ...zoo.errors import LabelError
from ...zoo.images import ImageCase, fit_image
from ...zoo.slices2d import open_slices
from ...zoo.tasks.grade import CLASSES
from ...zoo.tasks.segment import region_mask
from ...zoo.tasks.slices import SliceRule
from ..marked import mask_of

UNKNOWN, NONE = -1, CLASSES.index("none")


@dataclass(frozen=True, eq=False)
class Slice:
    """One slice.

    Attributes:
        case: its case's id.
        index: along the case's own axis; 0 for a 2-D image.
        image: (H, W) uint8, as shown.
        mask: (H, W) bool, the tumour.
        grade: 0 low, 1 high, 2 no tumour in this slice; -1 not known.
        modality, plane: as a prompt speaks of them.
        spacing_mm: (row, col) of a pixel; None where it is not known.
    """

    case: str
    index: int
    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    grade: int
    modality: str = "flair"
    plane: str = "axial"
    spacing_mm: tuple[float, float] | None = None


def slices_of(case: Case, rule: SliceRule, grades: bool = True) -> list[Slice]:
    """Every slice of a case that the rule shows, with its mask.

    Args:
        case: with a reference.
        rule: modality, plane and looks. With ``which="all"`` there are slices without tumour too.
        grades: whether the case's grade is used.

    Raises:
        LabelError: no reference segmentation.
        CaseError: a file cannot be read.
    """
    labels = case.read_reference()
    if labels is None:
        raise LabelError(f"{case.id}: no reference segmentation; training needs one")
    shown, tumour = open_slices(case, rule), region_mask(labels, rule.region)
    high = CLASSES.index(case.grade) if grades and case.grade in ("low", "high") else UNKNOWN
    out = []
    for index in shown.indices:
        mask = shown.mask(tumour, index)
        grade = high if mask.any() else NONE
        image = shown.image(index)
        out.append(Slice(case.id, index, image, mask, grade, rule.modality, rule.plane, shown.pixel_mm))
    return out


def with_tumour(slices: Iterable[Slice]) -> list[Slice]:
    """Those that show a tumour: what a model is asked about."""
    return [one for one in slices if one.mask.any()]


def spread(slices: Sequence[Slice], most: int) -> list[Slice]:
    """At most so many of them, evenly spaced.

    Example:
        >>> [n for n in spread(range(10), 3)]
        [1, 5, 8]
    """
    if len(slices) <= most:
        return list(slices)
    places = (np.arange(most) + 0.5) * len(slices) / most
    return [slices[int(place)] for place in places]


def image_slice(case: ImageCase, size: tuple[int, int]) -> Slice | None:
    """A 2-D image with its mask in the folder ``masks`` beside ``images``, or without tumour; else None.

    The class "no_tumor" (or "none") says that there is none; facts ``plane`` and ``modality`` say what is
    shown, in their absence axial T1.

    Raises:
        CaseError: a file cannot be read, or image and mask differ in size.
    """
    spec = ImageSpec("image", ("grey",), size, "pad", "unit")
    pixels = case.read()
    mask = mask_of(case, pixels.shape[:2])
    if mask is None:
        return None
    image = fit_image(pixels, spec)[..., 0]
    low, high = int(image.min()), int(image.max())
    image = ((image - low) / max(1.0, high - low) * 255).astype(np.uint8)
    small = fit_image(mask.astype(np.uint8) * 255, spec)[..., 0] > 127
    plane, modality = case.fact("plane") or "axial", case.fact("modality") or "t1"
    return Slice(case.id, 0, image, small, UNKNOWN if small.any() else NONE, modality, plane)
