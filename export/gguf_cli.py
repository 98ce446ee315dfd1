"""``zoo-gguf``: Hugging Face checkpoints to GGUF, adapters to runtime LoRAs, and proof that they agree."""

from __future__ import annotations

from pathlib import Path

import click

from ..zoo.errors import VoxzooError
from .program import require, run_program

_FILE = click.Path(path_type=Path)
_HELP = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_HELP)
def command() -> None:
    """Vision-language models for llama.cpp: convert, quantise, make runtime LoRAs, verify."""


@command.command(context_settings=_HELP)
@click.argument("source", type=_FILE)
@click.option("--out", required=True, type=_FILE, help="Folder for the text GGUF and the mmproj.")
@click.option("--type", "kind", default="f16", show_default=True, help="f32, f16, q8_0 or q4_k_m.")
@click.option("--mmproj-type", help="f32, f16 or q8_0.  [default: f32 beside f32, else f16]")
@click.option("--name", help="Of the model.  [default: the folder's]")
def convert(source: Path, out: Path, kind: str, mmproj_type: str | None, name: str | None) -> None:
    """Write SOURCE, a Hugging Face folder, as GGUF: LLaVA with a SigLIP tower, Idefics3 / SmolVLM, LLaMA."""
    from .gguf import convert as converting

    require("GGUF", "llm", "gguf")
    made = converting.convert(source, out, kind, mmproj_type, name)
    for path in filter(None, (made.text, made.mmproj)):
        click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    for note in made.notes:
        click.echo(f"note: {note}", err=True)


@command.command(context_settings=_HELP)
@click.argument("adapter", type=_FILE)
@click.option("--base", required=True, type=_FILE, help="GGUF of the text model it is for.")
@click.option("--mmproj", type=_FILE, help="GGUF of its vision part.")
@click.option("--out", required=True, type=_FILE, help="The file to write.")
@click.option("--type", "kind", default="f32", show_default=True, help="f32 or f16.")
@click.option("--weight", default=1.0, show_default=True, help="Of the adapter.")
@click.option("--text-only", is_flag=True, help="Leave out what changes the vision part.")
def lora(
    adapter: Path, base: Path, mmproj: Path | None, out: Path, kind: str, weight: float, text_only: bool
) -> None:
    """Write ADAPTER, a PEFT folder, as a LoRA that llama.cpp applies while it runs.

    Scales (rslora, patterns, the weight) are folded in. What llama.cpp would drop or crash on is refused: use
    zoo-merge for it.
    """
    from .gguf.adapter import read_adapter
    from .gguf.lora_gguf import runtime_lora
    from .gguf.pair import open_pair

    require("GGUF", "llm", "gguf")
    made = runtime_lora(open_pair(base, mmproj), read_adapter(adapter, weight), out, kind, text_only)
    click.echo(f"{made.path}  {made.modules} weights")
    if made.left_out:
        click.echo(f"note: {len(made.left_out)} modules of the vision part are left out", err=True)
    if made.inert:
        click.echo(f"note: {len(made.inert)} modules have no use in this model", err=True)


@command.command(context_settings=_HELP)
@click.argument("source", type=_FILE)
@click.option("--out", required=True, type=_FILE, help="The file to write.")
@click.option("--type", "kind", default="q4_k_m", show_default=True, help="q8_0, q6_k, q5_k_m, q4_k_m, ...")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def quantise(source: Path, out: Path, kind: str, threads: int) -> None:
    """Write SOURCE, a text GGUF in F32 or F16, in a smaller format, by llama.cpp itself."""
    from .gguf.quantise_file import quantise_file

    require("quantising", "llm", "gguf", "llama_cpp")
    quantise_file(source, out, kind, threads)
    click.echo(f"{out}  {out.stat().st_size / 1e6:.1f} MB")


@command.command(context_settings=_HELP)
@click.argument("text", type=_FILE)
@click.option("--mmproj", type=_FILE, help="GGUF of the vision part.")
@click.option("--checkpoint", required=True, type=_FILE, help="The base as a Hugging Face folder.")
@click.option(
    "--adapter", "adapters", multiple=True, type=_FILE, help="That is merged into TEXT; repeatable."
)
@click.option("--weight", "weights", multiple=True, type=float, help="Of each adapter.  [default: 1]")
@click.option("--data", help="Ask both about its slices, too: cases with references, or phantom.")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def verify(
    text: Path,
    mmproj: Path | None,
    checkpoint: Path,
    adapters: tuple[Path, ...],
    weights: tuple[float, ...],
    data: str | None,
    threads: int,
) -> int:
    """Compare the logits of TEXT, a GGUF, with those of transformers; exit code 1 if they differ."""
    from ..zoo.errors import UsageError
    from .gguf import verify as verifying

    if weights and len(weights) != len(adapters):
        raise UsageError(f"{len(adapters)} adapters and {len(weights)} weights; give none, or one each")
    require("comparing", "llm,train", "gguf", "llama_cpp", "torch", "transformers")
    pairs = list(zip(adapters, weights or (1.0,) * len(adapters), strict=True))
    found = verifying.verify(text, mmproj, checkpoint, pairs, threads)
    click.echo("\n".join(found.lines()))
    if data:
        if mmproj is None or len(adapters) > 1 or any(weight != 1 for weight in weights):
            raise UsageError("--data asks about images: give --mmproj, and at most one adapter of weight 1")
        from .gguf.answers import compare_runtimes

        adapter = adapters[0] if adapters else None
        for each in compare_runtimes(text, mmproj, checkpoint, adapter, data, threads=threads):
            click.echo(each.line())
    return 0 if found.passed else 1


def main() -> None:
    """Entry point: errors are one line; 2 says that the command was wrong, 1 that the work failed."""
    run_program(command, "zoo-gguf", "stopped", _code)


def _code(error: VoxzooError) -> int:
    from ..zoo.errors import ModelNotFoundError, UsageError

    return 2 if isinstance(error, UsageError | ModelNotFoundError) else 1
