"""Test-time flips: equivariance, the mean by hand, and a word that reaches the run's identity."""

import numpy as np
import pytest

from voxzoo.zoo import onnxfile, registry
from voxzoo.zoo.contract import OutputSpec
from voxzoo.zoo.errors import UsageError
from voxzoo.zoo.flips import FLIPS, check_flips, mean_over_flips
from voxzoo.zoo.runtimes.base import Port, RuntimeInfo
from voxzoo.zoo.volume_model import VolumeModel


@pytest.mark.parametrize(("flips", "copies"), [("none", 1), ("lr", 2), ("all", 8)])
def test_what_is_shown(flips, copies):
    tensor = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    shown = []
    mean_over_flips(lambda x: shown.append(x) or x, tensor, flips)
    assert len(shown) == copies == len({x.tobytes() for x in shown})
    np.testing.assert_array_equal(shown[0], tensor)
    assert all(x.flags.c_contiguous for x in shown)
    if flips == "lr":
        np.testing.assert_array_equal(shown[1], tensor[..., ::-1])


@pytest.mark.parametrize("flips", FLIPS)
def test_what_does_not_care_for_sides_is_not_changed(flips):
    tensor = np.random.default_rng(0).random((2, 3, 4, 5), dtype=np.float32)
    np.testing.assert_allclose(mean_over_flips(np.sqrt, tensor, flips), np.sqrt(tensor), rtol=1e-6)


def test_the_mean_by_hand():
    """A network that adds the column's index: mirrored back it is added from the other side."""
    tensor = np.zeros((1, 1, 2, 3), np.float32)

    def answer(x):
        return x + np.arange(3, dtype=np.float32)

    assert mean_over_flips(answer, tensor, "none")[0, 0, 0].tolist() == [0, 1, 2]
    assert mean_over_flips(answer, tensor, "lr")[0, 0, 0].tolist() == [1, 1, 1]
    assert mean_over_flips(answer, tensor, "all")[0, 0, 1].tolist() == [1, 1, 1]


def test_an_answer_is_left_as_it_is():
    given = np.ones((1, 1, 2, 2), np.float32)
    mean_over_flips(lambda x: given, given, "lr")
    assert (given == 1).all()


class Lopsided:
    """Session of a network that is sure of the right half and of nothing else."""

    info = RuntimeInfo("fake", "0", "cpu", "fp32", 1)
    inputs = (Port("x", (1, 4, 8, 10, 12), "float32"),)
    outputs = (Port("y", (1, 1, 8, 10, 12), "float32"),)

    def run(self, tensor, output=None):
        out = np.zeros((1, 1, 8, 10, 12), np.float32)
        out[..., 6:] = 0.9
        return out


@pytest.mark.parametrize(("flips", "size"), [("none", 480), ("lr", 0), ("all", 0)])
def test_a_model_answers_with_the_mean(make_contract, flips, size):
    model = VolumeModel(make_contract(), Lopsided(), "here", "0", flips)
    image = np.ones((4, 8, 10, 12), np.float32)
    assert np.count_nonzero(model(image, spacing_mm=(1, 1, 1)).array) == size  # 0.45 is below one half
    assert model.settings == {"flips": flips}


def test_loading_with_flips(tiny):
    image = np.random.default_rng(0).random((4, 8, 10, 12), dtype=np.float32) + 0.01
    plain, mirrored = registry.load(tiny, threads=1), registry.load(tiny, threads=1, flips="all")
    assert (plain.settings, mirrored.settings) == ({"flips": "none"}, {"flips": "all"})
    np.testing.assert_array_equal(
        plain(image, spacing_mm=(1, 1, 1)).array, mirrored(image, spacing_mm=(1, 1, 1)).array
    )


def test_flips_that_cannot_be(tiny, tmp_path, make_onnx, make_contract):
    with pytest.raises(UsageError, match=r"'ud'.*none, lr, all"):
        registry.load(tiny, flips="ud")
    with pytest.raises(UsageError, match=r"baseline:flair-threshold.*flips at none"):
        registry.load("baseline:flair-threshold", flips="lr")
    path = tmp_path / "sides.onnx"
    path.write_bytes(make_onnx(outputs=2))
    output = OutputSpec("y", "labels", ("left_hippocampus", "background"), activation="softmax")
    onnxfile.write_contract(path, make_contract(output=output, labels={1: "left_hippocampus"}))
    assert registry.load(path, threads=1).settings == {"flips": "none"}
    with pytest.raises(UsageError, match=r"left_hippocampus.*has a side"):
        registry.load(path, flips="lr")
    assert check_flips("lr", ["bright spots", "cleft", "copyright"]) == "lr"


def test_a_baseline_has_no_settings():
    assert registry.load("baseline:flair-threshold").settings == {}
