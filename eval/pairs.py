"""Runs beside each other on the same patients: which can be compared, by which figure, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..zoo.errors import InputError, UsageError
from . import jsonnum, stats
from .language.compare import Comparison, compare
from .results import Results, Scores

FIGURES = {"grade": "correct", "classify": "correct", "center": "in_box"}
REASONING = ("recall_predicted", "recall_true")
"""Of a language model's reasoning: the arm nearest to practice that it was asked in."""
OVERLAP = ("segment", "box", "polygon")
COMPANIONS = {"grade": ("classify",), "box": ("segment",), "polygon": ("segment",)}
"""Prompt task -> tasks of other models that can stand beside it."""


@dataclass(frozen=True)
class Compared:
    """A run that is compared.

    Attributes:
        name: in tables.
        source: the file or folder it was read from.
        results: what it reached.
    """

    name: str
    source: str
    results: Results


@dataclass(frozen=True)
class Pair:
    """Two runs, or a run and a trivial answer, by one figure.

    Attributes:
        first, second: their names.
        figure: as named in the one and, after a slash, in the other where that differs.
        found: the comparison; None where they share no patient.
    """

    first: str
    second: str
    figure: str
    found: Comparison | None


def read_runs(given: Sequence[str]) -> list[Compared]:
    """Results files or run folders, each with a name before it if wanted: ``NAME=RUN``.

    A run without a name is called by its model; of several of one model, also by the last part of its path.

    Raises:
        RunError: one cannot be read.
        UsageError: two of one name.
    """
    loaded = []
    for text in given:
        name, equals, path = text.partition("=")
        if not equals or Path(text).exists():
            name, path = "", text
        loaded.append((name, path, Results.load(path)))
    models = [results.scores.model["name"] for _, _, results in loaded]
    runs = [
        Compared(name or (model if models.count(model) == 1 else f"{model} ({_last(path)})"), path, results)
        for (name, path, results), model in zip(loaded, models, strict=True)
    ]
    names = [run.name for run in runs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"two runs are called {twice[0]!r}; give names: NAME=RUN")
    return runs


def _last(path: str) -> str:
    found = Path(path)
    return found.parent.name if found.name == "results.json" else found.name


def pairs_of(
    runs: Sequence[Compared],
    protocol: str,
    metric: str | None = None,
    trivial: bool = False,
    seed: int = 0,
) -> list[Pair]:
    """Every pair of runs that were asked comparable things, by their main figure.

    Args:
        runs: to compare.
        protocol: of language models: whose figures per patient.
        metric: another figure than the main one; runs without it are left out.
        trivial: also each run of a language model beside the trivial answers to the same slices.
        seed: of permutations and bootstrap.

    Raises:
        UsageError: no run has the figure, or no trivial answers are on file under the protocol.
    """
    columns = {run.name: column(run, protocol, metric) for run in runs}
    if metric is not None and runs and not any(columns.values()):
        raise UsageError(f"metric: no run has {metric!r}; {runs[0].name} has {', '.join(_known(runs[0]))}")
    pairs = []
    for i, one in enumerate(runs):
        others = [other for other in runs[i + 1 :] if comparable(one, other)]
        pairs += [_pair(one.name, columns[one.name], o.name, columns[o.name], seed) for o in others]
        if trivial and one.results.task not in ("segment", "classify"):
            pairs += [
                _pair(one.name, columns[one.name], name, values, seed)
                for name, values in _trivial(one, protocol, metric).items()
            ]
    return [pair for pair in pairs if pair is not None]


Column = tuple[str, dict[str, float]]


def _pair(a: str, first: Column | None, b: str, second: Column | None, seed: int) -> Pair | None:
    if first is None or second is None:
        return None
    figure = first[0] if first[0] == second[0] else f"{first[0]} / {second[0]}"
    try:
        return Pair(a, b, figure, compare(first[1], second[1], seed=seed))
    except InputError:  # they share no patient
        return Pair(a, b, figure, None)


def comparable(one: Compared, other: Compared) -> bool:
    """Whether two runs were asked the same, or a language model what a CNN does by other means."""
    tasks = one.results.task, other.results.task
    if "classify" in tasks and "grade" in tasks:
        network = one if tasks[0] == "classify" else other
        return network.results.scores.details.get("target") == "grade"
    return tasks[0] == tasks[1] or any(a in COMPANIONS.get(b, ()) for a, b in (tasks, tasks[::-1]))


def column(run: Compared, protocol: str, metric: str | None = None) -> Column | None:
    """(figure, patient -> value) of a run; None where it has no such figure."""
    details = run.results.scores.details
    if "scoring" not in details:
        return _of_records(run.results.scores, _main(run, metric))
    patients = details["scoring"][protocol].get("patients")
    if patients is None:
        raise UsageError(f"{run.source}: written before figures per patient were kept; score it again")
    name = _main(run, metric)
    values = {p: jsonnum.decode(row[name]) for p, row in patients.items() if name in row}
    return (name, values) if values else None


def _main(run: Compared, metric: str | None) -> str:
    task = run.results.task
    known = run.results.aggregate
    default = "dice" if task in OVERLAP else next(iter(known), "")
    if task == "reason":
        default = next((name for name in REASONING if name in known), default)
    return metric or FIGURES.get(task, default)


def _known(run: Compared) -> list[str]:
    return list(dict.fromkeys(name for record in run.results.cases for name in record.metrics))


def _of_records(scores: Scores, metric: str) -> Column | None:
    """Mean over the cases of each patient."""
    taken = [record for record in scores.cases if metric in record.metrics]
    names = [record.patient for record in taken]
    means = stats.by_patient(names, [record.metrics[metric] for record in taken])
    return (metric, dict(zip(dict.fromkeys(names), means.tolist(), strict=True))) if taken else None


def _trivial(run: Compared, protocol: str, metric: str | None) -> dict[str, Column]:
    asked = run.results.options.get("protocol")
    if asked != protocol:
        raise UsageError(
            f"{run.source}: its trivial answers are on file under the protocol {asked}; "
            f"score it with --protocol {protocol}, or compare with --protocol {asked}"
        )
    name = _main(run, metric)
    found = {n.removeprefix("baseline:"): _of_records(s, name) for n, s in run.results.baselines.items()}
    return {f"trivial: {n}": values for n, values in found.items() if values is not None}
