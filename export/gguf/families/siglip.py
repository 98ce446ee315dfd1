"""What LLaVA and Idefics3 share: a SigLIP tower, and how pictures are normalised for it."""

from __future__ import annotations

from typing import Any

from ....zoo.errors import ModelError, UsageError
from ..checkpoint import Checkpoint

#: config.json leaves out what equals the class's default (``SiglipVisionConfig`` of transformers).
DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 16,
    "num_channels": 3,
    "hidden_act": "gelu_pytorch_tanh",
    "layer_norm_eps": 1e-6,
}
_EXACT = ("gelu_pytorch_tanh", "gelu_new")
#: Activation of the tower -> the flag by which llama.cpp chooses its own; without one it takes quick_gelu.
_FLAGS: dict[str, dict[str, Any]] = {
    **{name: {"clip.use_gelu": True} for name in (*_EXACT, "gelu")},
    "silu": {"clip.use_silu": True},
    "quick_gelu": {"clip.use_gelu": False},
}


def check_tower(vision: dict[str, Any], where: str) -> list[str]:
    """What llama.cpp computes differently; refuses what it computes wrongly.

    Raises:
        UsageError: it would be wrong.
    """
    if vision["hidden_act"] not in _FLAGS:
        raise UsageError(
            f"{where}: the tower's activation is {vision['hidden_act']}; llama.cpp has {', '.join(_FLAGS)}"
        )
    if vision["num_channels"] != 3 or vision["image_size"] % vision["patch_size"]:
        raise UsageError(
            f"{where}: {vision['num_channels']} channels, {vision['image_size']} pixels in patches of "
            f"{vision['patch_size']}; llama.cpp takes 3 channels and whole patches"
        )
    if vision["intermediate_size"] == vision["hidden_size"]:
        raise UsageError(
            f"{where}: the tower's hidden layer is as wide as its input ({vision['hidden_size']}), and "
            "llama.cpp then swaps its two matrices; use transformers:"
        )
    return gelu_note(vision["hidden_act"], "tower")


def gelu_note(activation: str, part: str) -> list[str]:
    """A line where llama.cpp has only the tanh approximation of a GELU."""
    if activation != "gelu":
        return []
    return [f"the {part} has the exact GELU, llama.cpp the tanh approximation: up to 5e-4 apart"]


def vision_config(config: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The tower's settings, defaults filled in.

    Raises:
        ModelError: one of them is no number above 0.
    """
    given = config.get("vision_config")
    vision = defaults | (given if isinstance(given, dict) else {})
    for key, default in defaults.items():
        value = vision[key]
        if isinstance(default, int) and (type(value) is not int or value < 1):
            raise ModelError(f"config.json: vision_config.{key} is {value!r}, expected a number from 1")
    return vision


def describe_tower(vision: dict[str, Any], checkpoint: Checkpoint, width: int) -> dict[str, Any]:
    """Key-values of the tower.

    Args:
        vision: its settings.
        checkpoint: for how pictures are normalised.
        width: of the embeddings that the language model takes.
    """
    mean, deviation = normalisation(checkpoint)
    return {
        "clip.has_vision_encoder": True,
        **_FLAGS[vision["hidden_act"]],
        "clip.vision.image_size": vision["image_size"],
        "clip.vision.patch_size": vision["patch_size"],
        "clip.vision.embedding_length": vision["hidden_size"],
        "clip.vision.feed_forward_length": vision["intermediate_size"],
        "clip.vision.projection_dim": width,
        "clip.vision.block_count": vision["num_hidden_layers"],
        "clip.vision.attention.head_count": vision["num_attention_heads"],
        "clip.vision.attention.layer_norm_epsilon": float(vision["layer_norm_eps"]),
        "clip.vision.image_mean": mean,
        "clip.vision.image_std": deviation,
    }


def image_settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """The image processor's settings, wherever this version of transformers keeps them.

    Raises:
        ModelError: there are none.
    """
    inside = (checkpoint.json("processor_config.json") or {}).get("image_processor")
    found = inside if isinstance(inside, dict) else checkpoint.json("preprocessor_config.json")
    if found is None:
        raise ModelError(
            f"{checkpoint.folder}: no preprocessor_config.json, so how pictures are normalised is not known; "
            "save the processor into the folder"
        )
    return found


def normalisation(checkpoint: Checkpoint) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel.

    Raises:
        ModelError: they are not said.
        UsageError: pictures are scaled in a way that llama.cpp has not.
    """
    settings = image_settings(checkpoint)
    if settings.get("do_normalize") is False or settings.get("do_rescale") is False:
        raise UsageError(f"{checkpoint.folder}: pictures are not normalised, which llama.cpp always does")
    scale = settings.get("rescale_factor", 1 / 255)
    if not isinstance(scale, int | float) or abs(scale - 1 / 255) > 1e-6:
        raise UsageError(f"{checkpoint.folder}: pixels are scaled by {scale}; llama.cpp scales by 1/255")
    return _three(settings, "image_mean", checkpoint), _three(settings, "image_std", checkpoint)


def _three(settings: dict[str, Any], key: str, checkpoint: Checkpoint) -> list[float]:
    values = settings.get(key)
    if (
        not isinstance(values, list)
        or len(values) != 3
        or not all(isinstance(v, int | float) for v in values)
    ):
        raise ModelError(f"{checkpoint.folder}: {key} is {values!r}, expected three numbers")
    return [float(v) for v in values]
