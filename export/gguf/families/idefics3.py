"""Idefics3 and SmolVLM: a SigLIP tower with its closing norm, pixel shuffle, one linear layer, LLaMA.

H. Laurençon et al., Building and better understanding vision-language models (2024).
"""

from __future__ import annotations

from typing import Any

from ....zoo.errors import UsageError
from ..checkpoint import Checkpoint
from . import siglip

CLASSES = ("Idefics3ForConditionalGeneration", "SmolVLMForConditionalGeneration")
VISION = True
_DEFAULTS = siglip.DEFAULTS | {"hidden_size": 1152, "num_attention_heads": 16, "patch_size": 32}


def check(checkpoint: Checkpoint) -> list[str]:
    """As ``Family.check``."""
    vision = siglip.vision_config(checkpoint.config, _DEFAULTS)
    factor = checkpoint.config.get("scale_factor", 2)
    side = vision["image_size"] // vision["patch_size"]
    if type(factor) is not int or factor < 1 or side % factor:
        raise UsageError(
            f"{checkpoint.folder}: scale_factor {factor!r} does not divide {side} patches a side"
        )
    notes = siglip.check_tower(vision, str(checkpoint.folder))
    if siglip.image_settings(checkpoint).get("do_image_splitting") is False:
        notes.append("the processor shows pictures whole; llama.cpp always adds tiles of them")
    return notes


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """As ``Family.text_config``."""
    return dict(config.get("text_config") or {})


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """As ``Family.describe``."""
    vision = siglip.vision_config(checkpoint.config, _DEFAULTS)
    width = text_config(checkpoint.config).get("hidden_size", 4096)
    size = siglip.image_settings(checkpoint).get("size")
    longest = size.get("longest_edge") if isinstance(size, dict) else None
    return {
        "clip.projector_type": "idefics3",
        **siglip.describe_tower(vision, checkpoint, width),
        "clip.vision.projector.scale_factor": checkpoint.config.get("scale_factor", 2),
        "clip.vision.preproc_image_size": longest if type(longest) is int else vision["image_size"],
    }


def is_used(stem: str, block: int | None, checkpoint: Checkpoint) -> bool:
    """As ``Family.is_used``: all but a pooling head."""
    return stem != ""
