"""Datasets: named, ordered collections of cases that know their licence and source.

``open_dataset`` takes what a user has: the word ``phantom``, a folder of patients in any layout that
``zoo/sources`` knows (nested, mixed), one patient's folder, a CSV manifest, or 2-D images (a folder per
class, or a ``labels.csv``). Opening reads names and tables only; a case whose files are broken fails when
read, alone.
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .cases import Case
from .errors import UsageError
from .images import AnyCase, ImageCase
from .sources.brats import image_files, patient_folder
from .sources.images import LABELS, folder_images, is_image_table, table_images
from .sources.manifest import Table, add_facts, add_name_mapping, manifest_cases
from .sources.msd import is_msd, msd_cases, read_description

__all__ = ["UNCONFIRMED", "Dataset", "open_dataset"]

UNCONFIRMED = "unconfirmed"
"""The licence of data that does not state one."""

MAX_DEPTH = 5
"""How deep patients' folders are looked for; also what ends a circle of links."""

MANIFESTS = ("manifest.csv", "cases.csv")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Cases with a name.

    Args:
        name: the folder's or the generator's.
        cases: with ids that occur once.
        licence: as stated by the data, else "unconfirmed".
        source: where it was opened from.
        kind: "brats", "msd", "manifest", "phantom", or several of them joined by "+"; or "images": its cases
            are ImageCase.
    """

    name: str
    cases: tuple[AnyCase, ...]
    licence: str
    source: str
    kind: str

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[AnyCase]:
        return iter(self.cases)

    def select(self, cases: Sequence[str] | None = None, limit: int | None = None) -> Dataset:
        """The named cases in the dataset's order, or the first ``limit`` of them, or both.

        Raises:
            UsageError: an id that the dataset does not have (with the nearest it has), a limit below 1.
        """
        chosen = self.cases
        if cases is not None:
            self._check_ids(cases)
            chosen = tuple(case for case in chosen if case.id in set(cases))
        if limit is not None:
            if limit < 1:
                raise UsageError(f"a limit of {limit} leaves no case; 1 or more was expected")
            chosen = chosen[:limit]
        return replace(self, cases=chosen)

    def volumes(self) -> tuple[Case, ...]:
        """The cases of a dataset of volumes.

        Raises:
            UsageError: there are 2-D images in it.
        """
        cases = tuple(case for case in self.cases if isinstance(case, Case))
        if len(cases) < len(self.cases):
            raise UsageError(f"{self.name}: holds 2-D images, where patients with volumes were expected")
        return cases

    def images(self) -> tuple[ImageCase, ...]:
        """The cases of a dataset of 2-D images.

        Raises:
            UsageError: there are volumes in it.
        """
        cases = tuple(case for case in self.cases if isinstance(case, ImageCase))
        if len(cases) < len(self.cases):
            raise UsageError(f"{self.name}: holds patients with volumes, where 2-D images were expected")
        return cases

    def fingerprint(self) -> str:
        """sha256 (hex) over the ids and fingerprints of all cases; reads every file.

        Raises:
            CaseError: a file cannot be read.
        """
        lines = sorted(f"{case.id}={case.fingerprint()}\n" for case in self.cases)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def _check_ids(self, wanted: Sequence[str]) -> None:
        known = [case.id for case in self.cases]
        for name in wanted:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
                hint = f"; did you mean {', '.join(near)}?" if near else f"; it has {len(known)} cases"
                raise UsageError(f"there is no case {name!r} in {self.name}{hint}")


def open_dataset(spec: str | os.PathLike[str]) -> Dataset:
    """Open a dataset.

    Args:
        spec: ``phantom`` or ``phantom:n=8,seed=1,shape=96x112x96``; a folder (BraTS of any year, MSD with
            ``dataset.json``, a ``manifest.csv`` or ``cases.csv`` that names files, one patient's folder, or
            a folder of such folders; 2-D images in a folder per class, or with a ``labels.csv``); or a path
            to a ``.csv`` table of either kind. An existing path wins over a word.

    Raises:
        UsageError: nothing there, no case in it, a table that cannot be read, one id twice.
    """
    path = Path(spec)
    if path.is_dir():
        return _open_folder(path)
    if path.is_file():
        return _open_manifest(path)
    text = os.fspath(spec)
    if text == "phantom" or text.startswith("phantom:"):
        from .phantom import open_phantom

        return open_phantom(text)
    raise UsageError(f"{text}: neither a folder, nor a .csv manifest, nor 'phantom'")


def _open_manifest(path: Path) -> Dataset:
    if path.suffix.lower() != ".csv":
        raise UsageError(
            f"{path}: a dataset is a folder or a .csv manifest, not a {path.suffix or 'plain'} file"
        )
    table = Table.read(path)
    if table.names_files:
        return _dataset(path.parent, path, {"manifest"}, manifest_cases(table))
    if is_image_table(table):
        return _dataset(path.parent, path, {"images"}, table_images(table))
    raise UsageError(
        f"{path}: no column names files: flair, t1, t1ce, t2 of volumes, or image and label of 2-D images; "
        "give its folder instead"
    )


def _open_folder(path: Path) -> Dataset:
    kinds: set[str] = set()
    cases = _walk(path, kinds, 0)
    if cases:
        return _dataset(path, path, kinds, cases)
    table = path / LABELS
    images = table_images(Table.read(table)) if table.is_file() else folder_images(path)
    if not images:
        raise UsageError(
            f"{path}: no patient found: folders with *_flair.nii.gz, *_t1 ... or *-t2f, *-t1n ..., an MSD "
            "dataset.json, a manifest.csv with a column per modality, or 2-D images in a folder per class or "
            f"with a {LABELS} were expected"
        )
    return _dataset(path, path, {"images"}, images)


def _dataset(folder: Path, source: Path, kinds: set[str], cases: Sequence[AnyCase]) -> Dataset:
    _check_unique(cases)
    name = source.resolve().name.removesuffix(".csv") if folder == source else folder.resolve().name
    return Dataset(name, tuple(cases), _licence(folder, cases), str(source), "+".join(sorted(kinds)))


def _walk(folder: Path, kinds: set[str], depth: int) -> list[Case]:
    """Cases in and below ``folder``, in the order of names; ``kinds`` collects the layouts met."""
    tables = {path.name.lower(): path for path in _visible(folder) if path.suffix.lower() == ".csv"}
    cases, kind = _own_cases(folder, tables)
    if kind:
        kinds.add(kind)
    elif depth < MAX_DEPTH:
        cases = [case for sub in _visible(folder) if sub.is_dir() for case in _walk(sub, kinds, depth + 1)]
    return _with_facts(cases, tables) if cases else []


def _own_cases(folder: Path, tables: dict[str, Path]) -> tuple[list[Case], str]:
    """Cases that lie in this very folder, and by which layout ("" for none)."""
    if is_msd(folder):
        return msd_cases(folder), "msd"
    for name in MANIFESTS:
        if name in tables and (table := Table.read(tables[name])).names_files:
            return manifest_cases(table), "manifest"
    files = image_files(folder)
    if set(files) - {"seg"}:
        return [patient_folder(folder, files)], "brats"
    return [], ""


def _with_facts(cases: list[Case], tables: dict[str, Path]) -> list[Case]:
    """The cases with what ``cases.csv`` and ``name_mapping*.csv`` beside them say."""
    for name, path in sorted(tables.items()):
        if name.startswith("name_mapping"):
            cases = add_name_mapping(cases, Table.read(path))
        elif name == "cases.csv" and not (table := Table.read(path)).names_files:
            cases = add_facts(cases, table)
    return cases


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from None


def _check_unique(cases: Iterable[AnyCase]) -> None:
    seen: dict[str, AnyCase] = {}
    for case in cases:
        if case.id in seen:
            places = " and ".join(_place(c) for c in (seen[case.id], case))
            raise UsageError(f"two cases are called {case.id}: {places}; open one dataset at a time")
        seen[case.id] = case


def _place(case: AnyCase) -> str:
    if isinstance(case, ImageCase):
        return str(case.path)
    return next((source.name for source in case.images.values()), "a case without images")


def _licence(folder: Path, cases: Sequence[AnyCase]) -> str:
    """What dataset.json or the cases' own column ``licence`` state."""
    if is_msd(folder):
        description = read_description(folder / "dataset.json")
        return str(description.get("licence") or description.get("license") or UNCONFIRMED)
    stated = {case.facts.get("licence", "") for case in cases}
    return "; ".join(sorted(stated)) if all(stated) else UNCONFIRMED
