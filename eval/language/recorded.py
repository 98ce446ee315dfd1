"""Runs over recorded answers: no model, and no image where the ground truth is recorded too."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.errors import CaseError, ModelNotFoundError, UsageError
from ...zoo.tasks.prompt import PromptTask
from ...zoo.tasks.slices import SliceRule
from .from_masks import references_from, rule_of
from .items import check
from .naming import REPLAY
from .protocols import Protocol
from .references import References, has_references, read_references
from .run import Asked, Cohort, LanguageRun, Work, runtime
from .scoring import Reading
from .transcripts import Transcript, read_transcript

if TYPE_CHECKING:
    from ...zoo.datasets import Dataset
    from ..options import Options
    from ..runner import Watcher


def replay(
    path: Path, data: Any, task: PromptTask, options: Options, protocols: dict[str, Protocol]
) -> LanguageRun:
    """A run over a transcript.

    Args:
        path: the transcript.
        data: a folder with recorded ground truth, or what ``zoo.datasets`` opens.
        task: what was asked.
        options: of the run.
        protocols: name -> rules.

    Raises:
        ModelNotFoundError: no such file.
        CaseError: it holds nothing about the task.
    """
    if not path.is_file():
        raise ModelNotFoundError(f"{path}: no such file; {REPLAY}FILE holds recorded answers")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    transcript = read_transcript(path).of_task(task.name)
    names = {answer.case for answer in transcript.answers}
    if isinstance(data, str | os.PathLike) and has_references(data):
        known = _select(read_references(data), options)
        cohort = Cohort(known.name, list(known.cases), "recorded", known.source, known.licence)
    else:
        known = None
        dataset = open_cases(data, options)
        cohort = Cohort.of(dataset)
    chosen = set(cohort.cases)
    if options.cases is not None or options.limit is not None:
        kept = tuple(answer for answer in transcript.answers if answer.case in chosen)
        if not kept:
            raise CaseError(f"{path}: no answer about the cases asked for")
        transcript = replace(transcript, answers=kept)

    def read(folder: Path | None, watcher: Watcher) -> tuple[Reading, dict[str, Any]]:
        if known is not None:
            return Reading(check(transcript, known), known, task), {}
        return beside_masks(transcript, dataset, task, rule_of(transcript, task.slices))

    name = transcript.answers[0].model if transcript.answers else path.stem
    asked = Asked(name or path.stem, f"recorded answers {path}", digest, runtime("replay"))
    work = Work.of(
        task.name,
        protocols[options.protocol],
        f"{len(transcript.answers)} recorded answers, {len(names)} cases",
    )
    return LanguageRun(asked, cohort, work, options, protocols, read)


def beside_masks(
    transcript: Transcript, dataset: Dataset, task: PromptTask, rule: SliceRule
) -> tuple[Reading, dict[str, Any]]:
    """Answers beside the segmentations of the slices that they are about; and what could not be read."""
    asked: dict[str, list[int]] = {}
    for answer in transcript.answers:
        asked.setdefault(answer.case, []).append(answer.slice)
    known, failed = references_from(dataset, task, rule, asked)
    return Reading(check(transcript, known), known, task), {"failed": failed}


def _select(known: References, options: Options) -> References:
    names = list(known.cases)
    unknown = [name for name in options.cases or () if name not in known.cases]
    if unknown:
        raise UsageError(f"cases: {unknown[0]!r} is not in {known.name}")
    names = [name for name in names if options.cases is None or name in options.cases][: options.limit]
    return replace(known, cases={name: known.cases[name] for name in names})


def open_cases(data: Any, options: Options) -> Dataset:
    """The cases of a run: a dataset, or what ``zoo.datasets`` opens."""
    from ...zoo.datasets import open_dataset

    dataset = open_dataset(os.fspath(data or "phantom")) if not hasattr(data, "cases") else data
    return dataset.select(cases=options.cases, limit=options.limit)
