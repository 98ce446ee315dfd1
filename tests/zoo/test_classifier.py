"""Classifiers, from a tiny network to the class: volumes and images, both runtimes, refusals."""

import json
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxzoo
from voxzoo.zoo import onnxfile, open_dataset, registry
from voxzoo.zoo.cases import case_from_arrays
from voxzoo.zoo.classifier import ClassifierModel
from voxzoo.zoo.contract import Contract, ImageSpec, InputSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.errors import CaseError, ContractError, InputError, ModelError, UsageError
from voxzoo.zoo.images import ImageCase, prepare_image
from voxzoo.zoo.runtimes import base
from voxzoo.zoo.runtimes.base import Port, RuntimeInfo
from voxzoo.zoo.tasks.classify import Classification, softmax

INSTALLED = [name for name in base.RUNTIMES if base.get_runtime(name).is_installed()]
RGB = ("red", "green", "blue")
COLOURS = ("reddish", "greenish", "bluish")
IMAGE = ImageSpec("x", RGB, (6, 8))
VOLUME = InputSpec("x", ("flair", "t1"), (4, 5, 6), (1.0, 1.0, 1.0), normalise="none")
WEIGHT = {2: np.diag([6.0, 5.0, 4.0]), 3: np.array([[0.0, 2.0], [0.0, -3.0]])}
BIAS = {2: np.array([0.5, 0.0, -0.5]), 3: np.array([0.0, 1.0])}


def network(spec, classes=None, sure=False):
    """Bytes of a network: the mean of every channel, times WEIGHT, plus BIAS; softmax inside if ``sure``."""
    onnx = pytest.importorskip("onnx", reason='needs onnx: pip install "voxzoo[dev]"')
    helper, numbers, kind = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    rank = len(spec.shape)
    weight, bias = WEIGHT[rank].astype(np.float32), BIAS[rank].astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["z" if sure else "y"]),
    ]
    if sure:
        nodes.append(helper.make_node("Softmax", ["z"], ["y"], axis=1))
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("x", kind, ["N", len(spec.channels), *spec.shape])],
        [helper.make_tensor_value_info("y", kind, ["N", classes or weight.shape[1]])],
        [numbers.from_array(weight, "w"), numbers.from_array(bias, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return model.SerializeToString()


def contract_of(spec, activation="softmax", temperature=1.0, target="class", **changes):
    classes = COLOURS if len(spec.shape) == 2 else ("low", "high")
    facts = {
        "name": "means",
        "version": "0.1.0",
        "task": "classify",
        "input": spec,
        "output": OutputSpec("y", "classes", classes, activation, temperature=temperature, target=target),
        "labels": dict(enumerate(classes)),
        "licence": LicenceSpec("Apache-2.0", "no data", "confirmed"),
    }
    return Contract(**{**facts, **changes})


@pytest.fixture
def make(tmp_path):
    """Path of a network with its contract inside."""

    def made(spec=IMAGE, activation="softmax", **changes):
        path = tmp_path / "means.onnx"
        path.write_bytes(network(spec, sure=activation == "none"))
        onnxfile.write_contract(path, contract_of(spec, activation, **changes))
        return path

    return made


def expected(tensor, temperature=1.0):
    """The formula in long doubles."""
    rank = tensor.ndim - 1
    z = tensor.astype(np.longdouble).reshape(len(tensor), -1).mean(axis=1) @ WEIGHT[rank] + BIAS[rank]
    powers = np.exp(z / temperature)
    return powers / powers.sum()


@pytest.fixture
def picture():
    """Green, wider than the model's image."""
    noise = np.random.default_rng(0).integers(0, 100, (20, 40, 3), dtype=np.uint8)
    noise[..., 1] += 120
    return noise


@pytest.mark.parametrize("runtime", INSTALLED)
@pytest.mark.parametrize(("activation", "temperature"), [("softmax", 1.0), ("softmax", 2.5), ("none", 1.0)])
def test_an_image_becomes_a_class(make, picture, runtime, activation, temperature):
    model = registry.load(make(IMAGE, activation, temperature=temperature), runtime=runtime, threads=1)
    answer = model(picture)
    assert isinstance(answer, Classification)
    wanted = expected(prepare_image(picture, IMAGE), temperature)
    np.testing.assert_allclose(answer.probabilities, wanted, atol=1e-5)
    assert (answer.label, answer.index) == ("greenish", 1)
    assert answer.probability == pytest.approx(float(wanted[1]), abs=1e-5)
    assert list(answer.by_label) == list(COLOURS)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_volume_becomes_a_class(make, runtime):
    """Brighter flair speaks for high, brighter t1 against it."""
    model = registry.load(make(VOLUME, target="grade"), runtime=runtime, threads=1)
    volume = np.random.default_rng(1).random((2, 4, 5, 6), dtype=np.float32) + 0.1
    answer = model(volume, spacing_mm=(1, 1, 1))
    np.testing.assert_allclose(answer.probabilities, expected(volume), atol=1e-5)
    brighter = volume + np.array([2.0, 0.0], np.float32)[:, None, None, None]
    assert model(brighter, spacing_mm=(1, 1, 1)).by_label["high"] > answer.by_label["high"]
    case = case_from_arrays(volume, ("flair", "t1"), (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(model.predict(case).answer.probabilities, answer.probabilities)


def test_path_array_and_case_agree(make, picture, tmp_path):
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), picture[..., ::-1])
    model = voxzoo.load(make(), threads=1)
    wanted = model(picture).probabilities
    for x in (path, str(path), ImageCase("a", "a", path)):
        np.testing.assert_array_equal(model(x).probabilities, wanted)
    prediction = model.predict(ImageCase("a", "a", path))
    assert set(prediction.seconds) == {"prepare", "infer", "finish"}
    with pytest.raises(UsageError, match="no mask but a Classification"):
        _ = prediction.mask


def test_grey_is_read_as_colour(make):
    grey = np.random.default_rng(3).integers(0, 256, (9, 9), dtype=np.uint8)
    model = registry.load(make(), threads=1)
    wanted = model(np.repeat(grey[..., None], 3, axis=2)).probabilities
    np.testing.assert_array_equal(model(grey).probabilities, wanted)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((2, 4, 4, 4), np.uint8), InputError, r"\(H, W, 3\) of uint8.*\(2, 4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), InputError, r"of uint8.*float32"),
        ("gone.png", CaseError, r"gone\.png: no such file"),
        (".", InputError, "is a folder"),
        ({"flair": "a.nii"}, InputError, "got dict"),
        (None, InputError, "got NoneType"),
    ],
)
def test_inputs_that_are_no_image(make, x, error, words):
    with pytest.raises(error, match=words):
        registry.load(make(), threads=1)(x)


