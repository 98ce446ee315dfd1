"""References from a dataset with segmentations: the slices that were shown, and what is true of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from ...zoo.errors import CaseError, InputError, VoxzooError
from ...zoo.tasks.prompt import PROMPT_TASKS, PromptTask
from ...zoo.tasks.segment import region_mask
from ...zoo.tasks.slices import SliceRule
from .references import CaseReference, References, SliceMask
from .transcripts import Transcript

if TYPE_CHECKING:
    from ...zoo.cases import Case
    from ...zoo.datasets import Dataset
    from ...zoo.slices2d import CaseSlices

GRADES = {"low": 0, "high": 1}


def rule_of(transcript: Transcript, default: SliceRule) -> SliceRule:
    """How the slices of a transcript were shown, as its lines say; ``default`` in their plane if they do not.

    Raises:
        CaseError: lines that differ in it, or say what no rule can be.
    """
    first = transcript.answers[0]
    for answer in transcript.answers:
        if answer.shown != first.shown:
            raise CaseError(
                f"{transcript.path}:{answer.line}: shown by another rule than in line {first.line}; "
                "give one file for each"
            )
    plain = {**default.record(), **first.shown, "plane": first.plane}
    known = {f.name for f in fields(SliceRule)}
    try:
        return SliceRule(**{**{n: v for n, v in plain.items() if n in known}, "size": tuple(plain["size"])})
    except (InputError, TypeError) as error:
        raise CaseError(f"{transcript.path}:{first.line}: shown: {error}") from error


def references_from(
    dataset: Dataset, task: PromptTask, rule: SliceRule, asked: Mapping[str, Iterable[int]]
) -> tuple[References, list[str]]:
    """What is true of the slices that were asked about.

    Args:
        dataset: of volumes.
        task: decides what is needed: a grade needs no voxel.
        rule: by which slices were shown.
        asked: case id -> slices.

    Returns:
        The references, and one line for each case that could not be read.
    """
    cases, failed, deepest = {}, [], 1
    for case in dataset.volumes():
        wanted = sorted(set(asked.get(case.id, ())))
        try:
            cases[case.id], depth = _reference(case, task, rule, wanted)
        except VoxzooError as error:
            failed.append(f"{case.id}: {' '.join(str(error).split())}")
            cases[case.id], depth = CaseReference(case.id, case.patient), 1
        deepest = max(deepest, depth, *(index + 1 for index in wanted[-1:]))
    found = References(
        dataset.name,
        cases,
        rule.size,
        {rule.plane: deepest},
        drawn=rule.plane,
        source=dataset.source,
        licence=dataset.licence,
    )
    return found, failed


def _reference(case: Case, task: PromptTask, rule: SliceRule, wanted: list[int]) -> tuple[CaseReference, int]:
    label = GRADES.get(case.grade or "")
    if task.name == "grade" or not wanted:
        span = (wanted[0], wanted[-1]) if wanted else None
        return CaseReference(case.id, case.patient, label, tumour={rule.plane: span}), 1
    from ...zoo.slices2d import open_slices

    labels = case.read_reference()
    if labels is None and label is not None and task.name not in PROMPT_TASKS:
        return CaseReference(case.id, case.patient, label, tumour={rule.plane: (wanted[0], wanted[-1])}), 1
    if labels is None:
        raise CaseError(f"{case.id}: no reference segmentation, so nothing to score against")
    tumour = region_mask(labels, rule.region)
    return _with_masks(case, label, open_slices(case, rule), tumour, task, wanted)


def _with_masks(
    case: Case, label: int | None, slices: CaseSlices, tumour: Any, task: PromptTask, wanted: list[int]
) -> tuple[CaseReference, int]:
    masks = {index: slices.mask(tumour, index) for index in wanted if index < slices.plan.shape[0]}
    some = {index: mask for index, mask in masks.items() if mask.any()}
    boxes = {}
    if task.name != "polygon":
        from ...rasterize import mask_to_box

        boxes = {index: tuple(mask_to_box(mask).tolist()) for index, mask in some.items()}
    inside = np.flatnonzero(tumour.any(axis=tuple(a for a in range(3) if a != slices.plan.axes[0])))
    reference = CaseReference(
        case.id,
        case.patient,
        label,
        tumour={slices.rule.plane: (int(inside[0]), int(inside[-1])) if inside.size else None},
        boxes=boxes,
        masks={index: SliceMask(mask.astype(np.uint8)) for index, mask in some.items()},
        spacing_mm=slices.pixel_mm,
    )
    return reference, slices.plan.shape[0]
