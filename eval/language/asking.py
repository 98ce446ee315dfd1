"""Runs that ask a model: the transcript first, the scores second."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.answerer import Answerer
from ...zoo.errors import CaseError, InputError, UsageError
from ...zoo.language import asked_prompt, shown_by
from ...zoo.prompt_contract import PromptContract
from ...zoo.tasks.prompt import PromptTask
from ..energy.items import meter_of
from .answers import Answer
from .assembling import asked_record
from .live import Survey, ask_case
from .protocols import Protocol
from .recorded import beside_masks, open_cases
from .references import has_references
from .run import Asked, Cohort, LanguageRun, Work, runtime
from .scoring import Reading
from .transcripts import read_transcript
from .writer import TranscriptWriter

if TYPE_CHECKING:
    from ...zoo.datasets import Dataset
    from ..options import Options
    from ..runner import Watcher


def live(
    model: Answerer, data: Any, task: PromptTask, options: Options, protocols: dict[str, Protocol]
) -> LanguageRun:
    """A run that asks a model.

    Args:
        model: who is asked.
        data: what ``zoo.datasets`` opens.
        task: what is asked.
        options: of the run.
        protocols: name -> rules.

    Raises:
        UsageError: no images, or slices that cannot be shown so.
    """
    if isinstance(data, str | os.PathLike) and has_references(data):
        raise UsageError(f"data: {data} holds recorded ground truth and no images; a live model needs images")
    dataset = open_cases(data, options)
    shown = shown_by(model, task)
    try:
        rule = replace(
            shown,
            plane=options.plane or shown.plane,
            which=options.show or shown.which,
            modality=options.modality or shown.modality,
        )
    except InputError as error:
        raise UsageError(str(error)) from error
    wordings = tuple(task.prompts) if options.prompt == "all" else (options.prompt,)
    prompts = tuple(asked_prompt(model, task, name, rule) for name in wordings)
    survey = Survey(task, prompts, rule, options.repeats)

    def read(folder: Path | None, watcher: Watcher) -> tuple[Reading, dict[str, Any]]:
        return _ask(model, dataset, survey, folder, watcher)

    ran = getattr(model, "runtime", None) or runtime("live")
    settings = dict(getattr(model, "settings", {}))
    found = getattr(model, "reference", "") or f"asked live, {model.content_hash[:12]}"
    contract = getattr(model, "contract", None)
    known = contract if isinstance(contract, PromptContract) else None
    asked = Asked(model.name, found, model.content_hash, ran, settings, known)
    work = Work.of(
        task.name,
        protocols[options.protocol],
        f"{rule.modality}, {rule.plane}, {rule.which} slices; prompt {', '.join(p.name for p in prompts)}, "
        f"{options.repeats} time{'s' if options.repeats > 1 else ''} each",
    )
    return LanguageRun(asked, Cohort.of(dataset), work, options, protocols, read)


def _ask(
    model: Answerer, dataset: Dataset, survey: Survey, folder: Path | None, watcher: Watcher
) -> tuple[Reading, dict[str, Any]]:
    """All cases; one that cannot be read is told and left out.

    A question without an answer is told too, and scored as a slice without an answer; it is not in the
    transcript, so that the same command asks it again.
    """
    with tempfile.TemporaryDirectory() as spare:
        path = (Path(spare) if folder is None else folder) / "transcript.jsonl"
        failed: list[str] = []
        silent: list[Answer] = []
        computed = 0
        meter = meter_of(model)
        with TranscriptWriter(path) as writer, meter:
            on_file: dict[Any, Answer] = {answer.key: answer for answer in writer.answers}
            for case in dataset.volumes():
                told = len(failed)
                fresh = reused = 0
                without: list[Answer] = []
                try:
                    fresh, reused, without = ask_case(
                        model, case, survey, writer, on_file, failed.append, meter
                    )
                except CaseError as error:
                    failed.append(f"{case.id}: {' '.join(str(error).split())}")
                silent += without
                computed += fresh + len(without) > 0
                record = asked_record(model.name, case.id, case.patient, fresh, reused, failed[told:])
                watcher.finished([record], reused=reused > 0 and not fresh + len(without))
        transcript = read_transcript(path)
        transcript = replace(transcript, answers=(*transcript.answers, *silent))
        if not transcript.answers:
            raise CaseError(failed[0] if failed else f"{dataset.name}: no slice to ask about; try --show all")
        transcript = transcript.of_task(survey.task.name)
        reading, facts = beside_masks(transcript, dataset, survey.task, survey.rule)
    session = {
        "cases_computed": computed,
        "cases_reused": len(dataset.cases) - computed,
        "energy": meter.session(),
    }
    return reading, {"failed": [*failed, *facts["failed"]], "session": session}
