"""Language models: which runtime a name means, and a loaded model that answers about images.

=========================== ==================================================================
``llava-nano``              a GGUF pair of the zoo, in llama.cpp
``FILE.gguf``               its contract names the mmproj beside it; without one it can read text only
``FILE.gguf+MMPROJ.gguf``   two files of a stranger's, or with the mmproj elsewhere
``transformers:PATH_OR_ID`` a checkpoint, with ``+ADAPTER`` behind for a PEFT adapter
``openai:URL#MODEL``        an OpenAI-compatible endpoint
=========================== ==================================================================
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .answerer import Answerer, Question, Reply
from .errors import ContractError, InputError, UsageError, VoxzooError
from .ggufheader import is_gguf
from .ggufpair import SUFFIX, open_pair, split_pair
from .prompt_contract import PromptContract
from .sampling import Sampling
from .tasks.prompt import PROMPT_TASKS, Prompt, PromptTask, choose_prompt, prompt_task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .cases import Case
    from .runtimes.base import RuntimeInfo
    from .tasks.answers import Parsed
    from .tasks.slices import SliceRule

__all__ = ["LanguageModel", "asked_prompt", "is_language_model", "load_language", "open_answerer", "shown_by"]

PREFIXES = {"transformers:": ".runtimes.hf_vision", "openai:": ".runtimes.endpoint"}
"""Prefix -> module with ``open(rest, sampling=...)``; everything else is llama.cpp's."""
_ANYWHERE = ("auto", "cpu")
GivenContract = PromptContract | str | os.PathLike[str] | None


def is_language_model(spec: str) -> bool:
    """Whether a name, path or URL means a language model.

    Example:
        >>> [is_language_model(spec) for spec in ("a.gguf", "openai:http://host/v1", "a.onnx")]
        [True, True, False]
    """
    if spec.startswith(tuple(PREFIXES)):
        return True
    name, mmproj = split_pair(spec)
    if mmproj is not None or urlsplit(name).path.lower().endswith(SUFFIX):
        return True
    if Path(name).is_file():
        return is_gguf(name)
    from .registry import entries

    entry = entries().get(name)
    return entry is not None and entry.task == "prompt"


def open_answerer(
    spec: str,
    *,
    sampling: Sampling | None = None,
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    contract: GivenContract = None,
    grammar: str = "auto",
    concurrency: int = 1,
    needs_images: bool = True,
    **own: Any,
) -> Answerer:
    """Open a language model by its name.

    Args:
        spec: see the module.
        sampling: temperature and seed; default greedy.
        device: "auto", "cpu" or "cuda".
        precision: of a checkpoint's arithmetic; in a GGUF it is fixed.
        threads: inside one call; default: the physical cores this process may use.
        contract: for a GGUF that has none inside: a PromptContract, or the path of its JSON.
        grammar: "auto": answers follow the task's grammar where the runtime can; "none": they are free.
        concurrency: questions that an endpoint is asked at once, or that llama.cpp answers side by side.
        needs_images: False opens models that only read text, too.
        **own: what the runtime knows besides: ``decoding``, ``context``, ``cache`` and ``trusted`` of
            llama.cpp, ``local_files_only`` of transformers, ``patience`` of an endpoint.

    Raises:
        UsageError: an option that means nothing to the runtime.
        ModelNotFoundError, ModelError, ContractError, IntegrityError: it cannot be found, opened or trusted.
        DeviceError: device or precision are not to be had.
        MissingDependencyError: the runtime is not installed; the message holds the pip line.
    """
    prefix = next((prefix for prefix in PREFIXES if spec.startswith(prefix)), None)
    if grammar not in ("auto", "none"):
        raise UsageError(f"grammar: got {grammar!r}, expected auto or none")
    if concurrency != 1 and prefix not in (None, "openai:"):
        raise UsageError(
            f"concurrency: {spec} answers one question after the other; that is for endpoints and GGUF"
        )
    own = {"sampling": sampling, "grammar": grammar, **own}
    seeing = {"needs_images": needs_images}
    if prefix is None:
        if precision != "fp32":
            raise UsageError(f"precision {precision!r}: that of a GGUF is fixed in the file; leave it")
        own["concurrency"] = concurrency
        return _open_gguf(spec, contract, device=device, threads=threads, **seeing, **own)
    if contract is not None:
        raise UsageError(f"contract: belongs to a GGUF file, not to {prefix}")
    module, rest = import_module(PREFIXES[prefix], __package__), spec.removeprefix(prefix)
    if prefix == "transformers:":
        return module.open(rest, device=device, precision=precision, threads=threads, **seeing, **own)
    if device not in _ANYWHERE or precision != "fp32" or threads is not None:
        raise UsageError(f"device, precision and threads are those of the server behind {prefix}: leave them")
    return module.open(rest, concurrency=concurrency, **own)


