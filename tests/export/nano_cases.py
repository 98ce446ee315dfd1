"""Small slices, models and recipes that the tests of language models share."""

import dataclasses

import numpy as np

from voxzoo.export.language.slices import Slice
from voxzoo.export.recipe import load_recipe

SMALL = {"vision_blocks": 1, "vision_width": 32, "vision_hidden": 64, "vision_heads": 1}
SMALL |= {"width": 64, "blocks": 1, "hidden": 96, "heads": 2, "key_heads": 1}


def disc(row, col, radius, case="a", index=0, grade=1):
    """A head with a bright disc in it."""
    rows, cols = np.mgrid[:128, :128]
    head = np.hypot((rows - 64) / 58, (cols - 64) / 48) < 1
    mask = (np.hypot(rows - row, cols - col) <= radius) & head
    noise = np.random.default_rng([row, col, index]).normal(0, 6, (128, 128))
    image = np.where(head, np.clip(90 + 110 * mask + noise, 1, 255), 0).astype(np.uint8)
    return Slice(case, index, image, mask, grade if mask.any() else 2, spacing_mm=(1.0, 1.0))


def some_slices(case="a", count=6, grade=1):
    """Discs in different places, and one slice without."""
    rng = np.random.default_rng(len(case))
    found = []
    for index in range(count):
        row, col = (int(n) for n in rng.integers(40, 90, 2))
        found.append(disc(row, col, int(rng.integers(6, 16)), case, index, grade))
    return [*found, disc(64, 64, -1, case, count)]


def small_recipe(fit=None, **language):
    """The bundled recipe with a small network and few steps."""
    recipe = load_recipe("llava-nano")
    short = {"steps": 6, "batch": 4, "validate_every": 2, "warmup": 1, "average": 0.5, **(fit or {})}
    few = {"warm_steps": 2, "warm_batch": 4, "slices_each": 3, "image_share": 0.0, **language}
    return dataclasses.replace(
        recipe,
        options=dict(SMALL),
        fit=dataclasses.replace(recipe.fit, **short),
        language=dataclasses.replace(recipe.language, **few),
        data=dataclasses.replace(recipe.data, phantoms=0, phantom_share=0.0),
    )
