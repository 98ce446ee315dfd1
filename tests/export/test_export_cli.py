"""zoo-export as its users meet it: sources, formats, and one line for every mistake."""

import json
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from safetensors.torch import save_file  # noqa: E402

from voxzoo.export import export_cli  # noqa: E402
from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.recipe import load_recipe, parse_recipe  # noqa: E402
from voxzoo.zoo import onnxfile  # noqa: E402

RECIPE = """
name = "tiny"
version = "0.1"
network = "cnn3d-seg"
regions = ["wt"]
threshold = 0.25
[input]
name = "image"
channels = ["flair", "t1", "t1ce", "t2"]
shape = [9, 12, 10]
spacing_mm = [20, 20, 20]
[licence]
weights = "Apache-2.0"
data_terms = "no data"
status = "confirmed"
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of the tiny recipe's network."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    save_file(build("cnn3d-seg").state_dict(), folder / "w.safetensors")
    (folder / "tiny.toml").write_text(RECIPE)
    return folder / "w.safetensors"


@pytest.fixture(scope="module")
def training(weights, tmp_path_factory):
    """A folder as zoo-train leaves it."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "weights.safetensors").write_bytes(weights.read_bytes())
    recipe = parse_recipe(RECIPE, "tiny").to_dict()
    cases = {"real": ["a", "b"], "phantoms": [], "held_out": ["c"]}
    (folder / "recipe.json").write_text(json.dumps({"recipe": recipe, "cases": cases}))
    return folder


@pytest.fixture
def zoo_export(monkeypatch, capsys):
    """Runs the command; (exit code, stdout, stderr)."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["zoo-export", *map(str, args)])
        try:
            export_cli.main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


def refused(result, *words, code=1):
    got, out, err = result
    assert got == code, err
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("zoo-export: error: ")
    for word in words:
        assert word in err


def test_a_training_folder_in_two_formats(zoo_export, training, tmp_path):
    code, out, err = zoo_export(training, "--format", "onnx", "--format", "onnx-int8", "--out", tmp_path)
    assert (code, err) == (0, "")
    assert "parity: 2 cases on onnxruntime" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tiny.int8.onnx", "tiny.onnx"]
    contract = onnxfile.read_contract(tmp_path / "tiny.onnx")
    assert contract.output.threshold == 0.25
    assert contract.training["cases"] == ["a", "b"]
    assert contract.training["held_out"] == ["c"]


def test_weights_with_a_recipe_then_the_onnx_file_again(zoo_export, weights, tmp_path):
    first = tmp_path / "first.onnx"
    recipe = weights.parent / "tiny.toml"
    assert zoo_export(weights, "--recipe", recipe, "--out", first)[0] == 0
    second = tmp_path / "second.onnx"
    code, out, _ = zoo_export(first, "--format", "onnx-fp16", "--out", second)
    assert code == 0
    assert "parity" in out
    assert second.stat().st_size < first.stat().st_size
    assert onnxfile.read_contract(second).name == "tiny"


def test_cases_of_ones_own(zoo_export, training, tmp_path):
    data = "phantom:n=3,shape=32x40x32"
    code, out, _ = zoo_export(
        training, "--data", data, "--limit", 3, "--format", "torchscript", "--out", tmp_path
    )
    assert code == 0
    assert "3 cases" in out
    assert "Dice" in out


class TestRefusals:
    def test_pickles(self, zoo_export, tmp_path):
        torch.save(build("cnn3d-seg").state_dict(), tmp_path / "w.pt")
        refused(zoo_export(tmp_path / "w.pt"), "pickle", "refused")
        torch.save({}, tmp_path / "w.safetensors")
        refused(zoo_export(tmp_path / "w.safetensors", "--recipe", "cnn3d-seg"), "pickle")

    def test_weights_of_another_network(self, zoo_export, weights, tmp_path):
        refused(zoo_export(weights, "--recipe", "resunet3d-seg", "--out", tmp_path), "another network")

    def test_weights_without_a_recipe(self, zoo_export, weights):
        refused(zoo_export(weights), "--recipe", code=2)

    def test_a_recipe_for_a_folder(self, zoo_export, training):
        refused(zoo_export(training, "--recipe", "cnn3d-seg"), "--recipe", code=2)

    def test_a_folder_without_a_training(self, zoo_export, tmp_path):
        refused(zoo_export(tmp_path), "recipe.json")

    def test_an_unfinished_training(self, zoo_export, training, tmp_path):
        (tmp_path / "recipe.json").write_text((training / "recipe.json").read_text())
        refused(zoo_export(tmp_path), "not finished", "weights.safetensors")

    def test_a_damaged_description(self, zoo_export, tmp_path):
        (tmp_path / "recipe.json").write_text("{")
        refused(zoo_export(tmp_path), "recipe.json", "cannot be read")

    def test_a_contract_that_contradicts_the_network(self, zoo_export, weights, tmp_path):
        recipe = tmp_path / "three.toml"
        recipe.write_text(RECIPE.replace('["wt"]', '["wt", "tc", "et"]'))
        result = zoo_export(weights, "--recipe", recipe, "--out", tmp_path)
        refused(result, "(2, 1, 9, 12, 10)", "(2, 3, 9, 12, 10)")

    def test_onnx_without_a_contract(self, zoo_export, tmp_path):
        import onnx

        x = onnx.helper.make_tensor_value_info("x", 1, ["N", 1])
        y = onnx.helper.make_tensor_value_info("y", 1, ["N", 1])
        graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
        onnx.save(model, tmp_path / "bare.onnx")
        refused(zoo_export(tmp_path / "bare.onnx"), "no contract inside", "--contract")

    def test_an_output_folder_that_cannot_be_written(self, zoo_export, training, tmp_path):
        (tmp_path / "file").write_text("")
        refused(zoo_export(training, "--out", tmp_path / "file" / "there"), "cannot be written", "--out")

    def test_torchscript_of_an_onnx_file(self, zoo_export, tmp_path):
        result = zoo_export(
            "cnn3d-seg", "--format", "torchscript", "--out", tmp_path, "--data", "phantom:n=1"
        )
        refused(result, "torchscript", "training folder", code=2)

    def test_unknown_names(self, zoo_export, training):
        refused(zoo_export(training, "--format", "keras"), "keras", "onnx-int8", code=2)
        refused(zoo_export("nothing-of-that-name"), "neither a file nor a name", code=2)
        refused(zoo_export("baseline:flair-threshold"), "no file to export", code=2)

    def test_one_file_for_two_formats(self, zoo_export, training, tmp_path):
        two = ["--format", "onnx", "--format", "onnx-fp16"]
        refused(zoo_export(training, *two, "--out", tmp_path / "m.onnx"), "one file", code=2)

    def test_beyond_tolerance(self, zoo_export, training, tmp_path):
        result = zoo_export(training, "--tolerance", 0, "--out", tmp_path)
        refused(result, "not kept")
        assert list(tmp_path.iterdir()) == []


def test_bundled_recipes_describe_networks_that_fit_their_contracts():
    from voxzoo.export.deployed import deployed
    from voxzoo.export.making import contract_of
    from voxzoo.export.network import check_shapes
    from voxzoo.export.recipe import bundled

    for name in (name for name in bundled() if name != "paper-cnn3d-cls"):  # 48 million parameters
        recipe = load_recipe(name)
        if recipe.task == "prompt":  # a language model: its contract says what is shown, not what goes in
            continue
        network = build(recipe.network, **recipe.options)
        facts = {"real": [], "phantoms": [], "held_out": []}
        check_shapes(deployed(recipe, network), contract_of(recipe, facts))
