"""Results files as they are committed beside a card: the numbers and nothing else, in little room.

A kept file is a results file of the same schema, so everything that reads runs reads it. What is left out:
folders in texts, seconds and energy of single cases, cache keys, fields at their default, digits of a case's
numbers beyond the seventh, what baselines answered (their metrics stay), and what names one machine. Time and
energy of the run are copied, never measured again; its figures keep every digit.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..eval.files import atomic_write, prepare_folder
from ..eval.records import CaseRecord
from ..eval.results import Results, Scores
from .names import slug, without_folders
from .runs import Run

MACHINES = ("x86_64", "AMD64", "aarch64", "arm64", "armv8")


def kept(results: Results) -> str:
    """The text of the kept file, one line per case.

    Args:
        results: of a run. Kept results give the same text again.
    """
    plain = replace(
        results,
        scores=_scores(results.scores),
        baselines={name: _scores(scores, bare=True) for name, scores in results.baselines.items()},
        dataset={**results.dataset, "source": without_folders(results.dataset["source"])},
        environment=environment_of(results.environment),
        session={key: results.session[key] for key in ("started",) if key in results.session},
    ).to_dict()
    return _lines(plain) + "\n"


def keep(run: Run, folder: Path) -> Path:
    """Write the kept file of a run into a folder, under the name of its task and dataset.

    Raises:
        RunError: the folder cannot be written.

    Returns:
        The file.
    """
    prepare_folder(folder)
    path = folder / f"{slug(run.task)}-{slug(run.label if run.label != run.model else run.dataset)}.json"
    atomic_write(path, kept(run.results).encode())
    return path


def _scores(scores: Scores, bare: bool = False) -> Scores:
    found = without_folders(scores.model.get("found", ""))
    cases = tuple(_bare(record) if bare else _record(record) for record in scores.cases)
    return replace(scores, model={**scores.model, "found": found}, cases=cases)


def _record(record: CaseRecord) -> CaseRecord:
    return replace(
        record,
        key="",
        seconds={},
        energy={},
        reason=without_folders(record.reason),
        facts=_facts(record.facts),
        metrics=_short(record.metrics),
        reference_ml=_short(record.reference_ml),
        answer=_short(record.answer),
        diagonal_mm=_short(record.diagonal_mm),
    )


def _bare(record: CaseRecord) -> CaseRecord:
    """Of a baseline: what its figures and comparisons are made of; the rest stands with the model's case."""
    return CaseRecord(
        record.model,
        record.case,
        record.patient,
        record.status,
        without_folders(record.reason),
        metrics=_short(record.metrics),
    )


def _short(value: Any) -> Any:
    """Seven digits of every number: as many as single precision has."""
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def environment_of(facts: dict[str, Any]) -> dict[str, Any]:
    """Without the system's build, which may name a place: "Linux-6.1-x-x86_64" becomes "Linux x86_64"."""
    parts = str(facts.get("platform", "")).replace(" ", "-").split("-")
    machine = next((part for part in parts[1:] if part in MACHINES), "")
    return (
        {**facts, "platform": " ".join(filter(None, (parts[0], machine)))} if "platform" in facts else facts
    )


def _facts(facts: dict[str, str]) -> dict[str, str]:
    """The licence of each case stands with the dataset."""
    return {name: value for name, value in facts.items() if name != "licence"}


def _lines(plain: dict[str, Any]) -> str:
    """JSON with a line per field and per case, so that a change shows as the lines it is about."""
    fields = []
    for key, value in plain.items():
        if key == "cases":
            rows = ",\n".join(compact(_told(row)) for row in value)
            fields.append(f'"cases": [\n{rows}\n]' if value else '"cases": []')
        elif key == "baselines":
            all_told = {n: {**one, "cases": [_told(row) for row in one["cases"]]} for n, one in value.items()}
            some = ",\n".join(f"{json.dumps(name)}: {compact(scores)}" for name, scores in all_told.items())
            fields.append(f'"baselines": {{\n{some}\n}}' if value else '"baselines": {}')
        else:
            fields.append(f"{json.dumps(key)}: {compact(value)}")
    return "{\n" + ",\n".join(fields) + "\n}"


_DEFAULTS = CaseRecord("", "", "", "").to_dict()
_ALWAYS = ("model", "case", "patient", "status")


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A case without what a record holds anyway."""
    return {key: v for key, v in row.items() if key in _ALWAYS or v != _DEFAULTS[key]}


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
