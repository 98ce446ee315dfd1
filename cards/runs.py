"""Finished runs, read from their results files, checked, and kept apart where they cannot be compared.

Everything in a results file may come from a stranger: it is read by eval's own reader, its parts are checked
here, and its texts are escaped where they are written (``names``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..eval.aggregate import Aggregate
from ..eval.records import CaseRecord
from ..eval.results import SCHEMA, Results, Scores
from ..zoo.errors import RunError, UsageError
from ..zoo.tasks.prompt import PROMPT_TASKS
from .energy import ANSWER, SLICE, Energy, energy_of
from .figures import REASON, Figure, figure, headline

RESULTS = "results.json"
RULES = ("protocol", "parser", "vote", "no_slices", "slices", "unanswered", "pooling", "quirks", "empty")
DEFINITIONS = {"segment": ("preset", "empty", "tolerance_mm"), "classify": (), REASON: ("prompts", "scorers")}
"""Task -> the options that define its figures; of prompt tasks ``RULES``."""


@dataclass(frozen=True)
class Run:
    """One finished run: a model on a dataset.

    Attributes:
        results: everything in its results file, typed.
        source: that file.
        label: what to call it; the model's name unless the user gave another.
    """

    results: Results
    source: Path
    label: str

    @property
    def scores(self) -> Scores:
        """Of the model."""
        return self.results.scores

    @property
    def model(self) -> str:
        """The model's name."""
        return self.scores.model["name"]

    @property
    def version(self) -> str:
        """Of the model's weights, by its contract; "" where nothing says it."""
        return str((self.scores.contract or {}).get("version", ""))

    @property
    def content_sha256(self) -> str:
        """Of the model's content; "" of one that has none."""
        return self.scores.model.get("content_sha256", "")

    @property
    def task(self) -> str:
        """ "segment", "classify", a prompt task, or the name of one of the user's own."""
        return self.results.task

    @property
    def is_language(self) -> bool:
        """Whether a language model was asked."""
        return self.task in PROMPT_TASKS or "protocol" in self.results.options

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.results.dataset["name"]

    @property
    def data_sha256(self) -> str:
        """Over the cases, or over what is true of them."""
        return self.results.dataset["sha256"]

    @property
    def folder(self) -> Path:
        """That the results file lies in, beside ``transcript.jsonl`` or ``answers.jsonl`` if there is one."""
        return self.source.parent

    @property
    def definition(self) -> dict[str, Any]:
        """The options that define the figures: another preset or policy is another figure."""
        keys = RULES if self.is_language else DEFINITIONS.get(self.task, ())
        return {key: self.results.options[key] for key in keys if key in self.results.options}

    @property
    def rules(self) -> str:
        """``definition`` in words: "preset metrics-reloaded; empty penalty; tolerance_mm 1"."""
        return "; ".join(f"{key} {_word(value)}" for key, value in self.definition.items())

    @property
    def figures(self) -> dict[str, Aggregate]:
        """Name of the figure -> mean, interval, n, missing, empty."""
        return self.scores.aggregate

    @property
    def headline(self) -> tuple[str, ...]:
        """The figures of a leaderboard, the deciding one first."""
        return headline(self.task, self.figures)

    @property
    def cases(self) -> tuple[CaseRecord, ...]:
        """One record per case."""
        return self.scores.cases

    @property
    def held_out(self) -> str:
        """What has to be said of these cases and the training, in a sentence; "" where that is nothing."""
        if seen := self.scores.seen_in_training:
            return f"Not held out: {self.label} was trained on {len(seen)} of these cases."
        if self.scores.cross_validated:
            return f"Cross-validated: each case was answered by the fold of {self.label} that never saw it."
        return ""

    @property
    def baselines(self) -> dict[str, Scores]:
        """Name -> scores of a trivial answer on the same cases."""
        return self.results.baselines

    @property
    def details(self) -> dict[str, Any]:
        """What only this task has to say: confusion, calibration, selective answers, protocols..."""
        return self.scores.details

    @property
    def seconds_per_slice(self) -> float | None:
        """Wall seconds per ``unit``; None where nothing was timed."""
        if self.unit == ANSWER:
            return _positive(self.details.get("seconds_per_answer"))
        return _positive(self.scores.times.get("seconds_per_axial_slice"))

    @property
    def unit(self) -> str:
        """What time and energy are given for: an axial slice; an answer where nothing is shown."""
        return ANSWER if self.task == REASON else SLICE

    @property
    def seconds_per_patient(self) -> float | None:
        """Wall seconds per patient; None where nothing was timed."""
        found = self.scores.times.get("seconds_per_patient")
        return _positive(found.get("total")) if isinstance(found, Mapping) else None

    @cached_property
    def energy(self) -> Energy | None:
        """What inference took; None means "not measured", which is not 0."""
        return energy_of(self.results, str(self.source))

    def figure(self, name: str) -> Figure:
        """Title, unit, direction and definition of one of ``figures``."""
        return figure(self.task, name, self.results.options)


