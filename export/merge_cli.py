"""``zoo-merge``: LoRA adapters into a GGUF model, its vision part included, or the reason why not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..zoo.errors import VoxzooError
from .program import require, run_program

if TYPE_CHECKING:
    from .gguf.merging import Merge, Merged

_FILE = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--base", required=True, type=_FILE, help="GGUF of the text model, or a name of the zoo.")
@click.option("--mmproj", type=_FILE, help="GGUF of its vision part.")
@click.option(
    "--adapter",
    "adapters",
    required=True,
    multiple=True,
    type=_FILE,
    help="Folder of a PEFT adapter, or one of the zoo by name (may be given more than once).",
)
@click.option(
    "--weight", "weights", multiple=True, type=float, help="Of each adapter, in their order.  [default: 1]"
)
@click.option("--out", type=_FILE, help="Folder for the merged pair.")
@click.option(
    "--type",
    "kind",
    default="keep",
    show_default=True,
    help="keep, f16, q8_0 or q4_k_m: format of the text model (the vision part is never below q8_0).",
)
@click.option("--plan", "only_plan", is_flag=True, help="Show what would become of every tensor, and stop.")
@click.option("--verify", is_flag=True, help="Compare logits with transformers and PEFT, and with the base.")
@click.option(
    "--checkpoint",
    type=_FILE,
    help="For --verify: Hugging Face folder of the base.  [default: as the adapter says]",
)
def command(
    base: Path,
    mmproj: Path | None,
    adapters: tuple[Path, ...],
    weights: tuple[float, ...],
    out: Path | None,
    kind: str,
    only_plan: bool,
    verify: bool,
    checkpoint: Path | None,
) -> None:
    """Merge LoRA adapters into a GGUF model: text, vision tower and projector.

    Every tensor of an adapter is accounted for before anything is written; one that cannot be merged is an
    error that names it. Tokenizer, chat template and layout stay as they are.
    """
    from ..zoo.errors import UsageError

    if out is None and not only_plan:
        raise UsageError("give a folder with --out, or --plan to see what would be done")
    if weights and len(weights) != len(adapters):
        raise UsageError(f"{len(adapters)} adapters and {len(weights)} weights; give none, or one each")
    require("merging", "llm", "gguf")
    merge = _planned(base, mmproj, adapters, weights, kind)
    merge.plan.check()
    if only_plan or out is None:
        return
    reference = _reference(checkpoint, merge) if verify else None
    merged = _written(merge, out)
    if reference is not None:
        _verify(merge, merged, reference)


def main() -> None:
    """Entry point: errors are one line; 2 says that the command was wrong, 1 that the merge failed."""
    run_program(command, "zoo-merge", "stopped; nothing was written", _code)


def _code(error: VoxzooError) -> int:
    from ..zoo.errors import ModelNotFoundError, UsageError

    return 2 if isinstance(error, UsageError | ModelNotFoundError) else 1


def _planned(
    base: Path, mmproj: Path | None, folders: tuple[Path, ...], weights: tuple[float, ...], kind: str
) -> Merge:
    """The plan, shown."""
    from .gguf.adapter import read_adapter
    from .gguf.merge_report import console, show_plan
    from .gguf.merging import prepare
    from .gguf.mix import check_mix
    from .gguf.pair import open_pair

    check_mix(kind)
    pair = open_pair(*_base(base, mmproj))
    given = weights or (1.0,) * len(folders)
    found = map(_adapter, folders)
    adapters = [read_adapter(folder, weight) for folder, weight in zip(found, given, strict=True)]
    merge = prepare(pair, adapters, kind)
    title = " + ".join([base.name, *(f"{a.weight:g} x {a.name}" for a in adapters)])
    show_plan(merge.plan, console(), title)
    return merge


def _base(base: Path, mmproj: Path | None) -> tuple[Path, Path | None]:
    """The files that ``base`` means, a path or a name of the zoo."""
    from ..zoo.errors import UsageError
    from ..zoo.registry import entries, resolve

    found = resolve(base)
    if found.path is None or (found.entry and not found.mmproj):
        known = ", ".join(entry.name for entry in entries().values() if entry.mmproj)
        raise UsageError(f"{base}: no language model with a vision part; the zoo has {known}")
    return found.path, mmproj or found.mmproj


def _adapter(folder: Path) -> Path:
    """The folder of an adapter of the zoo, if that is what is named; a path wins over a name."""
    from ..zoo.entries import WEIGHTS

    bundled = WEIGHTS / folder
    return bundled if not folder.exists() and bundled.is_dir() else folder


def _written(merge: Merge, out: Path) -> Merged:
    from .gguf.merge_report import console, show_merged

    merged = merge.write(out)
    show_merged(merged, console())
    return merged


def _reference(checkpoint: Path | None, merge: Merge) -> Path:
    """The folder that transformers loads the base from, for --verify."""
    from ..zoo.errors import UsageError

    named = merge.adapters[0].config.base
    found = checkpoint or (Path(named) if named else None)
    if found is None or not found.is_dir():
        said = f" ({named!r}, which the adapter names, is no folder)" if named and checkpoint is None else ""
        raise UsageError(
            f"--verify compares with transformers: give the folder of the base with --checkpoint{said}"
        )
    require("--verify", "llm,train", "llama_cpp", "torch", "transformers", "peft")
    return found


def _verify(merge: Merge, merged: Merged, checkpoint: Path) -> None:
    """Compare the merged files with transformers and PEFT; print every comparison."""
    from ..zoo.errors import ModelError
    from .gguf.verify import verify

    adapters = [(adapter.folder, adapter.weight) for adapter in merge.adapters]
    verification = verify(merged.text, merged.mmproj, checkpoint, adapters)
    for line in verification.lines():
        click.echo(line)
    if not verification.passed:
        raise ModelError(f"{merged.text.parent}: the merged model does not answer as transformers does")
