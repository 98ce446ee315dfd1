"""A run of a language model, live or recorded: ask, keep, parse, score, and say it in a results file.

A live run writes a transcript first and scores it second, so scoring can be repeated and changed for
nothing::

    zoo-eval --model replay:RUN/transcript.jsonl --task box --data DIR --protocol answered --out OTHER
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.errors import InputError, ModelNotFoundError, RunError, UsageError
from ...zoo.runtimes.base import RuntimeInfo
from ...zoo.tasks.prompt import PromptTask, choose_prompt, prompt_task
from ...zoo.tasks.slices import SliceRule
from .. import environment, files
from ..records import cache_key, check_same_run
from ..results import Results
from ..tasks import AUTO
from .assembling import answer_lines, results_of
from .from_masks import references_from, rule_of
from .gldr_figure import gldr_svg
from .items import check
from .live import Answerer, Survey, ask_case, load_script
from .naming import REPLAY, SCRIPT
from .protocols import Protocol, side_by_side
from .references import References, has_references, read_references
from .scoring import SCORERS, Reading
from .transcripts import Answer, Transcript, TranscriptWriter, read_transcript

if TYPE_CHECKING:
    from ...zoo.datasets import Dataset
    from ..options import Options
    from ..runner import Watcher

RULES = ("parser", "vote", "no_slices", "slices", "unanswered", "pooling", "quirks")
WRITTEN = ("results.json", "cases.csv", "answers.jsonl", "gldr.svg", "transcript.jsonl")


@dataclass(frozen=True)
class Asked:
    """Who answers, as reports and results name it."""

    name: str
    reference: str
    content_hash: str
    runtime: RuntimeInfo


@dataclass(frozen=True)
class Cohort:
    """On which cases."""

    name: str
    cases: Sequence[str]
    kind: str
    source: str
    licence: str


@dataclass(frozen=True)
class Work:
    """What is asked, as reports name it."""

    name: str
    lines: tuple[str, ...]

    def introduction(self) -> list[str]:
        """Lines for a person."""
        return list(self.lines)


@dataclass(frozen=True)
class LanguageRun:
    """A run that is ready to start; what the report and ``zoo-eval`` know of it.

    Attributes:
        model: who answers.
        dataset: on which cases.
        task: what is asked.
        options: of the run.
        protocols: name -> rules; the one asked for is ``options.protocol``.
        read: gives the answers and their references, asking the model where it is a live run.
    """

    model: Asked
    dataset: Cohort
    task: Work
    options: Options
    protocols: dict[str, Protocol]
    read: Callable[[Path | None, Watcher], tuple[Reading, dict[str, Any]]]

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    def identity(self) -> dict[str, Any]:
        """What a run folder belongs to."""
        return {
            "name": self.name,
            "model": self.model.content_hash,
            "dataset": self.dataset.name,
            "task": self.task.name,
            "protocols": {name: rules.to_dict() for name, rules in self.protocols.items()},
            "protocol": self.options.protocol,
            "seed": self.options.seed,
        }

    def default_folder(self) -> Path:
        """``runs/<model>-<dataset>-<8 digits>``: the same command finds its own folder again."""
        words = [re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-") for word in (self.name, self.dataset.name)]
        return Path("runs") / "-".join([*words, cache_key(self.identity())[:8]])

    def execute(self, folder: Path | None, watcher: Watcher) -> Results:
        """Answers, scores, files.

        Raises:
            RunError: the folder cannot be written or belongs to another run.
            CaseError: the transcript holds nothing that can be scored.
        """
        if folder is not None:
            files.prepare_folder(folder)
            self._clear_or_check(folder)
        started, wall, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()
        watcher.started(self, folder)  # type: ignore[arg-type]
        reading, facts = self.read(folder, watcher)
        results = results_of(self, reading, facts, folder)
        session = {
            "started": started.isoformat(timespec="seconds"),
            "wall_seconds": round(time.perf_counter() - wall, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            **facts.get("session", {"cases_computed": len(results.cases), "cases_reused": 0}),
        }
        results = replace(results, session=session)
        if folder is not None:
            self._write(results, reading, folder)
        return results

    def _clear_or_check(self, folder: Path) -> None:
        if self.options.overwrite:
            for name in WRITTEN:
                (folder / name).unlink(missing_ok=True)
        path = folder / "results.json"
        if path.exists():
            found = Results.load(path).scores.details.get("identity")
            if not isinstance(found, dict):
                raise RunError(f"{folder}: holds a run of another kind; --overwrite replaces it")
            check_same_run(found, self.identity(), folder)

    def _write(self, results: Results, reading: Reading, folder: Path) -> None:
        from .. import tables

        rules = self.protocols[self.options.protocol]
        text = "".join(line + "\n" for line in answer_lines(reading, rules.parser))
        files.atomic_write(folder / "answers.jsonl", text.encode())
        if self.task.name == "grade":
            files.atomic_write(folder / "gldr.svg", gldr_svg(reading.score(rules)).encode())
        files.atomic_write(folder / "cases.csv", tables.to_csv(results.scores).encode())
        results.save(folder / "results.json")


def prepare_language(model: str | Answerer, data: Any, options: Options) -> LanguageRun:
    """Open everything that a run of a language model needs; nothing is asked or written.

    Args:
        model: "replay:FILE", "script:FILE.py", or an :class:`~voxzoo.eval.language.live.Answerer`.
        data: a folder with recorded ground truth (``gt/``), or what ``zoo.datasets`` opens.
        options: of the run; its ``task`` is a prompt task.

    Raises:
        UsageError: a task or option that cannot be; a live run without images.
        ModelNotFoundError: no such transcript.
    """
    options = _with_task(model, options)
    options.check_task(options.task)
    if options.task not in SCORERS:
        raise UsageError(f"task: got {options.task!r}; language models are scored on {', '.join(SCORERS)}")
    rules = {name: getattr(options, name) for name in RULES}
    empty = None if options.empty == "penalty" else options.empty
    protocols = side_by_side(options.protocol, options.task, {**rules, "empty": empty})
    if isinstance(model, str) and model.startswith(REPLAY):
        return _replay(Path(model.removeprefix(REPLAY)).expanduser(), data, options, protocols)
    scripted = isinstance(model, str) and model.startswith(SCRIPT)
    answerer = load_script(str(model).removeprefix(SCRIPT)) if scripted else model
    if not isinstance(answerer, Answerer):
        raise UsageError(
            f"model: {model!r} cannot be asked for {options.task}; expected {REPLAY}FILE or {SCRIPT}FILE.py"
        )
    return _live(answerer, data, options, protocols)


def _with_task(model: object, options: Options) -> Options:
    """The task of a transcript that holds one only, where none was asked for."""
    if options.task != AUTO or not (isinstance(model, str) and model.startswith(REPLAY)):
        return options
    path = Path(model.removeprefix(REPLAY)).expanduser()
    tasks = {answer.task for answer in read_transcript(path).answers} if path.is_file() else set()
    return replace(options, task=tasks.pop()) if len(tasks) == 1 else options


def _replay(path: Path, data: Any, options: Options, protocols: dict[str, Protocol]) -> LanguageRun:
    if not path.is_file():
        raise ModelNotFoundError(f"{path}: no such file; {REPLAY}FILE holds recorded answers")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    transcript = read_transcript(path).of_task(options.task)
    task = prompt_task(options.task)
    names = {answer.case for answer in transcript.answers}
    if isinstance(data, str | os.PathLike) and has_references(data):
        known = _select(read_references(data), options)
        cohort = Cohort(known.name, list(known.cases), "recorded", known.source, known.licence)
    else:
        known = None
        dataset = _dataset(data, options)
        cohort = _cohort(dataset)
    chosen = set(cohort.cases)
    if options.cases is not None or options.limit is not None:
        kept = tuple(answer for answer in transcript.answers if answer.case in chosen)
        transcript = replace(transcript, answers=kept)

    def read(folder: Path | None, watcher: Watcher) -> tuple[Reading, dict[str, Any]]:
        if known is not None:
            return Reading(check(transcript, known), known, options.task), {}
        return _from_masks(transcript, dataset, task, rule_of(transcript, task.slices))

    name = transcript.answers[0].model if transcript.answers else path.stem
    asked = Asked(name or path.stem, f"recorded answers {path}", digest, _runtime("replay"))
    shown = (f"asked    {options.task}: {len(transcript.answers)} recorded answers, {len(names)} cases",)
    return LanguageRun(asked, cohort, _work(options, protocols, shown), options, protocols, read)


def _from_masks(
    transcript: Transcript, dataset: Dataset, task: PromptTask, rule: SliceRule
) -> tuple[Reading, dict[str, Any]]:
    asked: dict[str, list[int]] = {}
    for answer in transcript.answers:
        asked.setdefault(answer.case, []).append(answer.slice)
    known, failed = references_from(dataset, task, rule, asked)
    return Reading(check(transcript, known), known, task.name), {"failed": failed}


def _live(model: Answerer, data: Any, options: Options, protocols: dict[str, Protocol]) -> LanguageRun:
    if isinstance(data, str | os.PathLike) and has_references(data):
        raise UsageError(f"data: {data} holds recorded ground truth and no images; a live model needs images")
    task, dataset = prompt_task(options.task), _dataset(data, options)
    shown = task.slices
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
    prompts = tuple(choose_prompt(task, name, rule) for name in wordings)
    survey = Survey(task, prompts, rule, options.repeats)

    def read(folder: Path | None, watcher: Watcher) -> tuple[Reading, dict[str, Any]]:
        return _ask(model, dataset, survey, folder, watcher)

    asked = Asked(model.name, f"asked live, {model.content_hash[:12]}", model.content_hash, _runtime("live"))
    lines = (
        f"asked    {task.name}: {', '.join(p.name for p in prompts)}; {rule.modality}, {rule.plane}, "
        f"{rule.which} slices, {options.repeats} time{'s' if options.repeats > 1 else ''} each",
    )
    work = _work(options, protocols, lines)
    return LanguageRun(asked, _cohort(dataset), work, options, protocols, read)


def _ask(
    model: Answerer, dataset: Dataset, survey: Survey, folder: Path | None, watcher: Watcher
) -> tuple[Reading, dict[str, Any]]:
    """All cases; a case that cannot be read is told and left out."""
    import tempfile

    from ...zoo.errors import CaseError
    from .assembling import asked_record

    with tempfile.TemporaryDirectory() as spare:
        path = (Path(spare) if folder is None else folder) / "transcript.jsonl"
        failed: list[str] = []
        fresh = 0
        with TranscriptWriter(path) as writer:
            on_file: dict[Any, Answer] = {answer.key: answer for answer in writer.answers}
            for case in dataset.volumes():
                told = len(failed)
                asked = reused = 0
                try:
                    asked, reused = ask_case(model, case, survey, writer, on_file, failed.append)
                except CaseError as error:
                    failed.append(f"{case.id}: {' '.join(str(error).split())}")
                fresh += asked > 0
                record = asked_record(model.name, case.id, case.patient, asked, reused, failed[told:])
                watcher.finished([record], reused=not asked)
        transcript = read_transcript(path).of_task(survey.task.name)
        reading, facts = _from_masks(transcript, dataset, survey.task, survey.rule)
    session = {"cases_computed": fresh, "cases_reused": len(dataset.cases) - fresh}
    return reading, {"failed": [*failed, *facts["failed"]], "session": session}


def _dataset(data: Any, options: Options) -> Dataset:
    from ...zoo.datasets import open_dataset

    dataset = open_dataset(os.fspath(data or "phantom")) if not hasattr(data, "cases") else data
    return dataset.select(cases=options.cases, limit=options.limit)


def _cohort(dataset: Dataset) -> Cohort:
    names = [case.id for case in dataset.volumes()]
    return Cohort(dataset.name, names, dataset.kind, dataset.source, dataset.licence)


def _select(known: References, options: Options) -> References:
    names = list(known.cases)
    unknown = [name for name in options.cases or () if name not in known.cases]
    if unknown:
        raise UsageError(f"cases: {unknown[0]!r} is not in {known.name}")
    names = [name for name in names if options.cases is None or name in options.cases][: options.limit]
    return replace(known, cases={name: known.cases[name] for name in names})


def _runtime(name: str) -> RuntimeInfo:
    return RuntimeInfo(name, environment.describe()["packages"].get("voxzoo", ""), "none", "none", 1)


def _work(options: Options, protocols: dict[str, Protocol], shown: tuple[str, ...]) -> Work:
    return Work(options.task, (*shown, f"rules    {protocols[options.protocol].name}"))
