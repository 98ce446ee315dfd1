"""Recipes: the bundled ones load, and every typo is named."""

import pytest

pytest.importorskip("torch")
from voxzoo.export.recipe import bundled, load_recipe, parse_recipe
from voxzoo.zoo.errors import ContractError, UsageError

GOOD = """
name = "x"
version = "1"
network = "cnn3d-seg"
regions = ["wt"]
[input]
name = "image"
channels = ["flair"]
shape = [8, 8, 8]
spacing_mm = [2, 2, 2]
[licence]
weights = "Apache-2.0"
data_terms = "none"
status = "confirmed"
"""


def test_bundled_recipes_load():
    assert "cnn3d-seg" in bundled()
    recipe = load_recipe("cnn3d-seg")
    assert recipe.input.shape == (95, 128, 128)
    assert recipe.input.channels == ("flair", "t1", "t1ce", "t2")
    assert recipe.data.collection == "UCSF-PDGM"


def test_a_path_is_taken_as_a_file(tmp_path):
    (tmp_path / "mine.toml").write_text(GOOD)
    assert load_recipe(str(tmp_path / "mine.toml")).name == "x"
    with pytest.raises(UsageError, match="cannot be read"):
        load_recipe(str(tmp_path / "absent.toml"))


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (GOOD + "\n[fit]\nstep = 3", UsageError, "step"),
        (GOOD + "\n[fit]\nsteps = 'many'", UsageError, "expected a whole number"),
        (GOOD.replace('network = "cnn3d-seg"', ""), UsageError, "network"),
        ("colour = 3\n" + GOOD, UsageError, "colour"),
        ("this is no toml", UsageError, "TOML"),
        (GOOD.replace("[8, 8, 8]", "[8, 8]"), ContractError, "input.shape"),
    ],
)
def test_wrong_recipes_are_refused_by_name(text, error, says):
    with pytest.raises(error, match=says):
        parse_recipe(text, "test")


def test_unknown_recipe_lists_the_bundled():
    with pytest.raises(UsageError, match="cnn3d-seg"):
        load_recipe("cnn9d")
