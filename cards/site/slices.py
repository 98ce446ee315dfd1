"""Slices of a case as pictures: grey PNG from the image, outlines of masks as paths on top of them.

The picture is stored once, however many models are drawn on it: a path is a few hundred bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.cases import Case
from ...zoo.errors import CaseError
from ...zoo.slices2d import CaseSlices, SliceRule, open_slices
from ...zoo.voxels import occupied_box

SHOWN = 12
"""Slices of a case."""
SIZE = (176, 176)
TOLERANCE = 0.4
"""Pixels by which an outline may leave the mask's edge."""
PNG_LEVEL = 6


@dataclass(frozen=True)
class Levels:
    """A segmentation as nested regions: a voxel of level k is in the first k regions.

    Attributes:
        array: uint8 on the case's grid.
        regions: outermost first.
        box: outside of which all is 0; empty where everything is.
    """

    array: NDArray[np.uint8]
    regions: tuple[str, ...]
    box: tuple[slice, slice, slice]


def levels_of(labels: NDArray[Any], regions: Mapping[str, Sequence[int]]) -> Levels:
    """Labels as nested regions.

    Args:
        labels: (X, Y, Z), canonical values.
        regions: region -> its label values. A region that is not inside the one before it is left out.

    Example:
        >>> labels = np.array([[[0, 1, 2, 3]]])
        >>> found = levels_of(labels, {"et": (3,), "wt": (1, 2, 3), "tc": (1, 3)})
        >>> found.regions, found.array.tolist()
        (('wt', 'tc', 'et'), [[[0, 2, 1, 3]]])
    """
    nested: list[tuple[str, set[int]]] = []
    for name, values in sorted(regions.items(), key=lambda item: -len(item[1])):
        if not nested or set(values) < nested[-1][1]:
            nested.append((name, set(values)))
    table = np.zeros(256, np.uint8)
    for level, (_, inside) in enumerate(nested, start=1):
        table[[v for v in inside if 0 <= v < 256]] = level
    found = occupied_box(labels) or ((0, -1),) * 3
    box = tuple(slice(first, last + 1) for first, last in found)
    out = np.zeros_like(labels, dtype=np.uint8)  # most of it is never touched
    out[box] = table[labels[box].astype(np.uint8, copy=False)]
    return Levels(out, tuple(name for name, _ in nested), box)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Picture:
    """One slice.

    Attributes:
        index: along the file's own axis.
        png: grey, 8 bits.
        reference: region -> path; empty where the reference holds nothing.
        predictions: a model's key -> region -> path.
    """

    index: int
    png: bytes
    reference: dict[str, str]
    predictions: dict[str, dict[str, str]]


def display_rule(case: Case) -> SliceRule:
    """How a case is shown to people: axial slices of FLAIR, or of what there is, the whole brain.

    Raises:
        CaseError: it has no image.
    """
    if not case.modalities:
        raise CaseError(f"{case.id}: the case has no image")
    modality = "flair" if "flair" in case.modalities else case.modalities[0]
    return SliceRule(modality=modality, which="all", contrast="brain", size=SIZE)


def pictures(
    case: Case, reference: Levels | None, predictions: Mapping[str, Levels], shown: int = SHOWN
) -> tuple[CaseSlices, list[Picture]]:
    """Slices evenly spaced over all that is marked in the case, by anyone.

    Args:
        case: a volume.
        reference: its own segmentation.
        predictions: of models.
        shown: at most so many slices.

    Returns:
        How the slices lie, and the pictures, in the order of the file.

    Raises:
        CaseError: the image cannot be read.
    """
    slices = open_slices(case, display_rule(case))
    marked = [one for one in (reference, *predictions.values()) if one is not None]
    out = []
    for index in choose(slices, marked, shown):
        drawn = {} if reference is None else outlines(slices, reference, index)
        others = {key: outlines(slices, one, index) for key, one in predictions.items()}
        out.append(Picture(index, to_png(slices.image(index)), drawn, others))
    return slices, out


def choose(slices: CaseSlices, marked: Sequence[Levels], shown: int) -> list[int]:
    """Indices of slices, evenly spaced over what is marked; over the whole brain where nothing is."""
    axis = slices.plan.axes[0]
    others = tuple(a for a in range(3) if a != axis)
    found = np.zeros(slices.plan.grid.shape[axis], bool)
    for one in marked:
        found[one.box[axis]] |= one.array[one.box].any(axis=others)
    inside = np.flatnonzero(found) if found.any() else np.asarray(slices.indices)
    return evenly(inside[0], inside[-1], shown)


def evenly(first: int, last: int, shown: int) -> list[int]:
    """At most ``shown`` whole numbers from first to last, both among them.

    Example:
        >>> evenly(3, 5, 12), evenly(0, 100, 5)
        ([3, 4, 5], [0, 25, 50, 75, 100])
    """
    return sorted({int(v) for v in np.linspace(first, last, min(shown, last - first + 1)).round()})


def outlines(slices: CaseSlices, levels: Levels, index: int) -> dict[str, str]:
    """Region -> path of its outline on a slice; regions without a pixel there are left out."""
    plane = _plane(slices, levels.array, index)
    if not plane.any():
        return {}
    found = {}
    for level, region in enumerate(levels.regions, start=1):
        path = outline(_as_shown(slices, plane >= level))
        if path:
            found[region] = path
    return found


def _plane(slices: CaseSlices, array: NDArray[Any], index: int) -> NDArray[Any]:
    """One slice, (row, column) as it is shown, voxel by voxel: a view, so that it costs nothing."""
    across, *axes = slices.plan.axes
    plane = np.moveaxis(array, (across, *axes), (0, 1, 2))[index]
    return plane[tuple(slice(None, None, -1 if flip else 1) for flip in slices.plan.flips[1:])]


def _as_shown(slices: CaseSlices, plane: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A plane's mask in the pixels of the picture; ``CaseSlices.mask`` does the same of whole volumes."""
    import cv2

    (row0, col0), (rows, cols) = slices.plan.start[1:], slices.plan.scale[1:]
    matrix = np.array([[cols, 0, col0], [0, rows, row0]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    height, width = slices.rule.size
    return cv2.warpAffine(plane.astype(np.uint8) * 255, matrix, (width, height), flags=flags) >= 128


def outline(mask: NDArray[np.bool_]) -> str:
    """The outer and inner outlines of a mask as an SVG path, in pixels, moved by half of one.

    Example:
        >>> outline(np.pad(np.ones((3, 4), bool), 1))
        'M1.5 1.5v2h3v-2z'
    """
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return "".join(_path(cv2.approxPolyDP(points, TOLERANCE, True)[:, 0, :]) for points in found)


def _path(points: NDArray[np.int32]) -> str:
    """Whole steps from a first point; ``points`` are (col, row)."""
    x, y = (int(v) for v in points[0])
    if len(points) == 1:
        return f"M{x + 0.25} {y + 0.25}h.5v.5h-.5z"
    out = [f"M{x + 0.5} {y + 0.5}"]
    for dx, dy in np.diff(points, axis=0).tolist():
        if dy == 0:
            out.append(f"h{dx}")
        elif dx == 0:
            out.append(f"v{dy}")
        else:
            out.append(f"l{dx} {dy}" if dy > 0 else f"l{dx}{dy}")
    return "".join(out) + "z"


def to_png(image: NDArray[np.uint8]) -> bytes:
    """An image as PNG: (H, W) grey, or (H, W, 3) with red first."""
    import cv2

    pixels = image if image.ndim == 2 else np.ascontiguousarray(image[..., ::-1])
    return cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL])[1].tobytes()
