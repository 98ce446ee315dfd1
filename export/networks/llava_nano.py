"""llava-nano: a stock LLaVA of three million parameters (SigLIP tower, two-layer projector, LLaMA).

Every part is the stock one of ``transformers``, so that ``from_pretrained`` loads a checkpoint as it is and
llama.cpp runs its GGUF: a SigLIP tower without CLS token, whose last block's states (before its closing norm,
which stays unused) go through the projector, and a LLaMA with tied embeddings.

Two starting values carry knowledge: the tower's positions are sines and cosines of row and column, and the
tokens of the numbers 0..127 are sines and cosines of the number, so that neighbours start out alike.

H. Liu et al., Visual Instruction Tuning (2023); X. Zhai et al., Sigmoid Loss for Language Image Pre-Training
(2023); M. Tancik et al., Fourier Features Let Networks Learn High Frequency Functions (2020).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..language.vocabulary import IMAGE, build_tokenizer, number_ids

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

SIDE, PATCH = 128, 16
PATCHES = (SIDE // PATCH) ** 2
NORM = 0.5
"""Mean and deviation that pixels (0..1) are normalised with, in every channel."""


@dataclass(frozen=True)
class NanoSpec:
    """Sizes of a llava-nano.

    Attributes:
        vision_width, vision_blocks, vision_hidden, vision_heads: of the tower.
        width, blocks, hidden, heads, key_heads: of the LLaMA.
    """

    vision_width: int = 128
    vision_blocks: int = 4
    vision_hidden: int = 512
    vision_heads: int = 4
    width: int = 256
    blocks: int = 3
    hidden: int = 512
    heads: int = 4
    key_heads: int = 2


def build(spec: NanoSpec | None = None) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """An untrained model and its processor (tokenizer and image normalisation).

    Weights come from torch's random state: ``torch.manual_seed`` first repeats them.

    Args:
        spec: sizes; default ``NanoSpec()``, about three million parameters.

    Example:
        >>> model, processor = build(NanoSpec(vision_blocks=1, blocks=1))
        >>> inputs = processor(text="<image>Hi", images=[torch.zeros(3, 128, 128, dtype=torch.uint8)])
        >>> len(inputs["input_ids"][0])
        66
    """
    from transformers import LlavaForConditionalGeneration

    processor = build_processor()
    model = LlavaForConditionalGeneration(config_of(spec or NanoSpec()))
    _start(model, number_ids(processor.tokenizer))
    return model.eval(), processor


def config_of(spec: NanoSpec) -> LlavaConfig:
    """The stock configuration of these sizes, with the ids of the tokenizer."""
    from transformers import LlamaConfig, LlavaConfig, SiglipVisionConfig

    tokens = build_tokenizer()
    vision = SiglipVisionConfig(
        hidden_size=spec.vision_width,
        intermediate_size=spec.vision_hidden,
        num_hidden_layers=spec.vision_blocks,
        num_attention_heads=spec.vision_heads,
        image_size=SIDE,
        patch_size=PATCH,
        hidden_act="gelu_pytorch_tanh",
        vision_use_head=False,
    )
    ids = {
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
    }
    text = LlamaConfig(
        vocab_size=len(tokens),
        hidden_size=spec.width,
        intermediate_size=spec.hidden,
        num_hidden_layers=spec.blocks,
        num_attention_heads=spec.heads,
        num_key_value_heads=spec.key_heads,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        **ids,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokens.convert_tokens_to_ids(IMAGE),
        projector_hidden_act="gelu_pytorch_tanh",  # llama.cpp's projector knows no exact GELU
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=PATCHES,
        tie_word_embeddings=True,
    )


def build_processor() -> LlavaProcessor:
    """Grey or colour images of 128 x 128 (others are resized to it) and text as the model's input."""
    tokens = build_tokenizer()
    with quiet():
        from transformers import LlavaProcessor, SiglipImageProcessor

        images = SiglipImageProcessor(
            size={"height": SIDE, "width": SIDE},
            image_mean=[NORM] * 3,
            image_std=[NORM] * 3,
            do_convert_rgb=True,
        )
    return LlavaProcessor(
        images,
        tokens,
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        chat_template=tokens.chat_template,
        num_additional_image_tokens=0,
    )


def save(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Write the checkpoint as ``transformers`` does: config, safetensors, tokenizer and processor."""
    with quiet():
        model.save_pretrained(folder)
        build_processor().save_pretrained(folder)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Errors only from ``transformers``, and no progress bars; afterwards as before."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@torch.no_grad()
def _start(model: LlavaForConditionalGeneration, numbers: list[int]) -> None:
    """Number tokens and patch positions as waves instead of noise."""
    words = model.get_input_embeddings().weight
    words.normal_(0, 0.02)
    words[numbers] = 0.02 * math.sqrt(2) * _waves(torch.arange(len(numbers)), words.shape[1], 6, 256)
    places = model.model.vision_tower.embeddings.position_embedding.weight
    cells = torch.arange(PATCHES)
    side, width = SIDE // PATCH, places.shape[1]
    rows, cols = cells // side, cells % side
    longest = 2 * side
    both = [_waves(each, width // 2, 2.2, longest) for each in (rows, cols)]
    places.copy_(0.1 * torch.cat(both, dim=1))
    model.tie_weights()


def _waves(numbers: Tensor, width: int, shortest: float, longest: float) -> Tensor:
    """(n, width): sines, then cosines, of ``width // 2`` wavelengths from ``longest`` to ``shortest``."""
    lengths = torch.logspace(math.log10(longest), math.log10(shortest), width // 2)
    angles = 2 * math.pi * numbers[:, None].float() / lengths
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class NanoTrainee(nn.Module):
    """A llava-nano with the head that it is trained with and that is dropped afterwards.

    Args:
        **sizes: fields of ``NanoSpec``.

    Attributes:
        llava: the model that is kept.
        mask_head: a patch's projected state -> logits of the tumour in its 16 x 16 pixels.
    """

    def __init__(self, **sizes: int) -> None:
        super().__init__()
        self.llava, _ = build(NanoSpec(**sizes))
        self.mask_head = nn.Linear(self.llava.config.text_config.hidden_size, PATCH * PATCH)
        self.register_state_dict_post_hook(_without_tied)
        self.register_load_state_dict_pre_hook(_with_tied)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 128, 128) uint8 slices -> (N, 64, width) states of patches, as the LLaMA gets them."""
        return patch_states(self.llava, images)


def patch_states(llava: LlavaForConditionalGeneration, images: Tensor) -> Tensor:
    """Grey uint8 slices (N, 128, 128) through tower and projector: (N, 64, width)."""
    pixels = (images.float() / 255 - NORM) / NORM
    found = llava.model.get_image_features(pixels[:, None].expand(-1, 3, -1, -1))
    return torch.stack(list(found.pooler_output))


_TIED, _KEPT = "llava.lm_head.weight", "llava.model.language_model.embed_tokens.weight"


def _without_tied(module: nn.Module, state: dict[str, Tensor], prefix: str, local: object) -> None:
    """One tensor under one name: safetensors writes no tensor twice."""
    state.pop(prefix + _TIED, None)


def _with_tied(module: nn.Module, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
    if prefix + _KEPT in state:
        state[prefix + _TIED] = state[prefix + _KEPT]
