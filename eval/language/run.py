"""A run of a language model: read the answers, score them under three protocols, and say it in files.

Where the answers come from is ``recorded.py`` or ``asking.py``; ``opening.py`` decides which of the two.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.errors import RunError
from ...zoo.runtimes.base import RuntimeInfo
from .. import environment, files
from ..jsonlines import check_same_run
from ..records import cache_key
from ..results import Results
from .assembling import answer_lines, results_of
from .gldr_figure import gldr_svg
from .protocols import Protocol
from .scoring import Reading

if TYPE_CHECKING:
    from ...zoo.datasets import Dataset
    from ...zoo.prompt_contract import PromptContract
    from ..options import Options
    from ..runner import Watcher

WRITTEN = ("results.json", "cases.csv", "answers.jsonl", "gldr.svg", "transcript.jsonl")


@dataclass(frozen=True)
class Asked:
    """Who answers, as reports and results name it.

    ``settings`` change its answers, and the run's folder. ``contract`` is None where none is known.
    """

    name: str
    reference: str
    content_hash: str
    runtime: RuntimeInfo
    settings: dict[str, Any] = field(default_factory=dict)
    contract: PromptContract | None = None


@dataclass(frozen=True)
class Cohort:
    """On which cases."""

    name: str
    cases: Sequence[str]
    kind: str
    source: str
    licence: str

    @classmethod
    def of(cls, dataset: Dataset) -> Cohort:
        """The cases of a dataset."""
        names = [case.id for case in dataset.volumes()]
        return cls(dataset.name, names, dataset.kind, dataset.source, dataset.licence)


@dataclass(frozen=True)
class Work:
    """What is asked, as reports name it."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, name: str, rules: Protocol, asked: str) -> Work:
        """What is asked, and by which rules it is scored."""
        return cls(name, (f"asked    {name}: {asked}", f"rules    {rules.name}"))

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
            **({"settings": self.model.settings} if self.model.settings else {}),
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


def runtime(name: str) -> RuntimeInfo:
    """What executes a model that is asked or replayed: nothing of ours."""
    return RuntimeInfo(name, environment.describe()["packages"].get("voxzoo", ""), "none", "none", 1)
