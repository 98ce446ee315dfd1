"""The plan of a merge: every tensor of every adapter ends in exactly one place, before anything is written.

Its fate is "text" or "mmproj" (the file it changes), "inert" (the model has no use for it: a block behind the
feature layer, a copy of the base's own weight) or "unsupported", which is an error that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ...zoo.errors import UsageError
from ...zoo.ggufheader import GgufTensor
from . import change, tied
from .adapter import Adapter, Module
from .change import Change, Step
from .names import Part, Place, is_mllama, place_of
from .pair import MLLAMA, Pair, is_known_projector, rows_and_columns

Fate = Literal["text", "mmproj", "inert", "unsupported"]
FATES: tuple[Fate, ...] = ("text", "mmproj", "inert", "unsupported")


@dataclass(frozen=True)
class Line:
    """What becomes of the tensors of an adapter that belong together.

    Attributes:
        adapter: its folder.
        keys: names of the tensors in the adapter's file.
        module: of the Hugging Face model.
        kind: "LoRA", "DoRA", "whole", "bias" (of LoRA's B), "copy", "?".
        fate: where they go.
        target: tensor of the GGUF file; "" unless the fate is "text" or "mmproj".
        why: reason of "inert" and "unsupported".
        rank, scale: of a LoRA, else 0.
        start: opens the step; None unless something changes.
        source: the tensor of the base that it starts from.
    """

    adapter: str
    keys: tuple[str, ...]
    module: str
    kind: str
    fate: Fate
    target: str = ""
    why: str = ""
    rank: int = 0
    scale: float = 0.0
    start: Callable[[], Step] | None = None
    source: GgufTensor | None = None


@dataclass(frozen=True)
class Plan:
    """What a merge will do.

    Attributes:
        lines: every tensor of the adapters, once.
        text, mmproj: changes of the two files, by name of the tensor.
        notes: what else is worth knowing, in sentences.
    """

    lines: tuple[Line, ...]
    text: dict[str, Change]
    mmproj: dict[str, Change]
    notes: tuple[str, ...] = ()

    def count(self, fate: Fate) -> int:
        """How many tensors of the adapters have this fate."""
        return sum(len(line.keys) for line in self.lines if line.fate == fate)

    def check(self) -> None:
        """Refuse a merge that would lose something.

        Raises:
            UsageError: tensors that are unsupported, by name; or nothing at all to merge.
        """
        bad = [line for line in self.lines if line.fate == "unsupported"]
        if bad:
            shown = "\n".join(f"  {line.module or line.keys[0]}: {line.why}" for line in bad[:8])
            more = f"\n  and {len(bad) - 8} more" if len(bad) > 8 else ""
            total = sum(len(line.keys) for line in bad)
            raise UsageError(f"{total} tensors of the adapter cannot be merged, so none was:\n{shown}{more}")
        if not self.text and not self.mmproj:
            raise UsageError("the adapter changes nothing in this model: all of its tensors are inert")


def make_plan(pair: Pair, adapters: Sequence[Adapter]) -> Plan:
    """Decide what becomes of every tensor.

    Args:
        pair: the base.
        adapters: in the order in which they are merged.

    Raises:
        UsageError: an adapter of a model that no GGUF exists for, or two that exclude each other.
    """
    for adapter in adapters:
        if adapter.config.base_class.startswith("Mllama") or any(map(is_mllama, adapter.modules)):
            raise UsageError(f"{adapter.folder}: {MLLAMA}")
    lines = tuple(line for adapter in adapters for line in _lines(pair, adapter))
    notes = tuple(_origins(pair, adapters))
    if pair.tied:
        lines, extra, note = tied.settle(pair.text.tensors["token_embd.weight"], adapters, lines)
        return _plan(lines, extra, (*notes, *note))
    return _plan(lines, {}, notes)


def _plan(lines: tuple[Line, ...], extra: dict[str, Change], notes: tuple[str, ...]) -> Plan:
    files: dict[str, dict[str, Change]] = {"text": {}, "mmproj": {}}
    for line in lines:
        if line.start is None or line.source is None:
            continue
        changes = files[line.fate]
        before = changes.get(line.target)
        if before and "whole" in {each.kind for each in lines if each.target == line.target}:
            raise UsageError(
                f"{line.target}: one adapter replaces all of it, another changes it too: merge one of them"
            )
        steps = before.steps if before else ()
        changes[line.target] = Change(line.target, line.source, (*steps, line.start))
    return Plan(lines, {**files["text"], **extra}, files["mmproj"], notes)


def _origins(pair: Pair, adapters: Sequence[Adapter]) -> Iterator[str]:
    """What each adapter says it was trained on: nothing can check that beyond shapes, so it is shown."""
    name = pair.text.get("general.name")
    for adapter in adapters:
        if adapter.config.base and adapter.config.base != name:
            yield f"{adapter.name} was trained on {adapter.config.base}; this base is called {name!r}"


def _lines(pair: Pair, adapter: Adapter) -> Iterator[Line]:
    for key in adapter.strangers:
        yield Line(
            str(adapter.folder), (key,), "", "?", "unsupported", why=f"{key}: not a tensor of plain LoRA"
        )
    for module in adapter.modules.values():
        for kind, leaf, slots in _uses(module):
            keys = tuple(module.keys[slot] for slot in slots)
            yield _fate(
                pair, adapter, module, leaf, Line(str(adapter.folder), keys, module.name, kind, "unsupported")
            )


def _uses(module: Module) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(kind, leaf, slots) of what a module holds: each slot once."""
    keys = module.keys
    pair = tuple(s for s in ("a", "b", "embedding_a", "embedding_b", "magnitude") if s in keys)
    if pair:
        yield ("DoRA" if "magnitude" in pair else "LoRA"), "weight", pair
    for slot, kind, leaf in (("weight", "whole", "weight"), ("copy", "copy", "weight"),
                             ("bias", "whole", "bias"), ("b_bias", "bias", "bias")):  # fmt: skip
        if slot in keys:
            yield kind, leaf, (slot,)


def _fate(pair: Pair, adapter: Adapter, module: Module, leaf: str, line: Line) -> Line:
    """``line`` with its fate."""
    place = place_of(module.name)
    if place is None:
        return replace(line, why="no part of a model that voxzoo knows (LLaMA, LLaVA, Idefics3/SmolVLM)")
    if place.part == "mmproj" and pair.mmproj is None:
        return replace(line, why="belongs to the vision part: give it with --mmproj")
    if place.part == "mmproj" and not is_known_projector(pair):
        return replace(line, why=f"vision part of type {pair.projector!r}; known are mlp (LLaVA), idefics3")
    tensor = pair.tensor(place, leaf)
    if tensor is None and place.stem == "output" and pair.tied and leaf == "weight":
        tensor = pair.text.tensors["token_embd.weight"]
    if tensor is None:
        if pair.is_left_out(place):
            return replace(line, fate="inert", why="no part of the model looks at it")
        return replace(line, why=f"the base has no {place.stem}.{leaf}: an adapter of another model?")
    why = _misfit(adapter, module, line, tensor)
    if why:
        return replace(line, why=why)
    if line.kind == "copy":
        return tied.judge_copy(pair, adapter, line, tensor)
    target = "output.weight" if place.stem == "output" and leaf == "weight" else tensor.name
    return _changing(pair, adapter, module, line, place, tensor, target)


def _changing(
    pair: Pair, adapter: Adapter, module: Module, line: Line, place: Place, tensor: GgufTensor, target: str
) -> Line:
    order = pair.order(place, rows_and_columns(tensor)[0])

    def start() -> Step:
        if line.kind == "whole":
            return change.whole(adapter, line.keys[0], order)
        if line.kind == "bias":
            return change.bias_of_lora(adapter, module, order)
        return change.low_rank(adapter, module, order)

    part: Part = place.part
    filled = replace(line, fate=part, target=target, start=start, source=tensor)
    if line.kind == "whole":
        return filled
    return replace(filled, rank=module.rank, scale=module.scale * adapter.weight)


def _misfit(adapter: Adapter, module: Module, line: Line, tensor: GgufTensor) -> str:
    """Why the adapter's tensors do not fit the base's, "" if they do."""
    expected = rows_and_columns(tensor)
    if line.kind in ("LoRA", "DoRA"):
        if line.kind == "DoRA" and module.on_embedding:
            return "DoRA on embeddings: its magnitudes belong to columns, which no row can be merged by"
        got = _product(adapter, module)
        magnitude = module.keys.get("magnitude")
        length = adapter.file.entries[magnitude].shape if magnitude else ()
        if magnitude and max(length, default=0) != expected[0]:
            return f"magnitudes {length}, the base has {expected[0]} rows"
    else:
        shape = adapter.file.entries[line.keys[0]].shape
        wanted = tuple(reversed(tensor.shape))
        return (
            "" if shape == wanted else f"shape {shape}, the base has {wanted}: an adapter of another model?"
        )
    return "" if got == expected else f"makes {got}, the base has {expected}: an adapter of another model?"


def _product(adapter: Adapter, module: Module) -> tuple[int, int]:
    """Shape of B @ A, of an embedding transposed."""
    a, b = (adapter.file.entries[key].shape for key in module.factors)
    if module.on_embedding:
        return a[1], b[0]
    columns = 1
    for length in a[1:]:
        columns *= length
    return b[0], columns
