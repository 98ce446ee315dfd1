"""A case through its stages: load, infer, finish. ``run_case`` is the unit of work.

It is a plain function of models, case and options, so that it can be shipped to another process; ``pipeline``
overlaps the stages of different cases in threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..zoo.errors import CaseError, RunError, VoxzooError
from . import scoring
from .empty import diagonal_mm
from .options import ScoreOptions
from .records import FAILED, SCORED, CaseRecord, cache_key

if TYPE_CHECKING:
    import numpy as np

    from ..zoo.cases import Case
    from ..zoo.model import Model

# What a case or a model may raise: our own errors, the system's, and what the runtimes raise themselves.
# A case that raises one of them is named with the reason and the others go on.
EXPECTED = (VoxzooError, OSError, ValueError, RuntimeError, MemoryError, ArithmeticError)


@dataclass(frozen=True)
class Job:
    """What is done with every case.

    Attributes:
        models: name -> model; all of them are run on the case.
        identities: name -> what identifies the model's answers, apart from the case.
        scoring: options that change the numbers.
        save_masks: folder for the masks of the first model, or None.
    """

    models: Mapping[str, Model]
    identities: Mapping[str, Mapping[str, Any]]
    scoring: ScoreOptions
    save_masks: Path | None = None

    def saves(self, name: str) -> bool:
        """Whether the masks of this model are kept: those of the model that is asked about."""
        return self.save_masks is not None and name == next(iter(self.models))


@dataclass
class Loaded:
    """A case in memory: what its models are fed, and what they are measured against."""

    case: Case
    fingerprint: str = ""
    records: dict[str, CaseRecord] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    prepared: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, np.ndarray] = field(default_factory=dict)
    reference: np.ndarray | None = None
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def todo(self) -> list[str]:
        """Models that still have to answer."""
        return [name for name in self.prepared if name not in self.answers and name not in self.errors]


Known = Callable[[str, str], CaseRecord | None]
"""(model name, case id) -> the record on file, if any."""


def nothing_known(model: str, case: str) -> CaseRecord | None:
    """For a run that begins from nothing."""
    return None


def run_case(job: Job, case: Case, known: Known = nothing_known) -> list[CaseRecord]:
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


def load(job: Job, case: Case, known: Known = nothing_known) -> Loaded:
    """Hash a case, and read it if one of the models has no valid record of it."""
    loaded = Loaded(case)
    begin = time.perf_counter()
    try:
        loaded.fingerprint = case.fingerprint()
        _take_known(job, loaded, known)
        if len(loaded.records) == len(job.models):
            return loaded
        loaded.facts = _geometry(case)
        loaded.reference = _reference(case)
    except EXPECTED as error:
        _fail_all(job, loaded, describe(error))
        return loaded
    shared = time.perf_counter() - begin
    for name in job.models:
        if name not in loaded.records:
            _prepare(job, loaded, name, shared)
    return loaded


def _fail_all(job: Job, loaded: Loaded, reason: str) -> None:
    """No model can answer; the size of the image is worth knowing all the same."""
    loaded.errors = {name: reason for name in job.models if name not in loaded.records}
    if not loaded.facts:
        with contextlib.suppress(*EXPECTED):
            loaded.facts = _geometry(loaded.case)


def _prepare(job: Job, loaded: Loaded, name: str, shared: float) -> None:
    begin = time.perf_counter()
    try:
        loaded.prepared[name] = job.models[name].prepare(loaded.case)
    except EXPECTED as error:
        loaded.errors[name] = describe(error)
    loaded.seconds[name] = {"load": shared + time.perf_counter() - begin}


def infer(job: Job, loaded: Loaded) -> None:
    """Run the models on a loaded case."""
    for name in loaded.todo():
        begin = time.perf_counter()
        try:
            loaded.answers[name] = job.models[name].infer(loaded.prepared[name])
        except EXPECTED as error:
            loaded.errors[name] = describe(error)
        loaded.seconds[name]["infer"] = time.perf_counter() - begin


def finish(job: Job, loaded: Loaded) -> list[CaseRecord]:
    """Turn answers into masks, score them, save them; a record per model, in the job's order."""
    for name in job.models:
        if name not in loaded.records:
            loaded.records[name] = _record(job, loaded, name)
    return [loaded.records[name] for name in job.models]


