"""Flips asked for on the command line: in the model, in the run's identity, in results and header."""

import numpy as np
import pytest
from click.testing import CliRunner

import voxzoo
from voxzoo.eval import cli
from voxzoo.eval.options import Options
from voxzoo.eval.report import introduce
from voxzoo.eval.runner import prepare_run
from voxzoo.zoo import onnxfile, registry
from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.errors import RunError, UsageError

DATA = "phantom:n=1,shape=32x40x32"


@pytest.fixture
def lopsided(tmp_path):
    """A network of one weight that takes brighter FLAIR for tumour, the more the further to the right."""
    onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "voxzoo[dev]"')
    helper, shape = onnx.helper, (32, 40, 32)
    ramp = np.linspace(0, 2, 32, dtype=np.float32).reshape(1, 1, 1, 1, 32)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "ramp"], ["m"]),
            helper.make_node("Sigmoid", ["m"], ["y"]),
        ],
        "lopsided",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", 1, *shape])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", 1, *shape])],
        [onnx.numpy_helper.from_array(ramp, "ramp")],
    )
    path = tmp_path / "lopsided.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    spacing = tuple(voxzoo.zoo.open_dataset(DATA).cases[0].grid().spacing_mm[::-1])
    contract = Contract(
        name="lopsided",
        version="1",
        task="segment",
        input=InputSpec("x", ("flair",), shape, spacing),
        output=OutputSpec("y", "regions", ("wt",), threshold=0.8),
        labels={1: "whole_tumour"},
        licence=LicenceSpec("Apache-2.0", "no data", "confirmed"),
    )
    onnxfile.write_contract(path, contract)
    return path


def options(**more):
    return Options.of({"baseline": False, "runtime": "onnxruntime", "threads": 1, **more})


def test_flips_change_answer_identity_results_and_header(lopsided):
    runs = {flips: prepare_run(str(lopsided), DATA, options(flips=flips)) for flips in ("none", "lr", "all")}
    identities = [run.identity("lopsided") for run in runs.values()]
    assert [found["settings"] for found in identities] == [{"flips": f} for f in runs]
    assert len({run.default_folder() for run in runs.values()}) == 3
    for flips, run in runs.items():
        assert ("flips    " + flips in introduce(run)) == (flips != "none")
    made = {
        flips: voxzoo.evaluate(str(lopsided), DATA, flips=flips, baseline=False, runtime="onnxruntime")
        for flips in ("none", "lr")
    }
    assert made["lr"].options["flips"] == "lr"
    assert made["none"].options["flips"] == "none"
    assert made["lr"].cases[0].metrics != made["none"].cases[0].metrics
    assert made["lr"].cases[0].key != made["none"].cases[0].key


def test_a_run_is_not_continued_with_other_flips(lopsided, tmp_path):
    out = tmp_path / "run"
    voxzoo.evaluate(str(lopsided), DATA, out, baseline=False, flips="lr")
    with pytest.raises(RunError, match=r"settings\.flips: 'lr' there, 'none' asked for"):
        voxzoo.evaluate(str(lopsided), DATA, out, baseline=False)


def test_flips_that_cannot_be(lopsided):
    found = CliRunner().invoke(cli.command, ["--model", str(lopsided), "--data", DATA, "--flips", "ud"],
                               standalone_mode=False)  # fmt: skip
    assert found.return_value == 2
    assert "none, lr, all" in found.output
    with pytest.raises(UsageError, match="flips at none"):
        prepare_run("baseline:flair-threshold", DATA, Options.of({"flips": "lr"}))
    with pytest.raises(UsageError, match="loaded already"):
        prepare_run(registry.load("baseline:flair-threshold"), DATA, Options.of({"flips": "lr"}))


def test_the_baseline_is_not_flipped(lopsided):
    run = prepare_run(str(lopsided), DATA, options(flips="lr", baseline=True, runtime="auto"))
    assert run.identity("baseline:flair-threshold")["settings"] == {}
