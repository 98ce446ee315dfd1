"""``transformers:PATH_OR_ID[+ADAPTER_DIR]``: any vision-text model of ``transformers``, with a PEFT adapter.

Llama-3.2-Vision (mllama), LLaVA, Idefics3, SmolVLM and whatever else ``AutoModelForImageTextToText`` opens.
The image stands before the prompt, in the model's own chat template. Answers follow the task's grammar,
unless ``grammar="none"``.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..answerer import Question, Reply
from ..errors import InputError, ModelError, UsageError
from ..grammar import Grammar
from ..sampling import Sampling
from .base import RuntimeInfo
from .hf_decode import CHOICE, Chooser, class_tokens, softmax_of
from .hf_files import find_checkpoint
from .hf_load import DTYPES, open_checkpoint, settle_device
from .threads import default_threads
from .torchscript import import_torch

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VisionModel", "open"]

GRAMMARS = ("auto", "none")
_read_grammar = lru_cache(maxsize=32)(Grammar.parse)


def open(  # as in every language runtime; the built-in is not used here
    rest: str,
    *,
    sampling: Sampling | None = None,
    device: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    grammar: str = "auto",
    local_files_only: bool = False,
    needs_images: bool = True,
) -> VisionModel:
    """Open a checkpoint for questions.

    Args:
        rest: folder or Hub id (``OWNER/NAME[@REVISION]``), after ``+`` the folder of a PEFT adapter.
        sampling: temperature and seed; default greedy.
        device: "auto", "cpu" or "cuda".
        precision: "fp32", "tf32", "bf16", "fp16", or "nf4": weights in 4 bits, which needs bitsandbytes and
            an NVIDIA GPU. What is asked for is what runs.
        threads: of torch, for the whole process; default: the physical cores this process may use.
        grammar: "auto": answers follow the task's grammar; "none": they are free.
        local_files_only: never use the network; without it only an id that is not on the disk does.
        needs_images: False opens models that only read text, too.

    Raises:
        ModelNotFoundError, ModelError: it cannot be found or opened; pickles are refused.
        DeviceError: device or precision are not to be had.
        MissingDependencyError: torch, transformers, peft or bitsandbytes is not installed.
        UsageError: an unknown word.
    """
    if grammar not in GRAMMARS:
        raise UsageError(f"grammar: got {grammar!r}, expected one of {', '.join(GRAMMARS)}")
    chosen = settle_device(device, precision)
    found = find_checkpoint(rest, local_files_only)
    torch = import_torch()
    torch.set_num_threads(threads or default_threads())
    model, processor = open_checkpoint(found, chosen, precision, needs_images)
    info = RuntimeInfo("transformers", _version(), chosen, precision, torch.get_num_threads())
    return VisionModel(
        found.name, found.content_hash, model, processor, info, sampling or Sampling(), grammar != "none"
    )


class VisionModel:
    """A vision-text model that can be asked; safe to call from several threads, which wait for each other.

    Attributes:
        name: of the checkpoint, and of its adapter after ``+``.
        content_hash: sha256 over configuration, tokenizer, weights and adapter.
        runtime: what executes it, as obtained.
        device: "cpu" or "cuda".
        settings: what changes its answers.
    """

    def __init__(
        self,
        name: str,
        content_hash: str,
        model: Any,
        processor: Any,
        runtime: RuntimeInfo,
        sampling: Sampling,
        follows_grammar: bool = True,
    ) -> None:
        self.name, self.content_hash, self.runtime, self.device = name, content_hash, runtime, runtime.device
        self._model, self._processor = model, processor
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self._sees = hasattr(processor, "image_processor")
        self._sampling, self._follows_grammar = sampling, follows_grammar
        self._lock = threading.Lock()
        self._ends = _end_ids(model, self._tokenizer)
        self._context = _context(model)
        self._replace_generation_config()
        self.settings: dict[str, Any] = {
            **sampling.settings(),
            "decoding": "grammar" if follows_grammar else "free",
            "template": "the model's own" if processor.chat_template else "image, then prompt",
        }

    def answer(self, question: Question) -> Reply:
        """Ask it; a grade comes with the probabilities of its classes where each digit is one token.

        Raises:
            InputError: an image, of a model that reads text only.
            ModelError: a prompt that leaves no room for the answer in the context, or one that it fails on.
        """
        if question.image is not None and not self._sees:
            raise InputError(f"{self.name}: reads text only, it takes no image")
        with self._lock:
            try:
                with self._exact():
                    return self._answer(question)
            except (ValueError, RuntimeError, IndexError) as error:
                told = " ".join(str(error).split())[:400]
                raise ModelError(f"{self.name}: transformers cannot answer: {told}") from error

    def _answer(self, question: Question) -> Reply:
        text = self._prompt(question.prompt, shown=question.image is not None)
        inputs = self._inputs(text, question.image)
        length = int(inputs["input_ids"].shape[1])
        if self._context is not None and length + question.new_tokens > self._context:
            raise ModelError(
                f"{self.name}: a prompt of {length} tokens and {question.new_tokens} of an answer do not fit "
                f"the model's context of {self._context}; nothing is cut off: ask with a shorter prompt"
            )
        chooser = self._chooser(question)
        self._generate(inputs, chooser, question.new_tokens)
        given = [token for token in chooser.ids if token not in self._ends]
        return Reply(
            self._decode(given),
            length,
            len(chooser.ids),
            self._probabilities(text, question) if question.task == "grade" else None,
            {**self.settings, **self._sampling.record(question)},
        )

    def _chooser(self, question: Question) -> Chooser:
        follows = self._follows_grammar and bool(question.grammar)
        grammar = _read_grammar(question.grammar) if follows else None
        drawn = self._sampling
        return Chooser(self._decode, self._ends, grammar, drawn.temperature, drawn.seed_of(question))

    def _generate(self, inputs: Any, chooser: Chooser, new_tokens: int) -> None:
        from transformers import GenerationConfig, LogitsProcessorList

        config = GenerationConfig(
            max_new_tokens=new_tokens,
            do_sample=False,
            num_beams=1,
            eos_token_id=self._ends,
            pad_token_id=self._pad(),
        )
        self._model.generate(
            **inputs, generation_config=config, logits_processor=LogitsProcessorList([chooser])
        )

    def _probabilities(self, text: str, question: Question) -> dict[str, float] | None:
        """Softmax over the logits of the three digits after "Choice: "."""

        def encode(some: str) -> list[int]:
            return list(self._tokenizer(some, add_special_tokens=False)["input_ids"])

        digits = class_tokens(encode, text + CHOICE)
        if digits is None:
            return None
        inputs = self._inputs(f"{text}{CHOICE}0", question.image)  # its last token is what is being asked for
        few = {"logits_to_keep": 2} if self._keeps_few() else {}
        logits = self._model(**inputs, **few).logits[0, -2, digits]
        return softmax_of(logits.float().cpu().numpy())

    def _keeps_few(self) -> bool:
        inner = self._model.get_base_model() if hasattr(self._model, "peft_config") else self._model
        return "logits_to_keep" in inspect.signature(inner.forward).parameters

    def _prompt(self, prompt: str, shown: bool = True) -> str:
        """Image, if one is shown, then prompt, as the model's template has them."""
        if not self._processor.chat_template:
            place = getattr(self._processor, "image_token", "<image>") if shown else ""
            return f"{place}{prompt}"
        content: Any = [{"type": "image"}] * shown + [{"type": "text", "text": prompt}]
        if not self._sees:
            content = prompt  # templates of text models take nothing else
        said = [{"role": "user", "content": content}]
        return self._processor.apply_chat_template(said, add_generation_prompt=True, tokenize=False)

    def _inputs(self, text: str, image: NDArray[np.uint8] | None) -> Any:
        begun = bool(self._tokenizer.bos_token) and text.startswith(self._tokenizer.bos_token)
        inputs = self._processor(
            text=[text],
            **_images(image),
            add_special_tokens=not begun,  # a template that writes BOS gets no second one
            return_tensors="pt",
        )
        if not self._sees:  # a tokenizer may give more than a model takes
            return {name: inputs[name].to(self.device) for name in ("input_ids", "attention_mask")}
        return inputs.to(self.device, getattr(import_torch(), DTYPES[self.runtime.precision]))

    def _decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _pad(self) -> int:
        pad = self._tokenizer.pad_token_id
        return self._ends[0] if pad is None else int(pad)

    def _replace_generation_config(self) -> None:
        """Penalties, beams and the like that a checkpoint brings would change answers unseen."""
        from transformers import GenerationConfig

        inner = self._model.get_base_model() if hasattr(self._model, "peft_config") else self._model
        inner.generation_config = GenerationConfig(eos_token_id=self._ends, pad_token_id=self._pad())

    @contextmanager
    def _exact(self) -> Iterator[None]:
        """Arithmetic as asked for, TF32 only where it was; torch's own settings are back afterwards."""
        torch = import_torch()
        tf32, matmul = self.runtime.precision == "tf32", torch.backends.cuda.matmul
        before, matmul.allow_tf32 = matmul.allow_tf32, tf32
        try:
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=tf32):
                yield
        finally:
            matmul.allow_tf32 = before


def _images(image: NDArray[np.uint8] | None) -> dict[str, Any]:
    """What a processor is given of an image; nothing without one."""
    if image is None:
        return {}
    from PIL import Image

    return {"images": [[Image.fromarray(np.ascontiguousarray(image)).convert("RGB")]]}


def _end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end an answer, of the checkpoint's generation settings and of its tokenizer."""
    said = model.generation_config.eos_token_id
    listed = said if isinstance(said, list | tuple) else [said]
    ids = sorted({int(i) for i in (*listed, tokenizer.eos_token_id) if i is not None})
    if not ids:
        raise ModelError("neither tokenizer nor generation_config.json names a token that ends an answer")
    return ids


def _context(model: Any) -> int | None:
    """Tokens that fit, as its configuration says."""
    config = model.config.get_text_config()
    most = getattr(config, "max_position_embeddings", None)
    return int(most) if most else None


def _version() -> str:
    import transformers

    return str(transformers.__version__)
