"""One model on one dataset: what ``zoo-eval`` and ``voxzoo.evaluate`` do.

The order is: options, model, baseline, dataset, run folder, and only then the first case, so that
whatever is wrong with the command is said before any work. Records go to the journal as cases finish; the
results file is computed from the records alone, so a run that was killed and continued ends with the
same figures as one that was not.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..zoo.errors import RunError, UsageError
from . import environment, files, pipeline, stages, tables
from .assemble import contract_facts, results_of, settings_of
from .energy.items import ItemMeter
from .energy.meters import open_meters
from .language.naming import is_language
from .options import Options
from .records import CaseRecord, Journal, cache_key
from .results import Results
from .tasks import open_task

if TYPE_CHECKING:
    from ..zoo.datasets import Dataset
    from ..zoo.model import Model
    from .language.run import LanguageRun
    from .tasks.base import Task

DEFAULT_DATA = "phantom"
PLAIN: dict[str, Any] = {
    "runtime": "auto",
    "device": "auto",
    "precision": "fp32",
    "flips": "none",
    "trust": False,
    "cross_validated": False,
}
"""How a baseline is loaded, whatever was asked for the model."""


class Watcher(Protocol):
    """Who is told how a run goes on. Calls come from any thread, one at a time."""

    def started(self, run: Run, folder: Path | None) -> None:
        """Everything is ready; the first case comes next."""

    def finished(self, records: Sequence[CaseRecord], reused: bool) -> None:
        """A case is done: one record per model."""


class Silent:
    """A watcher that says nothing."""

    def started(self, run: Run, folder: Path | None) -> None:
        """Ignore it."""

    def finished(self, records: Sequence[CaseRecord], reused: bool) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class Run:
    """A run that is ready to start: models loaded, dataset opened, nothing computed.

    Attributes:
        models: name -> model; the one that is asked about first, then the baseline.
        dataset: the cases.
        options: of the run.
        task: how the models are asked and scored.
    """

    models: dict[str, Model]
    dataset: Dataset
    options: Options
    task: Task

    @property
    def name(self) -> str:
        """Name of the model that is asked about."""
        return next(iter(self.models))

    @property
    def model(self) -> Model:
        """The model that is asked about."""
        return self.models[self.name]

    def identity(self, name: str) -> dict[str, Any]:
        """What an answer of this model depends on, apart from the case: its part of the cache key."""
        model = self.models[name]
        runtime = model.runtime
        return {
            "model": model.content_hash,
            "contract": cache_key(contract_facts(model) or {}),
            "runtime": {"name": runtime.name, "version": runtime.version},
            "device": runtime.device,
            "precision": runtime.precision,
            "settings": settings_of(model),
            "task": self.task.name,
            "options": dict(self.task.options),
            "code": environment.code_version(),
        }

    def folder_identity(self) -> dict[str, Any]:
        """What a run folder belongs to. Which cases are taken is not part of it: a run may be extended."""
        return {"name": self.name, "dataset": self.dataset.name, **self.identity(self.name)}

    def default_folder(self) -> Path:
        """``runs/<model>-<dataset>-<8 digits>``: the same command finds its own folder again."""
        words = [re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-") for word in (self.name, self.dataset.name)]
        return Path("runs") / "-".join([*words, cache_key(self.folder_identity())[:8]])


def evaluate(
    model: str | os.PathLike[str] | Model,
    data: str | os.PathLike[str] | Dataset | None = None,
    out: str | os.PathLike[str] | None = None,
    *,
    watcher: Watcher | None = None,
    **options: Any,
) -> Results:
    """Score a model on a dataset.

    Args:
        model: a path, a zoo name, a URL, or a loaded model.
        data: a folder, a manifest, "phantom" with its options, or an open dataset; None is the
            built-in "phantom".
        out: run folder for ``results.json``, ``cases.csv`` and the journal ``records.jsonl``; the same
            call continues a run that was cut off there. None keeps everything in memory.
        watcher: is told how the run goes on.
        **options: fields of ``voxzoo.eval.Options`` (limit, cases, empty, preset, workers, save_masks, ...).

    Returns:
        The results. Cases that could not be read or run are in ``results.failures``, counted as failures.

    Raises:
        UsageError: an unknown option or value, a case id that is not in the dataset, nothing to score.
        ModelError, ContractError: the model cannot be found, opened or trusted.
        RunError: the run folder cannot be written or belongs to another run.

    Example:
        >>> import voxzoo
        >>> results = voxzoo.evaluate("baseline:flair-threshold", "phantom:n=2,shape=48x56x48")
        >>> results.aggregate["dice"].n
        2
    """
    run = prepare_run(model, data, Options.of(options))
    return execute(run, None if out is None else Path(out), watcher or Silent())


def prepare_run(model: Any, data: Any, options: Options) -> Run | LanguageRun:
    """Load the models and open the dataset; nothing is computed or written."""
    if options.task == "reason":
        raise UsageError("task reason: needs a benchmark: voxzoo.eval.reasoning.evaluate_reasoning")
    if options.parquet:
        tables.require_parquet()
    if is_language(model, options.task):
        from .language.opening import prepare_language

        return prepare_language(model, data, options)
    asked = _load(model, options)
    task = open_task(asked, options)
    models = {asked.name: asked}
    for name in task.baselines if options.baseline else ():
        if name not in models:
            models[name] = _load(name, replace(options, **PLAIN))
    dataset = _open(data, options)
    task.check(dataset)
    return Run(models, dataset, options, task)


def _load(model: Any, options: Options) -> Model:
    if not isinstance(model, str | os.PathLike):
        if options.flips not in ("none", settings_of(model).get("flips")):
            raise UsageError(f"flips: {model.name} is loaded already; voxzoo.load(..., flips=...) sets them")
        if options.cross_validated and "folds" not in settings_of(model):
            raise UsageError(
                f"cross_validated: {model.name} is loaded already: voxzoo.load(..., cross_validated=True)"
            )
        return model
    from ..zoo import registry

    return registry.load(
        os.fspath(model),
        runtime=options.runtime,
        device=options.device,
        precision=options.precision,
        threads=options.threads,
        contract=options.contract,
        flips=options.flips,
        trust=options.trust,
        cross_validated=options.cross_validated,
    )


def _open(data: Any, options: Options) -> Dataset:
    from ..zoo.datasets import open_dataset

    if data is None or isinstance(data, str | os.PathLike):
        dataset = open_dataset(DEFAULT_DATA if data is None else os.fspath(data))
    else:
        dataset = data
    if options.cases is not None or options.limit is not None:
        dataset = dataset.select(cases=options.cases, limit=options.limit)
    _check_cases(dataset)
    return dataset


def _check_cases(dataset: Dataset) -> None:
    """Refuse what would give a table of nothing, or records that overwrite each other."""
    ids = [case.id for case in dataset.cases]
    if not ids:
        raise UsageError(f"{dataset.name}: there are no cases in it")
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise UsageError(f"{dataset.name}: {len(twice)} case ids occur more than once, like {twice[0]!r}")


def execute(run: Run | LanguageRun, folder: Path | None, watcher: Watcher) -> Results:
    """Compute what is not on file yet, then the results.

    Raises:
        RunError: a folder cannot be written or belongs to another run.
    """
    if not isinstance(run, Run):
        return run.execute(folder, watcher)
    options = run.options
    if options.save_masks is not None:
        files.prepare_folder(options.save_masks, "--save-masks")
    if folder is None:
        return _compute(run, None, _MemoryJournal(), watcher)
    files.prepare_folder(folder)
    _clear_or_check(folder, options.overwrite)
    with Journal(folder / "records.jsonl", run.folder_identity()) as journal:
        results = _compute(run, folder, journal, watcher)
        _write(results, folder, options)
    return results


class _MemoryJournal:
    """Stands in for a journal where nothing is kept on disk."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str], CaseRecord] = {}

    def find(self, model: str, case: str) -> CaseRecord | None:
        return self._records.get((model, case))

    def append(self, record: CaseRecord) -> None:
        self._records[record.model, record.case] = record


