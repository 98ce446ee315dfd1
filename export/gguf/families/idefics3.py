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
_MARKS = {
    "\u010a": "a line's end",
    "\u010a\u010a": "two lines' ends",
    "<fake_token_around_image>": "<fake_token_around_image>",
    "<global-img>": "<global-img>",
}
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
    _check_marks(checkpoint)
    notes = siglip.check_tower(vision, str(checkpoint.folder))
    if siglip.image_settings(checkpoint).get("do_image_splitting") is False:
        notes.append("the processor shows pictures whole; llama.cpp always adds tiles of them")
    return notes


def _check_marks(checkpoint: Checkpoint) -> None:
    """The tokens that llama.cpp puts around tiles; it reads one that is missing as the number -1."""
    tokenizer = checkpoint.json("tokenizer.json") or {}
    model, added = tokenizer.get("model"), tokenizer.get("added_tokens")
    pieces = set((model.get("vocab") or {}) if isinstance(model, dict) else {})
    pieces |= {token.get("content") for token in added or () if isinstance(token, dict)}
    if missing := [name for mark, name in _MARKS.items() if mark not in pieces]:
        raise UsageError(
            f"{checkpoint.folder}: the tokenizer has no single token for {missing[0]}, which llama.cpp puts "
            "around images of this family; use transformers:"
        )


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
