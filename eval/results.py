"""The results file: schema "voxzoo.results/1", typed, the single source of truth about a run.

``docs/results.md`` describes every field. A file of another version is refused, never half-understood.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..zoo.errors import RunError
from . import files, jsonnum
from .aggregate import Aggregate
from .records import FAILED, NO_REFERENCE, CaseRecord

VERSION = 1
SCHEMA = f"voxzoo.results/{VERSION}"


@dataclass(frozen=True)
class Scores:
    """What one model reached.

    Attributes:
        model: name, how it was found, hash of its content; "folds": "apart" if each training case was
            answered by the fold that never saw it.
        contract: the model's contract; None for a model without one.
        runtime: what executed it: name, version, device, precision, threads.
        regions: region -> the reference's label values that it is made of.
        counts: cases, patients, scored, failed, axial_slices (of all native grids: the denominator of
            every figure per slice).
        aggregate: metric name -> figure, flat.
        undefined: metric name -> patients without a defined value; absent when 0.
        empties: region -> cases with an empty prediction, reference, both.
        times: seconds per patient and per axial slice, by stage.
        cases: one record per case, in the dataset's order, with the values that were counted.
        details: what only this task has to say (classes and their confusion, say); in the file they stand
            beside the other fields.
    """

    model: dict[str, str]
    contract: dict[str, Any] | None
    runtime: dict[str, Any]
    regions: dict[str, tuple[int, ...]]
    counts: dict[str, int]
    aggregate: dict[str, Aggregate]
    undefined: dict[str, int]
    empties: dict[str, dict[str, int]]
    times: dict[str, Any]
    cases: tuple[CaseRecord, ...]
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> tuple[CaseRecord, ...]:
        """The cases without a prediction."""
        return tuple(record for record in self.cases if record.status == FAILED)

    @property
    def without_reference(self) -> tuple[CaseRecord, ...]:
        """The cases that took no part, because nothing says what is true of them."""
        return tuple(record for record in self.cases if record.status == NO_REFERENCE)

    @property
    def cross_validated(self) -> bool:
        """Whether the folds of a mean answered apart: each of their cases by the fold that never saw it."""
        return self.model.get("folds") == "apart"

    @property
    def seen_in_training(self) -> tuple[str, ...]:
        """The cases that the contract names as training data: their scores are not held out.

        Where the folds of a mean answered apart, only those that no fold was kept from.
        """
        training = (self.contract or {}).get("training") or {}
        named = set(training.get("cases") or ())
        if self.cross_validated:
            named -= {case for fold in training.get("ensemble") or () for case in fold["held_out"]}
        return tuple(record.case for record in self.cases if record.case in named)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        plain = {name: value for name, value in vars(self).items() if name != "details"}
        return {
            **plain,
            "regions": {name: list(values) for name, values in self.regions.items()},
            "aggregate": {name: aggregate_to_dict(a) for name, a in self.aggregate.items()},
            "cases": [record.to_dict() for record in self.cases],
            **self.details,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Scores:
        """The inverse of ``to_dict``; keys that neither it nor ``Results`` knows are details."""
        known = [name for name in cls.__dataclass_fields__ if name != "details"]
        values = {name: plain[name] for name in known}
        values["details"] = {k: v for k, v in plain.items() if k not in known and k not in _OF_RESULTS}
        values["regions"] = {name: tuple(v) for name, v in plain["regions"].items()}
        values["aggregate"] = {name: aggregate_from_dict(a) for name, a in plain["aggregate"].items()}
        values["cases"] = tuple(CaseRecord.from_dict(record) for record in plain["cases"])
        return cls(**values)


@dataclass(frozen=True)
class Results:
    """One model on one dataset, and the baselines on the same cases.

    Attributes:
        scores: the model's. In the file its fields stand at the top level.
        task: "segment" or "classify".
        dataset: name, kind, licence, source, cases, patients, sha256 over the cases' fingerprints.
        options: that change the numbers.
        code_version: of the sources that computed them.
        baselines: name -> scores of a baseline.
        environment: Python, packages, processor, system.
        session: that wrote the file: started, wall and CPU seconds, cases computed and reused.
        folder: where it was saved; None when it was not.
    """

    scores: Scores
    task: str
    dataset: dict[str, Any]
    options: dict[str, Any]
    code_version: str
    baselines: dict[str, Scores] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    session: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = field(default=None, compare=False)

    @property
    def aggregate(self) -> dict[str, Aggregate]:
        """Metric name -> figure, of the model."""
        return self.scores.aggregate

    @property
    def cases(self) -> tuple[CaseRecord, ...]:
        """One record per case, of the model."""
        return self.scores.cases

    @property
    def failures(self) -> tuple[CaseRecord, ...]:
        """The cases on which the model has no prediction."""
        return self.scores.failures

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, in the order of the file."""
        scores = self.scores.to_dict()
        cases = scores.pop("cases")
        return {
            "schema": SCHEMA,
            "task": self.task,
            **scores,
            "dataset": self.dataset,
            "options": self.options,
            "code_version": self.code_version,
            "environment": self.environment,
            "session": self.session,
            "cases": cases,
            "baselines": {name: baseline.to_dict() for name, baseline in self.baselines.items()},
        }

    def to_json(self) -> str:
        """The file's text; strict JSON (NaN is null, infinities are strings)."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file in one step.

        Raises:
            RunError: it cannot be written; what was there is untouched.
        """
        files.atomic_write(Path(path), self.to_json().encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Results:
        """Read a results file, or the one in a run folder.

        Raises:
            RunError: it cannot be read, is no results file, or one of another version.
        """
        path = Path(path)
        path = path / "results.json" if path.is_dir() else path
        plain = _read(path)
        _check_version(path, plain)
        try:
            return cls._from_dict(plain, path.parent)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{path}: damaged: {type(error).__name__} {error}") from error

    @classmethod
    def _from_dict(cls, plain: Mapping[str, Any], folder: Path) -> Results:
        return cls(
            scores=Scores.from_dict(plain),
            baselines={name: Scores.from_dict(b) for name, b in plain["baselines"].items()},
            **{n: plain[n] for n in ("task", "dataset", "options", "code_version", "environment", "session")},
            folder=folder,
        )


_OF_RESULTS = ("schema", *(f.name for f in fields(Results)))
"""Keys of the file that are not of the model's scores."""


def aggregate_to_dict(a: Aggregate) -> dict[str, Any]:
    """One figure, JSON-ready."""
    ci = None if a.ci95 is None else [jsonnum.encode(a.ci95[0]), jsonnum.encode(a.ci95[1])]
    return {"mean": jsonnum.encode(a.mean), "ci95": ci, "n": a.n, "missing": a.missing, "empty": a.empty}


def aggregate_from_dict(plain: Mapping[str, Any]) -> Aggregate:
    """The inverse of ``aggregate_to_dict``."""
    ci = plain["ci95"]
    return Aggregate(
        mean=jsonnum.decode(plain["mean"]),
        ci95=None if ci is None else (jsonnum.decode(ci[0]), jsonnum.decode(ci[1])),
        n=plain["n"],
        missing=plain["missing"],
        empty=plain["empty"],
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({files.reason(error)})") from error
    except ValueError as error:
        raise RunError(f"{path}: not JSON: {error}") from error


def _check_version(path: Path, plain: Any) -> None:
    schema = plain.get("schema") if isinstance(plain, dict) else None
    match = re.fullmatch(r"voxzoo\.results/(\d+)", str(schema))
    if match is None:
        raise RunError(f"{path}: not a results file of voxzoo (schema {schema!r}, expected {SCHEMA!r})")
    found = int(match[1])
    if found > VERSION:
        raise RunError(
            f"{path}: written by a newer voxzoo ({schema}; this one reads {SCHEMA}): upgrade voxzoo"
        )
    if found < VERSION:
        raise RunError(
            f"{path}: written by an older voxzoo ({schema}; this one reads {SCHEMA}): run it again"
        )
