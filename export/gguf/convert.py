"""Hugging Face checkpoint -> text GGUF and mmproj, streaming, without torch or transformers.

Converted are LLaVA with a SigLIP tower, Idefics3 / SmolVLM, and LLaMA alone. What llama.cpp would compute
wrongly is refused; what it computes a little differently is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...eval.files import prepare_folder
from ...zoo.errors import ModelError, UsageError
from ..safefile import Array
from .checkpoint import Checkpoint
from .families import Family, family_of
from .families import llama as llama_family
from .mix import FILE_TYPE, Mix
from .names import Place, place_of
from .output import Planned, write_gguf
from .vocabulary import read_vocabulary

TYPES = ("f32", "f16", "q8_0", "q4_k_m")
_QUANTISATION_VERSION = 2
_ROPE = re.compile(r".*\.rotary_emb\.inv_freq")
_TOKENS = "token_embd.weight"


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        text: the language model's file.
        mmproj: the vision part's, None for a model without eyes.
        notes: where llama.cpp computes a little differently.
    """

    text: Path
    mmproj: Path | None
    notes: tuple[str, ...]


def convert(
    source: Path, out: Path, type: str = "f16", mmproj_type: str | None = None, name: str | None = None
) -> Converted:
    """Write a checkpoint as GGUF.

    Args:
        source: folder with config.json, safetensors, tokenizer.json and the image processor's settings.
        out: folder for ``NAME-TYPE.gguf`` and ``mmproj-NAME-TYPE.gguf``; files of these names are replaced.
        type: of the matrices: "f32", "f16", "q8_0" or "q4_k_m".
        mmproj_type: likewise of the vision part: "f32", "f16" or "q8_0"; default f32 beside f32, else f16.
        name: of the model; default the folder's.

    Raises:
        UsageError: a model or type that is not converted.
        ModelNotFoundError, ModelError, IntegrityError: files that are missing, pickles, damaged or contradict
            each other; a disk that is full. Nothing is left half-written.
    """
    check_type(type, TYPES, "--type")
    eyes = check_type(mmproj_type or ("f32" if type == "f32" else "f16"), TYPES[:3], "--mmproj-type")
    checkpoint = Checkpoint(source)
    family = family_of(checkpoint)
    notes = family.check(checkpoint)
    name = name or source.resolve().name
    if not re.fullmatch(r"[\w][\w.+-]*", name):
        raise UsageError(f"--name {name!r}: letters, digits, '.', '_', '+' and '-' make a file's name")
    text_parts = _text_part(checkpoint, family, name, type)
    eye_parts = _vision_part(checkpoint, family, name, eyes) if family.VISION else None
    prepare_folder(out)
    text = out / f"{name}-{type.upper()}.gguf"
    write_gguf(text, *text_parts)
    if eye_parts is None:
        return Converted(text, None, tuple(notes))
    mmproj = out / f"mmproj-{name}-{eyes.upper()}.gguf"
    write_gguf(mmproj, *eye_parts)
    return Converted(text, mmproj, tuple(notes))


def check_type(type: str, types: tuple[str, ...], option: str) -> str:
    """``type`` itself.

    Raises:
        UsageError: not one of ``types``.

    Example:
        >>> check_type("iq4_xs", TYPES, "--type")
        Traceback (most recent call last):
        voxzoo.zoo.errors.UsageError: --type iq4_xs: expected f32, f16, q8_0, q4_k_m; IQ types need an \
importance matrix, which is not at hand
    """
    if type in types:
        return type
    advice = (
        "; IQ types need an importance matrix, which is not at hand" if type.lower().startswith("iq") else ""
    )
    raise UsageError(f"{option} {type}: expected {', '.join(types)}{advice}")


