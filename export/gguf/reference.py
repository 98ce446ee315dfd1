"""The model as transformers computes it, adapters and all: what a GGUF pair is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...zoo.errors import ModelError
from ...zoo.runtimes.hf_files import find_checkpoint
from ...zoo.runtimes.hf_load import open_checkpoint
from .checkpoint import Checkpoint

Floats = NDArray[np.float32]
_PROJECTORS = ("multi_modal_projector", "connector")


@dataclass(frozen=True)
class Seen:
    """What a model makes of an image and a text.

    Attributes:
        ids: of all tokens; places of the image hold the image's token.
        token: the image's.
        logits: (tokens, n_vocab) float32, after each.
        embeddings: (places of the image, width) float32, as the language model gets them.
    """

    ids: list[int]
    token: int
    logits: Floats
    embeddings: Floats

    @property
    def is_image(self) -> NDArray[np.bool_]:
        """Which tokens are places of the image, (tokens,)."""
        return np.array(self.ids) == self.token


class Reference:
    """A checkpoint in float32 on the CPU.

    Args:
        checkpoint: Hugging Face folder.
        adapters: (folder, weight) of PEFT adapters, applied one after the other.
        threads: of torch, for the whole process; None leaves them.

    Raises:
        MissingDependencyError: torch, transformers or peft is not installed.
        ModelNotFoundError, ModelError: it cannot be opened, or an adapter does not fit.
    """

    def __init__(
        self, checkpoint: Path, adapters: Sequence[tuple[Path, float]] = (), threads: int | None = None
    ) -> None:
        single = len(adapters) == 1 and adapters[0][1] == 1
        name = f"{checkpoint}+{adapters[0][0]}" if single else str(checkpoint)
        import torch

        if _is_blind(checkpoint):
            model, self._processor = _open_blind(checkpoint)
            single = False
        else:
            model, self._processor = open_checkpoint(find_checkpoint(name, True), "cpu", "fp32")

        if threads:
            torch.set_num_threads(threads)
        for folder, weight in () if single else adapters:
            model = _merged(model, folder, weight)
        self._model = model
        self.tokenizer = getattr(self._processor, "tokenizer", self._processor)

    def prompt(self, text: str, image: bool) -> str:
        """A question in the model's own template."""
        if not self._processor.chat_template:
            token = getattr(self._processor, "image_token", "<image>")
            return f"{token}{text}" if image else text
        parts: list[dict[str, str]] = [{"type": "image"}] if image else []
        content = [*parts, {"type": "text", "text": text}] if self._processor is not self.tokenizer else text
        said = [{"role": "user", "content": content}]
        return str(self._processor.apply_chat_template(said, add_generation_prompt=True, tokenize=False))

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, nothing added."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def logits(self, ids: Sequence[int]) -> Floats:
        """The logits after every token, (tokens, n_vocab) float32."""
        import torch

        with torch.inference_mode():
            return np.asarray(self._model(input_ids=torch.tensor([list(ids)])).logits[0], dtype=np.float32)

    def see(self, image: NDArray[np.uint8], text: str) -> Seen:
        """An image and a text that holds the image's mark once.

        Args:
            image: (H, W, 3) uint8.
            text: as ``prompt`` gave it, with more behind it if so wished.
        """
        import torch

        inputs = self.inputs(image, text)
        with torch.inference_mode(), self._watched() as caught:
            logits = np.asarray(self._model(**inputs).logits[0], dtype=np.float32)
        ids = [int(i) for i in inputs["input_ids"][0]]
        embeddings = np.concatenate([e.reshape(-1, e.shape[-1]) for e in caught])
        seen = Seen(ids, int(self._plain.config.image_token_id), logits, embeddings)
        if len(embeddings) != seen.is_image.sum():
            raise ModelError(f"{len(embeddings)} embeddings for {seen.is_image.sum()} places of the image")
        return seen

    def inputs(self, image: NDArray[np.uint8], text: str) -> Any:
        """The processor's tensors of an image and a text."""
        from PIL import Image

        pictures = [[Image.fromarray(np.ascontiguousarray(image))]]
        return self._processor(text=[text], images=pictures, add_special_tokens=False, return_tensors="pt")

    @property
    def _plain(self) -> Any:
        """The model without PEFT's wrapping."""
        return self._model.get_base_model() if hasattr(self._model, "peft_config") else self._model

    @contextmanager
    def _watched(self) -> Iterator[list[Floats]]:
        """What the projector gives out while the block runs."""
        caught: list[Floats] = []

        def keep(module: Any, given: Any, result: Any) -> None:
            caught.append(np.asarray(result.detach(), dtype=np.float32))

        modules = self._plain.named_modules()
        projector = next(m for n, m in modules if n.split(".")[-1] in _PROJECTORS)
        handle = projector.register_forward_hook(keep)
        try:
            yield caught
        finally:
            handle.remove()


def _is_blind(checkpoint: Path) -> bool:
    """Whether a checkpoint has no vision part."""
    return "vision_config" not in Checkpoint(checkpoint).config


def _open_blind(checkpoint: Path) -> tuple[Any, Any]:
    """(model, tokenizer) of a language model without eyes."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, **options)
        model = AutoModelForCausalLM.from_pretrained(
            checkpoint, use_safetensors=True, dtype=torch.float32, **options
        )
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        told = " ".join(str(error).split())[:300]
        raise ModelError(f"{checkpoint}: transformers cannot open it: {told}") from error
    return model.eval(), tokenizer


def _merged(model: Any, folder: Path, weight: float) -> Any:
    """The model with an adapter merged by PEFT itself, ``weight`` of the way."""
    import torch
    from peft import PeftModel

    before = {name: value.clone() for name, value in model.state_dict().items()} if weight != 1 else {}
    try:
        model = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (ValueError, KeyError, RuntimeError, TypeError) as error:
        raise ModelError(f"{folder}: PEFT cannot merge it: {' '.join(str(error).split())[:300]}") from error
    with torch.no_grad():
        now = model.state_dict()
        for name, old in before.items():
            now[name].copy_(old + weight * (now[name] - old))
    return model