@dataclass(frozen=True)
class Board:
    """Runs that stand beside each other: one task on one dataset.

    Attributes:
        task: of all of them.
        dataset: name of the data.
        runs: label -> run, labels unique, in the order given.
        mixed: how they differ in data or definition, a line each; empty where every number may be compared.
    """

    task: str
    dataset: str
    runs: Mapping[str, Run]
    mixed: tuple[str, ...] = field(default=())


def read_run(source: str | Path, label: str = "") -> Run:
    """Read one run.

    Args:
        source: a run folder of ``zoo-eval --out``, or a results file.
        label: what to call it; default: the model's name.

    Raises:
        RunError: there is none, it was cut off, is of another schema, or has parts of the wrong kind; the
            message begins with the file.
    """
    path = Path(source)
    file = path / RESULTS if path.is_dir() else path
    if not file.is_file():
        raise RunError(_absent(path))
    try:
        results = Results.load(file)
    except RunError as error:
        if "not JSON" in str(error):
            raise RunError(f"{error} (cut off, perhaps: run zoo-eval with the same --out again)") from error
        raise
    problem = _problem(results)
    if problem:
        raise RunError(f"{file}: damaged: {problem}")
    return Run(results, file, label or results.scores.model["name"])


def read_runs(given: Sequence[str | Path]) -> list[Run]:
    """Read runs, each given as a run folder, a results file, or a folder of such.

    Args:
        given: paths, ``NAME=PATH`` to call one by another name. A folder without ``results.json`` stands for
            the results files (any ``.json`` of the results schema) and the run folders right in it.

    Raises:
        RunError: as ``read_run``; or a folder holds no run.
        UsageError: nothing was given, or a name stands before a folder of several runs.
    """
    if not given:
        raise UsageError("no runs: give run folders (zoo-eval --out) or results files")
    runs: list[Run] = []
    for item in map(str, given):
        label, equals, rest = item.partition("=")
        path, label = (Path(item), "") if not equals or Path(item).exists() else (Path(rest), label)
        files = _files(path)
        if label and len(files) > 1:
            raise UsageError(f"{item}: the name {label!r} is for one run, and {path} holds {len(files)}")
        runs += [read_run(file, label) for file in files]
    return runs


def boards(runs: Sequence[Run], mixed: bool = False) -> list[Board]:
    """Sort runs into those that can be compared: one task, one dataset.

    Args:
        runs: of any tasks and datasets.
        mixed: also compare runs whose datasets share a name but not their cases, or whose figures are not
            defined alike; ``Board.mixed`` then says so.

    Raises:
        RunError: runs of a board differ in data or definition, and that was not asked for.
    """
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.task, run.dataset), []).append(run)
    return [Board(task, data, labelled(some), same(some, mixed)) for (task, data), some in groups.items()]


def comparison(runs: Sequence[Run], mixed: bool = False) -> Board:
    """The one board of runs that are all to be compared.

    Raises:
        RunError: they are of several tasks; or, unless ``mixed``, of different data or definitions.
    """
    if not runs:
        raise UsageError("no runs to compare")
    tasks = list(dict.fromkeys(run.task for run in runs))
    if len(tasks) > 1:
        raise RunError(
            f"runs of different tasks cannot be compared: {runs[0].source} is of {tasks[0]!r}, "
            f"{next(run.source for run in runs if run.task == tasks[1])} of {tasks[1]!r}"
        )
    data = " + ".join(dict.fromkeys(run.dataset for run in runs))
    return Board(tasks[0], data, labelled(runs), same(runs, mixed))


def same(runs: Sequence[Run], mixed: bool = False) -> tuple[str, ...]:
    """How runs of one task differ in data or definition, a line each; () where they do not.

    Raises:
        RunError: they differ, and ``mixed`` is False.
    """
    found = [line for run in runs[1:] for line in _differences(runs[0], run)]
    if found and not mixed:
        raise RunError(f"{found[0]}; compare them all the same with --mixed")
    return tuple(dict.fromkeys(found))


