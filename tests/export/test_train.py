"""Training: learns, repeats to the bit, resumes to the same curve, refuses another's folder."""

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxzoo.export.losses import soft_dice_loss  # noqa: E402
from voxzoo.export.optim import learning_rate  # noqa: E402
from voxzoo.export.progress import Silent  # noqa: E402
from voxzoo.export.recipe import DataSpec, FitSpec, load_recipe  # noqa: E402
from voxzoo.export.samples import Sampler, TrainingVolume  # noqa: E402
from voxzoo.export.tasks.segment import SegmentTask, TrainingSet  # noqa: E402
from voxzoo.export.train import train as train_task  # noqa: E402
from voxzoo.zoo.errors import RunError  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _volume(seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.3, (4, 24, 24, 24)).astype(np.float16)
    label = np.zeros((1, 24, 24, 24), np.uint8)
    label[0, 6:16, 8:18, 6:18] = 255
    image[:, label[0] > 0] += 2
    return TrainingVolume(f"case{seed}", image, label, np.argwhere(label[0] > 127).astype(np.int16))


def _recipe(**fit):
    recipe = load_recipe("cnn3d-seg")
    short = {"steps": 12, "batch": 2, "crop": (16, 16, 16), "validate_every": 4, "warmup": 1, **fit}
    return dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, **short))


def train(recipe, data, folder, on_line=lambda line: None, **options):
    return train_task(recipe, SegmentTask(recipe, data), folder, progress=Silent(on_line), **options)


def _data():
    return TrainingSet([_volume(0), _volume(1)], [_volume(2)], [_volume(3)])


def test_loss_of_a_perfect_and_of_a_wrong_answer():
    label = torch.zeros(1, 1, 4, 4, 4)
    label[..., :2] = 1
    assert soft_dice_loss(40 * (label - 0.5), label) < 1e-3
    # 32 voxels each way and none shared: 1 - (0 + 1) / (32 + 32 + 1)
    assert soft_dice_loss(-400 * (label - 0.5), label).item() == pytest.approx(1 - 1 / 65, abs=1e-4)


def test_learning_rate_warms_up_and_ends_at_zero():
    fit = FitSpec(steps=100, warmup=10, learning_rate=1.0)
    assert learning_rate(fit, 0) == pytest.approx(0.1)
    assert learning_rate(fit, 50) == pytest.approx(0.5, abs=0.01)
    assert learning_rate(fit, 99) < 1e-3


def test_training_lowers_the_loss(tmp_path):
    recipe = _recipe(steps=60, validate_every=10, learning_rate=5e-3)
    lines = []
    train(recipe, _data(), tmp_path / "run", lines.append)
    assert lines[-1]["loss"] < 0.8 * lines[0]["loss"]
    assert lines[-1]["validation"]["case3/wt"] > 0.5
    assert [json.loads(line)["step"] for line in (tmp_path / "run/curve.jsonl").open()] == list(
        range(10, 61, 10)
    )


def test_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    whole = train(_recipe(), _data(), tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop_at_eight(line):
        if line["step"] == 8:
            raise Stop

    with pytest.raises(Stop):
        train(_recipe(), _data(), tmp_path / "cut", stop_at_eight)
    resumed = train(_recipe(), _data(), tmp_path / "cut")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (tmp_path / "whole/curve.jsonl").read_text() == (tmp_path / "cut/curve.jsonl").read_text()


def test_a_folder_of_another_training_is_refused(tmp_path):
    train(_recipe(steps=1), _data(), tmp_path / "run")
    with pytest.raises(RunError, match="another training"):
        train(_recipe(steps=2), _data(), tmp_path / "run")


def test_a_crop_depends_on_seed_step_and_place_alone():
    recipe, data = _recipe(), _data()
    one, two = (Sampler(data.real, data.phantoms, recipe) for _ in range(2))
    one.batch(0)
    for a, b in zip(one.batch(5), two.batch(5), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(one.batch(5)[0], one.batch(6)[0])


@pytest.mark.data
def test_only_the_licensed_collection_is_trained_on(data_root):
    """The shipped weights may see UCSF-PDGM and phantoms only."""
    from voxzoo.export.material import gather

    recipe = dataclasses.replace(load_recipe("cnn3d-seg"), data=DataSpec(collection="UCSF-PDGM"))
    small = dataclasses.replace(recipe.input, shape=(12, 12, 12), spacing_mm=(16.0, 16.0, 16.0))
    task = gather(dataclasses.replace(recipe, input=small), [str(data_root / "glioma3d")]).task()
    assert load_recipe("cnn3d-seg").data.collection == "UCSF-PDGM"
    assert set(task.describe()["real"]) == {
        "BraTS-GLI-00012-000",
        "BraTS2021_00000",
        "BraTS2021_00003",
        "BraTS2021_00005",
        "BraTS2021_00008",
    }
