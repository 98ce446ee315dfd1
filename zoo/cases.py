"""A case: one patient, read lazily. Images by modality name, the reference in canonical labels, one grid.

A case holds *sources* (something that can be read) and never arrays, so that a dataset of a thousand patients
costs nothing until it is used, a broken patient fails alone, and a case can be sent to another process.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from .errors import CaseError, GridError, InputError, MissingModalityError
from .grid import Grid, Volume
from .labels import CANONICAL_LABELS, canonical
from .nifti import read_grid, read_nifti

__all__ = [
    "CANONICAL_LABELS",
    "MODALITIES",
    "ArraySource",
    "Case",
    "ChannelSource",
    "FailingSource",
    "FileSource",
    "Source",
    "case_from_arrays",
    "case_from_folder",
    "hash_file",
]

MODALITIES = ("flair", "t1", "t1ce", "t2")


class Source(Protocol):
    """Where one volume comes from. ``name`` is what messages call it."""

    @property
    def name(self) -> str: ...

    def read(self) -> Volume: ...

    def grid(self) -> Grid: ...

    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class FileSource:
    """A 3-D NIfTI file."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self) -> Volume:
        volume = read_nifti(self.path)
        if volume.array.ndim != 3:
            raise CaseError(
                f"{self.path}: one 3-D volume was expected, this file has shape {volume.array.shape}"
            )
        return volume

    def grid(self) -> Grid:
        grid, channels = read_grid(self.path)
        if channels != 1:
            raise CaseError(f"{self.path}: one 3-D volume was expected, this file holds {channels}")
        return grid

    def fingerprint(self) -> str:
        return hash_file(self.path)


@dataclass(frozen=True)
class ChannelSource:
    """One channel of a 4-D NIfTI file, whose last axis is the channel (Medical Segmentation Decathlon)."""

    path: Path
    index: int

    @property
    def name(self) -> str:
        return f"{self.path} (channel {self.index})"

    def read(self) -> Volume:
        return self.of(read_nifti(self.path))

    def of(self, whole: Volume) -> Volume:
        """This channel of the file's content."""
        array = whole.array if whole.array.ndim == 4 else whole.array[..., None]
        if array.ndim != 4:
            raise CaseError(f"{self.path}: a 4-D file was expected, this one has shape {whole.array.shape}")
        self._check(array.shape[3])
        return Volume(array[..., self.index], whole.affine)

    def grid(self) -> Grid:
        grid, channels = read_grid(self.path)
        self._check(channels)
        return grid

    def fingerprint(self) -> str:
        return f"{hash_file(self.path)}:{self.index}"

    def _check(self, channels: int) -> None:
        if self.index >= channels:
            raise CaseError(f"{self.path}: channel {self.index} is wanted, the file holds {channels}")


@dataclass(frozen=True, eq=False)
class ArraySource:
    """An array in memory, with its affine."""

    array: np.ndarray
    affine: np.ndarray
    label: str = "array"

    @property
    def name(self) -> str:
        return self.label

    def read(self) -> Volume:
        return Volume(_read_only(np.asarray(self.array)), self.affine)

    def grid(self) -> Grid:
        return Grid(np.shape(self.array), self.affine)

    def fingerprint(self) -> str:
        array = np.asarray(self.array)
        head = f"{array.dtype.str}{array.shape}{np.asarray(self.affine, np.float64).tolist()}"
        digest = hashlib.sha256(head.encode())
        digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


