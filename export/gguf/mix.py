"""Which format each tensor gets: ``--type keep``, f16, q8_0, q4_k_m.

The rules of f16 and q8_0 are those of ``llama-quantize``: matrices change, vectors and norms stay in F32, and
a matrix whose rows are no whole blocks falls back to a format with smaller ones. Q4_K_M gives some blocks'
values and down projections, and the output, six bits. Source: ``src/llama-quant.cpp`` of llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from ...zoo.errors import UsageError
from .kquants import BLOCKS

TYPES = ("keep", "f16", "q8_0", "q4_k_m")
#: ``general.file_type`` of llama.cpp (llama_ftype), which names the file's format.
FILE_TYPE = {"f16": 1, "q8_0": 7, "q4_k_m": 15}
_FALLBACK = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}
_BLOCK = re.compile(r"blk\.(\d+)\.(.+)\.weight")


@dataclass(frozen=True)
class Mix:
    """Formats of the tensors of one text model.

    Attributes:
        type: "keep", "f16", "q8_0" or "q4_k_m".
        blocks: how many blocks the model has.
        tied: whether the token embeddings are also the output.

    Example:
        >>> mix = Mix("q4_k_m", blocks=8, tied=False)
        >>> mix.format_of("blk.0.ffn_down.weight", (512, 256), "F32")
        'Q6_K'
        >>> mix.format_of("blk.0.attn_q.weight", (96, 256), "F32")
        'Q5_0'
        >>> mix.format_of("blk.0.attn_norm.weight", (256,), "F32")
        'F32'
    """

    type: str
    blocks: int
    tied: bool

    def format_of(self, name: str, shape: tuple[int, ...], format: str) -> str:
        """The format that a tensor gets.

        Args:
            name: in GGUF.
            shape: as in GGUF, the row's length first.
            format: that it has.
        """
        if self.type == "keep" or not _is_matrix(name, shape):
            return format
        wanted = self._wanted(name)
        while shape[0] % BLOCKS[wanted][0]:
            wanted = _FALLBACK.get(wanted, "F16")
        return wanted

    def _wanted(self, name: str) -> str:
        if self.type != "q4_k_m":
            return self.type.upper()
        if name == "output.weight" or (name == "token_embd.weight" and self.tied):
            return "Q6_K"
        match = _BLOCK.fullmatch(name)
        if match and match[2] in ("attn_v", "ffn_down") and self._more_bits(int(match[1])):
            return "Q6_K"
        return "Q4_K"

    def _more_bits(self, block: int) -> bool:
        """The first and the last eighth, and every third between them."""
        eighth = self.blocks // 8
        return block < eighth or block >= 7 * self.blocks // 8 or (block - eighth) % 3 == 2


def check_mix(type: str) -> str:
    """``type`` in lower case.

    Raises:
        UsageError: not one of ``TYPES``.

    Example:
        >>> check_mix("Q8_0")
        'q8_0'
    """
    if type.lower() in TYPES:
        return type.lower()
    advice = "; it needs an importance matrix, which is not at hand" if type.lower().startswith("iq") else ""
    raise UsageError(f"--type {type}: expected {', '.join(TYPES)}{advice}")


def tower_type(type: str) -> str:
    """The type of the mmproj beside a text model of ``type``: never below Q8_0, which costs little there."""
    return "q8_0" if type == "q4_k_m" else type


def _is_matrix(name: str, shape: Collection[int]) -> bool:
    """Weights that are multiplied with; positions, convolutions and vectors keep their format."""
    return len(shape) == 2 and name.endswith(".weight") and "norm" not in name and "position_embd" not in name
