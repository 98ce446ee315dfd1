"""What a person hands to a model, as a case: a folder, files by modality, an array, an image, or a case."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..rasterize.errors import InputError
from .cases import Case, ChannelSource, FileSource, Source, case_from_arrays, case_from_folder
from .errors import CaseError
from .images import AnyCase, ImageCase, check_image
from .nifti import read_grid
from .specs import ImageSpec, InputSpec

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def as_input(
    x: Any,
    spec: InputSpec | ImageSpec,
    spacing_mm: Sequence[float] | None = None,
    affine: ArrayLike | None = None,
) -> AnyCase | np.ndarray:
    """Read ``x`` for a model that takes ``spec``: ``as_case`` for volumes, ``as_image`` for 2-D images."""
    if isinstance(spec, InputSpec):
        return as_case(x, spec.channels, spacing_mm, affine)
    if spacing_mm is not None or affine is not None:
        raise InputError("spacing_mm and affine belong to volumes; this model takes 2-D images")
    return as_image(x)


def check_case(case: Any, spec: InputSpec | ImageSpec) -> None:
    """Refuse a patient's volumes for a model of 2-D images, and an image for a model of volumes.

    Raises:
        CaseError: it is the other kind.
    """
    if isinstance(spec, ImageSpec) and isinstance(case, Case):
        raise CaseError(f"{case.id}: is a volume; the model takes 2-D images")
    if isinstance(spec, InputSpec) and not isinstance(case, Case):
        what = case.id if isinstance(case, ImageCase) else f"{type(case).__name__} given"
        raise CaseError(f"{what}: is no volume; the model takes {', '.join(spec.channels)} volumes")


def as_image(x: Any) -> ImageCase | np.ndarray:
    """Read ``x`` as an image for a model of 2-D images.

    Args:
        x: an ImageCase; an image's path; an array (H, W) or (H, W, 3) of uint8, red first.

    Raises:
        InputError: none of these, or an array of another shape or dtype.
        CaseError: a path that does not exist.

    Example:
        >>> as_image(np.zeros((2, 3), np.uint8)).shape
        (2, 3)
    """
    if isinstance(x, ImageCase):
        return x
    if _is_array(x):
        return check_image(np.asarray(x))
    if isinstance(x, str | os.PathLike):
        path = Path(x).expanduser()
        if path.is_dir():
            raise InputError(f"{path}: is a folder; the model takes one image at a time")
        if not path.exists():
            raise CaseError(f"{path}: no such file")
        return ImageCase(path.name, path.name, path)
    raise InputError(
        f"a model of 2-D images takes a path, an array (H, W) or (H, W, 3) of uint8, or an ImageCase; "
        f"got {type(x).__name__}"
    )


def as_case(
    x: Any,
    channels: Sequence[str],
    spacing_mm: Sequence[float] | None = None,
    affine: ArrayLike | None = None,
) -> Case:
    """Read ``x`` as a case for a model that takes ``channels``.

    Args:
        x: a Case; a patient's folder; a dict modality -> NIfTI path, or -> (4-D NIfTI path, index); one
            NIfTI path for a model of one channel; an array (C, D, H, W).
        channels: the model's modality names, in its channel order, which an array has to follow.
        spacing_mm: for an array: voxel edge along (D, H, W).
        affine: for an array, instead: (4, 4), index along (D, H, W) -> mm. Without it D runs to superior,
            H to posterior, W to left.

    Raises:
        InputError: none of these, a wrong number of axes or channels, an array without its spacing.
        CaseError: a path that does not exist or holds no patient.
    """
    if _is_array(x):
        if spacing_mm is None and affine is None:
            raise InputError("an array needs spacing_mm=(d, h, w) in mm, in its own axis order, or affine=")
        return _from_array(np.asarray(x), tuple(channels), spacing_mm, affine)
    if spacing_mm is not None or affine is not None:
        raise InputError(f"spacing_mm and affine belong to arrays; {type(x).__name__} input has its own")
    if isinstance(x, Case):
        return x
    if isinstance(x, Mapping):
        return _from_files(x)
    if isinstance(x, str | os.PathLike):
        return _from_path(Path(x).expanduser(), channels)
    raise InputError(
        f"a model takes a patient's folder, a dict of NIfTI paths, an array ({len(channels)}, D, H, W) or "
        f"a Case; got {type(x).__name__}"
    )


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) or (hasattr(x, "__array__") and hasattr(x, "shape"))


def _from_array(array: np.ndarray, channels: tuple[str, ...], spacing_mm: Any, affine: Any) -> Case:
    if array.dtype.kind not in "buif":
        raise InputError(f"the array holds {array.dtype}; integers or floating-point numbers were expected")
    if array.size == 0:
        raise InputError(f"the array of shape {array.shape} is empty")
    return case_from_arrays(array, channels, spacing_mm, None if affine is None else np.asarray(affine))


def _from_path(path: Path, channels: Sequence[str]) -> Case:
    if path.is_dir():
        return case_from_folder(path)
    if not path.exists():
        raise CaseError(f"{path}: no such file or folder")
    if len(channels) > 1:
        wanted = ", ".join(f"{name!r}: ..." for name in channels)
        raise InputError(
            f"{path}: one file does not say which modality is which, and the model takes {len(channels)}: "
            f"give the patient's folder, or {{{wanted}}} with a path each, or (path, index) into a 4-D file"
        )
    return _from_files({channels[0]: path})


def _from_files(files: Mapping[Any, Any]) -> Case:
    images = {str(name): _source(str(name), value) for name, value in files.items()}
    if not images:
        raise InputError("the dict of modalities is empty")
    name = str(next(iter(images.values())).name)
    return Case(id=name, patient=name, images=images)


def _source(name: str, value: Any) -> Source:
    if isinstance(value, str | os.PathLike):
        path = Path(value).expanduser()
        count = read_grid(path)[1]
        if count > 1:
            raise InputError(f"{path}: holds {count} volumes: say which one is {name!r}: (path, index)")
        return FileSource(path)
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str | os.PathLike):
        return ChannelSource(Path(value[0]).expanduser(), int(value[1]))
    raise InputError(f"{name!r}: a NIfTI path, or (path, index) into a 4-D one, was expected; got {value!r}")
