"""LoRA on a vision-language model: which matrices get it, and the model with it.

E. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021). Adapters are in PEFT's own layout, so
``peft``, ``zoo-merge`` and the ``transformers:`` runtime read them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...zoo.errors import ModelError, ModelNotFoundError, UsageError

PARTS = {
    "vision": ("vision_tower", "vision_model", "vision_encoder", "visual"),
    "projector": ("multi_modal_projector", "projector", "connector", "merger"),
    "language": ("language_model", "text_model", "model.layers"),
}
"""Part -> how models call it; the first that a module's name holds decides."""


@dataclass(frozen=True)
class LoraSpec:
    """Sizes of an adapter.

    Attributes:
        rank: of its matrices.
        alpha: the change counts alpha / rank times.
        parts: some of ``PARTS``.
        dropout: on its inputs.
    """

    rank: int = 16
    alpha: float = 16
    parts: tuple[str, ...] = tuple(PARTS)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        odd = sorted(set(self.parts) - set(PARTS))
        if odd or not self.parts:
            got = ", ".join(odd) or "none"
            raise UsageError(f"parts of a model to adapt: got {got}; expected some of {', '.join(PARTS)}")
        if self.rank < 1 or not self.alpha > 0 or not 0 <= self.dropout < 1:
            raise UsageError(
                f"rank {self.rank}, alpha {self.alpha}, dropout {self.dropout}: expected a rank of 1 "
                "or more, alpha above 0, dropout from 0 up to 1"
            )


def part_of(name: str) -> str | None:
    """Which part of a model a module belongs to, by its name.

    Example:
        >>> part_of("model.vision_tower.encoder.layers.0.mlp.fc1"), part_of("lm_head")
        ('vision', None)
    """
    return next((part for part, words in PARTS.items() if any(word in name for word in words)), None)


def targets(modules: Iterable[tuple[str, nn.Module]], parts: Sequence[str]) -> str:
    """The linear layers of these parts, as the pattern that PEFT takes.

    Args:
        modules: names and modules of the base.
        parts: some of ``PARTS``.

    Raises:
        UsageError: the model has no linear layer in one of the parts.

    Example:
        >>> targets([("vision_tower.a.fc1", nn.Linear(1, 1)), ("lm_head", nn.Linear(1, 1))], ["vision"])
        '(?:.*\\\\.)?vision_tower\\\\.(?:.*\\\\.)?(?:fc1)'
    """
    found: dict[tuple[str, str], set[str]] = {}
    for name, module in modules:
        part = part_of(name)
        if isinstance(module, nn.Linear) and part in parts:
            word = next(word for word in PARTS[part] if word in name)  # type: ignore[index]
            found.setdefault((part, word), set()).add(name.rpartition(".")[2])  # type: ignore[arg-type]
    without = sorted(set(parts) - {part for part, _ in found})
    if without:
        raise UsageError(f"the base has no linear layer in its {without[0]} part; leave that part out")
    patterns = [
        rf"(?:.*\.)?{re.escape(word)}\.(?:.*\.)?(?:{'|'.join(sorted(leaves))})"
        for (_, word), leaves in found.items()
    ]
    return "|".join(patterns)


def load_base(base: str) -> tuple[Any, Any]:
    """A vision-language model and its processor, from a folder or by its name on the hub; safetensors only.

    Raises:
        ModelNotFoundError, ModelError: there is none, or it cannot be loaded.
    """
    from ..networks.llava_nano import quiet

    local = Path(base).expanduser()
    if not local.is_dir() and (base.count("/") != 1 or base.startswith((".", "/"))):
        raise ModelNotFoundError(f"--base {base}: no such folder, and no name on the hub (OWNER/MODEL)")
    try:
        with quiet():
            from transformers import AutoModelForImageTextToText, AutoProcessor

            source = str(local) if local.is_dir() else base
            model = AutoModelForImageTextToText.from_pretrained(
                source, use_safetensors=True, dtype=torch.float32
            )
            return model, AutoProcessor.from_pretrained(source)
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"--base {base}: cannot be loaded as a vision-language model ({first})") from error


def adapted(model: Any, spec: LoraSpec, checkpointing: bool = False) -> Any:
    """The model with an untrained adapter; everything else is frozen.

    Args:
        model: the base; it is changed in place.
        spec: sizes.
        checkpointing: compute states again in the backward pass instead of keeping them.
    """
    from peft import LoraConfig, get_peft_model

    pattern = targets(model.named_modules(), spec.parts)
    config = LoraConfig(
        r=spec.rank, lora_alpha=spec.alpha, lora_dropout=spec.dropout, target_modules=pattern, bias="none"
    )
    found = get_peft_model(model, config)
    if checkpointing:
        found.enable_input_require_grads()
        found.gradient_checkpointing_enable({"use_reentrant": False})
    return found


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Name -> what is being trained."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}