def test_a_spacing_belongs_to_volumes(make, picture):
    with pytest.raises(InputError, match="belong to volumes"):
        registry.load(make(), threads=1)(picture, spacing_mm=(1, 1, 1))


def test_the_other_kind_of_case_is_told(make, tiny, tmp_path):
    image, volume = (
        ImageCase("a", "a", tmp_path / "a.png"),
        next(iter(open_dataset("phantom:n=1,shape=24x24x24"))),
    )
    with pytest.raises(CaseError, match="is a volume; the model takes 2-D images"):
        registry.load(make(), threads=1).predict(volume)
    for model in (registry.load(make(VOLUME), threads=1), registry.load(tiny, threads=1)):
        with pytest.raises(CaseError, match=r"a: is no volume; the model takes flair, t1"):
            model.predict(image)


class FakeSession:
    """Says and answers what a test tells it to."""

    info = RuntimeInfo("fake", "0", "cpu", "fp32", 1)

    def __init__(self, answer=None, source=(None, 3, 6, 8), out=(None, 3)):
        self.answer = answer
        self.inputs, self.outputs = (Port("x", source, "float32"),), (Port("y", out, "float32"),)

    def run(self, tensor, output=None):
        return self.answer


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"out": (None, 4)}, r"output 'y' of shape \(1, 3\).*\(\?, 4\)"),
        ({"out": (None, 1)}, r"\(\?, 1\)"),
        ({"out": (None, 3, 6, 8)}, r"\(\?, 3, 6, 8\)"),
        ({"out": (3,)}, r"\(1, 3\).*\(3\)"),
        ({"source": (None, 1, 6, 8)}, r"input 'x' of shape \(1, 3, 6, 8\).*\(\?, 1, 6, 8\)"),
        ({"source": (None, 3, 8, 6)}, r"\(\?, 3, 8, 6\)"),
        ({"source": (None, 3, 4, 6, 8)}, r"\(\?, 3, 4, 6, 8\)"),
    ],
)
def test_a_contract_that_contradicts_the_network(shapes, words):
    with pytest.raises(ContractError, match=words):
        ClassifierModel(contract_of(IMAGE), FakeSession(**shapes), "fake", "")


@pytest.mark.parametrize("runtime", INSTALLED)
def test_a_real_network_of_other_shapes_is_refused(tmp_path, runtime):
    path = tmp_path / "m.onnx"
    path.write_bytes(network(IMAGE))
    for spec in (VOLUME, ImageSpec("x", RGB, (6, 9)), ImageSpec("x", ("grey",), (6, 8))):
        onnxfile.write_contract(path, contract_of(spec))
        with pytest.raises(ContractError, match="the contract says input 'x' of shape"):
            registry.load(path, runtime=runtime, threads=1)
    onnxfile.write_contract(
        path, contract_of(IMAGE, output=OutputSpec("logits", "classes", COLOURS, "softmax"))
    )
    with pytest.raises(ContractError, match="the contract says output 'logits', the network has y"):
        registry.load(path, runtime=runtime, threads=1)


