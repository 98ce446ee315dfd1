"""Scored sections: one row for each item and answer, one for each question that got none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...zoo.tasks.reason import EMPTY, TASK, Section
from .asking import Answer, Replies
from .lines import Item
from .questions import Asking, Survey
from .scoring.section import SectionScore, TextScorer, score_section
from .stability import Answered

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_REPLY = "no reply"
"""Beside the statuses of answers: the model failed, or there was no finding to ask with."""


@dataclass(frozen=True)
class Row:
    """One item in one answer.

    Attributes:
        item: the gold.
        asking: the question.
        answer: None where there is none.
        section: what the answer has for the item.
        score: 0 in everything where there is no answer.
        repairs: of the whole answer.
    """

    item: Item
    asking: Asking
    answer: Answer | None
    section: Section
    score: SectionScore
    repairs: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Of the section, or "no reply"."""
        return NO_REPLY if self.answer is None else self.score.status

    def line(self) -> dict[str, Any]:
        """For ``answers.jsonl``: what was asked, what came, what was wanted."""
        asking, finding = self.asking, "" if self.asking.prompt is None else self.asking.prompt.text
        return {
            "item": self.item.id,
            "condition": self.item.condition,
            "section": self.item.section,
            "arm": asking.arm,
            "image": asking.image,
            "prompt": asking.name,
            "repeat": asking.repeat,
            "asked": finding,
            "raw": "" if self.answer is None else self.answer.raw,
            "status": self.status,
            "text": self.section.text,
            "gold": self.item.reference,
            "repairs": list(self.repairs),
            **{name: value for name, value in self.score.record().items() if name != "status"},
        }

    def answered(self, model: str) -> Answered:
        """For the statistics of stability; images of one condition are items of their own there."""
        return Answered(
            model,
            row_id(self),
            self.asking.arm,
            self.asking.name,
            self.asking.repeat,
            self.score.hits,
            self.score.recall,
            self.section.text,
        )


def row_id(row: Row) -> str:
    """The item, and the image of its finding where there is one."""
    return f"{row.item.id}@{row.asking.image}" if row.asking.image else row.item.id


def scored(survey: Survey, replies: Replies, scorers: Sequence[str | TextScorer]) -> list[Row]:
    """Every row of a run, in the order of the questions.

    Args:
        survey: what was asked.
        replies: what came.
        scorers: beside the key points.

    Raises:
        UsageError, MissingDependencyError: as ``score_section``.
    """
    known: dict[tuple[str, str, str], SectionScore] = {}
    out: list[Row] = []
    for topic in survey.benchmark.topics:
        for asking in survey.of_topic(topic):
            out += _of_answer(asking, replies.find(asking), scorers, known)
    return out


def _of_answer(
    asking: Asking,
    answer: Answer | None,
    scorers: Sequence[str | TextScorer],
    known: dict[tuple[str, str, str], SectionScore],
) -> Iterable[Row]:
    read = TASK.parse(
        "" if answer is None else answer.raw,
        asking.topic.sections,
        None if answer is None else answer.finished,
    )
    for item in asking.topic.items:
        section = Section("", EMPTY) if answer is None else read.sections[item.section]
        key = (item.id, section.status, section.text)  # the same answer again is scored once
        if key not in known:
            known[key] = score_section(section.text, item, scorers, status=section.status)
        yield Row(item, asking, answer, section, known[key], read.repairs if answer else ())


def items_record(items: Iterable[Item]) -> dict[str, Mapping[str, Any]]:
    """The gold as results keep it: what cards show beside the answers."""
    return {
        item.id: {
            "condition": item.condition,
            "section": item.section,
            "key_points": [point.text for point in item.key_points],
            "forbidden": [point.text for point in item.forbidden],
            "gold": item.gold,
            "source": item.source,
            "verified_by": item.verified_by,
        }
        for item in items
    }
