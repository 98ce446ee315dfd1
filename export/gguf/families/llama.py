"""The language model of every family: LLaMA, in the words of GGUF."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....zoo.errors import ModelError, UsageError

#: config.json leaves out what equals the class's default (``LlamaConfig`` of transformers).
_DEFAULTS = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
}
_KINDS = ("llama", "vllama3")
_LLAMA3 = ("low_freq_factor", "high_freq_factor", "original_max_position_embeddings")


def complete(text: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings with defaults filled in.

    Raises:
        UsageError: not a LLaMA, or a kind of it that llama.cpp runs otherwise.
        ModelError: settings that contradict each other.
    """
    kind, activation = str(text.get("model_type", "llama")).lower(), text.get("hidden_act", "silu")
    if kind not in _KINDS or activation != "silu":
        raise UsageError(
            f"{where}: the language model is {kind} with {activation}; converted is LLaMA with silu"
        )
    full = _DEFAULTS | text
    if full.get("num_key_value_heads") is None:
        full["num_key_value_heads"] = full["num_attention_heads"]
    if full.get("head_dim") is None:
        full["head_dim"] = full["hidden_size"] // max(1, full["num_attention_heads"])
    for key in (*_DEFAULTS, "num_key_value_heads", "head_dim"):
        if type(full[key]) is not int or full[key] < 1:
            raise ModelError(f"{where}: {key} is {full[key]!r}, expected a number from 1")
    if full["num_attention_heads"] % full["num_key_value_heads"] or full["head_dim"] % 2:
        raise ModelError(
            f"{where}: {full['num_attention_heads']} heads of {full['head_dim']} over "
            f"{full['num_key_value_heads']} key heads"
        )
    return full


def describe(text: dict[str, Any], where: str) -> dict[str, Any]:
    """Key-values of a language model; ``text`` as ``complete`` gave it."""
    values: dict[str, Any] = {
        "llama.block_count": text["num_hidden_layers"],
        "llama.context_length": text["max_position_embeddings"],
        "llama.embedding_length": text["hidden_size"],
        "llama.feed_forward_length": text["intermediate_size"],
        "llama.attention.head_count": text["num_attention_heads"],
        "llama.attention.head_count_kv": text["num_key_value_heads"],
        "llama.attention.layer_norm_rms_epsilon": float(text.get("rms_norm_eps", 1e-6)),
        "llama.rope.dimension_count": text["head_dim"],
        "llama.vocab_size": text["vocab_size"],
        "llama.attention.key_length": text["head_dim"],
        "llama.attention.value_length": text["head_dim"],
    }
    rope = _rope(text, where)
    values["llama.rope.freq_base"] = float(rope["rope_theta"])
    if rope["rope_type"] == "linear":
        values |= {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": float(rope["factor"])}
    return values


def shapes(text: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape in numpy's order of the weights that every LLaMA has, by the last part of their GGUF name."""
    width, hidden, head = text["hidden_size"], text["intermediate_size"], text["head_dim"]
    queries, keys = head * text["num_attention_heads"], head * text["num_key_value_heads"]
    return {
        "token_embd": (text["vocab_size"], width),
        "output": (text["vocab_size"], width),
        "output_norm": (width,),
        "attn_norm": (width,),
        "ffn_norm": (width,),
        "attn_q": (queries, width),
        "attn_k": (keys, width),
        "attn_v": (keys, width),
        "attn_output": (width, queries),
        "ffn_gate": (hidden, width),
        "ffn_up": (hidden, width),
        "ffn_down": (width, hidden),
    }


def rope_factors(text: dict[str, Any], where: str) -> NDArray[np.float32] | None:
    """What llama.cpp divides the rotations' frequencies by, (head_dim / 2,) float32; None for 1 throughout.

    Source: ``_compute_llama3_parameters`` of transformers (Llama 3.1): low frequencies are stretched by
    ``factor``, high ones stay, those between are blended.
    """
    rope = _rope(text, where)
    if rope["rope_type"] != "llama3":
        return None
    low, high, length = (rope[key] for key in _LLAMA3)
    steps = np.arange(0, text["head_dim"], 2, dtype=np.float64) / text["head_dim"]
    turns = length * rope["rope_theta"] ** -steps / (2 * math.pi)  # over the length trained on
    blend = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - blend) / rope["factor"] + blend)).astype(np.float32)


def _rope(text: dict[str, Any], where: str) -> dict[str, Any]:
    """Settings of the rotations, as transformers 5 or before 5 writes them."""
    given = text.get("rope_parameters") or text.get("rope_scaling") or {}
    rope = {"rope_theta": text.get("rope_theta", 10000.0), **(given if isinstance(given, dict) else {})}
    rope["rope_type"] = rope.get("rope_type", rope.get("type", "default"))
    needed = {"default": (), "linear": ("factor",)}.get(
        rope["rope_type"],
        ("factor", *_LLAMA3),
    )
    if rope["rope_type"] not in ("default", "linear", "llama3"):
        raise UsageError(f"{where}: rope_type {rope['rope_type']}; converted are default, linear, llama3")
    for key in ("rope_theta", *needed):
        value = rope.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
            raise ModelError(f"{where}: {key} of the rotations is {value!r}, expected a number above 0")
    return rope
