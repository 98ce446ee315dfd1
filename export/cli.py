"""``zoo-train``: make a model from its recipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .program import require, run_program

if TYPE_CHECKING:
    from .progress import Progress
    from .recipe import Recipe


class WithLora(click.Command):
    """``zoo-train lora ...`` has options of its own."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        given = list(sys.argv[1:] if args is None else args)
        if given[:1] != ["lora"]:
            return super().main(given, prog_name, **extra)
        from .language.lora_cli import command as lora

        return lora.main(given[1:], f"{prog_name or 'zoo-train'} lora", **extra)


@click.command(cls=WithLora, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe")
@click.option(
    "--data", required=True, multiple=True, help="Folder of patients (may be given more than once)."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Training folder; resumes if it has one."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:1.")
@click.option("--resume", is_flag=True, help="Only go on: an error if --out holds no training.")
@click.option("--cv", is_flag=True, help="Train every fold (OUT/fold0 ...) and sum up in cv.json and cv.csv.")
@click.option("--fold", type=click.IntRange(0), help="Hold out this fold of a patient-wise split.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Folds of that split.")
@click.option("--init", type=click.Path(path_type=Path), help="Begin with these weights (safetensors).")
@click.option("--steps", type=click.IntRange(1), help="Fewer or more optimiser steps than the recipe says.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: torch's]")
def command(recipe: str, data: tuple[str, ...], out: Path, **options: Any) -> None:
    """Train RECIPE (a bundled name such as cnn3d-seg, or a .toml file) and export it to ONNX, or to GGUF.

    \b
    zoo-train lora --help says how to fine-tune a vision-language model instead.

    The same command goes on with a training that was interrupted. With --fold the patients of that fold are
    never learned from, and the held-out score in curve.jsonl is theirs. --cv does so for every fold.
    """
    require("training", "train", "safetensors", "torch")
    _train(recipe, data, out, options)


def main() -> None:
    """Entry point: errors are one line, and 2 says that the command was wrong."""
    run_program(
        command, "zoo-train", "stopped; the same command goes on from the last checkpoint", lambda error: 2
    )


def _train(name: str, data: tuple[str, ...], out: Path, options: dict[str, Any]) -> None:
    import torch

    from . import device as devices
    from . import session
    from .material import gather
    from .weights import read_weights

    recipe = _recipe(name, options["steps"])
    if recipe.task == "prompt":
        require("training of a language model", "train", "transformers", "tokenizers")
    session.check_options(options["fold"], options["cv"])
    if options["resume"]:
        session.check_resumable(out, options["cv"])
    if options["init"]:
        read_weights(options["init"])
    device = devices.pick(options["device"])
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    material = gather(recipe, data, click.echo)
    run = session.Session(recipe, material, out, device, progress, options["init"], click.echo)
    folds = options["folds"]
    for line in run.crossed(folds) if options["cv"] else run.single(options["fold"], folds):
        click.echo(line)


def _recipe(name: str, steps: int | None) -> Recipe:
    from .recipe import load_recipe

    recipe = load_recipe(name)
    if not steps:
        return recipe
    every = recipe.fit.validate_every or steps
    return replace(recipe, fit=replace(recipe.fit, steps=steps, epochs=0, validate_every=every))


def progress() -> Progress:
    """What shows how far a training is: a bar on a terminal, lines in a log."""
    from .progress import Live, Plain

    return Live() if sys.stdout.isatty() else Plain(click.echo)
