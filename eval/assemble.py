"""From the records of a run to its results: figures, counts, times, facts about model and data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import environment, scoring
from .aggregate import summarise
from .records import FAILED, SCORED, CaseRecord
from .results import Results, Scores

if TYPE_CHECKING:
    from ..zoo.datasets import Dataset
    from ..zoo.model import Model
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
    scores = {name: _scores(run, name, records) for name in run.models}
    main = scores.pop(run.name)
    return Results(
        scores=main,
        task=run.options.task,
        dataset=_dataset_facts(run.dataset, main.cases),
        options={**run.options.scoring.to_dict(), "seed": run.options.seed},
        code_version=environment.code_version(),
        baselines=scores,
        environment=environment.describe(),
        session=session,
        folder=folder,
    )


def _scores(run: Run, name: str, found: Mapping[tuple[str, str], CaseRecord]) -> Scores:
    model, options = run.models[name], run.options
    records = [found[name, case.id] for case in run.dataset.cases]
    regions = scoring.regions_of(model)
    summary = summarise(records, tuple(regions), options=options.scoring, seed=options.seed)
    return Scores(
        model={"name": name, "found": model.reference, "content_sha256": model.content_hash},
        contract=contract_facts(model),
        runtime=runtime_facts(model),
        regions=regions,
        counts=_counts(records),
        aggregate=summary.aggregate,
        undefined=summary.undefined,
        empties=summary.empties,
        times=_times(records),
        cases=summary.records,
    )


def _counts(records: Sequence[CaseRecord]) -> dict[str, int]:
    failed = sum(record.status == FAILED for record in records)
    return {
        "cases": len(records),
        "patients": len({record.patient for record in records}),
        "scored": len(records) - failed,
        "failed": failed,
        "axial_slices": sum(record.slices for record in records),
    }


def _times(records: Sequence[CaseRecord]) -> dict[str, Any]:
    """Mean seconds per patient by stage, and per axial slice; over the scored cases alone."""
    scored = [record for record in records if record.status == SCORED]
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


def contract_facts(model: Model) -> dict[str, Any] | None:
    """The contract as JSON values, or None for a model without one."""
    contract = getattr(model, "contract", None)
    return None if contract is None else contract.to_dict()


def runtime_facts(model: Model) -> dict[str, Any]:
    """What executes the model, as JSON values."""
    runtime = model.runtime
    return {name: getattr(runtime, name) for name in ("name", "version", "device", "precision", "threads")}
