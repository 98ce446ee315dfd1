"""LLaVA: a SigLIP tower without CLS token, two linear layers with a GELU between them, LLaMA.

H. Liu et al., Visual Instruction Tuning (2023), with the tower of X. Zhai et al., Sigmoid Loss for Language
Image Pre-Training (2023).
"""

from __future__ import annotations

from typing import Any

from ....zoo.errors import UsageError
from ..checkpoint import Checkpoint
from .siglip import DEFAULTS, check_tower, describe_tower, gelu_note, vision_config

CLASSES = ("LlavaForConditionalGeneration",)
VISION = True
_GELUS = ("gelu", "gelu_pytorch_tanh", "gelu_new")


def check(checkpoint: Checkpoint) -> list[str]:
    """As ``Family.check``."""
    config, where = checkpoint.config, str(checkpoint.folder)
    tower = (config.get("vision_config") or {}).get("model_type", "clip_vision_model")
    if tower == "clip_vision_model":
        raise UsageError(
            f"{where}: a CLIP tower with a CLS token, which llama.cpp puts in the wrong place (its issue "
            "25814): pictures would be read wrongly; use a model with a SigLIP tower, or transformers:"
        )
    if tower != "siglip_vision_model":
        raise UsageError(f"{where}: a {tower}; of LLaVA models, those with a SigLIP tower are converted")
    if config.get("vision_feature_select_strategy", "default") != "full":
        raise UsageError(
            f"{where}: vision_feature_select_strategy is 'default', which drops the first patch of a tower "
            "that has no CLS token; llama.cpp keeps all: train with 'full'"
        )
    activation = config.get("projector_hidden_act", "gelu")
    if activation not in _GELUS:
        raise UsageError(f"{where}: the projector's activation is {activation}; llama.cpp always takes GELU")
    kept_blocks(config)
    vision = vision_config(config, DEFAULTS)
    return check_tower(vision, where) + gelu_note(activation, "projector")


def text_config(config: dict[str, Any]) -> dict[str, Any]:
    """As ``Family.text_config``."""
    return dict(config.get("text_config") or {})


def describe(checkpoint: Checkpoint) -> dict[str, Any]:
    """As ``Family.describe``: the tower ends with the block whose states are looked at, before any norm."""
    vision = vision_config(checkpoint.config, DEFAULTS)
    width = text_config(checkpoint.config).get("hidden_size", 4096)
    kept = kept_blocks(checkpoint.config)
    return {
        "clip.projector_type": "mlp",
        **describe_tower(vision | {"num_hidden_layers": kept}, checkpoint, width),
        "clip.vision.feature_layer": [kept],
    }


def is_used(stem: str, block: int | None, checkpoint: Checkpoint) -> bool:
    """As ``Family.is_used``: neither the closing norm nor the blocks behind the feature layer."""
    return stem not in ("", "v.post_ln") and (block is None or block < kept_blocks(checkpoint.config))


def kept_blocks(config: dict[str, Any]) -> int:
    """How many blocks of the tower run before its states are taken.

    Raises:
        UsageError: several layers, or one that is not there.

    Example:
        >>> kept_blocks({"vision_config": {"num_hidden_layers": 27}, "vision_feature_layer": -2})
        26
    """
    blocks = vision_config(config, DEFAULTS)["num_hidden_layers"]
    layer = config.get("vision_feature_layer", -2)
    kept = blocks + 1 + layer if type(layer) is int and layer < 0 else layer
    if type(kept) is not int or not 0 < kept <= blocks:
        raise UsageError(f"vision_feature_layer is {layer!r} of {blocks} blocks; expected one of them")
    return kept