@dataclass(frozen=True)
class FailingSource:
    """A source that cannot be read, known when the dataset was opened and told when the case is read."""

    name: str
    message: str

    def read(self) -> Volume:
        raise CaseError(self.message)

    def grid(self) -> Grid:
        raise CaseError(self.message)

    def fingerprint(self) -> str:
        return hashlib.sha256(self.message.encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class Case:
    """One patient (at one time point).

    Args:
        id: unique within its dataset.
        patient: cases of one patient never end up on two sides of a split.
        images: modality name ("flair", "t1", "t1ce", "t2") -> source.
        reference: source of the label volume, or None.
        grade: "high", "low" or None when nobody said.
        facts: what else is known, as text (collection, diagnosis, ...).
        labels: label in the reference file -> canonical label (0 background, 1 necrosis, 2 edema,
            3 enhancing).
    """

    id: str
    patient: str
    images: Mapping[str, Source]
    reference: Source | None = None
    grade: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[int, int] = field(default_factory=lambda: dict(CANONICAL_LABELS))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the images, in alphabetical order."""
        return tuple(sorted(self.images))

    @property
    def has_reference(self) -> bool:
        return self.reference is not None

    def fact(self, name: str) -> str | None:
        """The fact called ``name``, "grade" among them, or None where it is not known."""
        return self.grade if name == "grade" else self.facts.get(name) or None

    def grid(self) -> Grid:
        """Grid of the first modality; for a file its header alone is read.

        Raises:
            CaseError: the file cannot be read.
            MissingModalityError: the case has no image at all.
        """
        if not self.images:
            raise MissingModalityError(f"{self.id}: the case has no image")
        return self.images[self.modalities[0]].grid()

    def read_image(self, modality: str) -> np.ndarray:
        """The voxels of one modality, as stored, in the file's own axis order, read-only.

        Raises:
            MissingModalityError: the case does not have it; the message lists what it has.
            GridError: it lies on another grid than ``grid()``.
            CaseError: the file cannot be read, or holds NaN or infinity (how many).
        """
        return self.read_images((modality,))[0]

    def read_images(self, modalities: Sequence[str]) -> list[np.ndarray]:
        """Several modalities, in that order, as ``read_image``; a 4-D file is read once for all of them."""
        sources = [self._source(name) for name in modalities]
        whole: dict[Path, Volume] = {}
        return [self._checked(source, _read(source, whole)) for source in sources]

    def read_reference(self) -> np.ndarray | None:
        """The reference in canonical labels, uint8 on ``grid()``, or None where the case has none.

        A reference without a labelled voxel is legal: a patient may have no tumour.

        Raises:
            LabelError: fractions, or a label that ``labels`` does not know; says which and how many voxels.
            GridError: the reference lies on another grid than the images.
            CaseError: the file cannot be read.
        """
        if self.reference is None:
            return None
        volume = self.reference.read()
        self._check_grid(self.reference, volume)
        return canonical(volume.array, self.labels, self.reference.name)

    def fingerprint(self) -> str:
        """sha256 (hex) over the bytes of every image and of the reference, with their names."""
        digest = hashlib.sha256()
        for name in self.modalities:
            digest.update(f"{name}={self.images[name].fingerprint()};".encode())
        if self.reference is not None:
            labels = sorted(self.labels.items())
            digest.update(f"reference={self.reference.fingerprint()};{labels}".encode())
        return digest.hexdigest()

    def _source(self, modality: str) -> Source:
        if modality not in self.images:
            have = ", ".join(self.modalities) or "nothing"
            raise MissingModalityError(f"{self.id}: there is no {modality} image; the case has {have}")
        return self.images[modality]

    def _checked(self, source: Source, volume: Volume) -> np.ndarray:
        self._check_grid(source, volume)
        _check_finite(source, volume.array)
        return volume.array

    def _check_grid(self, source: Source, volume: Volume) -> None:
        try:
            own, wanted = Grid(volume.array.shape, volume.affine), self.grid()
        except InputError as error:
            raise CaseError(f"{source.name}: {error}") from None
        if not own.same_as(wanted):
            first = self.images[self.modalities[0]].name
            raise GridError(f"{source.name}: {own}, but {first} has {wanted}; resample them to one grid")


def _read(source: Source, whole: dict[Path, Volume]) -> Volume:
    """Read a source; ``whole`` keeps the 4-D files that were read for an earlier channel."""
    if not isinstance(source, ChannelSource):
        return source.read()
    if source.path not in whole:
        whole[source.path] = read_nifti(source.path)
    return source.of(whole[source.path])


def _check_finite(source: Source, array: np.ndarray) -> None:
    if array.dtype.kind != "f":
        return
    bad = array.size - int(np.count_nonzero(np.isfinite(array)))
    if bad:
        raise CaseError(f"{source.name}: {bad} of {array.size} voxels are NaN or infinite")


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def hash_file(path: Path) -> str:
    """sha256 (hex) of a file's bytes.

    Raises:
        CaseError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CaseError(f"{path}: cannot be read: {error.strerror}") from None


def case_from_folder(path: str | os.PathLike[str]) -> Case:
    """The case in one patient folder, by the file names of any BraTS year.

    Args:
        path: holds ``*_flair.nii.gz`` or ``*-t2f.nii``, ... (``zoo/sources/brats.py`` has the list).

    Raises:
        CaseError: the folder is absent or none of its files is named like a modality.
    """
    from .sources.brats import patient_folder

    return patient_folder(Path(path))


def case_from_arrays(
    array: np.ndarray,
    channels: tuple[str, ...],
    spacing_mm: tuple[float, float, float] | None = None,
    affine: np.ndarray | None = None,
    id: str = "array",
) -> Case:
    """A case of arrays in memory.

    Args:
        array: (C, D, H, W), one volume per channel.
        channels: modality names in the order of the first axis.
        spacing_mm: along (D, H, W); default 1 mm. Not together with ``affine``.
        affine: (4, 4), index along (D, H, W) -> mm. Without it D runs to superior, H to posterior and W to
            left, which is how SimpleITK's ``GetArrayFromImage`` gives a BraTS volume.
        id: what to call it.

    Raises:
        InputError: wrong number of axes or channels, a spacing that is not three positive numbers.
    """
    array = np.asarray(array)
    if array.ndim != 4 or array.shape[0] != len(channels):
        wanted = f"({len(channels)}, D, H, W) for {', '.join(channels)}"
        raise InputError(f"the array has shape {array.shape}; {wanted} was expected")
    if affine is None:
        affine = _affine_of_spacing((1.0, 1.0, 1.0) if spacing_mm is None else spacing_mm)
    elif spacing_mm is not None:
        raise InputError("give spacing_mm or affine, not both: the affine holds the spacing")
    images: dict[str, Source] = {
        name: ArraySource(volume, np.asarray(affine, np.float64), f"{id} ({name})")
        for name, volume in zip(channels, array, strict=True)
    }
    return Case(id=id, patient=id, images=images)


def _affine_of_spacing(spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Affine of array axes (D, H, W) that run to superior, posterior and left."""
    values = np.asarray(spacing_mm, dtype=np.float64)
    if values.shape != (3,) or not np.isfinite(values).all() or (values <= 0).any():
        raise InputError(f"spacing_mm has to be three positive numbers along (D, H, W), got {spacing_mm!r}")
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = values[0], -values[1], -values[2], 1.0
    return affine