def _open_gguf(
    spec: str, contract: GivenContract, trusted: bool = False, needs_images: bool = True, **options: Any
) -> Answerer:
    from . import registry
    from .runtimes.llamacpp import open_model

    name, mmproj = split_pair(spec)
    found = registry.resolve(name)
    if found.path is None or (found.entry is None and not is_gguf(found.path)):
        registry.verify(found)
        raise UsageError(f"{spec}: is no language model")
    vision = registry.resolve(mmproj).path if mmproj else found.mmproj
    pair = open_pair(found.path, vision, read_contract(contract), needs_images=needs_images)
    if found.entry is not None:
        registry.compare(pair.text, found.entry)
    return open_model(pair, trusted=trusted or (found.entry is not None and not mmproj), **options)


def read_contract(given: GivenContract) -> PromptContract | None:
    """A contract, or the one in a JSON file.

    Raises:
        ContractError: the file cannot be read, or holds no such contract.
    """
    if given is None or isinstance(given, PromptContract):
        return given
    try:
        return PromptContract.from_json(Path(given).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f"{os.fspath(given)}: the contract cannot be read: {error}") from error
    except ContractError as error:
        raise ContractError(f"{os.fspath(given)}: {error}") from error


def shown_by(model: object, task: PromptTask) -> SliceRule:
    """The slices that a model is shown: how, by its contract; which, by the task."""
    contract = getattr(model, "contract", None)
    if not isinstance(contract, PromptContract):
        return task.slices
    chosen = {name: getattr(task.slices, name) for name in ("which", "margin", "region")}
    return replace(contract.slices, **chosen)


def asked_prompt(model: object, task: PromptTask, name: str, rule: SliceRule) -> Prompt:
    """The wording that a model is asked in.

    Args:
        model: whose contract may name one for the task.
        task: what is asked.
        name: of a wording, or a text file; "auto" is the contract's, and "default" without a contract.
        rule: what is shown.

    Raises:
        UsageError: no such wording, or a task that the contract does not know.
    """
    contract = getattr(model, "contract", None)
    if name != "auto":
        return choose_prompt(task, name, rule)
    if not isinstance(contract, PromptContract):
        return choose_prompt(task, "default", rule)
    if task.name not in contract.prompts and task.name in PROMPT_TASKS:
        raise UsageError(
            f"task {task.name}: {contract.name} was made for {', '.join(contract.prompts)}; name a wording "
            "with --prompt to ask all the same"
        )
    return choose_prompt(task, contract.prompts.get(task.name, "default"), rule)


