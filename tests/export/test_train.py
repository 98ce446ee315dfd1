"""Training: learns, repeats to the bit, resumes to the same curve, refuses another's folder."""

import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from voxzoo.export import weights  # noqa: E402
from voxzoo.export.losses import soft_dice_loss  # noqa: E402
from voxzoo.export.optim import learning_rate  # noqa: E402
from voxzoo.export.progress import Silent  # noqa: E402
from voxzoo.export.recipe import load_recipe  # noqa: E402
from voxzoo.export.samples import Sampler, TrainingVolume  # noqa: E402
from voxzoo.export.sections import DataSpec, EnsembleSpec, FitSpec  # noqa: E402
from voxzoo.export.tasks.segment import SegmentTask, TrainingSet  # noqa: E402
from voxzoo.export.train import train as train_task  # noqa: E402
from voxzoo.zoo.errors import ModelError, RunError  # noqa: E402


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


def test_how_answers_are_averaged_is_no_part_of_a_training(tmp_path):
    recipe = _recipe(steps=1)
    train(recipe, _data(), tmp_path)
    weights = (tmp_path / "weights.safetensors").read_bytes()
    train(dataclasses.replace(recipe, ensemble=EnsembleSpec(folds=True)), _data(), tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == weights
    assert json.loads((tmp_path / "recipe.json").read_text())["recipe"]["ensemble"]["folds"] is True


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


def test_training_stops_when_nothing_gets_better_and_keeps_the_best(tmp_path):
    """Scores are dictated: the second validation is the best, and patience 2 ends training at the fourth."""
    scores = iter([0.2, 0.9, 0.5, 0.6, 0.99, 0.99])

    class Dictated(SegmentTask):
        def validate(self, network, device):
            return {"x": next(scores)}

        def score(self, validation):
            return validation["x"]

    recipe = _recipe(steps=24, patience=2, keep="best")
    network = train_task(recipe, Dictated(recipe, _data()), tmp_path)
    curve = [json.loads(line)["score"] for line in (tmp_path / "curve.jsonl").open()]
    assert curve == [0.2, 0.9, 0.5, 0.6]
    kept, facts = weights.read(tmp_path / "best.safetensors")
    assert facts == {"step": "8"}
    assert all(torch.equal(v, kept[k]) for k, v in network.state_dict().items())
    final = weights.read(tmp_path / "weights.safetensors")[0]
    assert all(torch.equal(final[k], kept[k]) for k in kept)
    last = weights.read_weights(tmp_path / "last.safetensors")
    assert not all(torch.equal(last[k], kept[k]) for k in kept)
    again = train_task(recipe, Dictated(recipe, _data()), tmp_path)
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 4
    assert all(torch.equal(v, kept[k]) for k, v in again.state_dict().items())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_learns_and_resumes_to_the_same_curve(tmp_path, precision):
    recipe = _recipe(steps=6, validate_every=3, precision=precision)
    train(recipe, _data(), tmp_path / "whole")

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, _data(), tmp_path / "cut", stop)
    train(recipe, _data(), tmp_path / "cut")
    curve = (tmp_path / "whole/curve.jsonl").read_text()
    assert curve == (tmp_path / "cut/curve.jsonl").read_text()
    train(_recipe(steps=6, validate_every=3), _data(), tmp_path / "plain")
    files = [tmp_path / name / "curve.jsonl" for name in ("whole", "plain")]
    losses = [[json.loads(line)["loss"] for line in file.open()] for file in files]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


def test_a_loss_that_is_not_finite_says_what_to_do(tmp_path):
    class Broken(SegmentTask):
        def loss(self, network, tensors):
            return super().loss(network, tensors) * float("nan")

    with pytest.raises(RunError, match=r"loss became nan.*lower fit.learning_rate \(now 0.002\)"):
        train_task(_recipe(), Broken(_recipe(), _data()), tmp_path)