def labelled(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by unique labels: of those called alike also what tells them apart, version, runtime or folder."""
    out: dict[str, Run] = {}
    for run in runs:
        alike = [other for other in runs if other.label == run.label]
        label = run.label if len(alike) == 1 else f"{run.label} ({_apart(run, alike)})"
        while label in out:
            label += "'"
        out[label] = run
    return out


def _apart(run: Run, alike: Sequence[Run]) -> str:
    def versions(one: Run) -> str:
        return one.version

    def runtimes(one: Run) -> str:
        runtime = one.scores.runtime
        return f"{runtime.get('name', '')} {runtime.get('precision', '')}".strip()

    def both(one: Run) -> str:
        return f"{one.task}, {one.dataset}"

    for told in (lambda one: one.dataset, lambda one: one.task, both, versions, runtimes):
        if all(map(told, alike)) and len(set(map(told, alike))) == len(alike):
            return told(run)
    return run.source.parent.name if run.source.name == RESULTS else run.source.stem


def _differences(one: Run, other: Run) -> list[str]:
    out = []
    pair = f"{one.source} and {other.source}"
    if one.data_sha256 != other.data_sha256:
        out.append(f"{pair} are of different data: {_data_apart(one, other)}")
    for key in {**one.definition, **other.definition}:
        first, second = one.definition.get(key), other.definition.get(key)
        if first != second:
            out.append(f"{pair} define their figures differently: {key} is {first!r} and {second!r}")
    return out


def _data_apart(one: Run, other: Run) -> str:
    """The first case that tells their data apart."""
    first = {record.case: record.fingerprint for record in one.cases}
    second = {record.case: record.fingerprint for record in other.cases}
    for here, there, run in ((first, second, one), (second, first, other)):
        lacking = [case for case in here if case not in there]
        if lacking:
            return f"{len(first)} and {len(second)} cases; only {run.source} has {lacking[0]!r}"
    changed = [case for case in first if first[case] != second[case]]
    return f"the files of case {changed[0]!r} are not the same" if changed else "other hashes"


def _files(path: Path) -> list[Path]:
    """The results files that a path stands for."""
    if not path.is_dir() or (path / RESULTS).is_file():
        return [path]
    try:
        files = [file for file in sorted(path.glob("*.json")) if _is_results(file)]
        folders = [file.parent for file in sorted(path.glob(f"*/{RESULTS}"))]
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    if not files + folders:
        raise RunError(_absent(path))
    return files + folders


def _is_results(file: Path) -> bool:
    """Whether the beginning of a file says that it holds results, of any version, whole or not."""
    with file.open("rb") as stream:
        return b'"voxzoo.results/' in stream.read(200)


def _absent(path: Path) -> str:
    if not path.exists():
        return f"{path}: no such run folder or results file"
    if (path / "records.jsonl").is_file() or (path / "transcript.jsonl").is_file():
        return (
            f"{path}: a run that is not finished (no {RESULTS}): the same zoo-eval command goes on from there"
        )
    return f"{path}: holds no run (no {RESULTS} in it, and no results file of schema {SCHEMA})"


def _problem(results: Results) -> str:
    """What in the file is of the wrong kind, of all that is used here; "" if nothing."""
    for name, scores in {"the model": results.scores, **results.baselines}.items():
        if not isinstance(scores.model, dict) or not isinstance(scores.model.get("name"), str):
            return f"{name} has no name"
        for part in ("runtime", "counts", "times", "undefined", "empties"):
            if not isinstance(getattr(scores, part), dict):
                return f"{part} of {name}: expected an object"
        if not isinstance(scores.contract, dict | None):
            return f"contract of {name}: expected an object or null"
    data = results.dataset
    for key in ("name", "sha256", "kind", "licence", "source"):
        if not isinstance(data, dict) or not isinstance(data.get(key), str):
            return f"dataset.{key}: expected a text"
    for part in ("options", "environment", "session"):
        if not isinstance(getattr(results, part), dict):
            return f"{part}: expected an object"
    return (
        "" if isinstance(results.task, str) else f"task: expected a text, got {json.dumps(results.task)[:40]}"
    )


def _word(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "/".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _positive(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value >= 0 else None
