"""From the rows of a run to its results file; ``docs/reasoning.md`` names the fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...zoo.tasks.reason import NAME, TASK
from .. import environment
from ..assemble import contract_facts
from ..energy.items import Spent, summary
from ..language.usage import usage
from ..records import SCORED, CaseRecord
from ..results import Results, Scores
from .asking import Answer
from .figures import Sheet, aggregates, facts_of, records_of, status_counts
from .questions import PREDICTED
from .rows import Row, items_record, row_id
from .stability import stability_record

if TYPE_CHECKING:
    from .run import ReasonRun
    from .scoring.section import TextScorer


def results_of(run: ReasonRun, rows: Sequence[Row], problems: Sequence[str]) -> Results:
    """The results of a run.

    Args:
        run: who was asked what.
        rows: scored, in the order of the questions.
        problems: a line for each question without an answer.
    """
    survey, benchmark, seed = run.survey, run.survey.benchmark, run.options.seed
    sheet = Sheet.of(benchmark.items, survey.arms, rows)
    records = records_of(run.name, sheet)
    scores = Scores(
        model={
            "name": run.name,
            "found": run.model.reference,
            "content_sha256": run.model.content_hash,
        },
        contract=contract_facts(run.model),
        runtime=vars(run.model.runtime),
        regions={},
        counts=_counts(records),
        aggregate=aggregates(sheet, records, seed),
        undefined={},
        empties={},
        times={"cases": 0},
        cases=records,
        details=_details(run, rows, problems),
    )
    return Results(
        scores=scores,
        task=NAME,
        dataset={
            "name": benchmark.name,
            "kind": "benchmark",
            "licence": benchmark.licence or "not stated",
            "source": benchmark.source,
            "sha256": benchmark.sha256,
        },
        options={
            "arms": list(survey.arms),
            "prompts": [TASK.prompt(name).name for name in survey.prompts],
            "repeats": survey.repeats,
            "new_tokens": survey.tokens,
            "scorers": [_scorer(one) for one in run.scorers],
            **run.model.settings,
            "seed": seed,
        },
        code_version=environment.code_version(),
        environment=environment.describe(),
    )


def _details(run: ReasonRun, rows: Sequence[Row], problems: Sequence[str]) -> dict[str, Any]:
    survey, benchmark = run.survey, run.survey.benchmark
    units = {row_id(row): row.item.condition for row in rows}
    sections = {row_id(row): row.item.section for row in rows}
    answered = [row.answered(run.name) for row in rows]
    details: dict[str, Any] = {
        "arms": list(survey.arms),
        "sections": [name for name in benchmark.sections if name in set(sections.values())],
        "benchmark": {
            "about": benchmark.about,
            "language": benchmark.language,
            "labels": list(benchmark.labels),
            "items": len(benchmark.items),
            "verified": benchmark.verified,
        },
        "gold": items_record(benchmark.items),
        "statuses": status_counts(rows),
        "answers": facts_of(rows),
        "stability": stability_record(answered, sections, units=units, seed=run.options.seed),
        "problems": list(problems),
        "identity": run.identity(),
    }
    if survey.classifier and PREDICTED in survey.arms:
        details["classifier"] = dict(survey.classifier)
    answers = _unique(rows)
    seconds = [answer.seconds for answer in answers if answer.seconds is not None]
    if seconds:
        details["seconds_per_answer"] = round(sum(seconds) / len(seconds), 6)
    used = usage(answers, run.options.price_in, run.options.price_out)
    if used:
        details["usage"] = used
    energy = summary(_spent(answers), run.options.electricity)
    if energy:
        details["energy"] = {**energy, "unit": "answer"}
    return details


def _scorer(scorer: str | TextScorer) -> str:
    return scorer if isinstance(scorer, str) else f"{scorer.name} ({scorer.content_hash[:12]})"


def _counts(records: Sequence[CaseRecord]) -> dict[str, int]:
    done = sum(record.status == SCORED for record in records)
    return {
        "cases": len(records),
        "patients": len({record.patient for record in records}),
        "scored": done,
        "failed": len(records) - done,
        "no_reference": 0,
        "axial_slices": 0,
    }


def _unique(rows: Sequence[Row]) -> list[Answer]:
    """Each answer once, whatever items it is scored for."""
    found: Mapping[int, Answer] = {id(row.answer): row.answer for row in rows if row.answer is not None}
    return list(found.values())


def _spent(answers: Sequence[Answer]) -> Iterator[Spent]:
    for answer in answers:
        yield Spent(answer.energy, "/".join(map(str, answer.key)), 0)
