"""From a transcript to figures: the one way that every protocol, baseline and report takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...zoo.errors import UsageError
from ...zoo.tasks.answers import Parsed
from ...zoo.tasks.prompt import prompt_task
from .baselines import BASELINES, answer_as
from .center import score_center
from .grade import score_grade
from .items import Sheet, check, lay_out, parse_all
from .problems import Problem
from .protocols import DEFAULT, Protocol, named, side_by_side
from .references import References, read_references
from .regions import Memo, score_box, score_polygon
from .scored import Scored
from .transcripts import Transcript, read_transcript

SCORERS: dict[str, Callable[[Sheet, Protocol, Memo], Scored]] = {
    "grade": lambda sheet, protocol, _: score_grade(sheet, protocol),
    "center": lambda sheet, protocol, _: score_center(sheet, protocol),
    "box": score_box,
    "polygon": score_polygon,
}


@dataclass
class Reading:
    """A transcript of one task beside its references, parsed once per parser.

    Attributes:
        transcript: the answers that can be scored, and the problems of the rest.
        references: of the cohort.
        task: name of the task.
    """

    transcript: Transcript
    references: References
    task: str
    _parsed: dict[str, list[Parsed]] = field(default_factory=dict, repr=False)
    _sheets: dict[tuple[str, str], Sheet] = field(default_factory=dict, repr=False)
    _memo: Memo = field(default_factory=dict, repr=False)

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], task: str, references: References | str | os.PathLike[str]
    ) -> Reading:
        """Read a transcript and, where a folder is given, its references.

        Raises:
            RunError: a file cannot be read.
            CaseError: the transcript holds no answer to the task, or is of another cohort.
            UsageError: no such task.
        """
        if task not in SCORERS:
            raise UsageError(f"task {task!r}: expected one of {', '.join(SCORERS)}")
        known = references if isinstance(references, References) else read_references(references)
        return cls(check(read_transcript(path).of_task(task), known), known, task)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be used, of both."""
        return (*self.references.problems, *self.transcript.problems)

    def parsed(self, parser: str) -> list[Parsed]:
        """The answers as a parser reads them."""
        if parser not in self._parsed:
            task = prompt_task(self.task)
            self._parsed[parser] = parse_all(self.transcript.answers, task, parser, self.references.shape)
        return self._parsed[parser]

    def sheet(self, protocol: Protocol) -> Sheet:
        """The answers by patient, as a protocol wants them."""
        key = protocol.parser, protocol.slices
        if key not in self._sheets:
            parsed = self.parsed(protocol.parser)
            self._sheets[key] = lay_out(self.transcript.answers, parsed, self.references, protocol.slices)
        return self._sheets[key]

    def score(self, protocol: Protocol) -> Scored:
        """The figures under a protocol."""
        return SCORERS[self.task](self.sheet(protocol), protocol, self._memo)

    def baselines(self, protocol: Protocol, seed: int = 0) -> dict[str, Scored]:
        """Name -> what a trivial answer scores on the slices that the model is scored on."""
        sheet, score = self.sheet(protocol), SCORERS[self.task]
        return {
            name: score(answer_as(name, sheet, protocol, seed), protocol, self._memo)
            for name in BASELINES[self.task]
        }


@dataclass(frozen=True)
class TranscriptScores:
    """A transcript under the protocol asked for and, side by side, under all three.

    Attributes:
        task: its name.
        model: who answered.
        asked: the protocol asked for.
        protocols: name -> figures.
        problems: lines that could not be used.
    """

    task: str
    model: str
    asked: str
    protocols: dict[str, Scored]
    problems: tuple[Problem, ...]

    @property
    def scored(self) -> Scored:
        """Under the protocol asked for."""
        return self.protocols[self.asked]


def score_transcript(
    path: str | os.PathLike[str],
    task: str,
    references: References | str | os.PathLike[str],
    protocol: str = DEFAULT,
    *,
    options: Mapping[str, Any] | None = None,
) -> TranscriptScores:
    """Score recorded answers, without any model.

    Args:
        path: the transcript, in either format of :mod:`voxzoo.eval.language.transcripts`.
        task: "grade", "center", "box" or "polygon".
        references: of the cohort, or the folder that holds them.
        protocol: "paper", "answered" or "all".
        options: rules of that protocol to change; see :mod:`voxzoo.eval.language.protocols`.

    Returns:
        The figures under all three protocols, and the problems.

    Raises:
        RunError: a file cannot be read.
        CaseError: the transcript holds no answer to the task, or is of another cohort.
        UsageError: no such task, protocol or rule.
    """
    rules = side_by_side(protocol, task, options or {})
    reading = Reading.open(path, task, references)
    scored = {name: reading.score(rule) for name, rule in rules.items()}
    model = reading.transcript.answers[0].model
    return TranscriptScores(task, model, protocol, scored, reading.problems)


def score_with(reading: Reading, name: str = DEFAULT, **options: Any) -> Scored:
    """One protocol by name, with options: for those who want no other."""
    return reading.score(named(name, reading.task, **options))
