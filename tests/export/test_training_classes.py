"""Training of classifiers: phantom grades in 3-D, a folder per class in 2-D, oversampling, calibration."""

import dataclasses

import cv2
import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")

from voxzoo.export.delivery import Exporter  # noqa: E402
from voxzoo.export.making import contract_of, finish  # noqa: E402
from voxzoo.export.material import gather  # noqa: E402
from voxzoo.export.origins import origin_of  # noqa: E402
from voxzoo.export.progress import Silent  # noqa: E402
from voxzoo.export.recipe import parse_recipe  # noqa: E402
from voxzoo.export.rounds import Rounds  # noqa: E402
from voxzoo.export.train import train  # noqa: E402
from voxzoo.zoo.errors import LabelError, UsageError  # noqa: E402

LICENCE = """
[licence]
weights = "Apache-2.0"
data_terms = "made for a test"
status = "confirmed"
"""

GRADES = f"""
name = "grades"
version = "1"
task = "classify"
network = "cnn3d-cls-gap"
classes = ["low", "high"]
target = "grade"
[input]
name = "image"
channels = ["flair", "t1", "t1ce", "t2"]
shape = [16, 18, 16]
spacing_mm = [12, 12, 12]
{LICENCE}
[data]
phantoms = 6
phantoms_held_out = 4
oversample = true
[fit]
steps = 4
batch = 4
validate_every = 2
loss = "bce"
"""

SHAPES = f"""
name = "shapes"
version = "1"
task = "classify"
network = "mobilecoatnet"
classes = ["bright", "dark"]
target = "class"
[input]
name = "image"
channels = ["grey"]
shape = [32, 32]
{LICENCE}
[options]
in_channels = 1
out_channels = 2
size = [32, 32]
stem = 8
widths = [8, 8, 32, 32]
blocks = [1, 1, 1, 1]
[data]
oversample = true
[fit]
steps = 12
batch = 4
validate_every = 6
learning_rate = 5e-3
warmup = 1
average = 0.5
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Nine bright and three dark images."""
    root, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for name, level, count in (("bright", 190, 9), ("dark", 50, 3)):
        (root / name).mkdir()
        for i in range(count):
            pixels = np.clip(rng.normal(level, 20, (36, 40)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / name / f"{i}.png"), pixels)
    return root


def test_images_are_learned_calibrated_and_exported(folder, tmp_path):
    recipe = parse_recipe(SHAPES, "shapes")
    material = gather(recipe, [str(folder)])
    task = material.task(0, 3)
    roles = task.describe()
    assert not set(roles["real"]) & set(roles["held_out"])
    assert len(roles["held_out"]) == 4
    lines = []
    network = train(recipe, task, tmp_path, progress=Silent(lines.append))
    assert lines[-1]["loss"] < lines[0]["loss"]
    assert set(lines[-1]["validation"]) == {"images/accuracy", "images/macro-F1", "images/NLL"}
    assert lines[-1]["score"] == lines[-1]["validation"]["images/macro-F1"]
    for line in finish(recipe, network, task, material.cases, tmp_path):
        print(line)

    import voxzoo
    from voxzoo.zoo.onnxfile import read_contract

    contract = read_contract(tmp_path / "shapes.onnx")
    told = contract.training["calibration"]
    assert told["temperature"] == contract.output.temperature > 0
    assert told["on"] == "held-out images"
    assert told["cases"] == 4
    model = voxzoo.load(str(tmp_path / "shapes.onnx"), "onnxruntime")
    answer = model(str(folder / "dark" / "0.png"))
    image = task.learned.tensor(0) * 0 + _fed(folder / "dark" / "0.png", recipe.input)
    with torch.no_grad():
        z = network(torch.from_numpy(image)[None])[0].numpy() / contract.output.temperature
    np.testing.assert_allclose(answer.probabilities, np.exp(z) / np.exp(z).sum(), atol=1e-5)


