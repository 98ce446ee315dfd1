"""Opening a run of a language model: which answers, which cases, which task, which rules.

A live run writes a transcript first and scores it second, so scoring can be repeated and changed for
nothing::

    zoo-eval --model replay:RUN/transcript.jsonl --task box --data DIR --protocol answered --out OTHER
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...zoo.answerer import Answerer
from ...zoo.errors import UsageError
from ...zoo.language import is_language_model, load_language
from ...zoo.registry import resolve
from ...zoo.sampling import Sampling
from ...zoo.tasks.prompt import PROMPT_TASKS, prompt_task
from ..tasks import AUTO
from . import asking, recorded
from .live import load_script
from .naming import REPLAY, SCRIPT
from .protocols import side_by_side
from .run import LanguageRun
from .transcripts import read_transcript

if TYPE_CHECKING:
    from ..options import Options

RULES = ("parser", "vote", "no_slices", "slices", "unanswered", "pooling", "quirks", "assumed")


def prepare_language(model: str | os.PathLike[str] | Answerer, data: Any, options: Options) -> LanguageRun:
    """Open everything that a run of a language model needs; nothing is asked or written.

    Args:
        model: "replay:FILE", "script:FILE.py", what ``zoo.language`` opens (FILE.gguf, a name of the zoo,
            "transformers:...", "openai:..."), or an :class:`~voxzoo.zoo.answerer.Answerer`.
        data: a folder with recorded ground truth (``gt/``), or what ``zoo.datasets`` opens.
        options: of the run; its ``task`` is a prompt task.

    Raises:
        UsageError: a task or option that cannot be; a live run without images.
        ModelNotFoundError: no such transcript or model.
        ModelError, ContractError, DeviceError, MissingDependencyError: the model cannot be opened as asked.
    """
    options = _with_task(model, options)
    options.check_task(options.task)
    if options.task == AUTO:
        raise UsageError(f"task: say what is asked with --task: {', '.join(PROMPT_TASKS)}, or a .py file")
    task = prompt_task(options.task)
    rules = {name: getattr(options, name) for name in RULES}
    empty = None if options.empty == "penalty" else options.empty
    protocols = side_by_side(options.protocol, task.name, {**rules, "empty": empty})
    if isinstance(model, str) and model.startswith(REPLAY):
        return recorded.replay(Path(model.removeprefix(REPLAY)).expanduser(), data, task, options, protocols)
    return asking.live(_open(model, options), data, task, options, protocols)


def _open(model: str | os.PathLike[str] | Answerer, options: Options) -> Answerer:
    """The model that is asked."""
    if not isinstance(model, str | os.PathLike):
        _check_opened(model, options)
        return model
    text = os.fspath(model)
    if text.startswith(SCRIPT):
        return load_script(text.removeprefix(SCRIPT))
    if not is_language_model(text) and resolve(text):
        raise UsageError(
            f"model: {text} cannot be asked for {options.task}: it is no language model; expected FILE.gguf, "
            f"a language model of the zoo, transformers:..., openai:..., {REPLAY}FILE or {SCRIPT}FILE.py"
        )
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
    )


def _check_opened(model: object, options: Options) -> None:
    """An object is asked as it is; nobody should believe that options of its opening had an effect."""
    if not isinstance(model, Answerer):
        raise UsageError(f"model: {model!r} cannot be asked for {options.task}: it has no answer(question)")
    for name in ("temperature", "grammar", "concurrency"):
        default = type(options).__dataclass_fields__[name].default
        if getattr(options, name) != default and not hasattr(model, "settings"):
            raise UsageError(f"{name}: the model is open already; say it where it is opened")


def _with_task(model: object, options: Options) -> Options:
    """The task of a transcript that holds one only, where none was asked for."""
    if options.task != AUTO or not (isinstance(model, str) and model.startswith(REPLAY)):
        return options
    path = Path(model.removeprefix(REPLAY)).expanduser()
    tasks = {answer.task for answer in read_transcript(path).answers} if path.is_file() else set()
    return replace(options, task=tasks.pop()) if len(tasks) == 1 else options
