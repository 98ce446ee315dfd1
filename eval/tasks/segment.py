"""The task ``segment``: a mask against a reference mask, on the case's own full grid."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.errors import CaseError, UsageError
from .. import scoring
from ..aggregate import Summary, summarise
from ..options import ScoreOptions
from .base import Task, check_own_task

if TYPE_CHECKING:
    from ...zoo.datasets import Dataset
    from ...zoo.model import Model
    from ..options import Options
    from ..records import CaseRecord

BASELINE = "baseline:flair-threshold"


class Segment(Task):
    """Masks.

    Args:
        scoring: preset, empty policy, tolerance.
        save_masks: folder for the masks of the model that is asked about, or None.
    """

    name = "segment"
    baselines = (BASELINE,)

    def __init__(self, scoring: ScoreOptions | None = None, save_masks: Path | None = None) -> None:
        self.scoring = scoring or ScoreOptions()
        self.options = self.scoring.to_dict()
        self.save_masks = save_masks

    @classmethod
    def of(cls, model: Model, options: Options) -> Segment:
        """Raises: UsageError: the model makes no masks."""
        check_own_task(model, cls.name)
        return cls(options.scoring, options.save_masks)

    def check(self, dataset: Dataset) -> None:
        """Refuse 2-D images, and a dataset without any reference segmentation."""
        if dataset.kind == "images":
            raise UsageError(f"{dataset.name}: holds 2-D images, and the model segments volumes")
        if not any(getattr(case, "has_reference", False) for case in dataset.cases):
            raise UsageError(
                f"{dataset.name}: none of its {len(dataset.cases)} cases has a reference segmentation, so "
                "there is nothing to score against; voxzoo.load(model)(folder).save(path) only predicts"
            )

    def reference(self, case: Any) -> Any:
        """Canonical labels, uint8."""
        reference = case.read_reference()
        if reference is None:
            raise CaseError(f"{case.id}: no reference segmentation, so nothing to score against")
        return reference

    def keep(self, case: Any, answer: Any) -> dict[str, Any]:
        """Save the mask if a folder was given."""
        if self.save_masks is None:
            return {}
        path = mask_path(self.save_masks, case.id)
        answer.save(path)
        return {"mask_sha256": _sha256(path)}

    def is_kept(self, case: Any, record: CaseRecord) -> bool:
        """Whether the mask on the disk is the one of the record."""
        if self.save_masks is None:
            return True
        path = mask_path(self.save_masks, case.id)
        return bool(record.mask_sha256) and path.is_file() and _sha256(path) == record.mask_sha256

    def score(self, answer: Any, reference: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Overlap, distance, lesions and volumes, and what was empty."""
        return vars(scoring.score(answer, reference, facts["spacing_mm"], self.scoring))

    def truth(self, model: Model, case: Any, reference: Any, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The volumes that were missed."""
        if reference is None:
            return {}
        regions = scoring.regions_of(model)
        return {"reference_ml": scoring.reference_volumes(reference, regions, facts["spacing_mm"])}

    def summarise(self, model: Model, records: Sequence[CaseRecord], seed: int) -> Summary:
        """Means over patients."""
        regions = scoring.regions_of(model)
        summary = summarise(records, tuple(regions), options=self.scoring, seed=seed)
        return replace(summary, regions=regions)


def mask_path(folder: Path, case: str) -> Path:
    """Where the mask of a case goes."""
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', case)}.nii.gz"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
