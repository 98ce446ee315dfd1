"""PEFT adapter -> a LoRA in GGUF that llama.cpp applies while it runs, the base file left as it is.

llama.cpp multiplies B @ A with alpha / rank, one alpha for the whole file. Whatever else an adapter's scale
says (rslora, patterns of rank and alpha, a weight) is folded into B; without them B is the adapter's own.

What such a file cannot hold is refused by name, as llama.cpp would drop it or crash: the vision part, DoRA,
embeddings, an output that is tied to them, whole parameters and biases. All of that can be merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ...eval.files import prepare_folder
from ...zoo.errors import UsageError
from ..safefile import Array
from .adapter import Adapter
from .names import place_of
from .output import Planned, write_gguf
from .pair import Pair
from .plan import Line, make_plan

TYPES = ("f32", "f16")
_MERGE = "merge it with zoo-merge"


@dataclass(frozen=True)
class RuntimeLora:
    """What was written.

    Attributes:
        path: the file.
        modules: how many weights it changes.
        left_out: modules of the vision part, which it cannot hold, where that was allowed.
        inert: modules that the model has no use for.
    """

    path: Path
    modules: int
    left_out: tuple[str, ...]
    inert: tuple[str, ...]


def runtime_lora(
    pair: Pair, adapter: Adapter, out: Path, type: str = "f32", text_only: bool = False
) -> RuntimeLora:
    """Write an adapter as a LoRA for llama.cpp.

    Args:
        pair: the base; its vision part is needed only to tell inert tensors from foreign ones.
        adapter: a single one; its weight is folded in.
        out: the file; what is there is replaced.
        type: of A and B: "f32" or "f16".
        text_only: leave out what belongs to the vision part, instead of refusing.

    Raises:
        UsageError: something that such a file cannot hold; nothing is written.
        ModelError, RunError: it cannot be written.
    """
    if type not in TYPES:
        raise UsageError(f"--type {type}: expected {', '.join(TYPES)}")
    lines = make_plan(pair, [adapter]).lines
    seeing = [line for line in lines if _sees(line)]
    wrong = [(line, why) for line in lines if (why := _obstacle(line, pair, text_only))]
    if wrong:
        shown = "\n".join(f"  {line.module or line.keys[0]}: {why}" for line, why in wrong[:8])
        more = f"\n  and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise UsageError(f"{len(wrong)} modules cannot be in a runtime LoRA, so none is:\n{shown}{more}")
    used = [line for line in lines if line.fate == "text"]
    if not used:
        raise UsageError(f"{adapter.folder}: changes nothing in the language model")
    prepare_folder(out.parent)
    write_gguf(out, _metadata(adapter), list(_tensors(pair, adapter, used, type.upper())))
    inert = tuple(line.module for line in lines if line.fate == "inert")
    return RuntimeLora(out, len(used), tuple(line.module for line in seeing), inert)


def _sees(line: Line) -> bool:
    """Whether it changes the vision part."""
    place = place_of(line.module)
    return place is not None and place.part == "mmproj" and line.fate != "inert"


def _obstacle(line: Line, pair: Pair, text_only: bool) -> str:
    """Why a line cannot be in the file, "" if it can or need not."""
    if _sees(line):
        hint = f"vision part, which llama.cpp gives no LoRA to: {_MERGE}, or leave it out with --text-only"
        return "" if text_only else hint
    if line.fate == "unsupported":
        return line.why
    if line.fate == "inert":
        return ""
    if line.kind == "DoRA":
        return f"DoRA divides by the length of each row of base plus adapter, which no LoRA can: {_MERGE}"
    if line.kind != "LoRA":
        return f"a whole parameter or a bias, not a pair of factors: {_MERGE}"
    if line.target == "token_embd.weight":
        return f"on the embeddings, where llama.cpp does not apply it as PEFT does: {_MERGE}"
    if line.target == "output.weight" and pair.tied:
        return f"on an output that is tied to the embeddings, which makes llama.cpp crash: {_MERGE}"
    return ""


def _metadata(adapter: Adapter) -> dict[str, str | float]:
    return {
        "general.architecture": "llama",
        "general.type": "adapter",
        "general.name": adapter.name,
        "adapter.type": "lora",
        "adapter.lora.alpha": float(adapter.config.alpha),
        "voxzoo.adapter_sha256": adapter.sha256,
    }


def _tensors(pair: Pair, adapter: Adapter, lines: list[Line], format: str) -> Iterator[Planned]:
    for line in lines:
        module = adapter.modules[line.module]
        a, b = (adapter.file.entries[key].shape for key in module.factors)
        shapes = (module.rank, int(np.prod(a[1:]))), (b[0], module.rank)
        yield Planned(
            f"{line.target}.lora_a", shapes[0], format, partial(adapter.file.blocks, module.factors[0])
        )
        yield Planned(f"{line.target}.lora_b", shapes[1], format, partial(_scaled, pair, adapter, line))


def _scaled(pair: Pair, adapter: Adapter, line: Line) -> Iterator[Array]:
    """B with its rows in llama.cpp's order, times what alpha / rank does not say."""
    module = adapter.modules[line.module]
    b = adapter.file.read(module.factors[1]).reshape(-1, module.rank)
    place = place_of(line.module)
    order = None if place is None else pair.order(place, len(b))
    factor = line.scale * module.rank / adapter.config.alpha
    yield (b if order is None else b[order]) * np.float32(factor)
