"""Several models on one benchmark: a run each, then one comparison of those that came to an end."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.errors import RunError, UsageError, VoxzooError
from .. import files, jsonnum
from ..records import cache_key
from ..results import aggregate_to_dict
from .models_file import Entry
from .questions import PREDICTED, TRUE
from .ranks import paired_tests, rank_stability
from .rows import Row, row_id
from .run import Outcome, ReasonRun, slug
from .settling import open_model

if TYPE_CHECKING:
    from ...zoo.answerer import Answerer
    from ..options import Options
    from ..runner import Watcher
    from .questions import Survey
    from .scoring.section import TextScorer

SCHEMA = "voxzoo.reasoning-comparison/1"
RANKED_BY = "recall"


@dataclass(frozen=True)
class Finished:
    """One model of a comparison.

    Attributes:
        name: in tables.
        outcome: None where it failed.
        reason: why it failed, "" otherwise.
        folder: of its run; None where nothing was kept.
    """

    name: str
    outcome: Outcome | None
    reason: str = ""
    folder: Path | None = None


@dataclass(frozen=True)
class Comparison:
    """Several models on one benchmark.

    Attributes:
        models: in the order in which they were given.
        record: the comparison, JSON-ready; ``docs/reasoning.md`` names its fields.
    """

    models: tuple[Finished, ...]
    record: dict[str, Any]

    @property
    def failures(self) -> tuple[Finished, ...]:
        """The models without a result."""
        return tuple(model for model in self.models if model.outcome is None)

    def to_json(self) -> str:
        """The text of ``comparison.json``."""
        return json.dumps(self.record, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def default_folder(entries: Sequence[Entry], survey: Survey) -> Path:
    """``runs/reason-<benchmark>-<8 digits>``: the same command finds its own folder again."""
    parts = {
        "models": [[entry.called, dict(entry.options)] for entry in entries],
        "benchmark": survey.benchmark.sha256,
    }
    return Path("runs") / f"reason-{slug(survey.benchmark.name)}-{cache_key(parts)[:8]}"


def run_all(
    entries: Sequence[Entry],
    survey: Survey,
    scorers: Sequence[str | TextScorer],
    options: Options,
    folder: Path | None,
    watcher: Watcher,
    judge: Answerer | None = None,
) -> Comparison:
    """Run every model, one after the other, and compare those that came to an end.

    Args:
        entries: the models.
        survey: what they are asked.
        scorers: beside the key points.
        options: of every run; an entry may have its own.
        folder: a run folder for each model is made in it.
        watcher: is told how each run goes on.
        judge: compares the answers of two models.

    Raises:
        RunError: a folder cannot be written or belongs to another run.
        UsageError: no model could be run.
    """
    finished: list[Finished] = []
    for entry in entries:
        taken = {model.name for model in finished}
        finished.append(_finish(entry, taken, survey, scorers, options, folder, watcher))
    done = [model for model in finished if model.outcome is not None]
    if not done:
        raise UsageError(f"no model could be run; {finished[0].name}: {finished[0].reason}")
    record = _record(finished, survey, options, judge)
    comparison = Comparison(tuple(finished), record)
    if folder is not None:
        _keep_verdicts(finished, record.get("judge", []))
        files.atomic_write(folder / "comparison.json", comparison.to_json().encode())
    return comparison


def _finish(
    entry: Entry,
    taken: set[str],
    survey: Survey,
    scorers: Sequence[str | TextScorer],
    options: Options,
    folder: Path | None,
    watcher: Watcher,
) -> Finished:
    """One model; what is wrong with it is kept apart from the others."""
    name = entry.called
    try:
        own = entry.of(options)
        model = open_model(entry.model, own)
        name = _free(entry.name or model.name, taken)
        run = ReasonRun.of(model, survey, scorers, own, name)
        place = None if folder is None else folder / slug(name)
        outcome = run.execute(place, watcher)
    except RunError:
        raise
    except VoxzooError as error:
        return Finished(_free(name, taken), None, " ".join(str(error).split()))
    return Finished(name, outcome, folder=place)


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where another model has it."""
    slugs = {slug(other) for other in taken}
    numbered = (f"{name} ({n})" for n in itertools.count(2))
    return next(one for one in (name, *itertools.islice(numbered, 1000)) if slug(one) not in slugs)


