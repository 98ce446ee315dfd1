"""From a trained llava-nano to what is shipped: the Hugging Face checkpoint, its GGUF files, the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...eval.files import prepare_folder
from ...zoo.cases import hash_file
from ...zoo.gguffile import with_contract
from ...zoo.prompt_contract import MmprojSpec, PromptContract
from ..gguf.convert import convert
from ..networks.llava_nano import save
from ..recipe import Recipe
from ..told import training_of

TEXT_TYPE, VISION_TYPE = "q8_0", "f16"


def ship(recipe: Recipe, model: Any, facts: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """Write ``FOLDER/hf`` (loads in transformers as it is) and text GGUF + mmproj in ``FOLDER/gguf``.

    Args:
        recipe: with its steps settled.
        model: the trained ``LlavaForConditionalGeneration``.
        facts: case ids by role, scores on held-out cases, whatever else the contract is to say.
        folder: of the training.

    Yields:
        Lines to print.

    Raises:
        ModelError: a file cannot be written.
    """
    checkpoint = prepare_folder(folder / "hf")
    save(model, checkpoint)
    yield f"saved {checkpoint}, a stock LLaVA checkpoint of {parameters(model) / 1e6:.2f} million parameters"
    made = convert(checkpoint, folder / "gguf", TEXT_TYPE, VISION_TYPE, recipe.name)
    mmproj = made.mmproj or made.text  # a LLaVA always has one
    with_contract(made.text, contract_of(recipe, facts, mmproj), made.text)
    size = made.text.stat().st_size + mmproj.stat().st_size
    yield f"exported {made.text} and {mmproj.name}, {size / 1e6:.1f} MB together"
    yield from made.notes


def contract_of(recipe: Recipe, facts: Mapping[str, Any], mmproj: Path) -> PromptContract:
    """The contract of the model that ``recipe`` makes; its content hash is filled in when it is written."""
    return PromptContract(
        name=recipe.name,
        version=recipe.version,
        prompts=dict.fromkeys(recipe.language.tasks, recipe.language.wording),
        image=recipe.input.size,
        slices=recipe.input,
        mmproj=MmprojSpec(mmproj.name, hash_file(mmproj)),
        licence=recipe.licence,
        training=training_of(recipe, facts),
    )


def parameters(model: Any) -> int:
    """How many numbers a model has; tied ones count once."""
    return sum(weights.numel() for weights in model.parameters())
