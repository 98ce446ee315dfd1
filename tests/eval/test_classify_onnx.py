"""A real file, from ``zoo-eval --model FILE --data DIR`` to figures: nothing in between is made up."""

import numpy as np
import pytest
from click.testing import CliRunner

import voxzoo
from voxzoo.eval.cli import command
from voxzoo.eval.results import Results
from voxzoo.zoo.contract import Contract, ImageSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.errors import UsageError

COLOURS = ("red", "green", "blue")
TEMPERATURE = 2.0


@pytest.fixture
def model(tmp_path):
    """A network that answers the colour an image has most of: logits are three times the channels' means."""
    onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "voxzoo[dev]"')
    from voxzoo.zoo.onnxfile import write_contract

    helper, real = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["means"]),
            helper.make_node("Mul", ["means", "three"], ["y"]),
        ],
        "colours",
        [helper.make_tensor_value_info("x", real, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info("y", real, ["N", 3])],
        [onnx.numpy_helper.from_array(np.array([3.0], np.float32), "three")],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    path = tmp_path / "colours.onnx"
    path.write_bytes(network.SerializeToString())
    contract = Contract(
        name="colours",
        version="0.1.0",
        task="classify",
        input=ImageSpec("x", COLOURS, (8, 8), "pad", "unit"),
        output=OutputSpec("y", "classes", COLOURS, "softmax", temperature=TEMPERATURE, target="class"),
        labels=dict(enumerate(COLOURS)),
        licence=LicenceSpec("Apache-2.0", "no data", "confirmed"),
        training={"cases": ["red/0.png"]},
    )
    write_contract(path, contract)
    return path


@pytest.fixture
def images(tmp_path):
    """Two images of each colour, and one that lies in the wrong folder."""
    import cv2

    for k, colour in enumerate(COLOURS):
        folder = tmp_path / "images" / colour
        folder.mkdir(parents=True)
        for i in range(2):
            image = np.zeros((8, 8, 3), np.uint8)
            image[..., 2 - k] = 255  # cv2 writes blue first
            cv2.imwrite(str(folder / f"{i}.png"), image)
    cv2.imwrite(str(tmp_path / "images" / "red" / "wrong.png"), image)
    return tmp_path / "images"


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_from_a_file_and_a_folder_to_figures(model, images, tmp_path, runtime):
    pytest.importorskip(runtime, reason=f"pip install {runtime}")
    arguments = ["--model", model, "--data", images, "--out", tmp_path / "run", "--runtime", runtime]
    done = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    assert done.return_value == 0, done.output
    results = Results.load(tmp_path / "run")
    assert results.aggregate["accuracy"].mean == pytest.approx(6 / 7)
    assert results.aggregate["recall_red"].mean == pytest.approx(2 / 3)
    # Means of the channels are 1, -1, -1: logits 3, -3, -3, halved by the temperature.
    right = 1 / (1 + 2 * np.exp(-6 / TEMPERATURE))
    assert results.cases[0].metrics["p_true"] == pytest.approx(right, rel=1e-6)
    wrong = next(record for record in results.cases if not record.metrics["correct"])
    assert wrong.metrics["p_true"] == pytest.approx((1 - right) / 2, rel=1e-5)
    for line in (
        "NOT HELD OUT: the model was trained on 1 of these cases (red/0.png)",
        "temperature 2 of the contract applied",
        "red/wrong.png: blue (",
    ):
        assert line in done.stdout
    in_memory = voxzoo.evaluate(model, images, runtime=runtime)
    assert in_memory.aggregate == results.aggregate


def test_data_of_another_kind_is_refused_before_any_work(model):
    with pytest.raises(UsageError, match="none of its 1 cases says its 'class'"):
        voxzoo.evaluate(model, "phantom:n=1,shape=48x56x48")
    with pytest.raises(UsageError, match="cannot be asked to segment"):
        voxzoo.evaluate(model, "phantom:n=1,shape=48x56x48", task="segment")
