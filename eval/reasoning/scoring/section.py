"""The scores of one section of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ....zoo.errors import UsageError
from .keypoints import find
from .lexical import chrf, rouge_l
from .words import check_language, sentences_of

if TYPE_CHECKING:
    from ..benchmark import Item

__all__ = ["LEXICAL", "SectionScore", "TextScorer", "score_section"]

LEXICAL: Mapping[str, Callable[[str, str], float]] = {"rouge_l": rouge_l, "chrf": chrf}
"""Scores by libraries: name -> of (answer, gold)."""
SILENT = ("empty", "refused", "malformed")
"""Statuses of answers that answer nothing, whatever they say."""


class TextScorer(Protocol):
    """A model that says how far one text bears out another.

    Attributes:
        name: in results.
        content_hash: changes when its scores may.
    """

    name: str
    content_hash: str

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """For each (text, claim), how far the text bears the claim out; higher is more."""
        ...


@dataclass(frozen=True)
class SectionScore:
    """What one section of an answer is worth.

    Attributes:
        status: how the answer ended: "answered", "empty", "cut", "refused" or "malformed".
        hits: per key point, whether it is stated.
        denied: per key point, whether it is denied somewhere.
        forbidden: per forbidden claim, whether it is stated.
        recall, precision: 0 to 1, see ``keypoints.Found``.
        sentences: that say something.
        rouge_l, chrf: 0 to 1; None where not asked for.
        support: name of a model -> per key point, the most that any sentence bears it out; 0 of no sentence.
    """

    status: str
    hits: tuple[bool, ...]
    denied: tuple[bool, ...]
    forbidden: tuple[bool, ...]
    recall: float
    precision: float
    sentences: int
    rouge_l: float | None = None
    chrf: float | None = None
    support: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def contradictions(self) -> int:
        """How many key points are denied."""
        return sum(self.denied)

    def metrics(self) -> dict[str, float]:
        """Its figures by name; those not asked for are not in it.

        ``contradictions`` and ``forbidden`` are counts; ``support_<model>`` is the mean over key points.
        """
        out = {
            "recall": self.recall,
            "precision": self.precision,
            "contradictions": float(self.contradictions),
            "forbidden": float(sum(self.forbidden)),
        }
        named = {"rouge_l": self.rouge_l, "chrf": self.chrf}
        out.update({name: value for name, value in named.items() if value is not None})
        out.update({f"support_{name}": sum(values) / len(values) for name, values in self.support.items()})
        return out

    def record(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        return {
            "status": self.status,
            "hits": list(self.hits),
            "denied": list(self.denied),
            "forbidden": list(self.forbidden),
            "sentences": self.sentences,
            "support": {name: list(values) for name, values in self.support.items()},
            "metrics": self.metrics(),
        }


def score_section(
    answer: str,
    item: Item,
    scorers: Sequence[str | TextScorer] = tuple(LEXICAL),
    *,
    status: str = "answered",
) -> SectionScore:
    """Score the text of one section.

    A section without an answer scores 0 in everything, it is never left out. Of an answer that was cut, what
    is there is scored.

    Args:
        answer: the section's text, "" if there is none.
        item: its gold.
        scorers: names of ``LEXICAL``, and models. Key points are looked for in any case.
        status: how the answer ended; an answer without a word that ended as "answered" is "empty".

    Raises:
        UsageError: an unknown scorer, or a language that no rules are written for.
        InputError: an item without key points.
        MissingDependencyError: the library of a scorer is not installed.

    Example:
        >>> from voxzoo.eval.reasoning.benchmark import Item, KeyPoint
        >>> item = Item("1", "gastritis", "lifestyle", (KeyPoint("k1", "no alcohol"), KeyPoint("k2", "rest")))
        >>> found = score_section("Avoid alcohol.", item, ())
        >>> found.hits, found.recall, found.contradictions
        ((True, False), 0.5, 0)
    """
    check_language(item.language)
    _check(scorers)
    text = "" if status in SILENT else answer
    sentences = sentences_of(text)
    found = find(text, item)
    asked = {name: LEXICAL[name](text, item.reference) for name in scorers if isinstance(name, str)}
    return SectionScore(
        status="empty" if status == "answered" and not sentences else status,
        hits=found.hits,
        denied=found.denied,
        forbidden=found.forbidden,
        recall=found.recall,
        precision=found.precision,
        sentences=found.sentences,
        rouge_l=asked.get("rouge_l"),
        chrf=asked.get("chrf"),
        support={
            model.name: _support(model, sentences, item) for model in scorers if not isinstance(model, str)
        },
    )


def _check(scorers: Sequence[str | TextScorer]) -> None:
    for name in scorers:
        if isinstance(name, str) and name not in LEXICAL:
            raise UsageError(
                f"scorer: got {name!r}, expected one of {', '.join(LEXICAL)}, or an opened model"
            )


def _support(model: TextScorer, sentences: Sequence[str], item: Item) -> tuple[float, ...]:
    """Per key point, the best of its text over the sentences, asked in one batch."""
    if not sentences:
        return (0.0,) * len(item.key_points)
    pairs = [(sentence, point.text) for point in item.key_points for sentence in sentences]
    values = model.score(pairs)
    n = len(sentences)
    return tuple(max(values[i : i + n]) for i in range(0, len(values), n))