def _record(job: Job, loaded: Loaded, name: str) -> CaseRecord:
    if name not in loaded.errors:
        try:
            return _scored(job, loaded, name)
        except RunError:  # the masks' folder cannot be written: no fault of the case
            raise
        except EXPECTED as error:
            loaded.errors[name] = describe(error)
    volumes = _reference_ml(loaded, scoring.regions_of(job.models[name]))
    reason = loaded.errors[name]
    return _base(job, loaded, name, status=FAILED, reason=reason, reference_ml=volumes)


def _scored(job: Job, loaded: Loaded, name: str) -> CaseRecord:
    model, seconds = job.models[name], loaded.seconds[name]
    begin = time.perf_counter()
    mask = model.finish(loaded.answers.pop(name), loaded.prepared.pop(name))
    saved = _save(job, loaded.case, mask) if job.saves(name) else ""
    between = time.perf_counter()
    if loaded.reference is None:  # load() has seen to it; this tells the type checker
        raise CaseError(f"{loaded.case.id}: no reference segmentation")
    score = scoring.score(mask, loaded.reference, loaded.facts["spacing_mm"], job.scoring)
    seconds["finish"], seconds["score"] = between - begin, time.perf_counter() - between
    return _base(
        job,
        loaded,
        name,
        status=SCORED,
        metrics=score.metrics,
        empty_prediction=score.empty_prediction,
        empty_reference=score.empty_reference,
        mask_sha256=saved,
    )


def _base(job: Job, loaded: Loaded, name: str, **values: Any) -> CaseRecord:
    """A record with what is known of the case, whether it was scored or not."""
    facts = loaded.facts
    return CaseRecord(
        model=name,
        case=loaded.case.id,
        patient=loaded.case.patient,
        key=_key(job, name, loaded.fingerprint) if loaded.fingerprint else "",
        fingerprint=loaded.fingerprint,
        shape=facts.get("shape", ()),
        spacing_mm=facts.get("spacing_mm", ()),
        slices=facts.get("slices", 0),
        diagonal_mm=facts.get("diagonal_mm", 0.0),
        facts=_case_facts(loaded.case),
        seconds={stage: round(s, 6) for stage, s in loaded.seconds.get(name, {}).items()},
        **values,
    )


def _reference_ml(loaded: Loaded, regions: Mapping[str, tuple[int, ...]]) -> dict[str, float]:
    if loaded.reference is None:
        return {}
    return scoring.reference_volumes(loaded.reference, regions, loaded.facts["spacing_mm"])


def _case_facts(case: Case) -> dict[str, str]:
    grade = {"grade": case.grade} if case.grade else {}
    return {**{str(k): str(v) for k, v in case.facts.items()}, **grade}


def _take_known(job: Job, loaded: Loaded, known: Known) -> None:
    for name in job.models:
        record = known(name, loaded.case.id)
        if record is None or record.status != SCORED or record.key != _key(job, name, loaded.fingerprint):
            continue
        if job.saves(name) and not _is_saved(job, loaded.case, record.mask_sha256):
            continue
        loaded.records[name] = record


def _key(job: Job, name: str, fingerprint: str) -> str:
    return cache_key({**job.identities[name], "case": fingerprint})


def _geometry(case: Case) -> dict[str, Any]:
    grid = case.grid()
    spacing = tuple(float(s) for s in grid.spacing_mm)
    axial = next((axis for axis, code in enumerate(grid.codes) if code in "SI"), None)
    return {
        "shape": tuple(int(n) for n in grid.shape),
        "spacing_mm": spacing,
        "slices": int(grid.shape[axial]) if axial is not None else 0,
        "diagonal_mm": diagonal_mm(grid.shape, spacing),
    }


def _reference(case: Case) -> np.ndarray:
    reference = case.read_reference()
    if reference is None:
        raise CaseError(f"{case.id}: no reference segmentation, so nothing to score against")
    return reference


def mask_path(folder: Path, case: str) -> Path:
    """Where the mask of a case goes."""
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]', '_', case)}.nii.gz"


def _save(job: Job, case: Case, mask: Any) -> str:
    if job.save_masks is None:
        return ""
    path = mask_path(job.save_masks, case.id)
    mask.save(path)
    return _sha256(path)


def _is_saved(job: Job, case: Case, sha256: str) -> bool:
    if job.save_masks is None:
        return True
    path = mask_path(job.save_masks, case.id)
    return bool(sha256) and path.is_file() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe(error: BaseException) -> str:
    """An error in one line: our own as they are, others with their type."""
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, VoxzooError) else f"{type(error).__name__}: {text}"
