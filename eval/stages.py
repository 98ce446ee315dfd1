"""A case through its stages: load, infer, finish. ``run_case`` is the unit of work.

It is a plain function of models, case and options, so that it can be shipped to another process; ``pipeline``
overlaps the stages of different cases in threads.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..zoo.errors import RunError, VoxzooError
from .records import FAILED, NO_REFERENCE, SCORED, CaseRecord, cache_key
from .tasks.base import case_facts

if TYPE_CHECKING:
    from ..zoo.images import AnyCase
    from ..zoo.model import Model
    from .energy.items import ItemMeter
    from .tasks.base import Task

# What a case or a model may raise: our own errors, the system's, and what the runtimes raise themselves.
# A case that raises one of them is named with the reason and the others go on.
EXPECTED = (VoxzooError, OSError, ValueError, RuntimeError, MemoryError, ArithmeticError)


@dataclass(frozen=True)
class Job:
    """What is done with every case.

    Attributes:
        models: name -> model; all of them are run on the case.
        identities: name -> what identifies the model's answers, apart from the case.
        task: how they are asked and scored.
        meter: of the energy of each answer; None for none.
    """

    models: Mapping[str, Model]
    identities: Mapping[str, Mapping[str, Any]]
    task: Task
    meter: ItemMeter | None = None

    def keeps(self, name: str) -> bool:
        """Whether the answers of this model are kept: those of the model that is asked about."""
        return name == next(iter(self.models))


@dataclass
class Loaded:
    """A case in memory: what its models are fed, and what they are measured against."""

    case: AnyCase
    fingerprint: str = ""
    records: dict[str, CaseRecord] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    prepared: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    reference: Any = None
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    cpu: dict[str, dict[str, float]] = field(default_factory=dict)
    laps: dict[str, dict[str, Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def todo(self) -> list[str]:
        """Models that still have to answer."""
        return [name for name in self.prepared if name not in self.answers and name not in self.errors]


Known = Callable[[str, str], CaseRecord | None]
"""(model name, case id) -> the record on file, if any."""


def nothing_known(model: str, case: str) -> CaseRecord | None:
    """For a run that begins from nothing."""
    return None


def run_case(job: Job, case: AnyCase, known: Known = nothing_known) -> list[CaseRecord]:
    """Every model of a job on one case: the unit of work.

    Args:
        job: models and options.
        case: what to run them on.
        known: records that are on file; one with the same cache key is returned instead of a new one.

    Returns:
        One record per model. A case that cannot be read or run gives a record that says why.
    """
    loaded = load(job, case, known)
    infer(job, loaded)
    return finish(job, loaded)


def load(job: Job, case: AnyCase, known: Known = nothing_known) -> Loaded:
    """Hash a case, and read it if one of the models has no valid record of it."""
    loaded = Loaded(case)
    begin, cpu = time.perf_counter(), time.thread_time()
    if not job.task.takes_part(case):
        _leave_out(job, loaded, known)
        return loaded
    try:
        loaded.fingerprint = case.fingerprint()
        _take_known(job, loaded, known)
        if len(loaded.records) == len(job.models):
            return loaded
        loaded.facts = job.task.facts(case)
        loaded.reference = job.task.reference(case)
    except EXPECTED as error:
        _fail_all(job, loaded, describe(error))
        return loaded
    shared, shared_cpu = time.perf_counter() - begin, time.thread_time() - cpu
    for name in job.models:
        if name not in loaded.records:
            _prepare(job, loaded, name, shared, shared_cpu)
    return loaded


def _leave_out(job: Job, loaded: Loaded, known: Known) -> None:
    """A record that says so, the one on file if it says the same."""
    for name in job.models:
        record = _base(job, loaded, name, status=NO_REFERENCE, reason="no reference, so it takes no part")
        found = known(name, loaded.case.id)
        loaded.records[name] = found if found is not None and found == record else record


def _fail_all(job: Job, loaded: Loaded, reason: str) -> None:
    """No model can answer; the size of the image is worth knowing all the same."""
    loaded.errors = {name: reason for name in job.models if name not in loaded.records}
    if not loaded.facts:
        with contextlib.suppress(*EXPECTED):
            loaded.facts = job.task.facts(loaded.case)


def _prepare(job: Job, loaded: Loaded, name: str, shared: float, shared_cpu: float) -> None:
    begin, cpu = time.perf_counter(), time.thread_time()
    try:
        loaded.prepared[name] = job.task.prepare(job.models[name], loaded.case)
    except EXPECTED as error:
        loaded.errors[name] = describe(error)
    loaded.seconds[name] = {"load": shared + time.perf_counter() - begin}
    loaded.cpu[name] = {"load": shared_cpu + time.thread_time() - cpu}


def infer(job: Job, loaded: Loaded) -> None:
    """Run the models on a loaded case."""
    clock = time.process_time if job.meter is None else job.meter.cpu.seconds
    for name in loaded.todo():
        begin, cpu = time.perf_counter(), clock()
        try:
            loaded.answers[name] = job.task.infer(job.models[name], loaded.prepared[name])
        except EXPECTED as error:
            loaded.errors[name] = describe(error)
        loaded.seconds[name]["infer"] = time.perf_counter() - begin
        loaded.cpu[name]["infer"] = clock() - cpu
        if job.meter is not None:
            loaded.laps[name] = job.meter.lap()


def finish(job: Job, loaded: Loaded) -> list[CaseRecord]:
    """Turn raw answers into answers, keep them, score them; a record per model, in the job's order."""
    for name in job.models:
        if name not in loaded.records:
            loaded.records[name] = _record(job, loaded, name)
    return [loaded.records[name] for name in job.models]


