"""Checkpoints of ``transformers`` that read text and give classes or vectors: they score, nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDependencyError, ModelError, UsageError
from .base import package_found
from .hf_files import find_checkpoint
from .hf_load import LINE, _failures, _line, _quiet
from .torchscript import import_torch

__all__ = ["TextModel", "open_text_model"]

LONGEST = 512
"""Tokens, where the checkpoint does not say how many it takes."""


@dataclass(frozen=True, eq=False)
class TextModel:
    """An opened checkpoint.

    Attributes:
        name: of the folder.
        content_hash: over all files that are read.
        model, tokenizer: of transformers; float32 on the CPU.
    """

    name: str
    content_hash: str
    model: Any
    tokenizer: Any

    def run(self, texts: Sequence[str], seconds: Sequence[str] | None = None) -> Any:
        """What the model gives for texts, or for pairs of texts, cut to its context."""
        return self._run(texts, seconds)[1]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Unit vectors (n, d) of texts: the mean over their tokens of the last layer."""
        given, out = self._run(texts, None)
        mask = given["attention_mask"][..., None].double()
        mean = (out.last_hidden_state.double() * mask).sum(1) / mask.sum(1).clamp(min=1)
        return (mean / mean.norm(dim=-1, keepdim=True).clamp(min=1e-12)).numpy()

    def _run(self, texts: Sequence[str], seconds: Sequence[str] | None) -> tuple[Any, Any]:
        torch = import_torch()
        most = min(self.tokenizer.model_max_length, _context(self.model.config))
        pairs = (list(texts),) if seconds is None else (list(texts), list(seconds))
        given = self.tokenizer(*pairs, padding=True, truncation=True, max_length=most, return_tensors="pt")
        with torch.inference_mode():
            return given, self.model(**given)


def open_text_model(folder: str, *, classifier: bool) -> TextModel:
    """Open a checkpoint from a folder, or from the Hub's cache; nothing is downloaded.

    Args:
        folder: in the layout of transformers, with safetensors.
        classifier: whether it gives classes of texts; else vectors of tokens.

    Raises:
        UsageError: an adapter behind the folder.
        ModelNotFoundError: no such folder.
        ModelError: it cannot be opened, or weights are missing.
        MissingDependencyError: torch or transformers is not installed.
    """
    found = find_checkpoint(folder, local_files_only=True)
    if found.adapter is not None:
        raise UsageError(f"{folder}: adapters are for models that answer; merge it first")
    if not package_found("transformers"):
        raise MissingDependencyError(f"transformers is not installed: {LINE}")
    torch = import_torch()
    with _quiet():
        model, tokenizer = _open(found.folder, classifier)
    if tokenizer.pad_token is None:
        raise ModelError(f"{folder}: its tokenizer has no token to fill short texts with")
    return TextModel(
        found.name, found.content_hash, model.eval().requires_grad_(False).to(dtype=torch.float32), tokenizer
    )


def _open(folder: Path, classifier: bool) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    auto = AutoModelForSequenceClassification if classifier else AutoModel
    only = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **only)
        model, told = auto.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **only)
    except ImportError as error:
        raise MissingDependencyError(f"{folder}: needs more packages: {_line(error)}") from error
    except _failures() as error:
        raise ModelError(f"{folder}: transformers cannot open it: {_line(error)}") from error
    absent = sorted(str(key) for key in (*told["missing_keys"], *told["mismatched_keys"]))
    absent = [key for key in absent if not key.startswith("pooler.")]  # not used for vectors of tokens
    if absent:
        raise ModelError(f"{folder}: {len(absent)} weights are missing or of another shape, like {absent[0]}")
    return model, tokenizer


def _context(config: Any) -> int:
    """Positions that a model has; RoBERTa's first two are no positions of tokens."""
    most = getattr(config, "max_position_embeddings", None)
    if not isinstance(most, int) or most < 4:
        return LONGEST
    return most - 2 if "roberta" in str(config.model_type) else most
