"""From the records of a run to its results: figures, counts, times, facts about model and data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environment
from .energy.items import Spent
from .energy.items import summary as energy_of
from .records import FAILED, NO_REFERENCE, SCORED, CaseRecord
from .results import Results, Scores

if TYPE_CHECKING:
    from ..zoo.datasets import Dataset
    from ..zoo.model import Model
    from .aggregate import Summary
    from .runner import Run


def results_of(
    run: Run,
    records: Mapping[tuple[str, str], CaseRecord],
    session: dict[str, Any],
    folder: Path | None,
) -> Results:
    """The results of a run from its records alone.

    Args:
        run: models, dataset, options.
        records: (model name, case id) -> record, one for every model and case.
        session: what the process that computed says about itself.
        folder: where it will be saved, or None.
    """
    in_order = {name: [records[name, case.id] for case in run.dataset.cases] for name in run.models}
    scores = {name: _scores(run, name, found) for name, found in in_order.items()}
    main = scores.pop(run.name)
    return Results(
        scores=main,
        task=run.task.name,
        dataset=_dataset_facts(run.dataset, main.cases),
        options={**run.task.options, **settings_of(run.model), "seed": run.options.seed},
        code_version=environment.code_version(),
        baselines={**scores, **_made(run, in_order[run.name])},
        environment=environment.describe(),
        session=session,
        folder=folder,
    )


def _scores(run: Run, name: str, records: Sequence[CaseRecord]) -> Scores:
    model = run.models[name]
    summary = run.task.summarise(model, records, run.options.seed)
    spent = [Spent(r.energy, r.patient, r.slices) for r in summary.records if r.status == SCORED]
    energy = energy_of(spent, run.options.electricity)
    if energy:
        summary = replace(summary, details={**summary.details, "energy": energy})
    return _from_summary(
        summary,
        model={"name": name, "found": model.reference, "content_sha256": model.content_hash, **_folds(model)},
        contract=contract_facts(model),
        runtime=runtime_facts(model),
    )


def _folds(model: Model) -> dict[str, str]:
    """Whether the folds of a mean answered apart: what was held out hangs on it."""
    return {key: value for key, value in settings_of(model).items() if key == "folds"}


def _made(run: Run, records: Sequence[CaseRecord]) -> dict[str, Scores]:
    """Baselines that need no model."""
    made = run.task.made_baselines(records) if run.options.baseline else {}
    return {
        name: _from_summary(
            run.task.summarise(run.model, baseline.records, run.options.seed),
            model={"name": name, "found": baseline.found, "content_sha256": ""},
            contract=None,
            runtime={},
        )
        for name, baseline in made.items()
    }


def _from_summary(summary: Summary, **who: Any) -> Scores:
    return Scores(
        **who,
        regions=summary.regions,
        counts=_counts(summary.records),
        aggregate=summary.aggregate,
        undefined=summary.undefined,
        empties=summary.empties,
        times=_times(summary.records),
        cases=summary.records,
        details=summary.details,
    )


def _counts(records: Sequence[CaseRecord]) -> dict[str, int]:
    statuses = [record.status for record in records]
    return {
        "cases": len(records),
        "patients": len({record.patient for record in records}),
        "scored": statuses.count(SCORED),
        "failed": statuses.count(FAILED),
        "no_reference": statuses.count(NO_REFERENCE),
        "axial_slices": sum(record.slices for record in records),
    }


def _times(records: Sequence[CaseRecord]) -> dict[str, Any]:
    """Mean seconds per patient by stage, and per axial slice; over the scored cases alone."""
    scored = [record for record in records if record.status == SCORED and record.seconds]
    if not scored:
        return {"cases": 0}
    patients, slices = len({r.patient for r in scored}), sum(r.slices for r in scored)
    stages = {stage: sum(r.seconds.get(stage, 0.0) for r in scored) for stage in scored[0].seconds}
    total = sum(stages.values())
    return {
        "cases": len(scored),
        "patients": patients,
        "axial_slices": slices,
        "seconds_per_patient": {
            **{stage: round(s / patients, 6) for stage, s in stages.items()},
            "total": round(total / patients, 6),
        },
        "seconds_per_axial_slice": round(total / slices, 8) if slices else None,
    }


def _dataset_facts(dataset: Dataset, records: Sequence[CaseRecord]) -> dict[str, Any]:
    digest = hashlib.sha256("".join(f"{r.case}={r.fingerprint};" for r in records).encode())
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "licence": dataset.licence,
        "source": dataset.source,
        "sha256": digest.hexdigest(),
    }


def contract_facts(model: object) -> dict[str, Any] | None:
    """The contract as JSON values, or None for a model without one."""
    contract = getattr(model, "contract", None)
    return None if contract is None else contract.to_dict()


def settings_of(model: Model) -> dict[str, str]:
    """What was chosen when the model was loaded and changes its answers; nothing for models of others."""
    return dict(getattr(model, "settings", {}))


def runtime_facts(model: Model) -> dict[str, Any]:
    """What executes the model, as JSON values."""
    runtime = model.runtime
    return {name: getattr(runtime, name) for name in ("name", "version", "device", "precision", "threads")}
