"""Folders of 2-D images whose class is known: a folder per class, or a table ``labels.csv``.

A table has a column for the file (``image``, ``file`` or ``name``; paths are relative to the table or to
``images/`` beside it, and the suffix may be left out) and one for the class (``label`` or ``class``); a
column ``patient`` keeps the images of one patient on one side of a split, all others become facts. Either
way the class is the fact "class". Folders of masks are no classes, and files whose suffix is none of
``images.SUFFIXES`` are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import UsageError
from ..images import SUFFIXES, ImageCase
from .manifest import Table

__all__ = ["LABELS", "folder_images", "is_image_table", "table_images"]

LABELS = "labels.csv"
FILE_COLUMNS = ("image", "file", "name")
CLASS_COLUMNS = ("label", "class")
PATIENT = "patient"
FOLDER = "images"
MASKS = ("mask", "masks")


def is_image_table(table: Table) -> bool:
    """Whether the table has a column for files and one for classes."""
    return bool(_first(FILE_COLUMNS, table) and _first(CLASS_COLUMNS, table))


def table_images(table: Table) -> list[ImageCase]:
    """One case per row; a file that is not there fails when its case is read, with the row's line.

    Raises:
        UsageError: no column for files or for classes; a row that names no file, one that was named before,
            or two at once (a name without its suffix).
    """
    file, label = _first(FILE_COLUMNS, table), _first(CLASS_COLUMNS, table)
    if file is None or label is None:
        raise UsageError(
            f"{table.path}: a column {' or '.join(FILE_COLUMNS)} and a column {' or '.join(CLASS_COLUMNS)} "
            f"were expected; it has {', '.join(table.columns)}"
        )
    find = _Finder(table.path.parent)
    cases: dict[Path, ImageCase] = {}
    for line, row in table.rows:
        case = _row_case(table, line, row, find, (file, label))
        if case.path in cases:
            raise UsageError(f"{case.origin}: {row[file]} was already named in {cases[case.path].origin}")
        cases[case.path] = case
    return list(cases.values())


def folder_images(folder: Path) -> list[ImageCase]:
    """The images in ``folder``: of its subfolders, which are the classes, else its own, without a class.

    Returns:
        Cases in the order of names; none where there are no images.

    Raises:
        UsageError: a subfolder beside others without an image in it.
    """
    folders = [sub for sub in _visible(folder) if sub.is_dir() and sub.name.lower() not in MASKS]
    if [sub.name.lower() for sub in folders] in ([], [FOLDER]):
        return [_plain_case(path, folder) for place in (folder, *folders) for path in _images(place)]
    by_class = {sub: _images(sub) for sub in folders}
    if not any(by_class.values()):
        return []
    for sub, paths in by_class.items():
        if not paths:
            raise UsageError(_empty(sub))
    return [
        ImageCase(f"{sub.name}/{path.name}", f"{sub.name}/{path.name}", path, {"class": sub.name})
        for sub, paths in by_class.items()
        for path in paths
    ]


def _row_case(
    table: Table, line: int, row: dict[str, str], find: _Finder, used: tuple[str, str]
) -> ImageCase:
    file, label = used
    origin = f"{table.path}:{line}"
    if not row[file]:
        raise UsageError(f"{origin}: the row has no {file}")
    paths = find.paths_of(row[file])
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise UsageError(f"{origin}: {row[file]} may be {names}; write the suffix too")
    facts = {name: value for name, value in row.items() if value and name not in (*used, PATIENT)}
    if row[label]:
        facts["class"] = row[label]
    return ImageCase(row[file], row.get(PATIENT) or row[file], paths[0], facts, origin)


class _Finder:
    """Files by the names that a table has for them; folders are listed once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stems: dict[Path, dict[str, list[Path]]] = {}

    def paths_of(self, text: str) -> list[Path]:
        """The file, or all that it may be; where there is none, the path that it was looked for under."""
        places = (self._folder / text, self._folder / FOLDER / text)
        for place in places:
            if place.is_file():
                return [place]
        found = [path for place in places for path in self._listed(place.parent).get(place.name, [])]
        return found or [places[0]]

    def _listed(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._stems:
            stems: dict[str, list[Path]] = {}
            for path in _images(folder) if folder.is_dir() else []:
                stems.setdefault(path.stem, []).append(path)
            self._stems[folder] = stems
        return self._stems[folder]


def _plain_case(path: Path, root: Path) -> ImageCase:
    name = path.relative_to(root).as_posix()
    return ImageCase(name, name, path)


def _empty(folder: Path) -> str:
    deeper = next((sub for sub in _visible(folder) if sub.is_dir() and _images(sub)), None)
    hint = f"; they lie deeper, in {deeper.name}: open that level, or write a {LABELS}" if deeper else ""
    return (
        f"{folder}: no image ({', '.join(SUFFIXES)}) in it, and every folder beside the others is a class"
        f"{hint or '; put images there or take it away'}"
    )


def _images(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.suffix.lower() in SUFFIXES and path.is_file()]


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from None


def _first(names: Iterable[str], table: Table) -> str | None:
    return next((name for name in names if name in table.columns), None)
