"""Embeddings that are also the output, and copies of embeddings that PEFT saves beside an adapter.

In a tied model one matrix does two jobs. An adapter on the output alone, or on the embeddings alone, was
trained while the other job kept the base's matrix, so merging it into the shared one would be wrong (which is
what ``merge_and_unload`` does). The merged file then holds two matrices: ``output.weight`` is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ...zoo.ggufheader import GgufTensor
from .adapter import Adapter, Module
from .change import Change
from .names import Place, place_of
from .pair import Pair, rows_and_columns
from .tensors import read_rows

if TYPE_CHECKING:
    from .plan import Line

#: Largest |copy - base| / |base| of a base that is stored in full, and of one that was quantised (two bits
#: lose about 0.3; unrelated weights differ by 1.4).
_SAME, _SAME_QUANTISED = 0.01, 0.5
_FULL = ("F32", "F16", "BF16")
_OUTPUT, _TABLE = "output.weight", "token_embd.weight"


def settle(
    table: GgufTensor, adapters: Sequence[Adapter], lines: tuple[Line, ...]
) -> tuple[tuple[Line, ...], dict[str, Change], tuple[str, ...]]:
    """Decide whether one matrix still does for a tied base.

    Args:
        table: the base's embeddings.
        adapters: all of them.
        lines: the plan so far, changes of the output under "output.weight".

    Returns:
        The lines; changes beyond those of the lines; notes.
    """
    heads = [line for line in lines if line.target == _OUTPUT]
    tables = [line for line in lines if line.target == _TABLE]
    if not heads and not tables:
        return lines, {}, ()
    if all(_is_twin(adapter) for adapter in adapters):
        shared = tuple(replace(x, target=_TABLE, start=None) if x in heads else x for x in lines)
        return shared, {}, ("output and embeddings are tied and change alike: they stay tied",)
    which = "the output" if heads and not tables else "the embeddings" if not heads else "both, differently"
    note = f"the base ties its output to its embeddings and the adapter changes {which}: {_OUTPUT} is added"
    extra = {} if heads else {_OUTPUT: Change(_OUTPUT, table, ())}
    return lines, extra, (note,)


def judge_copy(pair: Pair, adapter: Adapter, line: Line, tensor: GgufTensor) -> Line:
    """A copy of the base's own weight is inert; if it is none, the adapter is another model's."""
    header = pair.text if tensor.name in pair.text.tensors else pair.mmproj
    rows, columns = rows_and_columns(tensor)
    step = max(1, (1 << 21) // columns)
    off = full = 0.0
    for start in range(0, rows, step):
        base = read_rows(header, tensor, start, min(rows, start + step))  # type: ignore[arg-type]
        copy = adapter.file.read(line.keys[0], start, start + step).reshape(base.shape)
        off += float(np.square(copy - base, dtype=np.float64).sum())
        full += float(np.square(base, dtype=np.float64).sum())
    far = (off / full) ** 0.5 if full else off
    if far <= (_SAME if tensor.type_name in _FULL else _SAME_QUANTISED):
        return replace(line, fate="inert", why="a copy of the base's own weight")
    why = f"the base weight saved with it differs from {tensor.name} by {far:.2f}: another model's adapter"
    return replace(line, why=why)


def _is_twin(adapter: Adapter) -> bool:
    """Whether an adapter changes output and embeddings alike, or neither."""
    heads, tables = (_changed(adapter, Place("text", stem)) for stem in ("output", "token_embd"))
    if not heads or not tables:
        return not heads and not tables
    return len(heads) == len(tables) == 1 and _alike(adapter, heads[0], tables[0])


def _changed(adapter: Adapter, place: Place) -> list[Module]:
    """The modules of an adapter that change the weight of a place."""
    modules = [m for m in adapter.modules.values() if place_of(m.name) == place]
    return [m for m in modules if m.is_lora or "weight" in m.keys]


def _alike(adapter: Adapter, head: Module, table: Module) -> bool:
    """Whether two modules of one adapter make the same matrix."""
    if head.is_lora != table.is_lora or "magnitude" in {**head.keys, **table.keys}:
        return False
    if not head.is_lora:
        one, other = (partial(adapter.file.blocks, module.keys["weight"]) for module in (head, table))
        return all(np.array_equal(a, b) for a, b in zip(one(), other(), strict=True))
    a, b = (adapter.file.read(key) for key in head.factors)
    mirror_b, mirror_a = (adapter.file.read(key).T for key in table.factors)
    return head.scale == table.scale and np.array_equal(a, mirror_a) and np.array_equal(b, mirror_b)