@pytest.mark.parametrize(
    ("answer", "activation", "words"),
    [
        ([[1.0, 2.0]], "softmax", r"shape \(1, 2\), expected \(1, 3\)"),
        ([1.0, 2.0, 3.0], "softmax", "shape"),
        ([[1.0, np.nan, 3.0]], "softmax", "NaN"),
        ([[np.inf, 0.0, 0.0]], "softmax", "NaN or infinity"),
        ([[2.0, -1.0, 0.0]], "none", "no probabilities"),
        ([[0.2, 0.2, 0.2]], "none", "no probabilities"),
    ],
)
def test_networks_that_misbehave(picture, answer, activation, words):
    session = FakeSession(np.array(answer, np.float32))
    with pytest.raises(ModelError, match=words):
        ClassifierModel(contract_of(IMAGE, activation), session, "fake", "")(picture)


@given(
    logits=st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=6),
    temperature=st.floats(0.1, 20),
    shift=st.floats(-1e4, 1e4),
)
def test_softmax_properties(logits, temperature, shift):
    z = np.array(logits)
    got = softmax(z, temperature)
    assert got.dtype == np.float32
    assert got.sum(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert got[np.argmax(z)] == got.max()
    with np.errstate(over="ignore"):
        wanted = [1 / np.exp((z - value) / temperature, dtype=np.longdouble).sum() for value in z]
    np.testing.assert_allclose(got, np.array(wanted, np.float64), atol=1e-7)
    np.testing.assert_allclose(softmax(z + shift, temperature), got, atol=1e-5)
    np.testing.assert_array_equal(softmax([z, z], temperature), [got, got])


@pytest.mark.parametrize(
    ("logits", "temperature"), [([1, 2], 0), ([1, 2], -1), ([1, 2], np.nan), ([], 1), (1, 1)]
)
def test_softmax_refusals(logits, temperature):
    with pytest.raises(InputError):
        softmax(logits, temperature)


def test_a_classification_needs_a_probability_for_each_class():
    with pytest.raises(InputError, match=r"shape \(3,\) for 2 classes"):
        Classification({0: "a", 1: "b"}, np.ones(3, np.float32) / 3)


class TestContract:
    """The contract of a classifier: round trip, what is left out, what is refused."""

    def test_round_trip(self):
        for spec in (IMAGE, VOLUME):
            contract = contract_of(spec, temperature=1.7, target="grade")
            plain = contract.to_dict()
            assert (plain["task"], plain["output"]["temperature"], plain["output"]["target"]) == (
                "classify",
                1.7,
                "grade",
            )
            assert Contract.from_json(contract.to_json()) == contract
            assert contract.regions == {}

    def test_an_image_is_told_by_its_key(self):
        plain = contract_of(IMAGE).to_dict()
        assert plain["input"] == {
            "name": "x",
            "channels": ["red", "green", "blue"],
            "shape": [6, 8],
            "resize": "pad",
            "normalise": "unit",
        }
        del plain["input"]["resize"]
        with pytest.raises(ContractError, match=r"input\.spacing_mm: missing"):
            Contract.from_json(plain)

    def test_the_keys_may_be_left_out(self):
        plain = contract_of(IMAGE, target="").to_dict()
        assert not {"temperature", "target"} & set(plain["output"])
        contract = Contract.from_json(plain)
        assert (contract.output.temperature, contract.output.target) == (1.0, "")

    def test_the_bundled_model_is_what_it_was(self):
        """Its contract reads, and writes, as the very text that its file holds."""
        file = registry.verify(registry.resolve("cnn3d-seg"))
        contract = file.contract()
        assert contract.to_json() == file.metadata[onnxfile.KEY]
        assert contract.content_sha256 == registry.entries()["cnn3d-seg"].content_sha256

    @pytest.mark.parametrize(
        ("path", "value", "field"),
        [
            ("task", "segment", "output.kind|labels"),
            ("labels", {"0": "reddish", "1": "greenish"}, "labels"),
            ("labels", {"0": "greenish", "1": "reddish", "2": "bluish"}, "labels"),
            ("labels", {"1": "reddish", "2": "greenish", "3": "bluish"}, "labels"),
            ("input.channels", ["blue", "green", "red"], "input.channels"),
            ("input.channels", "grey", "input.channels"),
            ("input.channels", ["flair"], "input.channels"),
            ("input.shape", [6], "input.shape"),
            ("input.shape", [6, 8, 3], "input.shape"),
            ("input.shape", [6, 0], "input.shape"),
            ("input.resize", "crop", "input.resize"),
            ("input.normalise", "zscore-nonzero", "input.normalise"),
            ("input.spacing_mm", [1, 1], "input.spacing_mm"),
            ("output.kind", "labels", "output.(temperature|target)"),
            ("output.channels", ["reddish"], "output.channels"),
            ("output.activation", "sigmoid", "output.activation"),
            ("output.temperature", 0, "output.temperature"),
            ("output.temperature", -1.0, "output.temperature"),
            ("output.temperature", "hot", "output.temperature"),
            ("output.temperature", float("nan"), "output.temperature"),
            ("output.target", 3, "output.target"),
            ("output.threshold", 0.7, "output.threshold"),
            ("output.min_component_mm3", 5.0, "output.min_component_mm3"),
        ],
    )
    def test_a_wrong_field_is_named(self, path, value, field):
        plain = contract_of(IMAGE, temperature=2.0).to_dict()
        *outer, last = path.split(".")
        target = plain
        for key in outer:
            target = target[key]
        target[last] = value
        with pytest.raises(ContractError, match=f"contract field ({field})"):
            Contract.from_json(plain)

    def test_what_speaks_of_classes_has_no_place_beside_masks(self):
        for changes in ({"temperature": 2.0}, {"target": "grade"}):
            with pytest.raises(ContractError, match=f"output.{next(iter(changes))}.*unless"):
                OutputSpec("y", "regions", ("wt",), **changes)
        with pytest.raises(ContractError, match=r"output\.temperature.*unless"):
            OutputSpec("y", "classes", ("a", "b"), "none", temperature=2.0)

    def test_images_are_not_segmented(self):
        output = OutputSpec("y", "regions", ("wt",))
        with pytest.raises(ContractError, match="2-D images are classified only"):
            contract_of(IMAGE, task="segment", output=output, labels={1: "whole_tumour"})


class TestCommand:
    """``zoo list``, ``show`` and ``verify`` on a classifier."""

    @pytest.fixture
    def zoo(self, monkeypatch, capsys, tmp_path, make):
        from voxzoo.zoo import cli

        folder, real = tmp_path / "weights", registry.entries
        folder.mkdir()
        monkeypatch.setattr(registry, "WEIGHTS", folder)
        monkeypatch.setattr(registry, "entries", lambda where=None: real(where or folder))
        registry.register(make(temperature=1.5), "a toy", folder=folder)

        def run(*args):
            monkeypatch.setattr(sys, "argv", ["zoo", *args])
            with pytest.raises(SystemExit) as caught:
                cli.main()
            return caught.value.code or 0, capsys.readouterr().out

        return run

    def test_list(self, zoo):
        code, out = zoo("list")
        assert code == 0
        assert "means 0.1.0  classify  0.00 MB\n" in out
        rows = {row["name"]: row["task"] for row in json.loads(zoo("list", "--json")[1])}
        assert rows == {"means": "classify", "baseline:flair-threshold": "segment"}

    def test_show(self, zoo):
        code, out = zoo("show", "means")
        lines = dict(line.split(maxsplit=1) for line in out.splitlines() if " " in line)
        assert code == 0
        assert lines["task"] == "classify"
        assert lines["channels"] == "red, green, blue"
        assert lines["size"] == "6 x 8 pixels, pad"
        assert lines["output"] == "classes reddish, greenish, bluish; softmax at temperature 1.5"
        assert lines["true"] == "class          the fact 'class' of a case"
        assert lines["labels"] == "0 reddish, 1 greenish, 2 bluish"
        assert not {"grid", "components", "orientation"} & set(lines)
        assert json.loads(zoo("show", "means", "--json")[1])["contract"]["output"]["temperature"] == 1.5

    def test_verify(self, zoo):
        code, out = zoo("verify")
        assert (code, out[:10]) == (0, "ok    mean")

    def test_load_by_name(self, zoo, picture):
        assert registry.load("means", threads=1)(picture).label == "greenish"
        assert registry.entries()["means"].task == "classify"


@pytest.mark.data
def test_on_real_images(make, data_root):
    """The colour of endoscopy images is red, whatever the runtime."""
    model = registry.load(make(), threads=1)
    answers = [model.predict(case).answer for case in open_dataset(data_root / "endoscopy").cases[::30]]
    assert [answer.label for answer in answers].count("reddish") >= len(answers) - 1
    grey = model.predict(open_dataset(data_root / "brisc2d").cases[0]).answer
    assert grey.probabilities.shape == (3,)


@pytest.mark.data
def test_on_real_patients(make, data_root):
    spec = InputSpec("x", ("flair", "t1"), (4, 5, 6), (30.0, 30.0, 30.0))
    model = registry.load(make(spec, target="grade"), threads=1)
    for case in open_dataset(data_root / "glioma3d").select(limit=2):
        answer = model.predict(case).answer
        assert answer.label in ("low", "high")
        assert case.fact(model.contract.output.target) == "high"
