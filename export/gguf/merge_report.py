"""What a person sees of a merge: the plan as a table, and what became of each tensor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from .merging import Merged
from .plan import FATES, Line, Plan
from .rewrite import Effect

#: Requantisation noise / |dW| above which a merge is doubtful: a tenth of the change's energy is lost.
WARN_NOISE = 0.3
_WIDE = 160
_FULL = ("F32", "F16", "BF16")


def console() -> Console:
    """The terminal; where output goes elsewhere, lines wide enough for whole names."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=_WIDE)


def show_plan(plan: Plan, console: Console, title: str) -> None:
    """Print every tensor of the adapters with its fate, a line for those that belong together."""
    table = Table(title=title, title_justify="left")
    for name in ("fate", "module of the adapter", "kind", "rank", "scale", "tensor of the GGUF"):
        table.add_column(name, overflow="fold")
    several = len({line.adapter for line in plan.lines}) > 1
    for line in sorted(plan.lines, key=lambda line: FATES.index(line.fate)):
        table.add_row(line.fate, *_cells(line, several), style="red" if line.fate == "unsupported" else None)
    console.print(table, markup=False)
    for note in (summary(plan), *plan.notes):
        console.print(note, markup=False, highlight=False, soft_wrap=True)


def summary(plan: Plan) -> str:
    """ "14 tensors of adapters: 8 text, 4 mmproj, 2 inert, 0 unsupported"."""
    counts = ", ".join(f"{plan.count(fate)} {fate}" for fate in FATES)
    return f"{sum(len(line.keys) for line in plan.lines)} tensors of adapters: {counts}"


def show_merged(merged: Merged, console: Console) -> None:
    """Print what became of every tensor that changed, and warn where the format drowns the change."""
    table = Table()
    table.add_column("tensor", overflow="fold")
    for name in ("format", "|dW|/|W|", "noise/|dW|"):
        table.add_column(name, justify="right")
    for effect in merged.effects:
        style = "red" if effect.noise > WARN_NOISE else None
        table.add_row(
            effect.name, _formats(effect), f"{effect.change:.3g}", f"{effect.noise:.3g}", style=style
        )
    console.print(table, markup=False)
    for line in closing(merged):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def closing(merged: Merged) -> Iterator[str]:
    """The lines below the table: files, and advice where it is due."""
    for path in filter(None, (merged.text, merged.mmproj)):
        yield f"{path} ({path.stat().st_size / 1e6:.2f} MB)"
    if merged.contract:
        yield f"contract: {merged.contract.name} {merged.contract.version}"
    yield from advice(merged.effects)


def advice(effects: Sequence[Effect]) -> Iterator[str]:
    """A warning where requantising costs more than ``WARN_NOISE`` of the change, and two ways around it.

    Example:
        >>> print(next(advice([Effect("output.weight", "Q4_0", "Q4_0", 0.02, 0.9)])))
        warning: 1 of 1 tensors loses more than 0.3 of its change to rounding (median 0.9, output.weight 0.9)
        >>> list(advice([Effect("blk.0.attn_q.weight", "Q8_0", "Q8_0", 0.02, 0.05)]))
        []
    """
    loud = [effect for effect in effects if effect.noise > WARN_NOISE]
    if not loud:
        return
    worst = max(loud, key=lambda effect: effect.noise)
    middle = sorted(effect.noise for effect in effects)[len(effects) // 2]
    lose = "loses more than 0.3 of its" if len(loud) == 1 else "lose more than 0.3 of their"
    yield (
        f"warning: {len(loud)} of {len(effects)} tensors {lose} change to rounding (median {middle:.2g}, "
        f"{worst.name} {worst.noise:.2g})"
    )
    if any(effect.before not in _FULL for effect in loud):
        yield "  better: merge into the base in F32 or F16 and quantise then, in one go (--type q4_k_m, q8_0)"
    else:
        yield "  better: a wider format (--type q8_0 or f16)"
    yield "  or: leave the base as it is and load the adapter beside it, as a runtime LoRA in GGUF"


def _cells(line: Line, several: bool) -> tuple[str, ...]:
    name = line.module or line.keys[0]
    shown = f"{Path(line.adapter).name}: {name}" if several else name
    rank = str(line.rank) if line.rank else ""
    scale = f"{line.scale:.4g}" if line.scale and math.isfinite(line.scale) else ""
    return shown, line.kind, rank, scale, line.target or line.why


def _formats(effect: Effect) -> str:
    return effect.format if effect.format == effect.before else f"{effect.before} -> {effect.format}"
