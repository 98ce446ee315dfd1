"""What is marked in a 2-D image: where its mask lies and how it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..zoo.errors import CaseError
from ..zoo.images import ImageCase, read_image

_HEALTHY = ("no tumor", "no tumour", "none")


def mask_of(case: ImageCase, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The mask of an image, from the folder ``masks`` beside ``images`` or beside the image.

    Args:
        case: its class "no_tumor" (or "none") says that nothing is to be marked, whatever lies there.
        shape: (H, W) of the image.

    Returns:
        (H, W) bool; None where there is a tumour, or it is not known, and nobody marked it.

    Raises:
        CaseError: the mask cannot be read, or is of another size.
    """
    if (case.fact("class") or "").replace("_", " ") in _HEALTHY:
        return np.zeros(shape, bool)
    path = mask_path(case.path)
    if path is None:
        return None
    mask = read_image(path)[..., 0] > 127
    if mask.shape != shape:
        raise CaseError(f"{path}: the mask has shape {mask.shape}, the image {shape}")
    return mask


def mask_path(image: Path) -> Path | None:
    """Where the mask of an image lies, if there is one."""
    for folder in (image.parent.parent / "masks", image.parent / "masks"):
        path = folder / f"{image.stem}.png"
        if path.is_file():
            return path
    return None
