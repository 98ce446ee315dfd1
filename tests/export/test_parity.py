"""The proof of an export: what counts as different, with masks worked out by hand."""

import numpy as np
import pytest

from voxzoo.export.parity import CaseParity, Gate, Parity, Witness
from voxzoo.zoo.cases import case_from_arrays
from voxzoo.zoo.contract import Contract, ImageSpec, InputSpec, LicenceSpec, OutputSpec
from voxzoo.zoo.errors import ModelError
from voxzoo.zoo.phantom import phantom_dataset
from voxzoo.zoo.runtimes.base import Port, RuntimeInfo

LICENCE = LicenceSpec("Apache-2.0", "no data", "confirmed")
SEGMENT = Contract(
    name="tiny",
    version="1",
    task="segment",
    input=InputSpec("x", ("flair",), (4, 4, 4), (1.0, 1.0, 1.0), crop="center", normalise="none"),
    output=OutputSpec("y", "regions", ("wt",)),
    labels={1: "whole_tumour"},
    licence=LICENCE,
)
CLASSIFY = Contract(
    name="tiny",
    version="1",
    task="classify",
    input=ImageSpec("x", ("grey",), (2, 2), "stretch"),
    output=OutputSpec("y", "classes", ("dark", "bright"), activation="softmax"),
    labels={0: "dark", 1: "bright"},
    licence=LICENCE,
)


class Fake:
    """A session that computes a function."""

    info = RuntimeInfo("fake", "1", "cpu", "fp32", 1)

    def __init__(self, contract, function):
        spec, output = contract.input, contract.output
        grid = spec.shape if contract.task == "segment" else ()
        self.inputs = (Port("x", (None, len(spec.channels), *spec.shape), "float32"),)
        self.outputs = (Port("y", (None, len(output.channels), *grid), "float32"),)
        self.run = lambda tensor, output=None: np.asarray(function(tensor), np.float32)


def bright(shift):
    """Probability 1 above 100, moved by ``shift``."""
    return Fake(SEGMENT, lambda x: (x > 100) + shift * (x > 0))


def volume():
    image = np.full((1, 4, 4, 4), 50, np.int16)
    image[0, 0] = 200  # 16 voxels of a "tumour"
    return case_from_arrays(image, ("flair",), (1.0, 1.0, 1.0), id="cube")


def test_error_and_agreement_of_segmenters():
    witness = Witness(SEGMENT, bright(0.0), [volume()])
    same = witness.compare(bright(0.25))
    assert same.error == pytest.approx(0.25)
    assert same.cases[0].agreement == 1.0
    assert same.loss == 0.0
    # The candidate sees the 48 dark voxels only: no voxel in common.
    other = witness.compare(Fake(SEGMENT, lambda x: x < 100))
    assert other.cases == (CaseParity("cube", 1.0, 0.0, None),)
    # 16 + 16 voxels where 16 were: Dice 2 * 16 / (16 + 32).
    half = np.zeros((1, 1, 4, 4, 4))
    half[:, :, :2] = 1
    assert witness.compare(Fake(SEGMENT, lambda x: half)).loss == pytest.approx(1 - 2 / 3)


def test_inputs_are_what_the_network_was_fed():
    witness = Witness(SEGMENT, bright(0.0), [volume(), volume()])
    assert [x.shape for x in witness.inputs] == [(1, 1, 4, 4, 4)] * 2
    assert sorted(np.unique(witness.inputs[0])) == [50, 200]


def test_dice_against_the_reference_of_a_phantom():
    case = phantom_dataset(n=1, seed=3, shape=(32, 40, 32)).cases[0]
    witness = Witness(SEGMENT, Fake(SEGMENT, lambda x: np.zeros_like(x)), [case])
    found = witness.compare(Fake(SEGMENT, lambda x: np.ones_like(x))).cases[0]
    truth = np.count_nonzero(case.read_reference())
    assert found.dice[0] == 0.0
    # 4 x 4 x 4 voxels of 1 mm cover less than one or a few native voxels; at least it is no loss.
    assert found.dice[1] >= 0.0
    assert found.loss <= 0.0
    assert truth > 0


def test_classifiers_count_changed_answers():
    mean = lambda x: x.mean()  # noqa: E731
    before = Fake(CLASSIFY, lambda x: [[0.0, mean(x)]])
    after = Fake(CLASSIFY, lambda x: [[0.0, mean(x) - 0.5]])
    images = [np.full((2, 2), value, np.uint8) for value in (0, 150, 255)]  # means -1, 0.18, 1
    found = Witness(CLASSIFY, before, images).compare(after)
    assert [c.agreement for c in found.cases] == [1.0, 0.0, 1.0]
    assert found.loss == pytest.approx(1 / 3)
    assert "1 of 3 answers changed" in str(found)
    with pytest.raises(ModelError, match=r"loses 0\.3333, more than 0\.002"):
        found.check(Gate(), "tiny.onnx")


@pytest.mark.parametrize("error", [1.1e-5, np.nan, np.inf])
def test_gate_on_the_error(error):
    parity = Parity("onnxruntime", (CaseParity("a", error, 1.0),))
    with pytest.raises(ModelError, match="not kept"):
        parity.check(Gate(error=1e-5), "tiny.onnx")


def test_gate_on_the_loss_is_on_the_mean():
    cases = (CaseParity("a", 0.1, 0.9, (0.9, 0.897)), CaseParity("b", 0.1, 0.9, (0.8, 0.8)))
    parity = Parity("onnxruntime", cases)
    assert parity.loss == pytest.approx(0.0015)
    parity.check(Gate(), "tiny.onnx")
    with pytest.raises(ModelError, match="loses"):
        Parity("onnxruntime", cases[:1]).check(Gate(), "tiny.onnx")


def test_gaining_dice_is_no_loss():
    Parity("onnxruntime", (CaseParity("a", 0.1, 0.5, (0.5, 0.9)),)).check(Gate(), "tiny.onnx")