class LanguageModel:
    """A language model, ready to be asked; runs of the evaluation take it as it is.

    Attributes:
        name: as in transcripts and results.
        content_hash: changes when its answers may.
        contract: None of a foreign model.
        settings: what was chosen when it was loaded and changes its answers.
        reference: how it was found: "file ./nano.gguf"; "" where that says nothing.
    """

    def __init__(self, answerer: Answerer, reference: str = "") -> None:
        self._answerer, self.reference = answerer, reference
        self.name, self.content_hash = answerer.name, answerer.content_hash
        self.contract: PromptContract | None = getattr(answerer, "contract", None)
        self.settings: dict[str, Any] = dict(getattr(answerer, "settings", {}))
        self.concurrency: int = getattr(answerer, "concurrency", 1)
        self.side_by_side: int = getattr(answerer, "side_by_side", 1)

    def __repr__(self) -> str:
        return f"<voxzoo language model {self.name}: {self.runtime}>"

    @property
    def runtime(self) -> RuntimeInfo | None:
        """What executes it."""
        return getattr(self._answerer, "runtime", None)

    def answer(self, question: Question) -> str | Reply:
        """The raw answer to a question, as a run asks it."""
        return self._answerer.answer(question)

    def answer_all(self, questions: Sequence[Question]) -> list[Reply | VoxzooError]:
        """The answer to each question, or what it ended in; in llama.cpp ``side_by_side`` in one batch."""
        together = getattr(self._answerer, "answer_all", None)
        if together is not None:
            return together(questions)
        return [_outcome(self._answerer, question) for question in questions]

    def ask(
        self,
        x: NDArray[np.uint8] | Case,
        task: str = "box",
        *,
        slice: int | None = None,
        prompt: str = "auto",
        repeat: int = 0,
    ) -> Reply:
        """The raw answer about an image: its text, and what the model says of its certainty.

        Args:
            x: (H, W) or (H, W, 3) uint8, or a case, of which ``slice`` is shown by the contract's rule.
            task: "grade", "center", "box", "polygon", or the path of a .py file with a task of your own.
            slice: index along the case's own axis.
            prompt: a wording's name or a text file; "auto" is the one that the model was trained on.
            repeat: asks again: at a temperature above 0 another answer may come.

        Raises:
            InputError: an image that the model does not take.
            UsageError: an unknown task or wording, or a task that the model was not made for.
            ModelError: it fails.
        """
        asked = prompt_task(task)
        rule = shown_by(self, asked)
        image = self._image(x, rule, slice)
        rule = replace(rule, size=image.shape[:2])
        text = asked_prompt(self, asked, prompt, rule).text
        question = Question(
            asked.name,
            text,
            image,
            asked.grammar(rule.size),
            asked.new_tokens,
            "",
            rule.plane,
            slice or 0,
            repeat,
        )
        given = self.answer(question)
        return Reply(given) if isinstance(given, str) else given

    def __call__(
        self,
        x: NDArray[np.uint8] | Case,
        task: str = "box",
        *,
        slice: int | None = None,
        prompt: str = "auto",
        repeat: int = 0,
    ) -> Parsed:
        """The answer about an image, as the task's parser reads it; arguments and errors as in ``ask``.

        Returns:
            ``value`` is (row_min, col_min, row_max, col_max) for a box, (row, col) for a centre, a tuple of
            points for a polygon, 0, 1 or 2 for a grade; None if the model gave no answer.
        """
        reply = self.ask(x, task, slice=slice, prompt=prompt, repeat=repeat)
        size = x.shape[:2] if hasattr(x, "shape") else shown_by(self, prompt_task(task)).size
        return prompt_task(task).parse(reply.text, frame=size)

    def _image(self, x: Any, rule: SliceRule, index: int | None) -> NDArray[np.uint8]:
        if hasattr(x, "shape"):
            if getattr(x, "ndim", 0) not in (2, 3):
                raise InputError(f"image: got shape {x.shape}, expected (H, W) or (H, W, 3)")
            return x
        if index is None:
            raise UsageError("slice: say which slice of the case is shown")
        from .slices2d import open_slices

        return open_slices(x, replace(rule, which="all")).image(index)


def _outcome(answerer: Answerer, question: Question) -> Reply | VoxzooError:
    try:
        given = answerer.answer(question)
    except VoxzooError as error:
        return error
    return Reply(given) if isinstance(given, str) else given


def load_language(
    spec: str,
    runtime: str = "auto",
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    contract: GivenContract = None,
    sampling: Sampling | None = None,
    **own: Any,
) -> LanguageModel:
    """Load a language model; see ``open_answerer``.

    Args:
        spec: see the module.
        runtime: "auto", or the one that the name means anyway: "llama.cpp", "transformers", "openai".
        device, precision, threads, contract, sampling: as for ``open_answerer``.
        **own: what the runtime knows besides.

    Raises:
        UsageError: another runtime than the model's, and as ``open_answerer``.
    """
    prefix = next((prefix for prefix in PREFIXES if spec.startswith(prefix)), "llama.cpp:")
    if runtime not in ("auto", prefix[:-1]):
        raise UsageError(f"runtime {runtime!r}: {spec} runs in {prefix[:-1]}; leave the runtime at auto")
    options: dict[str, Any] = {
        "device": device,
        "precision": precision,
        "threads": threads,
        "contract": contract,
    }
    return LanguageModel(open_answerer(spec, sampling=sampling, **options, **own), _reference(spec))


def _reference(spec: str) -> str:
    """How the model was found; nothing of an endpoint, whose address is nobody else's business."""
    if spec.startswith(tuple(PREFIXES)):
        return spec if spec.startswith("transformers:") else ""
    from .registry import resolve

    name, mmproj = split_pair(spec)
    return resolve(name).how + (f"+{mmproj}" if mmproj else "")