def _text_part(
    checkpoint: Checkpoint, family: Family, name: str, type: str
) -> tuple[dict[str, Any], list[Planned]]:
    where = str(checkpoint.folder)
    text = llama_family.complete(family.text_config(checkpoint.config), where)
    tensors = list(_text_tensors(checkpoint, text, type))
    factors = llama_family.rope_factors(text, where)
    if factors is not None:
        tensors.append(Planned("rope_freqs.weight", factors.shape, "F32", lambda: iter([factors])))
    metadata = {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": name,
        "general.file_type": 0 if type == "f32" else FILE_TYPE[type],
        "general.quantization_version": _QUANTISATION_VERSION,
        **llama_family.describe(text, where),
        **read_vocabulary(checkpoint, text["vocab_size"], text).metadata(),
    }
    return metadata, tensors


def _vision_part(
    checkpoint: Checkpoint, family: Family, name: str, type: str
) -> tuple[dict[str, Any], list[Planned]]:
    metadata = {
        "general.architecture": "clip",
        "general.type": "mmproj",
        "general.name": name,
        "general.file_type": 0 if type == "f32" else FILE_TYPE[type],
        "general.quantization_version": _QUANTISATION_VERSION,
        **family.describe(checkpoint),
    }
    return metadata, list(_vision_tensors(checkpoint, family, type, metadata))


def _placed(checkpoint: Checkpoint, part: str) -> Iterator[tuple[str, Place, str]]:
    """(tensor's name in the checkpoint, its place, "weight" or "bias") of one part, in an order of its own.

    Raises:
        ModelError: a tensor that is in neither part, or two for one place.
    """
    found: dict[str, str] = {}
    for name in sorted(checkpoint.names, key=_natural):
        module, _, leaf = name.rpartition(".")
        place = place_of(module) if leaf in ("weight", "bias") else None
        if place is None and not _ROPE.fullmatch(name) and not _in_head(module):
            raise ModelError(f"{checkpoint.folder}: {name} is no tensor of a model of this family")
        if place is None or place.part != part:
            continue
        target = f"{place.stem}.{leaf}"
        if place.stem and target in found:
            raise ModelError(f"{checkpoint.folder}: {name} and {found[target]} are for the same place")
        found[target] = name
        yield name, place, leaf


def _in_head(module: str) -> bool:
    """Whether a module is in SigLIP's pooling head, whose parts have names of all kinds."""
    return ".head." in f".{module}." and "vision_" in module


def _natural(name: str) -> list[Any]:
    """Sorts layers.2 before layers.10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def _text_tensors(checkpoint: Checkpoint, text: dict[str, Any], type: str) -> Iterator[Planned]:
    sources = {f"{place.stem}.{leaf}": (name, place) for name, place, leaf in _placed(checkpoint, "text")}
    if _is_tied(checkpoint, text, sources):
        sources.pop("output.weight", None)
    shapes = llama_family.shapes(text)
    _check_complete(checkpoint, sources, text["num_hidden_layers"], set(shapes) - {"output"})
    mix = _mix(type, text["num_hidden_layers"], "output.weight" not in sources)
    for target, (name, place) in sources.items():
        shape = checkpoint.entry(name).shape
        stem = place.stem.rpartition(".")[2]
        expected = shapes[stem] if target.endswith(".weight") else shapes[stem][:1]
        if shape != expected:
            raise ModelError(f"{checkpoint.folder}: {name} is {shape}, config.json says {expected}")
        if place.permuted:
            heads = text["num_attention_heads" if stem == "attn_q" else "num_key_value_heads"]
            rows: Callable[[], Iterator[Array]] = partial(_interleaved, checkpoint, name, heads)
        else:
            rows = partial(checkpoint.blocks, name)
        yield Planned(target, shape, mix.format_of(target, shape[::-1], "F32"), rows)


def _vision_tensors(
    checkpoint: Checkpoint, family: Family, type: str, metadata: dict[str, Any]
) -> Iterator[Planned]:
    mix = _mix(type, 0, False)
    there = set()
    for name, place, leaf in _placed(checkpoint, "mmproj"):
        if not family.is_used(place.stem, place.block, checkpoint):
            continue
        target, shape = f"{place.stem}.{leaf}", checkpoint.entry(name).shape
        there.add(target)
        yield Planned(
            target, shape, mix.format_of(target, shape[::-1], "F32"), partial(checkpoint.blocks, name)
        )
    yield from _missing_biases(checkpoint, there)
    _check_tower(checkpoint, there, metadata)


def _missing_biases(checkpoint: Checkpoint, there: set[str]) -> Iterator[Planned]:
    """LLaVA's projector without biases: llama.cpp adds them unasked, so zeros are written."""
    for name, place, _ in _placed(checkpoint, "mmproj"):
        bias = f"{place.stem}.bias"
        if place.stem in ("mm.0", "mm.2") and bias not in there:
            zeros = np.zeros(checkpoint.entry(name).shape[0], np.float32)
            yield Planned(bias, zeros.shape, "F32", partial(iter, [zeros]))