def _record(
    finished: Sequence[Finished], survey: Survey, options: Options, judge: Answerer | None
) -> dict[str, Any]:
    arms = [arm for arm in survey.arms if arm != PREDICTED or survey.looks]
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "benchmark": {
            "name": survey.benchmark.name,
            "sha256": survey.benchmark.sha256,
            "items": len(survey.benchmark.items),
            "conditions": len({item.condition for item in survey.benchmark.items}),
            "verified": survey.benchmark.verified,
        },
        "prompts": list(survey.prompts),
        "repeats": survey.repeats,
        "seed": options.seed,
        "models": [_model(model) for model in finished],
        "arms": {arm: _arm(arm, finished, options.seed) for arm in arms},
    }
    if judge is not None:
        record["judge"] = _judged(judge, finished, survey, options.seed)
    return record


def _model(model: Finished) -> dict[str, Any]:
    folder = None if model.folder is None else model.folder.name
    if model.outcome is None:
        return {"name": model.name, "status": "failed", "reason": model.reason, "folder": folder}
    scores = model.outcome.results.scores
    return {
        "name": model.name,
        "status": "done",
        "reason": "",
        "folder": folder,
        "content_sha256": scores.model["content_sha256"],
        "no_reply": scores.details["answers"]["no_reply"],
    }


def _arm(arm: str, finished: Sequence[Finished], seed: int) -> dict[str, Any]:
    """Ranking, paired tests and stability of the ranking in one arm."""
    rows = [
        (model.name, row)
        for model in finished
        if model.outcome is not None
        for row in model.outcome.rows
        if row.asking.arm == arm
    ]
    units = {row_id(row): row.item.condition for _, row in rows}
    answered = [row.answered(name) for name, row in rows]
    pairs, reason = paired_tests(answered, units=units, seed=seed)
    return {
        "ranking": _ranking(arm, finished),
        "pairs": [pair.record() for pair in pairs],
        "no_pairs": reason,
        "ranks": rank_stability(answered, units=units, seed=seed).record(),
    }


def _ranking(arm: str, finished: Sequence[Finished]) -> list[dict[str, Any]]:
    """Models by recall, the best first; equal ones in the order in which they were given."""
    found = [
        {"name": model.name, **aggregate_to_dict(model.outcome.results.aggregate[f"{RANKED_BY}_{arm}"])}
        for model in finished
        if model.outcome is not None and f"{RANKED_BY}_{arm}" in model.outcome.results.aggregate
    ]
    return sorted(found, key=lambda one: -jsonnum.decode(one["mean"]))


def _judged(judge: Answerer, finished: Sequence[Finished], survey: Survey, seed: int) -> list[dict[str, Any]]:
    """Each pair of models by a judge: first paraphrase, first repeat, the arm nearest to practice."""
    from .scoring.judge import Duel, judge_pairs

    arm = next(arm for arm in (PREDICTED, TRUE, *survey.arms) if arm in survey.arms)
    out = []
    done = [model for model in finished if model.outcome is not None]
    for first, second in itertools.combinations(done, 2):
        a, b = _texts(first, arm), _texts(second, arm)
        shared = [key for key in a if key in b]
        duels = [Duel(a[key].item, a[key].section.text, b[key].section.text) for key in shared]
        report = judge_pairs(judge, duels, [a[key].item.condition for key in shared], seed=seed)
        out.append({"first": first.name, "second": second.name, "arm": arm, **report.record()})
    return out


def _keep_verdicts(finished: Sequence[Finished], verdicts: Sequence[dict[str, Any]]) -> None:
    """Into each results file what a judge said of its model, for cards, plots and site read nothing else."""
    for model in finished:
        mine = [one for one in verdicts if model.name in (one["first"], one["second"])]
        if model.outcome is not None and model.folder is not None and mine:
            results = model.outcome.results
            scores = replace(results.scores, details={**results.scores.details, "judge": mine})
            replace(results, scores=scores).save(model.folder / "results.json")


def _texts(model: Finished, arm: str) -> dict[str, Row]:
    rows = () if model.outcome is None else model.outcome.rows
    mine = [row for row in rows if row.asking.arm == arm and row.asking.repeat == 0]
    first = mine[0].asking.name if mine else ""
    return {row_id(row): row for row in mine if row.asking.name == first}
