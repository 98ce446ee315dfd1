"""Cross-validation folds: by patient, seeded, stratified, in a file.

The order within a stratum is that of ``sha256(seed, patient)``: the same on every machine and with every
version of every library, and a patient's rank does not depend on who else is in the dataset.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import RunError, UsageError
from .images import AnyCase, ImageCase

__all__ = ["SCHEMA", "Splits", "make_splits"]

SCHEMA = "voxzoo.splits/1"


@dataclass(frozen=True)
class Splits:
    """Folds of case ids; fold i is tested by a model that was trained on all others.

    Args:
        folds: case ids of each fold, sorted.
        seed: what they were dealt with.
        stratify: what was kept in balance: the name of a fact ("grade", "class") or of a function, or "none".
        cases_sha256: over ids and patients of all cases, to tell a file of another dataset.
    """

    folds: tuple[tuple[str, ...], ...]
    seed: int
    stratify: str
    cases_sha256: str

    def test(self, fold: int) -> tuple[str, ...]:
        """Case ids kept aside in ``fold`` (from 0)."""
        return self.folds[self._checked(fold)]

    def train(self, fold: int) -> tuple[str, ...]:
        """Case ids of every other fold, sorted."""
        kept = self._checked(fold)
        return tuple(sorted(id for i, ids in enumerate(self.folds) if i != kept for id in ids))

    def check(self, cases: Iterable[AnyCase]) -> None:
        """Raise ``UsageError`` unless these are the cases (and patients) that were split."""
        if _hash(list(cases)) != self.cases_sha256:
            raise UsageError("these splits were made for other cases: ids or patients differ; make new ones")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, whole or not at all.

        Raises:
            RunError: the folder is absent or cannot be written.
        """
        content = {
            "schema": SCHEMA,
            "seed": self.seed,
            "stratify": self.stratify,
            "cases_sha256": self.cases_sha256,
            "folds": [list(ids) for ids in self.folds],
        }
        path = Path(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            os.replace(temporary, path)
        except OSError as error:
            raise RunError(f"{path}: cannot be written: {error.strerror}") from None

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Splits:
        """Read what ``save`` wrote.

        Raises:
            UsageError: no such file, no JSON, another schema, fields missing, a case in two folds.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise UsageError(f"{path}: not JSON: {error}") from None
        return _from_json(content, str(path))

    def _checked(self, fold: int) -> int:
        if not 0 <= fold < len(self.folds):
            raise UsageError(f"there is no fold {fold}; there are 0 to {len(self.folds) - 1}")
        return fold


def make_splits(
    cases: Iterable[AnyCase],
    folds: int = 5,
    seed: int = 0,
    stratify: Callable[[Any], str] | str | None = "auto",
) -> Splits:
    """Deal patients into folds.

    Args:
        cases: all cases of one patient go to one fold.
        folds: at least 2.
        seed: another seed, another deal.
        stratify: name of a fact of the cases (unknown is a stratum of its own), None, or a function from a
            case to its stratum name; "auto" is "class" for images and "grade" for volumes. Strata and folds
            both come out even, to within one patient.

    Raises:
        UsageError: fewer patients than folds, fewer than 2 folds, a case id twice.

    Example:
        >>> from voxzoo.zoo.cases import Case
        >>> cases = [Case(id=f"c{i}", patient=f"p{i // 2}", images={}) for i in range(6)]
        >>> splits = make_splits(cases, folds=3)
        >>> sorted(splits.folds)
        [('c0', 'c1'), ('c2', 'c3'), ('c4', 'c5')]
    """
    cases = list(cases)
    patients = _by_patient(cases)
    if folds < 2:
        raise UsageError(f"{folds} folds: at least 2 are needed, to train on one and test on another")
    if len(patients) < folds:
        raise UsageError(f"{len(patients)} patients cannot be dealt into {folds} folds; ask for fewer folds")
    stratum, name = _stratum(stratify, cases)
    order = sorted(patients, key=lambda patient: (stratum(patients[patient]), _rank(seed, patient)))
    dealt: list[list[str]] = [[] for _ in range(folds)]
    for position, patient in enumerate(order):
        dealt[position % folds].extend(case.id for case in patients[patient])
    return Splits(tuple(tuple(sorted(ids)) for ids in dealt), seed, name, _hash(cases))


def _by_patient(cases: Sequence[AnyCase]) -> dict[str, list[AnyCase]]:
    patients: dict[str, list[AnyCase]] = {}
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise UsageError(f"two cases are called {case.id}")
        seen.add(case.id)
        patients.setdefault(case.patient, []).append(case)
    return patients


def _stratum(
    stratify: Callable[[Any], str] | str | None, cases: Sequence[AnyCase]
) -> tuple[Callable[[list[AnyCase]], str], str]:
    """A function from a patient's cases to the stratum, and its name for the file."""
    if stratify is None:
        return (lambda cases: ""), "none"
    if callable(stratify):
        return (lambda cases: min(stratify(c) for c in cases)), getattr(stratify, "__name__", "function")
    if not isinstance(stratify, str):
        raise UsageError(f"stratify={stratify!r}: the name of a fact, None or a function was expected")
    fact = stratify
    if stratify == "auto":
        fact = "class" if any(isinstance(case, ImageCase) for case in cases) else "grade"
    elif stratify != "grade" and not any(case.fact(stratify) for case in cases):
        raise UsageError(f"stratify={stratify!r}: no case has a fact of that name")
    return (lambda cases: min((case.fact(fact) or "unknown") for case in cases)), fact


def _rank(seed: int, patient: str) -> str:
    return hashlib.sha256(f"{seed}:{patient}".encode()).hexdigest()


def _hash(cases: Sequence[AnyCase]) -> str:
    lines = sorted(f"{case.id}\t{case.patient}\n" for case in cases)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _from_json(content: Any, name: str) -> Splits:
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise UsageError(f"{name}: schema {SCHEMA!r} was expected, got {found!r}")
    kinds = {"seed": int, "stratify": str, "cases_sha256": str, "folds": list}
    for key, kind in kinds.items():
        if not isinstance(content.get(key), kind):
            raise UsageError(f"{name}: field {key!r} has to be {kind.__name__}, got {content.get(key)!r}")
    folds = content["folds"]
    if not all(isinstance(ids, list) and all(isinstance(id, str) for id in ids) for ids in folds):
        raise UsageError(f"{name}: field 'folds' has to be lists of case ids")
    ids = [id for fold in folds for id in fold]
    if len(set(ids)) < len(ids):
        raise UsageError(f"{name}: a case is in two folds")
    return Splits(
        tuple(tuple(f) for f in folds), content["seed"], content["stratify"], content["cases_sha256"]
    )
