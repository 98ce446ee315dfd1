"""One model on one benchmark: ask, score, write. What several models share is in ``settling``."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.answerer import Answerer
from ...zoo.errors import RunError
from ...zoo.prompt_contract import PromptContract
from ...zoo.tasks.reason import NAME
from .. import files, tables
from ..energy.items import meter_of
from ..jsonlines import check_same_run
from ..language.assembling import asked_record
from ..language.run import Asked, Cohort, Work, runtime
from ..records import cache_key
from ..results import Results
from .asking import FILE, Replies, ask_topic
from .assembling import results_of
from .questions import Survey
from .rows import Row, scored

if TYPE_CHECKING:
    from ..options import Options
    from ..runner import Watcher
    from .scoring.section import TextScorer

WRITTEN = ("results.json", "cases.csv", "answers.jsonl", FILE)


@dataclass(frozen=True)
class Outcome:
    """What a finished run leaves: its results, and the rows that comparisons need."""

    results: Results
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class ReasonRun:
    """A run that is ready to start; what the report and ``zoo-eval`` know of it.

    Attributes:
        answerer: who is asked.
        model: the same, as reports name it.
        survey: what is asked.
        scorers: beside the key points.
        options: of the run.
    """

    answerer: Answerer
    model: Asked
    survey: Survey
    scorers: tuple[str | TextScorer, ...]
    options: Options

    @classmethod
    def of(
        cls,
        answerer: Answerer,
        survey: Survey,
        scorers: Sequence[str | TextScorer],
        options: Options,
        name: str | None = None,
    ) -> ReasonRun:
        """A run of a model, by the name that it has or is given."""
        ran = getattr(answerer, "runtime", None) or runtime("live")
        told = getattr(answerer, "reference", "") or f"asked live, {answerer.content_hash[:12]}"
        settings = dict(getattr(answerer, "settings", {}))
        contract = getattr(answerer, "contract", None)
        known = contract if isinstance(contract, PromptContract) else None
        asked = Asked(name or answerer.name, told, answerer.content_hash, ran, settings, known)
        return cls(answerer, asked, survey, tuple(scorers), options)

    @property
    def name(self) -> str:
        """Of the model."""
        return self.model.name

    @property
    def dataset(self) -> Cohort:
        """The benchmark, as reports name it: its topics are what is asked about."""
        benchmark = self.survey.benchmark
        topics = [topic.id for topic in benchmark.topics]
        source = benchmark.source or str(benchmark.path)
        return Cohort(benchmark.name, topics, "benchmark", source, benchmark.licence or "not stated")

    @property
    def task(self) -> Work:
        """What is asked, as reports name it."""
        survey, benchmark = self.survey, self.survey.benchmark
        times = f"{survey.repeats} time{'s' if survey.repeats > 1 else ''} each"
        verified = benchmark.verified or "NONE"
        lines = [
            f"asked    {NAME}: arms {', '.join(survey.arms)}; prompts {', '.join(survey.prompts)}; {times}",
            f"gold     {len(benchmark.items)} items, {verified} verified by an expert",
        ]
        if survey.classifier:
            lines.append(f"finding  {survey.classifier['name']} on {survey.classifier['images']} images")
        return Work(NAME, tuple(lines))

    def identity(self) -> dict[str, Any]:
        """What a run folder belongs to. Arms, paraphrases, repeats may grow: they are not part of it."""
        survey = self.survey
        plain: dict[str, Any] = {
            "task": NAME,
            "name": self.name,
            "model": self.model.content_hash,
            "settings": self.model.settings,
            "benchmark": survey.benchmark.sha256,
            "items": cache_key({"ids": [item.id for item in survey.benchmark.items]})[:16],
            "new_tokens": survey.tokens,
        }
        if survey.classifier:
            taken = {name: survey.classifier[name] for name in ("content_sha256", "labels")}
            plain["classifier"] = cache_key(taken)[:16]
        return plain

    def default_folder(self) -> Path:
        """``runs/<model>-<benchmark>-<8 digits>``: the same command finds its own folder again."""
        words = [slug(self.name), slug(self.survey.benchmark.name)]
        return Path("runs") / "-".join([*words, cache_key(self.identity())[:8]])

    def execute(self, folder: Path | None, watcher: Watcher) -> Outcome:
        """Answers, scores, files.

        Raises:
            RunError: the folder cannot be written or belongs to another run.
        """
        with tempfile.TemporaryDirectory() as spare:
            if folder is not None:
                files.prepare_folder(folder)
                self._clear_or_check(folder)
            return self._execute(folder, Path(spare), watcher)

    def _execute(self, folder: Path | None, spare: Path, watcher: Watcher) -> Outcome:
        started, wall, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()
        with Replies(folder or spare, self.identity()) as replies:
            watcher.started(self, folder)  # type: ignore[arg-type]
            session, problems = self._ask(replies, watcher)
            rows = scored(self.survey, replies, self.scorers)
        session = {
            "started": started.isoformat(timespec="seconds"),
            "wall_seconds": round(time.perf_counter() - wall, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            **session,
        }
        results = replace(results_of(self, rows, problems), session=session, folder=folder)
        if folder is not None:
            self._write(results, rows, folder)
        return Outcome(results, tuple(rows))

    def _ask(self, replies: Replies, watcher: Watcher) -> tuple[dict[str, Any], list[str]]:
        """All topics; a question without an answer is told, scored as one, and asked again next time."""
        problems: list[str] = []
        computed = 0
        meter = meter_of(self.answerer)
        topics = self.survey.benchmark.topics
        with meter:
            for topic in topics:
                told = len(problems)
                fresh, reused = ask_topic(self.answerer, self.survey, topic, replies, meter, problems.append)
                lost = problems[told:]
                computed += bool(fresh or lost)
                record = asked_record(self.name, topic.id, topic.condition, fresh, reused, lost)
                watcher.finished([record], reused=reused > 0 and not fresh and not lost)
        session = {
            "cases_computed": computed,
            "cases_reused": len(topics) - computed,
            "energy": meter.session(),
        }
        return session, problems

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

    def _write(self, results: Results, rows: Sequence[Row], folder: Path) -> None:
        text = "".join(
            json.dumps(row.line(), ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows
        )
        files.atomic_write(folder / "answers.jsonl", text.encode())
        files.atomic_write(folder / "cases.csv", tables.to_csv(results.scores).encode())
        if self.options.parquet:
            files.atomic_write(folder / "cases.parquet", tables.to_parquet(results.scores))
        results.save(folder / "results.json")


def slug(name: str) -> str:
    """A name as part of a path.

    Example:
        >>> slug("http://host/v1 model")
        'http-host-v1-model'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "model"
