"""Asking one model: each answer is on the disk before the next question, and none is asked for twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...zoo.answerer import Answerer, Reply
from ...zoo.errors import ModelError, RunError, VoxzooError
from ..energy.items import ItemMeter
from ..jsonlines import JsonLines
from ..language.ahead import in_order
from .benchmark import Topic
from .questions import Asking, Key, Survey

SCHEMA = "voxzoo.replies/1"
FILE = "replies.jsonl"


@dataclass(frozen=True)
class Answer:
    """One raw answer and how it came about; a line of ``replies.jsonl``.

    Attributes:
        topic, arm, image, prompt, repeat: which question.
        raw: the answer, as it was given.
        prompt_sha256: of the prompt's text.
        new_tokens: that the answer was allowed.
        tokens_in, tokens_out: read and written; None when not known.
        seconds: wall time; None when not known.
        sampling: temperature, seed and the like.
        energy: what it cost; {} when not metered.
    """

    topic: str
    arm: str
    image: str
    prompt: str
    repeat: int
    raw: str
    prompt_sha256: str = ""
    new_tokens: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    seconds: float | None = None
    sampling: dict[str, Any] = field(default_factory=dict)
    energy: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        """What may be answered once only."""
        return (self.topic, self.arm, self.image, self.prompt, self.repeat)

    @property
    def finished(self) -> bool | None:
        """Whether the model ended by itself; None when not known."""
        return None if self.tokens_out is None or not self.new_tokens else self.tokens_out < self.new_tokens

    @classmethod
    def of(cls, plain: Any) -> Answer | None:
        """From the object of a line; None if it is no answer."""
        if not isinstance(plain, dict):
            return None
        known = {name: plain[name] for name in cls.__dataclass_fields__ if name in plain}
        texts = all(isinstance(known.get(name), str) for name in ("topic", "arm", "image", "prompt", "raw"))
        whole = type(known.get("repeat")) is int
        return cls(**known) if texts and whole else None


class Replies:
    """The answers of one model, on disk; see ``jsonlines`` for what it promises.

    Args:
        folder: of the run.
        run: what identifies it.

    Raises:
        RunError: the folder belongs to another run, is in use, or cannot be written.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any]) -> None:
        self.path = folder / FILE
        self._lines = JsonLines(self.path, SCHEMA, run)
        found = (Answer.of(plain) for plain in self._lines.found)
        self.known: dict[Key, Answer] = {}
        for answer in found:
            if answer is not None:
                self.known.setdefault(answer.key, answer)

    def __enter__(self) -> Replies:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def find(self, asking: Asking) -> Answer | None:
        """The answer on file.

        Raises:
            RunError: it is one to another prompt.
        """
        answer = self.known.get(asking.key)
        if answer is not None and answer.prompt_sha256 != asking.sha256:
            raise RunError(
                f"{self.path}: holds an answer to another prompt about {asking.topic.id} ({asking.arm}, "
                f"{asking.name}); give another --out, or --overwrite to ask again"
            )
        return answer

    def append(self, answer: Answer) -> None:
        """Keep an answer; it is on the disk when this returns."""
        self._lines.append({name: value for name, value in asdict(answer).items() if value not in (None, {})})
        self.known[answer.key] = answer


def ask_topic(
    model: Answerer,
    survey: Survey,
    topic: Topic,
    replies: Replies,
    meter: ItemMeter,
    told: Callable[[str], None],
) -> tuple[int, int]:
    """Ask about one topic what is not on file yet.

    Args:
        model: who is asked.
        survey: what.
        topic: about what.
        replies: where answers go.
        meter: of the energy of each answer.
        told: is given a line for each question that got no answer.

    Returns:
        How many new answers there are, and how many were on file.

    Raises:
        RunError: an answer on file is one to another prompt.
    """
    reused = fresh = 0
    alone = getattr(model, "concurrency", 1) == 1

    def due() -> Iterator[Asking]:
        nonlocal reused
        for asking in survey.of_topic(topic):
            if replies.find(asking) is not None:
                reused += 1
            elif asking.problem:
                told(f"{topic.id}: {asking.arm}, {asking.image}: {asking.problem}")
            else:
                yield asking

    def keep(asking: Asking, given: _Given | VoxzooError) -> None:
        nonlocal fresh
        if isinstance(given, RunError):
            raise given
        if isinstance(given, VoxzooError):
            where = f"{topic.id}: {asking.arm}, {asking.name}, repeat {asking.repeat}"
            told(f"{where}: {' '.join(str(given).split())}")
            return
        replies.append(_answer(asking, given, meter))
        fresh += 1

    in_order(lambda asking: _ask(model, asking, alone), due(), keep, getattr(model, "concurrency", 1))
    return fresh, reused


@dataclass(frozen=True)
class _Given:
    """A reply, and what it took."""

    reply: Reply
    seconds: float
    cpu_seconds: float


def _ask(model: Answerer, asking: Asking, alone: bool) -> _Given:
    """Ask one question; CPU time is of the process where it is ``alone``, else of this thread."""
    clock = time.process_time if alone else time.thread_time
    start, cpu = time.perf_counter(), clock()
    given = model.answer(asking.question())
    seconds, spent = time.perf_counter() - start, clock() - cpu
    if not isinstance(given, str | Reply):
        raise ModelError(f"{model.name}: answered with {type(given).__name__}, expected a text")
    return _Given(Reply(given) if isinstance(given, str) else given, round(seconds, 6), spent)


def _answer(asking: Asking, given: _Given, meter: ItemMeter) -> Answer:
    reply = given.reply
    return Answer(
        *asking.key,
        raw=reply.text.encode("utf-8", "replace").decode(),
        prompt_sha256=asking.sha256,
        new_tokens=asking.new_tokens,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        seconds=given.seconds,
        sampling=reply.sampling,
        energy=meter.item({"answer": given.cpu_seconds}, meter.lap()),
    )