def _record(job: Job, loaded: Loaded, name: str) -> CaseRecord:
    if name not in loaded.errors:
        try:
            return _scored(job, loaded, name)
        except RunError:  # what is kept cannot be written: no fault of the case
            raise
        except EXPECTED as error:
            loaded.errors[name] = describe(error)
    missed = job.task.truth(job.models[name], loaded.case, loaded.reference, loaded.facts)
    return _base(job, loaded, name, status=FAILED, reason=loaded.errors[name], **missed)


def _scored(job: Job, loaded: Loaded, name: str) -> CaseRecord:
    task, seconds = job.task, loaded.seconds[name]
    begin, cpu = time.perf_counter(), time.thread_time()
    answer = task.finish(job.models[name], loaded.answers.pop(name), loaded.prepared.pop(name))
    kept = task.keep(loaded.case, answer) if job.keeps(name) else {}
    between, between_cpu = time.perf_counter(), time.thread_time()
    found = task.score(answer, loaded.reference, loaded.facts)
    seconds["finish"], seconds["score"] = between - begin, time.perf_counter() - between
    loaded.cpu[name] |= {"finish": between_cpu - cpu, "score": time.thread_time() - between_cpu}
    return _base(job, loaded, name, status=SCORED, **found, **kept)


def _base(job: Job, loaded: Loaded, name: str, **values: Any) -> CaseRecord:
    """A record with what is known of the case, whether it was scored or not."""
    return CaseRecord(
        model=name,
        case=loaded.case.id,
        patient=loaded.case.patient,
        key=_key(job, name, loaded) if loaded.fingerprint else "",
        fingerprint=loaded.fingerprint,
        facts=case_facts(loaded.case),
        seconds={stage: round(s, 6) for stage, s in loaded.seconds.get(name, {}).items()},
        energy=_energy(job, loaded, name),
        **loaded.facts,
        **values,
    )


def _energy(job: Job, loaded: Loaded, name: str) -> dict[str, Any]:
    """What the answer cost; nothing where nobody asked, or no model was run."""
    if job.meter is None or name not in loaded.laps:
        return {}
    return job.meter.item(loaded.cpu[name], loaded.laps[name])


def _take_known(job: Job, loaded: Loaded, known: Known) -> None:
    for name in job.models:
        record = known(name, loaded.case.id)
        if record is None or record.status != SCORED or record.key != _key(job, name, loaded):
            continue
        if not job.keeps(name) or job.task.is_kept(loaded.case, record):
            loaded.records[name] = record


def _key(job: Job, name: str, loaded: Loaded) -> str:
    return cache_key({**job.identities[name], "case": loaded.fingerprint, **job.task.key(loaded.case)})


def describe(error: BaseException) -> str:
    """An error in one line: our own as they are, others with their type."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, VoxzooError) else f"{type(error).__name__}: {text}"
