"""What all models of a command share, settled before the first is opened: benchmark, findings, scorers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.answerer import Answerer
from ...zoo.errors import UsageError
from ...zoo.language import is_language_model, load_language
from ...zoo.sampling import Sampling
from ...zoo.tasks.reason import NAME
from ..language.live import load_script
from ..language.naming import REPLAY, SCRIPT
from .benchmark import Benchmark, read_benchmark
from .finding import Finder, Look, choose_images, read_mapping
from .questions import PREDICTED, Survey, settle_arms, settle_prompts
from .replay import Replay

if TYPE_CHECKING:
    from ..options import Options
    from .scoring.section import TextScorer

LEXICAL = "rouge_l,chrf"
ENDPOINT = "openai:"
MODEL_PREFIXES = ("nli:", "embed:")
Spec = str | os.PathLike[str] | Answerer


@dataclass(frozen=True)
class Asked:
    """What ``zoo-eval --task reason`` is told beside the options of every run.

    Attributes:
        benchmark: its file, or "example".
        data: of images whose class is known, for the classifier; None: only images that items name.
        classifier: name, path or an opened model; None: no findings of a classifier.
        labels: ``LABEL=CONDITION,...``.
        arms: names with commas between, or "auto".
        images: for each condition.
        seen: whether images that the classifier was trained on are taken.
        new_tokens: that an answer may take; None leaves it to the task.
        scorers: names with commas between, "none", ``nli:DIR``, ``embed:DIR``.
        judge: a model that compares the answers of two others; None: none.
    """

    benchmark: str | os.PathLike[str]
    data: Any = None
    classifier: Any = None
    labels: str | None = None
    arms: str = "auto"
    images: int = 1
    seen: bool = False
    new_tokens: int | None = None
    scorers: str = LEXICAL
    judge: Spec | None = None

    def __post_init__(self) -> None:
        for name in ("images", "new_tokens"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise UsageError(f"{name}: got {value!r}, expected a whole number of at least 1")
        if self.classifier is None and self.labels is not None:
            raise UsageError("--labels: says what a classifier's labels mean; give --classifier, too")


def settle(asked: Asked, options: Options) -> Survey:
    """Everything that is asked of every model; the classifier has looked at its images.

    Raises:
        UsageError: a benchmark, mapping, arm or paraphrase that cannot be.
        ModelError, ContractError: the classifier cannot be opened.
    """
    benchmark = read_benchmark(asked.benchmark).select(options.cases, options.limit)
    prompts = settle_prompts(options.prompt)
    finder = _finder(asked, benchmark, options)
    if finder is None and asked.data is not None:
        raise UsageError(
            "--data: images are for a classifier: name it with --classifier (the zoo has "
            "mobilecoatnet-endoscopy), or leave --data away"
        )
    own = any(topic.image is not None for topic in benchmark.topics)
    has_images = finder is not None and (asked.data is not None or own)
    arms = settle_arms(asked.arms, has_images)
    survey = Survey(benchmark, arms, prompts, options.repeats, asked.new_tokens)
    if finder is None or PREDICTED not in arms:
        return survey
    return _with_looks(survey, finder, asked, options.seed)


def _with_looks(survey: Survey, finder: Finder, asked: Asked, seed: int) -> Survey:
    images, left_out = choose_images(
        survey.benchmark, _dataset(asked.data), finder, asked.images, seed, asked.seen
    )
    looks: dict[str, list[Look]] = {}
    for topic, condition, case in images:
        looks.setdefault(topic, []).append(finder.look(topic, condition, case))
    record = finder.record([look for some in looks.values() for look in some], left_out)
    return replace(survey, looks=looks, classifier=record)


def _dataset(data: Any) -> Any:
    if data is None or not isinstance(data, str | os.PathLike):
        return data
    from ...zoo.datasets import open_dataset

    return open_dataset(os.fspath(data))


def _finder(asked: Asked, benchmark: Benchmark, options: Options) -> Finder | None:
    if asked.classifier is None:
        return None
    model = asked.classifier
    if isinstance(model, str | os.PathLike):
        from ...zoo import registry

        model = registry.load(os.fspath(model), threads=options.threads)
    return Finder.of(model, benchmark, read_mapping(asked.labels))


def open_model(spec: Spec, options: Options) -> Answerer:
    """A language model that answers in text; it need not see images.

    Raises:
        UsageError: it is no language model.
        ModelNotFoundError, ModelError, ContractError, DeviceError: it cannot be opened.
        MissingDependencyError: its runtime is not installed.
    """
    if not isinstance(spec, str | os.PathLike):
        if not isinstance(spec, Answerer):
            raise UsageError(f"model: {spec!r} cannot be asked: it has no answer(question)")
        return spec
    text = os.fspath(spec)
    if text.startswith(REPLAY):
        return Replay(Path(text.removeprefix(REPLAY)).expanduser())
    if text.startswith(SCRIPT):
        return load_script(text.removeprefix(SCRIPT))
    if not is_language_model(text):
        from ...zoo.registry import resolve

        resolve(text)
        raise UsageError(
            f"model: {text} is no language model, so it cannot {NAME}; a classifier goes to --classifier"
        )
    if options.concurrency > 1 and not text.startswith(ENDPOINT):
        raise UsageError(f"concurrency: {text} is asked one question after the other; that is for endpoints")
    return load_language(
        text,
        options.runtime,
        options.device,
        options.precision,
        options.threads,
        options.contract,
        Sampling(options.temperature, options.seed),
        grammar=options.grammar,
        concurrency=options.concurrency,
        needs_images=False,
    )


def settle_scorers(text: str) -> tuple[str | TextScorer, ...]:
    """Scorers by name; key points are always looked for.

    Raises:
        UsageError: an unknown name.
        ModelError: a model that scores cannot be opened.
        MissingDependencyError: the library of a score, or what a model runs in, is not installed.

    Example:
        >>> settle_scorers("rouge_l, chrf"), settle_scorers("none")
        (('rouge_l', 'chrf'), ())
    """
    from .scoring import section
    from .scoring.entailment import open_scorer
    from .scoring.lexical import check_installed

    names = [name.strip() for name in text.split(",") if name.strip()]
    if names == ["none"]:
        return ()
    known = ", ".join((*section.LEXICAL, "nli:DIR", "embed:DIR", "none"))
    for name in names:
        if name not in section.LEXICAL and not name.startswith(MODEL_PREFIXES):
            raise UsageError(f"--scorers: got {name!r}, expected some of {known}")
    if not names or len(set(names)) < len(names):
        raise UsageError(f"--scorers: got {text!r}, expected some of {known}, each once")
    check_installed(name for name in names if name in section.LEXICAL)
    return tuple(name if name in section.LEXICAL else open_scorer(name) for name in names)


def check_scoring(survey: Survey, scorers: Sequence[str | TextScorer]) -> None:
    """See that answers can be scored, before the first question.

    Raises:
        UsageError: a language that no rules are written for.
        MissingDependencyError: the library of a scorer is not installed.
    """
    from .scoring.lexical import check_installed
    from .scoring.words import check_language

    check_language(survey.benchmark.language)
    check_installed(scorer for scorer in scorers if isinstance(scorer, str))


def check_models(specs: Sequence[Spec]) -> None:
    """Refuse the same model twice: its answers would only agree with themselves.

    Raises:
        UsageError: names it.
    """
    texts = [os.fspath(spec) for spec in specs if isinstance(spec, str | os.PathLike)]
    twice = [text for text in texts if texts.count(text) > 1]
    if twice:
        raise UsageError(f"--model: {twice[0]} is there twice; --repeats asks a model several times")
