"""The model that a card is about: its file, its contract, what is stated beside it, and its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..zoo import registry
from ..zoo.errors import ModelNotFoundError, RunError
from ..zoo.gguffile import GgufFile
from ..zoo.ggufpair import GgufPair, open_pair
from .runs import Run
from .stated import Stated, beside, read_stated


@dataclass(frozen=True)
class Subject:
    """All that is known of a model.

    Attributes:
        name: of the model.
        version: of its weights; "" where nothing says it.
        contract: as in its file, else as in its runs; {} without one.
        runs: of this model, in the order given.
        stated: what a person states.
        file: its file; None of a model that is no file (recorded answers, an endpoint).
        facts: of the file: "form", "size", "sha256", "content_sha256"; {} without a file. Of a language model
            also "mmproj", "mmproj_size", "mmproj_sha256", and its content hash is over both files.
        description: a sentence of the registry; "" without one.
    """

    name: str
    version: str
    contract: Mapping[str, Any]
    runs: tuple[Run, ...]
    stated: Stated
    file: Path | None
    facts: Mapping[str, str]
    description: str

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}".strip()

    @property
    def content_sha256(self) -> str:
        """Of the file's content, else as the runs say; "" where nothing says it."""
        return self.facts.get("content_sha256") or next((r.content_sha256 for r in self.runs), "")

    @property
    def task(self) -> str:
        """By the contract, else by the first run."""
        found = self.contract.get("task") or (self.runs[0].task if self.runs else "")
        return str(found)


def find_subject(model: str, runs: Sequence[Run], stated: Path | None = None) -> Subject:
    """Put together what a card is about.

    Args:
        model: a file, a name of the zoo, or the name of a model that is known from its runs alone.
        runs: all have to be of this model.
        stated: a ``.card.yaml`` file; default: the one beside the model's file, if there is one.

    Raises:
        ModelNotFoundError: no such file or name, and no run of that name.
        RunError: a run is of another model.
        ContractError, IntegrityError: the file has no valid contract.
    """
    try:
        found = registry.resolve(model)
    except ModelNotFoundError:
        if not any(run.model == model for run in runs):
            raise
        found = None
    if found is None or found.path is None:
        subject = _known_from_runs(model, runs, stated)
    else:
        subject = _of_file(found, found.path, runs, stated)
    for run in runs:
        _same_model(subject, run)
    return subject


def _of_file(found: registry.Resolved, path: Path, runs: Sequence[Run], stated: Path | None) -> Subject:
    file = registry.verify(found)
    contract = file.contract()
    facts = {
        "form": file.form,
        "size": str(file.size),
        "sha256": file.sha256,
        "content_sha256": file.content_sha256,
    }
    if isinstance(file, GgufFile):
        facts |= _of_pair(open_pair(path, found.mmproj))
    default = beside(path)
    source = stated or (default if default.is_file() else None)
    return Subject(
        name=contract.name,
        version=contract.version,
        contract=contract.to_dict(),
        runs=tuple(runs),
        stated=read_stated(source) if source else Stated(),
        file=path,
        facts=facts,
        description=found.entry.description if found.entry else "",
    )


def _of_pair(pair: GgufPair) -> dict[str, str]:
    """What a language model's second file adds, and the hash that its runs know it by."""
    facts = {"content_sha256": pair.content_hash}
    if pair.mmproj is not None:
        name, size = Path(pair.mmproj.name).name, str(pair.mmproj.size)
        facts |= {"mmproj": name, "mmproj_size": size, "mmproj_sha256": pair.mmproj.sha256}
    return facts


def _known_from_runs(name: str, runs: Sequence[Run], stated: Path | None) -> Subject:
    first = next((run for run in runs if run.model == name), None)
    return Subject(
        name=name,
        version=first.version if first else "",
        contract=(first.scores.contract if first else None) or {},
        runs=tuple(runs),
        stated=read_stated(stated) if stated else Stated(),
        file=None,
        facts={},
        description="",
    )


def _same_model(subject: Subject, run: Run) -> None:
    """Refuse a run of another model, or of other weights of this one."""
    content = subject.facts.get("content_sha256", "")
    if content and run.content_sha256 != content:
        raise RunError(
            f"{run.source}: is of {run.model!r} with content {run.content_sha256 or 'unknown'}, "
            f"the card is about {subject.name!r} with content {content}: "
            "score this file with zoo-eval, or leave the run out"
        )
    if not content and run.model != subject.name:
        raise RunError(f"{run.source}: is of the model {run.model!r}, the card is about {subject.name!r}")
