"""``zoo-train lora``: fine-tune a vision-language model on a prompt task, with an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...zoo.tasks.prompt import PROMPT_TASKS
from ...zoo.tasks.slices import CONTRASTS, PLACES, PLANES
from ..program import require

if TYPE_CHECKING:
    from ..recipe import Recipe
    from .tuning import Tuning

_SETTINGS = {"help_option_names": ["-h", "--help"], "show_default": True}


@click.command(context_settings=_SETTINGS)
@click.option("--base", required=True, help="Folder of a Hugging Face model, or OWNER/MODEL on the hub.")
@click.option("--task", required=True, type=click.Choice(PROMPT_TASKS), help="What it is to learn.")
@click.option("--data", required=True, multiple=True, help="Folder of patients (may be given again).")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder; resumes if it has one.")
@click.option("--resume", is_flag=True, help="Only go on: an error if --out holds no training.")
@click.option("--wording", default="brief", help="Which of the task's prompts is asked.")
@click.option("--modality", default="flair", help="Image that is shown.")
@click.option("--plane", default="axial", type=click.Choice(list(PLANES)), help="How it is cut.")
@click.option("--place", default="brain", type=click.Choice(PLACES), help="What fills the image.")
@click.option("--contrast", default="brain", type=click.Choice(CONTRASTS), help="How it is stretched.")
@click.option("--size", type=click.IntRange(16), default=128, help="Height and width of the image.")
@click.option("--rank", type=click.IntRange(1), default=16, help="Rank of the adapter.")
@click.option("--alpha", type=float, default=16.0, help="The change counts alpha / rank times.")
@click.option("--parts", default="vision,projector,language", help="What gets an adapter.")
@click.option("--steps", type=click.IntRange(1), default=400, help="Optimiser steps.")
@click.option("--batch", type=click.IntRange(1), default=8, help="Slices at a time.")
@click.option("--accumulate", type=click.IntRange(1), default=1, help="Batches per optimiser step.")
@click.option("--checkpointing", is_flag=True, help="Less memory for more time: states computed twice.")
@click.option("--learning-rate", type=float, default=1e-3, help="Its peak.")
@click.option("--augment/--plain", default=True, help="Vary the slices, or show them as they are.")
@click.option("--validate-every", type=click.IntRange(1), default=50, help="Steps between validations.")
@click.option("--asked", type=click.IntRange(1), default=64, help="Kept-aside slices asked each time.")
@click.option("--patience", type=click.IntRange(0), default=0, help="Validations without gain; 0 = any.")
@click.option("--fold", type=click.IntRange(0), default=0, help="Fold of patients kept aside.")
@click.option("--folds", type=click.IntRange(2), default=5, help="Folds of the patients.")
@click.option("--all", "everyone", is_flag=True, help="Learn from every patient; nothing is kept aside.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Another seed, another training.")
@click.option("--device", default="cpu", help="cpu, cuda or cuda:1.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.  [default: torch's]")
def command(**options: Any) -> None:
    """Fine-tune BASE with LoRA on one prompt task, and write OUT/adapter for peft and zoo-merge.

    Patients of one fold are kept aside: their loss and their scores stand in OUT/curve.jsonl, and the weights
    that are best on them are kept. The same command goes on with a training that was interrupted.
    """
    require("fine-tuning", "train", "safetensors", "torch", "transformers", "peft")
    for line in _tuned(options):
        click.echo(line)


def _tuned(options: dict[str, Any]) -> list[str]:
    import torch

    from .. import device as devices
    from ..cli import progress
    from ..session import check_resumable
    from .adapters import load_base
    from .tuning import tune

    out = options["out"]
    if options["resume"]:
        check_resumable(out, crossed=False)
    device = devices.pick(options["device"])
    if options["threads"]:
        torch.set_num_threads(options["threads"])
    tuning = _tuning(recipe_of(options), options)
    model, processor = load_base(options["base"])
    tune(tuning, model, processor, out, device, progress())
    return [f"wrote {out / 'adapter'}; merge it into a GGUF with zoo-merge"]


def recipe_of(options: dict[str, Any]) -> Recipe:
    """The options as a recipe, which the folder keeps."""
    from ...zoo.contract import LicenceSpec
    from ...zoo.tasks.slices import SliceRule
    from ..recipe import Recipe
    from ..sections import FitSpec
    from .adapters import LoraSpec
    from .spec import LanguageSpec, SliceAugmentSpec

    shown = ("modality", "plane", "place", "contrast")
    size = options["size"], options["size"]
    rule = SliceRule(which="all", size=size, **{name: options[name] for name in shown})
    parts = tuple(part.strip() for part in options["parts"].split(",") if part.strip())
    LoraSpec(options["rank"], options["alpha"], parts)  # refuses what cannot be
    kept = {name: options[name] for name in ("base", "rank", "alpha", "accumulate", "checkpointing", "asked")}
    fit = FitSpec(
        steps=options["steps"],
        batch=options["batch"],
        learning_rate=options["learning_rate"],
        warmup=max(1, options["steps"] // 20),
        validate_every=options["validate_every"],
        patience=options["patience"],
        keep="last" if options["everyone"] else "best",
    )
    still = dict.fromkeys(SliceAugmentSpec.__dataclass_fields__, 0.0)
    return Recipe(
        name=f"lora-{options['task']}",
        version="0",
        network="lora",
        input=rule,
        licence=LicenceSpec("as the base's", "unconfirmed", "unconfirmed"),
        task="prompt",
        seed=options["seed"],
        options={**kept, "parts": list(parts)},
        fit=fit,
        augment=SliceAugmentSpec() if options["augment"] else SliceAugmentSpec(**still),
        language=LanguageSpec(tasks=(options["task"],), wording=options["wording"], warm_steps=0),
    )


def _tuning(recipe: Recipe, options: dict[str, Any]) -> Tuning:
    from ...zoo.errors import UsageError
    from ...zoo.tasks.prompt import choose_prompt, prompt_task
    from .material import PromptMaterial
    from .tuning import Tuning

    choose_prompt(prompt_task(options["task"]), options["wording"])
    material = PromptMaterial(recipe, options["data"], click.echo)
    away = material.held_out(None if options["everyone"] else options["fold"], options["folds"])
    material.load()
    learned, held_out = material.answerable(options["task"], away)
    if not learned:
        raise UsageError(f"no slice in {', '.join(options['data'])} has a known answer to {options['task']}")
    roles = {
        "real": sorted({one.case for one in learned}),
        "phantoms": [],
        "held_out": sorted({one.case for one in held_out}),
    }
    return Tuning(recipe, learned, held_out, roles)
