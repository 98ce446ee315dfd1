"""What language models answered about an item of a benchmark, beside its gold: from ``answers.jsonl``.

The answers, the questions and the gold are untrusted: whatever is of another kind than it should be is left
out and counted, and every text is escaped where it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...eval.language.problems import Problem, json_lines
from ...eval.views.common import number
from ...zoo.errors import RunError
from ..figures import ARMS
from ..reasoning import STATUSES
from ..runs import Run

SHOWN = 12
"""Answers about an item, per model."""
LONGEST = 1500
"""Characters of a text; the rest stays in the run folder."""
HIT, DENIED, MISSED, UNKNOWN = "stated", "denied", "not stated", "not known"
_TEXTS = ("item", "arm", "prompt", "asked", "raw", "status", "text")


@dataclass(frozen=True)
class Point:
    """A key point, or one that must not be stated, and what became of it in an answer."""

    text: str
    state: str
    good: bool | None


@dataclass(frozen=True)
class Reasoned:
    """One answer as it is shown.

    Attributes:
        arm: what the prompt said of the finding.
        prompt, repeat: which of several questions.
        status: how the section ended.
        text: of the section.
        raw: the whole answer.
        asked: the question.
        cut: characters of all three that were cut off.
        points: key points, hit or missed.
        forbidden: what it must not say.
        scores: "recall 0.500, precision 1.000".
        remark: what had to be repaired.
    """

    arm: str
    prompt: str
    repeat: int
    status: str
    text: str
    raw: str
    asked: str
    cut: int
    points: tuple[Point, ...]
    forbidden: tuple[Point, ...]
    scores: str
    remark: str


@dataclass(frozen=True)
class Gold:
    """What an item wants.

    Attributes:
        key_points: that an answer should state.
        forbidden: that it must not state.
        text: reference answer in prose; "" if there is none.
        source, verified_by: where it comes from, and who checked it.
    """

    key_points: tuple[str, ...]
    forbidden: tuple[str, ...]
    text: str
    source: str
    verified_by: str


@dataclass
class Answers:
    """All answers of a run.

    Attributes:
        lines: item -> its lines of ``answers.jsonl``.
        gold: item -> its gold.
        notes: what could not be used.
    """

    lines: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    gold: dict[str, Gold] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def answers_of(run: Run) -> Answers:
    """The answers in a run folder; what is not there is noted."""
    out = Answers(gold=_golds(run))
    path = run.folder / "answers.jsonl"
    if not path.is_file():
        out.notes.append(f"{run.label}: no answers.jsonl in its run folder, so its answers are not shown.")
        return out
    problems: list[Problem] = []
    wrong = 0
    try:
        for _, plain in json_lines(path, problems):
            if _is_line(plain):
                out.lines.setdefault(plain["item"], []).append(plain)
            else:
                wrong += 1
    except RunError as error:
        out.notes.append(f"{run.label}: {error}")
    if problems or wrong:
        out.notes.append(f"{run.label}: {len(problems) + wrong} lines of its answers.jsonl cannot be used.")
    return out


def _is_line(plain: Mapping[str, Any]) -> bool:
    repeat = plain.get("repeat")
    whole = isinstance(repeat, int) and not isinstance(repeat, bool)
    return whole and all(isinstance(plain.get(name), str) for name in _TEXTS)


def _golds(run: Run) -> dict[str, Gold]:
    found = run.details.get("gold")
    plain = found if isinstance(found, Mapping) else {}
    return {str(item): _gold(one) for item, one in plain.items() if isinstance(one, Mapping)}


def _gold(plain: Mapping[str, Any]) -> Gold:
    return Gold(
        _texts(plain.get("key_points")),
        _texts(plain.get("forbidden")),
        str(plain.get("gold") or ""),
        str(plain.get("source") or "not stated"),
        str(plain.get("verified_by") or "nobody"),
    )


def _texts(found: object) -> tuple[str, ...]:
    return tuple(map(str, found)) if isinstance(found, list) else ()


def shown_answers(found: Answers, item: str) -> tuple[list[Reasoned], int]:
    """The answers about one item that are shown, first repeats first, and how many there are in all."""
    lines = found.lines.get(item, [])
    arms = list(dict.fromkeys(line["arm"] for line in lines))
    chosen = sorted(lines, key=lambda line: line["repeat"])[:SHOWN]
    chosen.sort(key=lambda line: (arms.index(line["arm"]), line["prompt"], line["repeat"]))
    gold = found.gold.get(item) or Gold((), (), "", "", "")
    return [_reasoned(line, gold) for line in chosen], len(lines)


def _reasoned(line: Mapping[str, Any], gold: Gold) -> Reasoned:
    texts = [line[name] for name in ("text", "raw", "asked")]
    repairs = line.get("repairs")
    status = line["status"] if line["status"] in STATUSES else "not known"
    return Reasoned(
        ARMS.get(line["arm"], line["arm"]),
        line["prompt"],
        line["repeat"],
        status,
        text=texts[0][:LONGEST],
        raw=texts[1][:LONGEST],
        asked=texts[2][:LONGEST],
        cut=sum(max(0, len(text) - LONGEST) for text in texts),
        points=_points(gold.key_points, line.get("hits"), line.get("denied")),
        forbidden=_forbidden(gold.forbidden, line.get("forbidden")),
        scores=_scores(line.get("metrics")),
        remark="; ".join(_texts(repairs)),
    )


def _points(texts: Sequence[str], hits: object, denied: object) -> tuple[Point, ...]:
    stated, negated = _flags(hits, len(texts)), _flags(denied, len(texts))
    states = [
        UNKNOWN if hit is None else DENIED if no else HIT if hit else MISSED
        for hit, no in zip(stated, negated, strict=True)
    ]
    good = {HIT: True, UNKNOWN: None}
    return tuple(Point(t, state, good.get(state, False)) for t, state in zip(texts, states, strict=True))


def _forbidden(texts: Sequence[str], found: object) -> tuple[Point, ...]:
    flags = _flags(found, len(texts))
    return tuple(
        Point(text, UNKNOWN if flag is None else HIT if flag else MISSED, None if flag is None else not flag)
        for text, flag in zip(texts, flags, strict=True)
    )


def _flags(found: object, count: int) -> list[bool | None]:
    """One truth per point; None for each where the line has something else."""
    fits = isinstance(found, list) and len(found) == count and all(isinstance(one, bool) for one in found)
    return list(found) if fits else [None] * count  # type: ignore[call-overload]


def _scores(found: object) -> str:
    plain = found if isinstance(found, Mapping) else {}
    known = [(name, plain.get(name)) for name in ("recall", "precision")]
    return ", ".join(
        f"{name} {number(float(value))}"
        for name, value in known
        if isinstance(value, int | float) and not isinstance(value, bool)
    )
