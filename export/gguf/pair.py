"""A GGUF pair, text model and mmproj: what they must be for an adapter to be merged into them.

What llama.cpp cannot run, or runs wrongly, is refused here with the way that does work.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...zoo.errors import ModelError, UsageError
from ...zoo.ggufheader import GgufHeader, GgufTensor, read_gguf_header
from .names import Part, Place

#: Projectors that can be merged into -> whether the tower's last blocks may be left out (LLaVA).
_PROJECTORS = {"mlp": True, "idefics3": False}
_OUT = {"mlp": "mm.2.weight", "idefics3": "mm.model.fc.weight"}
MLLAMA = (
    "mllama (Llama-3.2-Vision) has no llama.cpp runtime anywhere, so there is no GGUF to merge into: run "
    "base and adapter with transformers:BASE+ADAPTER"
)


@dataclass(frozen=True)
class Pair:
    """A text model and, if there is one, its vision part.

    Attributes:
        text: header of the text model.
        mmproj: header of the vision part.
    """

    text: GgufHeader
    mmproj: GgufHeader | None = None

    @property
    def tied(self) -> bool:
        """Whether the token embeddings are also the output."""
        return "output.weight" not in self.text.tensors

    @property
    def blocks(self) -> int:
        """Blocks of the text model."""
        return int(self.text.get("llama.block_count"))

    @property
    def projector(self) -> str:
        """ "mlp" (LLaVA), "idefics3", ...; "" without a vision part."""
        if self.mmproj is None:
            return ""
        found = self.mmproj.get("clip.vision.projector_type") or self.mmproj.get("clip.projector_type", "")
        return str(found)

    @property
    def tower_blocks(self) -> int:
        """Blocks of the vision tower that are in the file."""
        names = self.mmproj.tensors if self.mmproj else ()
        found = (re.match(r"v\.blk\.(\d{1,4})\.", name) for name in names)
        return max((int(match[1]) for match in found if match), default=-1) + 1

    def header(self, part: Part) -> GgufHeader | None:
        """The header of a part."""
        return self.text if part == "text" else self.mmproj

    def tensor(self, place: Place, leaf: str) -> GgufTensor | None:
        """The tensor of a place, None if the file has none. ``leaf`` is "weight" or "bias"."""
        header = self.header(place.part)
        return header.tensors.get(f"{self._stem(place)}.{leaf}") if header else None

    def order(self, place: Place, rows: int) -> npt.NDArray[np.intp] | None:
        """For each row in the GGUF the row of the Hugging Face tensor; None where the order is the same.

        llama.cpp rotates neighbouring pairs where transformers rotates halves, so its converter interleaves
        the halves of every head of queries and keys (``LlamaModel.permute`` of ``convert_hf_to_gguf.py``).
        """
        if not place.permuted:
            return None
        heads = self._heads(place)
        if heads < 1 or rows % (2 * heads):
            raise ModelError(f"{self.text.name}: {place.stem}: {rows} rows do not go into {heads} heads")
        return np.arange(rows).reshape(heads, 2, rows // heads // 2).swapaxes(1, 2).reshape(-1)

    def is_left_out(self, place: Place) -> bool:
        """Whether a place of the tower is absent because nothing looks at it.

        That is SigLIP's pooling head, and in LLaVA all that lies behind the feature layer: the last blocks
        and the closing norm.
        """
        if place.part != "mmproj" or self.mmproj is None:
            return False
        behind = place.stem == "v.post_ln" or (place.block or 0) >= self.tower_blocks > 0
        return place.stem == "" or (_PROJECTORS.get(self.projector, False) and behind)

    def _stem(self, place: Place) -> str:
        """The name in this file: converters of 2023 swapped the tower's up and down, and llama.cpp copes."""
        swapped = {"ffn_up": "ffn_down", "ffn_down": "ffn_up"}
        head, _, last = place.stem.rpartition(".")
        if place.part == "text" or last not in swapped or self.mmproj is None:
            return place.stem
        up, down = (self.mmproj.tensors.get(f"{head}.{name}.weight") for name in swapped)
        width = self.mmproj.get("clip.vision.embedding_length")
        if up and down and up.shape[0] != width and down.shape[0] == width:
            return f"{head}.{swapped[last]}"
        return place.stem

    def _heads(self, place: Place) -> int:
        heads = self.text.get("llama.attention.head_count")
        if place.stem.endswith("attn_k"):
            heads = self.text.get("llama.attention.head_count_kv", heads)
        if isinstance(heads, np.ndarray):  # one number a block
            heads = heads[place.block] if (place.block or 0) < len(heads) else 0
        return int(heads)


