"""What the user gives pictures from: datasets and folders of predicted masks, matched by content.

A picture of another patient, or of another version of a mask, is worse than none. So a case is taken only if
its files have the fingerprint that the run recorded, and a mask only if its file has the recorded hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...eval.records import CaseRecord
from ...eval.tasks.segment import mask_path
from ...zoo.datasets import Dataset, open_dataset
from ...zoo.errors import CaseError
from ...zoo.images import AnyCase
from ..runs import Run

MASKS = "masks"
"""Folder of a run where its predicted masks are looked for."""


@dataclass(frozen=True)
class Found:
    """A case of the data given.

    Attributes:
        case: None where there is none.
        verified: whether its files are, by their fingerprint, those that a run saw.
        why: there is no case, in a sentence; "" otherwise.
    """

    case: AnyCase | None
    verified: bool = False
    why: str = ""


class Data:
    """Datasets to make pictures of.

    Args:
        given: what ``zoo.datasets.open_dataset`` opens: folders, manifests, "phantom:n=8".

    Raises:
        UsageError: one of them is no dataset.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self.datasets: list[Dataset] = [open_dataset(spec) for spec in given]
        self._by_id: dict[str, list[AnyCase]] = {}
        for dataset in self.datasets:
            for case in dataset.cases:
                self._by_id.setdefault(case.id, []).append(case)

    def find(self, name: str, records: Iterable[CaseRecord]) -> Found:
        """The case called ``name`` whose bytes the runs saw.

        Args:
            name: the case's id.
            records: of all runs on it. Those of language models hold no fingerprint; of them each shown
                image is checked instead.
        """
        if not self.datasets:
            return Found(None, why="No pictures: the site was built without --data.")
        candidates = self._by_id.get(name, [])
        if not candidates:
            return Found(None, why="No pictures: the data given to the site does not hold this case.")
        wanted = {record.fingerprint for record in records if record.fingerprint}
        if not wanted:
            return Found(candidates[0])
        for case in candidates:
            try:
                if case.fingerprint() in wanted:
                    return Found(case, verified=True)
            except CaseError as error:
                return Found(None, why=f"No pictures: {error}.")
        return Found(
            None, why="No pictures: the data given holds other bytes for this case than the runs saw."
        )


class Masks:
    """Where the predicted masks of runs may lie.

    Args:
        folders: given by the user, beside the folder ``masks`` of each run.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.folders = tuple(folders)

    def find(self, run: Run, record: CaseRecord) -> Path | str:
        """The file of the mask that was scored, or why there is none."""
        if not record.mask_sha256:
            return "no mask was saved (zoo-eval --save-masks)"
        changed = False
        for folder in (run.folder / MASKS, *self.folders):
            path = mask_path(folder, record.case)
            if path.is_file():
                if _sha256(path) == record.mask_sha256:
                    return path
                changed = True
        return (
            "the mask on the disk is not the one that was scored"
            if changed
            else f"its mask is neither in {run.folder.name}/{MASKS} nor in a folder given with --masks"
        )


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