def _check_tower(checkpoint: Checkpoint, there: set[str], metadata: dict[str, Any]) -> None:
    projector = ("mm.0", "mm.2") if metadata["clip.projector_type"] == "mlp" else ("mm.model.fc", "v.post_ln")
    needed = {f"{stem}.weight" for stem in ("v.patch_embd", "v.position_embd", *projector)}
    for block in range(metadata["clip.vision.block_count"]):
        parts = ("attn_q", "attn_k", "attn_v", "attn_out", "ffn_up", "ffn_down", "ln1", "ln2")
        needed |= {f"v.blk.{block}.{part}.weight" for part in parts}
    if missing := sorted(needed - there, key=_natural):
        raise ModelError(f"{checkpoint.folder}: no weight for {missing[0]} (and {len(missing) - 1} more)")


def _check_complete(
    checkpoint: Checkpoint, sources: dict[str, tuple[str, Place]], blocks: int, stems: set[str]
) -> None:
    top = {"token_embd", "output_norm"}
    needed = {f"{stem}.weight" for stem in top}
    needed |= {f"blk.{b}.{stem}.weight" for b in range(blocks) for stem in stems - top}
    if missing := sorted(needed - sources.keys(), key=_natural):
        raise ModelError(f"{checkpoint.folder}: no weight for {missing[0]} (and {len(missing) - 1} more)")
    extra = [t for t, (_, place) in sources.items() if place.block is not None and place.block >= blocks]
    if extra:
        raise ModelError(f"{checkpoint.folder}: {extra[0]}, but config.json says {blocks} blocks")


def _is_tied(checkpoint: Checkpoint, text: dict[str, Any], sources: dict[str, tuple[str, Place]]) -> bool:
    """Whether the embedding is the output too: the checkpoint has one of them, or both alike."""
    says = checkpoint.config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))
    if "output.weight" not in sources:
        if not says and not text.get("tie_word_embeddings"):
            raise ModelError(
                f"{checkpoint.folder}: no lm_head.weight, and config.json does not tie it to the embedding"
            )
        return True
    if _TOKENS not in sources or not says:
        return False
    output, embedding = (sources[name][0] for name in ("output.weight", _TOKENS))
    pairs = zip(checkpoint.blocks(output), checkpoint.blocks(embedding), strict=False)
    return all(np.array_equal(a, b) for a, b in pairs)


def _interleaved(checkpoint: Checkpoint, name: str, heads: int) -> Iterator[Array]:
    """Queries and keys as llama.cpp rotates them: the halves of each head in turns."""
    tensor = checkpoint.read(name)
    halves = tensor.reshape(heads, 2, len(tensor) // heads // 2, -1)
    yield np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(tensor.shape)


def _mix(type: str, blocks: int, tied: bool) -> Mix:
    return Mix("keep" if type == "f32" else type, blocks, tied)
