"""Which questions a run asks: topics x arms x images x paraphrases x repeats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...zoo.answerer import Question
from ...zoo.errors import UsageError
from ...zoo.tasks.prompt import Prompt
from ...zoo.tasks.reason import ARMS, TASK, Finding
from .benchmark import Benchmark, Topic
from .finding import Look

Key = tuple[str, str, str, str, int]
PREDICTED, TRUE, WITHOUT = "predicted", "true", "without"


@dataclass(frozen=True)
class Asking:
    """One question to a model.

    Attributes:
        topic: what it is about.
        arm: what is said of the finding: "without", "predicted" or "true".
        image: that the finding is of; "" for the other arms.
        prompt: as it is sent; None where there is no finding to send.
        name: of the paraphrase.
        repeat: which time.
        new_tokens: that the answer may take.
        problem: why there is no finding.
    """

    topic: Topic
    arm: str
    image: str
    prompt: Prompt | None
    name: str
    repeat: int
    new_tokens: int
    problem: str = ""

    @property
    def key(self) -> Key:
        """What may be answered once only."""
        return (self.topic.id, self.arm, self.image, self.name, self.repeat)

    @property
    def sha256(self) -> str:
        """Of the prompt; "" where there is none."""
        return "" if self.prompt is None else self.prompt.sha256

    def question(self) -> Question:
        """As a runtime gets it: nothing is shown, the finding stands in the prompt."""
        sections = self.topic.sections
        return Question(
            TASK.name,
            "" if self.prompt is None else self.prompt.text,
            None,
            TASK.grammar(sections),
            self.new_tokens,
            "/".join((self.topic.id, self.arm, self.image, self.name)),
            "",
            0,
            self.repeat,
            TASK.schema(sections),
        )


@dataclass(frozen=True)
class Survey:
    """What is asked of every model.

    Attributes:
        benchmark: whose topics.
        arms: in the order of ``ARMS``.
        prompts: names of paraphrases, or files.
        repeats: how often each question is asked.
        tokens: that an answer may take; None leaves it to the task.
        looks: findings by topic.
        classifier: what results say of it; {} without one.
    """

    benchmark: Benchmark
    arms: tuple[str, ...]
    prompts: tuple[str, ...]
    repeats: int = 1
    tokens: int | None = None
    looks: Mapping[str, Sequence[Look]] = field(default_factory=dict)
    classifier: Mapping[str, Any] = field(default_factory=dict)

    def of_topic(self, topic: Topic) -> Iterator[Asking]:
        """Every question about a topic, in the order in which they are asked."""
        for arm in self.arms:
            for image, finding, problem in self._told(topic, arm):
                for name in self.prompts:
                    prompt = None
                    if not problem:
                        prompt = TASK.prompt(name, finding, topic.sections, self.benchmark.about)
                    for repeat in range(self.repeats):
                        label = name if prompt is None else prompt.name
                        yield Asking(
                            topic, arm, image, prompt, label, repeat, self.new_tokens(topic), problem
                        )

    def new_tokens(self, topic: Topic) -> int:
        """That an answer about a topic may take."""
        return self.tokens or TASK.new_tokens(topic.sections)

    def _told(self, topic: Topic, arm: str) -> Iterator[tuple[str, Finding | None, str]]:
        """(image, finding, problem) of an arm."""
        if arm == WITHOUT:
            yield "", None, ""
        elif arm == TRUE:
            yield "", Finding(topic.condition), ""
        else:
            for look in self.looks.get(topic.id, ()):
                yield look.image, look.finding, look.problem


def settle_arms(asked: str, has_images: bool) -> tuple[str, ...]:
    """The arms of a run.

    Args:
        asked: names with commas between, or "auto": all that can be asked.
        has_images: whether there is anything for a classifier to look at.

    Raises:
        UsageError: an unknown arm, or "predicted" without images.

    Example:
        >>> settle_arms("auto", False), settle_arms("true,without", True)
        (('without', 'true'), ('without', 'true'))
    """
    if asked == "auto":
        return tuple(arm for arm in ARMS if has_images or arm != PREDICTED)
    names = [name.strip() for name in asked.split(",") if name.strip()]
    unknown = [name for name in names if name not in ARMS]
    if unknown or not names:
        raise UsageError(f"--arms: got {asked!r}, expected auto or some of {', '.join(ARMS)}")
    if PREDICTED in names and not has_images:
        raise UsageError(
            "--arms predicted: no image to classify: give --data DIR with a folder per condition, or "
            "a benchmark whose items name images"
        )
    return tuple(arm for arm in ARMS if arm in names)


def settle_prompts(asked: str) -> tuple[str, ...]:
    """Names of paraphrases: "auto" is the default one, "all" all, else names or files with commas between.

    Raises:
        UsageError: one twice, or one that is neither.
    """
    names = {"auto": ("default",), "all": tuple(TASK.prompts)}.get(asked)
    if names is None:
        names = tuple(name.strip() for name in asked.split(",") if name.strip())
    called = [TASK.prompt(name).name for name in names]
    if not called or len(set(called)) < len(called):
        raise UsageError(
            f"--prompt: got {asked!r}, expected different names with commas between, all or files"
        )
    return names
