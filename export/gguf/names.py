"""Where a module of a Hugging Face model lies in the GGUF pair: which file, and under which name.

Families: LLaMA text models; LLaVA (SigLIP tower, projector), by the names of transformers 5 and by the older
ones; Idefics3 and SmolVLM. Sources: the state dicts of transformers; the tensor names of llama.cpp
(``gguf/tensor_mapping.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Part = Literal["text", "mmproj"]

_TEXT_BLOCK = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_TEXT_TOP = {"embed_tokens": "token_embd", "norm": "output_norm"}
_TOWER_BLOCK = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.out_proj": "attn_out",
    "mlp.fc1": "ffn_up",
    "mlp.fc2": "ffn_down",
    "layer_norm1": "ln1",
    "layer_norm2": "ln2",
}
_TOWER_TOP = {
    "embeddings.patch_embedding": "v.patch_embd",
    "embeddings.position_embedding": "v.position_embd",
    "post_layernorm": "v.post_ln",
}
_PROJECTOR = {
    "multi_modal_projector.linear_1": "mm.0",
    "multi_modal_projector.linear_2": "mm.2",
    "connector.modality_projection.proj": "mm.model.fc",
}
_TEXT = re.compile(
    r"(?:model\.language_model\.|language_model\.model\.|language_model\.|model\.text_model\.|text_model\.|model\.)?"
    r"(?:layers\.(?P<block>\d{1,4})\.(?P<inner>.+)|(?P<top>embed_tokens|norm))"
)
_HEAD = re.compile(r"(?:language_model\.|model\.)?lm_head")
_TOWER = re.compile(
    r"(?:model\.)?vision_(?:tower|model)\.(?:vision_model\.)?"
    r"(?:encoder\.layers\.(?P<block>\d{1,4})\.(?P<inner>.+)|(?P<top>.+))"
)
_MLLAMA = re.compile(r".*(cross_attn|vision_model\.(global_)?transformer\.).*")


@dataclass(frozen=True)
class Place:
    """Where a module lies.

    Attributes:
        part: which file.
        stem: name of its tensors without ".weight" or ".bias"; "" of a part of the tower that GGUF leaves
            out (SigLIP's pooling head, which no vision-language model looks at).
        block: number of its block, None outside the blocks.
    """

    part: Part
    stem: str
    block: int | None = None

    @property
    def permuted(self) -> bool:
        """Whether llama.cpp keeps its rows in another order: queries and keys of a text model."""
        return self.part == "text" and self.stem.endswith((".attn_q", ".attn_k"))


def place_of(module: str) -> Place | None:
    """Where ``module`` lies, None if it is in no family that is known.

    Args:
        module: name in the Hugging Face model, without PEFT's "base_model.model.".

    Example:
        >>> place_of("model.language_model.layers.3.self_attn.o_proj")
        Place(part='text', stem='blk.3.attn_output', block=3)
        >>> place_of("vision_tower.vision_model.encoder.layers.0.mlp.fc1").stem
        'v.blk.0.ffn_up'
        >>> place_of("model.visual.blocks.0.attn.qkv") is None
        True
    """
    if _HEAD.fullmatch(module):
        return Place("text", "output")
    for name, stem in _PROJECTOR.items():
        if module in (name, f"model.{name}"):
            return Place("mmproj", stem)
    if match := _TOWER.fullmatch(module):
        return _in_tower(match)
    if match := _TEXT.fullmatch(module):
        return _in_text(match)
    return None


def is_mllama(module: str) -> bool:
    """Whether a module is one that only Llama-3.2-Vision has.

    Example:
        >>> is_mllama("model.language_model.layers.3.cross_attn.q_proj")
        True
    """
    return _MLLAMA.fullmatch(module) is not None


def _in_tower(match: re.Match[str]) -> Place | None:
    if match["block"] is None:
        if match["top"].startswith("head."):
            return Place("mmproj", "")
        stem = _TOWER_TOP.get(match["top"])
        return Place("mmproj", stem) if stem else None
    inner, block = _TOWER_BLOCK.get(match["inner"]), int(match["block"])
    return Place("mmproj", f"v.blk.{block}.{inner}", block) if inner else None


def _in_text(match: re.Match[str]) -> Place | None:
    if match["block"] is None:
        return Place("text", _TEXT_TOP[match["top"]])
    inner, block = _TEXT_BLOCK.get(match["inner"]), int(match["block"])
    return Place("text", f"blk.{block}.{inner}", block) if inner else None