MARKED = SHAPES.replace("blocks = [1, 1, 1, 1]", "blocks = [1, 1, 1, 1]\nlocate = true")
MARKED = MARKED.replace("[fit]", "[fit]\nmask_weight = 2.0") + "[ensemble]\nmirror = true\n"
MARKED = MARKED.replace('"bright", "dark"', '"spot", "no_tumor"').replace("steps = 12", "steps = 40")


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """Eight images with a bright spot at some place, and its mask; four without one."""
    root, rng = tmp_path_factory.mktemp("spots"), np.random.default_rng(0)
    for name in ("spot", "no_tumor", "masks"):
        (root / name).mkdir()
    for i in range(12):
        image, mask = rng.normal(80, 8, (32, 32)), np.zeros((32, 32), np.uint8)
        if i < 8:
            y, x = rng.integers(4, 20, 2)
            mask[y : y + 8, x : x + 8] = 255
            cv2.imwrite(str(root / "masks" / f"{i}.png"), mask)
        image = np.clip(image + mask / 2, 0, 255).astype(np.uint8)
        cv2.imwrite(str(root / ("spot" if i < 8 else "no_tumor") / f"{i}.png"), image)
    rows = [f"{k}/{i}.png,{k}\n" for i in range(12) for k in ["spot" if i < 8 else "no_tumor"]]
    (root / "labels.csv").write_text("name,label\n" + "".join(rows))
    return root


def test_masks_teach_where_and_mirror_images_are_averaged(spots, tmp_path):
    recipe = parse_recipe(MARKED, "marked")
    material = gather(recipe, [str(spots)])
    task = material.task(0, 3)
    network = train(recipe, task, tmp_path)
    index = next(i for i, target in enumerate(task.learned.targets) if target == 0)
    with torch.no_grad():
        _, found = network.with_map(torch.from_numpy(task.learned.tensor(index))[None])
    cells = task.learned.masks[index, ..., 0].reshape(4, 8, 4, 8).mean((1, 3))
    assert np.corrcoef(found[0, 0].numpy().ravel(), cells.ravel())[0, 1] > 0.5

    list(finish(recipe, network, task, material.cases, tmp_path))
    for origin in (tmp_path / "shapes.onnx", tmp_path / "again.onnx"):
        if not origin.exists():  # what zoo-export makes of the folder is the same network
            Exporter(origin_of(str(tmp_path)), material.cases[:2], fast=False).write("onnx", origin)
        session = onnxruntime.InferenceSession(str(origin), providers=["CPUExecutionProvider"])
        x = task.learned.tensor(0)[None].repeat(3, axis=0)
        x[1] = x[1, ..., ::-1]
        z = session.run(None, {"image": x})[0]
        np.testing.assert_allclose(z[0], z[1], atol=1e-5)
        with torch.no_grad():
            halves = network(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(z[0], (halves[0] + halves[1]) / 2, atol=1e-5)
    parameters = {name for name, _ in network.named_parameters()}
    assert {"near.weight", "far.weight"} <= parameters
    names = {tensor.name for tensor in onnx.load(tmp_path / "shapes.onnx").graph.initializer}
    assert not any("near" in name or "far" in name for name in names)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("locate = true", "locate = false"), "mask_weight needs a network with options.locate"),
        (("mask_weight = 2.0", "mask_weight = -1.0"), r"\[fit\]: mask_weight = -1.0; expected 0 or more"),
    ],
)
def test_masks_asked_for_in_vain(change, says):
    with pytest.raises(UsageError, match=says):
        parse_recipe(MARKED.replace(*change), "marked")


def test_a_volume_has_no_mirror_image_to_average():
    with pytest.raises(UsageError, match="for classifiers of 2-D images"):
        parse_recipe(GRADES + "[ensemble]\nmirror = true\n", "grades")


def _fed(path, spec):
    from voxzoo.zoo.images import fit_image, normalise_image, read_image

    return normalise_image(fit_image(read_image(path), spec), spec)


