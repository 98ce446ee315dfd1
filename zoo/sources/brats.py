"""BraTS folders of every year: which file is which modality, what a folder's name says of patient and grade.

Until 2021 files end in ``_flair _t1 _t1ce _t2 _seg``, since 2023 in ``-t2f -t1n -t1c -t2w -seg``; copies in
the wild mix both, upper and lower case, ``.nii`` and ``.nii.gz``. Until 2019 the folders ``HGG`` and ``LGG``
give the grade; 2020 has a ``name_mapping.csv``.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..cases import Case, FailingSource, FileSource, Source
from ..errors import CaseError
from .facts import parse_grade

__all__ = ["image_files", "patient_folder", "patient_of"]

SUFFIXES = {
    "flair": "flair",
    "t2f": "flair",
    "t1": "t1",
    "t1n": "t1",
    "t1ce": "t1ce",
    "t1c": "t1ce",
    "t1gd": "t1ce",
    "t2": "t2",
    "t2w": "t2",
    "seg": "seg",
    "segm": "seg",  # BraTS20_Training_355 has W39_1998.09.19_Segm.nii
}

_NAME = re.compile(rf"(?:^|[-_.])({'|'.join(SUFFIXES)})\.nii(\.gz)?$", re.IGNORECASE)
_TIMEPOINT = re.compile(r"(BraTS-[A-Za-z]+-\d+)-\d{3}$", re.IGNORECASE)


def image_files(folder: Path) -> dict[str, list[Path]]:
    """Modality (or "seg") -> the files of ``folder`` that are named like it; hidden files are left out."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = None if path.name.startswith(".") else _NAME.search(path.name)
        if match and path.is_file():
            found.setdefault(SUFFIXES[match.group(1).lower()], []).append(path)
    return found


def patient_of(case_id: str) -> str:
    """The patient of a case: ``BraTS-GLI-00012-000`` is time point 000 of patient ``BraTS-GLI-00012``.

    Example:
        >>> patient_of("BraTS-GLI-00012-001"), patient_of("BraTS2021_00003")
        ('BraTS-GLI-00012', 'BraTS2021_00003')
    """
    match = _TIMEPOINT.match(case_id)
    return match.group(1) if match else case_id


def patient_folder(folder: Path, files: dict[str, list[Path]] | None = None) -> Case:
    """The case in ``folder``.

    Raises:
        CaseError: no such folder, or no file in it is named like a modality.
    """
    if not folder.is_dir():
        raise CaseError(f"{folder}: there is no such folder")
    folder = folder.resolve() if folder.name in ("", "..") else folder
    sources = {name: _one(name, paths) for name, paths in (files or image_files(folder)).items()}
    reference = sources.pop("seg", None)
    if not sources:
        raise CaseError(
            f"{folder}: no image named like *_flair.nii.gz, *_t1, *_t1ce, *_t2 or *-t2f, *-t1n, ..."
        )
    return Case(
        id=folder.name,
        patient=patient_of(folder.name),
        images=sources,
        reference=reference,
        grade=_grade_of_parents(folder),
        facts={},
    )


def _one(name: str, paths: list[Path]) -> Source:
    if len(paths) == 1:
        return FileSource(paths[0])
    names = ", ".join(path.name for path in paths)
    return FailingSource(name, f"{paths[0].parent}: {len(paths)} files for {name}: {names}; keep one")


def _grade_of_parents(folder: Path) -> str | None:
    """The grade by the folder above, or the one above that, being called ``HGG`` or ``LGG``."""
    near = [parent.name for parent in folder.parents][:2]
    return next((parse_grade(name) for name in near if name.upper() in ("HGG", "LGG")), None)