def test_running_out_of_memory_says_what_to_lower(tmp_path):
    class Huge(SegmentTask):
        def loss(self, network, tensors):
            return torch.empty(2**55).sum()

    recipe = _recipe()
    with pytest.raises(RunError, match=r"lower fit.batch \(now 2\) or fit.crop \(now 16x16x16\)") as caught:
        train_task(recipe, Huge(recipe, _data()), tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_to_begin_with_change_the_training_and_are_remembered(tmp_path):
    train(_recipe(steps=4), _data(), tmp_path / "first")
    init = tmp_path / "first/weights.safetensors"
    begun = train(
        _recipe(steps=1, learning_rate=1e-9, validate_every=1), _data(), tmp_path / "next", init=init
    )
    for key, value in weights.read(init)[0].items():
        torch.testing.assert_close(begun.state_dict()[key], value, atol=1e-6, rtol=0)
    with pytest.raises(RunError, match=r"another training.*init"):
        train(_recipe(steps=1, learning_rate=1e-9, validate_every=1), _data(), tmp_path / "next")
    other = tmp_path / "other.safetensors"
    weights.write(other, torch.nn.Linear(2, 2).state_dict())
    with pytest.raises(ModelError, match="another network"):
        train(_recipe(), _data(), tmp_path / "third", init=other)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    train(_recipe(steps=4), _data(), tmp_path)
    weights.write(
        tmp_path / "last.safetensors",
        {"network.x": torch.zeros(1), "average.x": torch.zeros(1)},
        {"step": "2"},
    )
    with pytest.raises(ModelError, match="weights of another network"):
        train(_recipe(steps=4), _data(), tmp_path)
    weights.write(tmp_path / "last.safetensors", {"network.x": torch.zeros(1)})
    with pytest.raises(ModelError, match="no checkpoint"):
        train(_recipe(steps=4), _data(), tmp_path)


def test_another_training_in_the_folder_is_told_by_its_first_difference(tmp_path):
    train(_recipe(steps=1), _data(), tmp_path)
    with pytest.raises(RunError, match=r"fit.batch was 2, now 3"):
        train(_recipe(steps=1, batch=3), _data(), tmp_path)
    fewer = TrainingSet([_volume(0)], [_volume(2)], [_volume(3)])
    with pytest.raises(RunError, match="cases"):
        train(_recipe(steps=1), fewer, tmp_path)


def test_keys_that_recipes_lacked_count_as_their_defaults(tmp_path):
    """A folder begun by an older voxzoo is gone on with."""
    train(_recipe(steps=1), _data(), tmp_path)
    path = tmp_path / "recipe.json"
    content = json.loads(path.read_text())
    for key in ("precision", "patience", "keep", "optimiser", "schedule"):
        del content["recipe"]["fit"][key]
    del content["recipe"]["pretrain"], content["recipe"]["task"]
    path.write_text(json.dumps(content))
    train(_recipe(steps=1), _data(), tmp_path)
    path.write_text("{}")
    with pytest.raises(RunError, match="not readable"):
        train(_recipe(steps=1), _data(), tmp_path)


def test_two_processes_do_not_write_one_training(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="another process"):
            train(_recipe(steps=1), _data(), tmp_path)
    train(_recipe(steps=1), _data(), tmp_path)


def test_every_region_is_validated_and_two_empty_masks_agree(tmp_path):
    recipe = dataclasses.replace(_recipe(), regions=("wt", "et"), options={"out_channels": 2})
    volume = _volume(3)
    label = np.concatenate([volume.label, np.zeros_like(volume.label)])
    held_out = [dataclasses.replace(volume, label=label)]

    class Fixed(torch.nn.Module):
        """Finds the first region where channel 0 is bright and nothing else."""

        def forward(self, x):
            return torch.cat([100 * (x[:, :1] - 1), torch.full_like(x[:, :1], -100)], 1)

    task = SegmentTask(recipe, TrainingSet([], [_volume(2)], held_out))
    found = task.validate(Fixed(), torch.device("cpu"))
    bright = volume.image[0].astype(np.float32) > 1 + np.log(0.7 / 0.3) / 100
    truth = label[0] > 127
    dice = 2 * (bright & truth).sum() / (bright.sum() + truth.sum())
    assert found == {"case3/wt": pytest.approx(dice, abs=1e-4), "case3/et": 1.0}
    assert task.score(found) == pytest.approx((found["case3/wt"] + 1) / 2, abs=1e-4)


def test_batch_statistics_are_averaged_in_too():
    """Networks with batch normalisation carry buffers, and validation uses the averaged network."""
    from voxzoo.export.state import State

    recipe = _recipe()
    state = State.fresh(recipe, torch.device("cpu"), None, "")
    for net in (state.network, state.average):
        net.register_buffer("seen", torch.zeros(1))
        net.register_buffer("count", torch.tensor(0))
    state.network.seen += 3
    state.network.count += 7
    state.learn(state.network(torch.zeros(1, 4, 8, 8, 8)).sum())
    # after the first step 2 / 11 of the average are kept
    assert state.average.seen.item() == pytest.approx(3 * 9 / 11)
    assert state.average.count.item() == 7