def _clear_or_check(folder: Path, overwrite: bool) -> None:
    """Replace an earlier run if told to; never write over a results file whose journal is not there."""
    written = [folder / name for name in ("records.jsonl", "results.json", "cases.csv", "cases.parquet")]
    if overwrite:
        for path in written:
            path.unlink(missing_ok=True)
    elif written[1].exists() and not written[0].exists():
        raise RunError(f"{folder}: has a results.json without its records.jsonl; --overwrite replaces it")


def _compute(run: Run, folder: Path | None, journal: Journal | _MemoryJournal, watcher: Watcher) -> Results:
    session = _Session(run, journal, watcher)
    watcher.started(run, folder)
    devices = {model.runtime.device for model in run.models.values()}
    job = stages.Job(
        models=run.models,
        identities={name: run.identity(name) for name in run.models},
        task=run.task,
        meter=ItemMeter(*open_meters(cuda="cuda" in devices)),
    )
    session.run(job)
    return results_of(run, session.records, session.describe(), folder)


class _Session:
    """This process's part of a run: what it computed, and how long that took."""

    def __init__(self, run: Run, journal: Journal | _MemoryJournal, watcher: Watcher) -> None:
        self._cases, self._workers = run.dataset.cases, run.options.workers
        self._journal, self._watcher = journal, watcher
        self._lock = threading.Lock()
        self.records: dict[tuple[str, str], CaseRecord] = {}
        self.computed = 0

    def run(self, job: stages.Job) -> None:
        """All cases through the pipeline."""
        self.started = datetime.now(UTC)
        wall, cpu = time.perf_counter(), time.process_time()
        with job.meter or nullcontext():
            pipeline.stream(job, self._cases, self._journal.find, keep=self._keep, workers=self._workers)
        self.wall, self.cpu = time.perf_counter() - wall, time.process_time() - cpu
        self.energy = job.meter.session() if job.meter else {}

    def _keep(self, records: Sequence[CaseRecord]) -> None:
        with self._lock:
            fresh = [r for r in records if self._journal.find(r.model, r.case) is not r]
            for record in fresh:
                self._journal.append(record)
            self.records.update({(r.model, r.case): r for r in records})
            self.computed += bool(fresh)
            self._watcher.finished(records, reused=not fresh)

    def describe(self) -> dict[str, Any]:
        """For the results file."""
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "wall_seconds": round(self.wall, 3),
            "cpu_seconds": round(self.cpu, 3),
            "cases_computed": self.computed,
            "cases_reused": len(self._cases) - self.computed,
            "energy": self.energy,
        }


def _write(results: Results, folder: Path, options: Options) -> None:
    """The tables first: a folder with a results file is a finished one."""
    files.atomic_write(folder / "cases.csv", tables.to_csv(results.scores).encode())
    for name, scores in results.baselines.items():
        path = folder / f"cases.{name.split(':')[-1]}.csv"
        files.atomic_write(path, tables.to_csv(scores).encode())
    if options.parquet:
        files.atomic_write(folder / "cases.parquet", tables.to_parquet(results.scores))
    results.save(folder / "results.json")