def open_pair(base: Path, mmproj: Path | None = None) -> Pair:
    """Read the headers of a pair and refuse what cannot be merged into.

    Args:
        base: GGUF of the text model.
        mmproj: GGUF of its vision part.

    Raises:
        ModelNotFoundError, ModelError, IntegrityError: as ``read_gguf_header``, or not what it should be.
        UsageError: a kind of model that cannot be merged into, or two files of different models.
    """
    text = read_gguf_header(base)
    _check_text(text)
    pair = Pair(text, read_gguf_header(mmproj) if mmproj else None)
    if pair.mmproj is not None:
        _check_mmproj(pair, pair.mmproj)
    return pair


def _check_text(text: GgufHeader) -> None:
    kind = text.architecture
    if kind == "mllama":
        raise UsageError(f"{text.name}: {MLLAMA}")
    if kind == "clip":
        raise UsageError(f"{text.name}: an mmproj; give it with --mmproj, and the text model with --base")
    if kind != "llama":
        raise UsageError(f"{text.name}: architecture {kind!r}; only llama can be merged into")
    for key in ("block_count", "embedding_length", "attention.head_count"):
        value = text.get(f"llama.{key}")
        if not (_is_count(value) or (key.endswith("head_count") and isinstance(value, np.ndarray))):
            raise ModelError(f"{text.name}: llama.{key} is {value!r}, expected a positive number")
    if "token_embd.weight" not in text.tensors:
        raise ModelError(f"{text.name}: no token_embd.weight: not a whole text model")


def _check_mmproj(pair: Pair, mmproj: GgufHeader) -> None:
    if mmproj.architecture != "clip":
        raise UsageError(f"{mmproj.name}: architecture {mmproj.architecture!r}; an mmproj has 'clip'")
    if "v.class_embd" in mmproj.tensors:
        raise UsageError(
            f"{mmproj.name}: a CLIP tower with a CLS token, which llama.cpp puts in the wrong place (its "
            "issue 25814): pictures would be read wrongly; use a model with a SigLIP tower, or transformers:"
        )
    if mmproj.get("clip.has_audio_encoder"):
        raise UsageError(f"{mmproj.name}: holds an audio encoder; only vision parts can be merged into")
    out = mmproj.tensors.get(_OUT.get(pair.projector, ""))
    width = pair.text.get("llama.embedding_length")
    if out is not None and out.shape[-1] != width:
        raise UsageError(
            f"{mmproj.name}: of another model: it makes embeddings of {out.shape[-1]}, "
            f"{pair.text.name} takes {width}"
        )


def is_known_projector(pair: Pair) -> bool:
    """Whether the vision part is of a family that can be merged into."""
    return pair.projector in _PROJECTORS


def rows_and_columns(tensor: GgufTensor) -> tuple[int, int]:
    """A tensor as a matrix: (outputs, inputs); of a vector (length, 1), a convolution a row per kernel.

    Example:
        >>> rows_and_columns(GgufTensor("v.patch_embd.weight", (16, 16, 3, 128), 0, 0, 0))
        (128, 768)
    """
    if len(tensor.shape) < 2:
        return tensor.count, 1
    return tensor.shape[-1], math.prod(tensor.shape[:-1])


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
