"""``zoo-train``: make a bundled model again, from its recipe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..rasterize.errors import VoxzooError

if TYPE_CHECKING:
    from .recipe import Recipe


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe")
@click.option(
    "--data", required=True, multiple=True, help="Folder of patients (may be given more than once)."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Training folder; resumes if it has one."
)
@click.option("--fold", type=click.IntRange(0), help="Hold out this fold of a patient-wise split.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Folds of that split.")
@click.option("--steps", type=click.IntRange(1), help="Fewer or more optimiser steps than the recipe says.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: torch's]")
def command(recipe: str, data: tuple[str, ...], out: Path, **options: Any) -> None:
    """Train RECIPE (a bundled name such as cnn3d-seg, or a .toml file) and export it to ONNX.

    The same command goes on with a training that was interrupted. With --fold the patients of that fold are
    never learned from, and the held-out Dice in curve.jsonl is theirs.
    """
    from dataclasses import replace

    from .recipe import load_recipe

    loaded = load_recipe(recipe)
    if options["steps"]:
        loaded = replace(loaded, fit=replace(loaded.fit, steps=options["steps"]))
    _require_torch()
    _train(loaded, data, out, options)


def main() -> None:
    """Entry point: errors are one line, and 2 says that the command was wrong."""
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("zoo-train: stopped; the same command goes on from the last checkpoint", err=True)
        sys.exit(130)
    except VoxzooError as error:
        click.echo(f"zoo-train: error: {error}", err=True)
        sys.exit(2)


def _require_torch() -> None:
    from ..zoo.errors import MissingDependencyError

    try:
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f'training needs {error.name}: pip install "voxzoo[train]"') from error


def _train(recipe: Recipe, data: tuple[str, ...], out: Path, options: dict[str, Any]) -> None:
    import torch

    from .making import collect, finish
    from .train import train

    if options["threads"]:
        torch.set_num_threads(options["threads"])
    chosen = collect(recipe, data, options["fold"], options["folds"], click.echo)
    network = train(recipe, chosen, out, _say)
    for line in finish(recipe, network, chosen, out):
        click.echo(line)


def _say(line: dict[str, Any]) -> None:
    dice = line["dice"].values()
    held_out = f"held-out Dice {sum(dice) / len(dice):.4f}, " if dice else ""
    minutes = line["seconds_left"] / 60
    click.echo(f"step {line['step']}/{line['of']}: loss {line['loss']:.4f}, {held_out}{minutes:.0f} min left")