def test_phantom_grades_are_learned_and_real_cases_only_checked(tmp_path):
    recipe = parse_recipe(GRADES, "grades")
    recipe = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, real=False))
    task = gather(recipe, ["phantom:n=3,seed=7,shape=16x18x16,spacing=12"]).task()
    roles = task.describe()
    assert roles["real"] == []
    assert len(roles["phantoms"]) == 6
    assert len(roles["held_out"]) == 4 + 3
    lines = []
    network = train(recipe, task, tmp_path, progress=Silent(lines.append))
    assert {name.split("/")[0] for name in lines[-1]["validation"]} == {"phantoms", "patients"}
    assert set(task.by_case(network, torch.device("cpu"))) == {f"phantom-{i:04d}" for i in range(6, 10)}
    deployed = task.deployed(network)
    with torch.no_grad():
        z = deployed(torch.from_numpy(task.learned.tensor(0))[None])
    assert z.shape == (1, 2)
    assert z[0, 0] == 0
    contract = contract_of(recipe, roles, 1.5)
    assert (contract.output.channels, contract.output.temperature) == (("low", "high"), 1.5)
    with pytest.raises(UsageError, match="no folds"):
        gather(recipe, ["phantom:n=3,shape=16x18x16,spacing=12"]).task(0)


def test_the_seldom_class_is_drawn_as_often():
    rounds = Rounds([0] * 9 + [1], 2, True, seed=3)
    drawn = np.array([rounds.index(i) for i in range(36)])
    assert (drawn == 9).sum() == 18
    assert np.bincount(drawn[drawn < 9], minlength=9).tolist() == [2] * 9
    plain = Rounds([0] * 9 + [1], 2, False, seed=3)
    assert sorted(plain.index(i) for i in range(10)) == list(range(10))
    assert [plain.index(i) for i in range(10)] != [plain.index(i) for i in range(10, 20)]


def test_batches_depend_on_seed_and_step_alone():
    recipe = parse_recipe(GRADES, "grades")
    source = ["phantom:n=4,shape=16x18x16,spacing=12"]
    one, two = (gather(recipe, source).task() for _ in range(2))
    one.batch(0)
    for a, b in zip(one.batch(3), two.batch(3), strict=True):
        assert np.array_equal(a, b)
    assert not np.array_equal(one.batch(3)[0], one.batch(4)[0])


def test_data_that_cannot_teach_is_refused(folder, tmp_path):
    shapes, grades = parse_recipe(SHAPES, "shapes"), parse_recipe(GRADES, "grades")
    with pytest.raises(UsageError, match="takes volumes"):
        gather(grades, [str(folder)])
    with pytest.raises(UsageError, match="takes 2-D images"):
        gather(shapes, ["phantom:n=2"])
    with pytest.raises(LabelError, match="dark"):
        gather(dataclasses.replace(shapes, classes=("bright", "dim")), [str(folder)]).task()
    with pytest.raises(UsageError, match="nothing to train on"):
        gather(dataclasses.replace(grades, target="mood"), ["phantom:n=2,shape=16x18x16,spacing=12"])
    with pytest.raises(UsageError, match=r"12 patients cannot be dealt into 13 folds"):
        gather(shapes, [str(folder)]).task(0, 13)
    few = dataclasses.replace(grades, data=dataclasses.replace(grades.data, phantoms=0, phantoms_held_out=0))
    with pytest.raises(UsageError, match="no case of class 'low'"):
        gather(few, ["phantom:n=2,shape=16x18x16,spacing=12,grade=high"]).task()


@pytest.mark.data
def test_unknown_grades_are_left_out_never_called_low(data_root):
    grades = parse_recipe(GRADES, "grades")
    few = dataclasses.replace(grades, data=dataclasses.replace(grades.data, phantoms=0, phantoms_held_out=0))
    material = gather(few, [str(data_root / "glioma3d")])
    material.load()
    assert {case.grade for case in material.cases} == {"high"}
    assert len(material.cases) == 6
    assert not any("014" in case.id for case in material.cases)
    assert [v.target for v in material.volumes] == [1] * 6
