"""From a transcript to figures: the one way that every protocol, baseline and report takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...zoo.tasks.answers import Parsed
from ...zoo.tasks.prompt import PROMPT_TASKS, PromptTask, prompt_task
from .baselines import answer_as, names_of
from .center import score_center
from .grade import score_grade
from .items import Sheet, check, lay_out, parse_all
from .own import HOOK, drawn, restate, score_by_task, score_class, score_point
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
    "class": lambda sheet, protocol, _: score_class(sheet, protocol),
    "point": lambda sheet, protocol, _: score_point(sheet, protocol),
}
"""Task, or kind of a user's own task -> its figures."""


@dataclass
class Reading:
    """A transcript of one task beside its references, parsed once per parser.

    Attributes:
        transcript: the answers that can be scored, and the problems of the rest.
        references: of the cohort.
        task: as it was asked; its name, or the path of a user's own, will do.
    """

    transcript: Transcript
    references: References
    task: str | PromptTask
    _parsed: dict[str, list[Parsed]] = field(default_factory=dict, repr=False)
    _sheets: dict[tuple[str, str], Sheet] = field(default_factory=dict, repr=False)
    _memo: Memo = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.asked: PromptTask = prompt_task(self.task) if isinstance(self.task, str) else self.task
        self._kind, self._known, self._answers = self.asked.name, self.references, self.transcript.answers
        if self.asked.name not in PROMPT_TASKS or hasattr(self.asked, HOOK):
            self._kind, self._known = restate(self.asked, self.references, self._answers)
            self._answers = tuple(replace(answer, task=self._kind) for answer in self._answers)

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
        asked = prompt_task(task)
        known = references if isinstance(references, References) else read_references(references)
        return cls(check(read_transcript(path).of_task(asked.name), known), known, asked)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What could not be used, of both."""
        return (*self.references.problems, *self.transcript.problems)

    def parsed(self, parser: str) -> list[Parsed]:
        """The answers as a parser reads them."""
        if parser not in self._parsed:
            found = parse_all(self.transcript.answers, self.asked, parser, self.references.shape)
            self._parsed[parser] = [drawn(one, self._kind) for one in found]
        return self._parsed[parser]

    def sheet(self, protocol: Protocol) -> Sheet:
        """The answers by patient, as a protocol wants them."""
        key = protocol.parser, protocol.slices
        if key not in self._sheets:
            parsed = self.parsed(protocol.parser)
            self._sheets[key] = lay_out(self._answers, parsed, self._known, protocol.slices)
        return self._sheets[key]

    def score(self, protocol: Protocol) -> Scored:
        """The figures under a protocol."""
        return self._score(self.sheet(protocol), protocol)

    def baselines(self, protocol: Protocol, seed: int = 0) -> dict[str, Scored]:
        """Name -> what a trivial answer scores on the slices that the model is scored on."""
        rules = replace(protocol, assumed={})  # what is assumed of the model says nothing about these
        sheet = self.sheet(protocol)
        names = names_of(self._kind)
        return {name: self._score(answer_as(name, sheet, rules, seed), rules) for name in names}

    def _score(self, sheet: Sheet, protocol: Protocol) -> Scored:
        if self._kind == HOOK:
            return score_by_task(self.asked, sheet, protocol)
        return SCORERS[self._kind](sheet, protocol, self._memo)


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
        task: "grade", "center", "box", "polygon", or the path of a user's own.
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
    reading = Reading.open(path, task, references)
    rules = side_by_side(protocol, reading.asked.name, options or {})
    scored = {name: reading.score(rule) for name, rule in rules.items()}
    model = reading.transcript.answers[0].model
    return TranscriptScores(reading.asked.name, model, protocol, scored, reading.problems)


def score_with(reading: Reading, name: str = DEFAULT, **options: Any) -> Scored:
    """One protocol by name, with options: for those who want no other."""
    return reading.score(named(name, reading.asked.name, **options))
