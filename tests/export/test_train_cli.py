"""``zoo-train`` as a user calls it: one training, cross-validation, ensemble, mistakes in one line."""

import csv
import dataclasses
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import voxzoo  # noqa: E402
from voxzoo.cards.rerun import rerun_command  # noqa: E402
from voxzoo.cards.runs import Run  # noqa: E402
from voxzoo.export import cli, weights  # noqa: E402
from voxzoo.export.ensemble import MeanOfSegmenters  # noqa: E402
from voxzoo.export.network import NetworkSession  # noqa: E402
from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.networks.cnn3d_seg import WithSigmoid  # noqa: E402
from voxzoo.export.origins import origin_of  # noqa: E402
from voxzoo.zoo.datasets import open_dataset  # noqa: E402
from voxzoo.zoo.errors import ModelError, UsageError  # noqa: E402
from voxzoo.zoo.onnxfile import read_contract  # noqa: E402
from voxzoo.zoo.volume_model import VolumeModel  # noqa: E402

TOY = """
name = "toy"
version = "0.1"
network = "cnn3d-seg"
regions = ["wt"]
[input]
name = "image"
channels = ["flair", "t1", "t1ce", "t2"]
shape = [12, 14, 12]
spacing_mm = [16, 16, 16]
[licence]
weights = "Apache-2.0"
data_terms = "phantoms"
status = "confirmed"
[fit]
steps = 4
batch = 2
crop = [8, 8, 8]
warmup = 1
validate_every = 2
"""
DATA = "phantom:n=5,seed=3,shape=12x14x12,spacing=16"


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Runs zoo-train; gives exit code, output and error text."""

    def run(*words, recipe=TOY, data=DATA):
        path = tmp_path / "toy.toml"
        path.write_text(recipe)
        monkeypatch.setattr("sys.argv", ["zoo-train", str(path), "--data", data, *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_one_training_and_its_folder(call, tmp_path):
    out = tmp_path / "run"
    code, text, _ = call("--out", out, "--fold", 1, "--threads", 1)
    assert code == 0
    assert "held-out Dice" in text
    assert "exported" in text
    names = {"recipe.json", "curve.jsonl", "curve.csv", "curve.svg", "toy.onnx"}
    kept = {f"{name}.safetensors" for name in ("last", "best", "weights")}
    assert {p.name for p in out.iterdir()} == names | kept | {".lock"}
    contract = read_contract(out / "toy.onnx")
    assert len(contract.training["held_out"]) == 1
    assert len(contract.training["cases"]) == 4
    assert contract.training["command"].endswith(" --out RUN --fold 1 --folds 5")
    last = json.loads((out / "curve.jsonl").read_text().splitlines()[-1])["validation"]
    assert contract.training["scores"]["wt"]["mean"] == pytest.approx(next(iter(last.values())), abs=1e-4)
    before = (out / "curve.jsonl").read_bytes()
    assert call("--out", out, "--fold", 1, "--resume")[0] == 0
    assert (out / "curve.jsonl").read_bytes() == before
    code, _, error = call("--out", out, "--fold", 2)
    assert code == 2
    assert "holds another training" in error


def test_cross_validation_sums_up_what_each_fold_never_saw(call, tmp_path):
    out = tmp_path / "cv"
    recipe = TOY + "[data]\nphantoms = 2\n[pretrain]\nsteps = 2\n[ensemble]\nfolds = true\n"
    code, text, error = call("--out", out, "--cv", "--folds", 3, "--device", "cpu", recipe=recipe)
    assert code == 0, error
    assert "n = 5 patients" in text
    cv = json.loads((out / "cv.json").read_text())
    rows = list(csv.DictReader((out / "cv.csv").open()))
    assert sorted(row["case"] for row in rows) == [f"phantom-{i:04d}" for i in range(5)]
    values = [float(row["wt"]) for row in rows]
    assert cv["summary"]["wt"]["mean"] == pytest.approx(sum(values) / 5, abs=1e-5)
    assert cv["summary"]["wt"]["patients"] == 5

    begun = {json.loads((out / f"fold{k}/recipe.json").read_text())["init"] for k in range(3)}
    assert len(begun) == 1  # one first stage for all folds
    first = json.loads((out / "pretrain/recipe.json").read_text())["cases"]
    assert first["real"] == first["held_out"] == []
    assert len(first["phantoms"]) == 2

    training = read_contract(out / "toy.onnx").training
    assert training["scores"]["wt"] == cv["summary"]["wt"]
    assert training["command"].endswith(" --cv --folds 3")
    roles = training["ensemble"]
    for fold, role in enumerate(roles):
        assert role["held_out"] == [row["case"] for row in rows if row["fold"] == str(fold)]
        assert not set(role["held_out"]) & set(role["cases"])
        assert len(role["cases"]) + len(role["held_out"]) == 5
    _mean_is_in_the_file(out)
    _each_case_by_the_fold_that_never_saw_it(out, roles)

    kept = (out / "cv.json").read_bytes()
    (out / "fold2/last.safetensors").unlink()  # as if it had been killed early in its last fold
    assert call("--out", out, "--cv", "--folds", 3, "--resume", recipe=recipe)[0] == 0
    assert (out / "cv.json").read_bytes() == kept


def _folds_of(out):
    """The deployed networks of the folds, of their own weights."""
    for fold in range(3):
        net = build("cnn3d-seg")
        net.load_state_dict(weights.read(out / f"fold{fold}/weights.safetensors")[0])
        yield WithSigmoid(net).eval()


def _mean_is_in_the_file(out):
    """The one file against the three networks, averaged by hand."""
    onnxruntime = pytest.importorskip("onnxruntime")
    x = np.random.default_rng(0).standard_normal((1, 4, 12, 14, 12)).astype(np.float32)
    with torch.no_grad():
        answers = [net(torch.from_numpy(x)).numpy() for net in _folds_of(out)]
    session = onnxruntime.InferenceSession(str(out / "toy.onnx"), providers=["CPUExecutionProvider"])
    mean, *folds = session.run(None, {"image": x})
    np.testing.assert_allclose(mean, sum(answers) / 3, atol=1e-5)
    assert [port.name for port in session.get_outputs()] == ["probability", "fold0", "fold1", "fold2"]
    np.testing.assert_allclose(folds, answers, atol=1e-5)


def _each_case_by_the_fold_that_never_saw_it(out, roles):
    """Cross-validated, the one file answers as the one network does that the case was kept from."""
    model = voxzoo.load(out / "toy.onnx", "onnxruntime", cross_validated=True)
    cases = {case.id: case for case in open_dataset(DATA)}
    for net, role in zip(_folds_of(out), roles, strict=True):
        alone = VolumeModel(model.contract, NetworkSession(net, model.contract), "", "")
        for case in role["held_out"]:
            prepared = alone.prepare(cases[case])
            wanted = alone.infer(prepared)
            np.testing.assert_allclose(model.infer(model.prepare(cases[case])), wanted, atol=1e-5)
    new = next(iter(open_dataset(DATA.replace("seed=3", "seed=9"))))
    new = dataclasses.replace(new, id="new")  # of nobody's: by the mean of all
    mean = voxzoo.load(out / "toy.onnx", "onnxruntime")
    np.testing.assert_array_equal(model.infer(model.prepare(new)), mean.infer(mean.prepare(new)))

    apart = voxzoo.evaluate(model, DATA, baseline=False)
    assert apart.scores.seen_in_training == ()
    assert apart.scores.model["folds"] == apart.options["folds"] == "apart"
    assert rerun_command(Run(apart, out, "")).count("--cross-validated") == 1
    seen = voxzoo.evaluate(mean, DATA, baseline=False).scores
    assert len(seen.seen_in_training) == 5
    assert "folds" not in seen.model


PARTNER = TOY.replace('"toy"', '"small"').replace('"cnn3d-seg"', '"voxelwise3d-seg"') + (
    'loss = "bce"\n[options]\nout_channels = 1\n[voxels]\ninside = 9\noutside = 20\n'
)


def with_partner(path, partner=PARTNER, share=0.75):
    """A recipe that has ``partner`` for one."""
    file = path / "small.toml"
    file.write_text(partner)
    return TOY + f"[ensemble]\nfolds = true\npartner = '{file}'\npartner_share = {share}\n"


def test_partners_learn_beside_each_other_and_answer_as_one(call, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    recipe, out = with_partner(tmp_path), tmp_path / "cv"
    code, text, error = call("--out", out, "--cv", "--folds", 2, "--device", "cpu", recipe=recipe)
    assert code == 0, error
    assert "its partner, small" in text
    x = np.random.default_rng(0).standard_normal((1, 4, 12, 14, 12)).astype(np.float32)
    x[:, :, :3] = 0
    answers = []
    for fold in range(2):
        pair = []
        for folder, network in (("", "cnn3d-seg"), ("partner", "voxelwise3d-seg")):
            net = build(network, **({"out_channels": 1} if folder else {})).eval()
            net.load_state_dict(weights.read(out / f"fold{fold}" / folder / "weights.safetensors")[0])
            with torch.no_grad():
                pair.append(torch.sigmoid(net(torch.from_numpy(x))).numpy())
        answers.append(0.25 * pair[0] + 0.75 * pair[1])
        roles = [
            json.loads((out / f"fold{fold}" / folder / "recipe.json").read_text())["cases"]
            for folder in ("", "partner")
        ]
        assert roles[0] == roles[1]
    session = onnxruntime.InferenceSession(str(out / "toy.onnx"), providers=["CPUExecutionProvider"])
    mean, *folds = session.run(None, {"image": x})
    np.testing.assert_allclose(folds, answers, atol=1e-5)
    np.testing.assert_allclose(mean, sum(answers) / 2, atol=1e-5)

    alone = tmp_path / "one"
    assert call("--out", alone, "--fold", 0, "--folds", 2, "--device", "cpu", recipe=recipe)[0] == 0
    session = onnxruntime.InferenceSession(str(alone / "toy.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"image": x})[0], answers[0], atol=1e-5)
    again = origin_of(str(alone))  # what zoo-export makes of the folder
    np.testing.assert_allclose(again.session.run(x), answers[0], atol=1e-5)
    path = tmp_path / "toy.toml"
    path.write_text(recipe)
    with pytest.raises(UsageError, match="answers together with"):
        origin_of(str(alone / "weights.safetensors"), str(path))
    (alone / "partner/weights.safetensors").unlink()
    with pytest.raises(ModelError, match="not finished"):
        origin_of(str(alone))


@pytest.mark.parametrize(
    ("partner", "share", "says"),
    [
        (PARTNER.replace("[16, 16, 16]", "[8, 8, 8]"), 0.5, "another input"),
        (PARTNER.replace('["wt"]', '["tc"]'), 0.5, "another regions"),
        (PARTNER + "[data]\nphantoms = 3\n", 0.5, "phantoms of its own"),
        (PARTNER, 1.5, "partner_share = 1.5"),
    ],
)
def test_who_cannot_be_a_partner(call, tmp_path, partner, share, says):
    code, _, error = call("--out", tmp_path / "run", recipe=with_partner(tmp_path, partner, share))
    assert code == 2
    assert says in error
    assert not (tmp_path / "run").exists()


def test_the_mean_of_one_network_is_that_network():
    net = build("cnn3d-seg").eval()
    x = torch.randn(1, 4, 8, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(MeanOfSegmenters([net, net])(x), torch.sigmoid(net(x)))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--cv", "--fold", "0"), "--cv trains every fold and --fold one of them"),
        (("--resume",), "holds no training"),
        (("--device", "cuda"), "sees 0 GPUs"),
        (("--device", "tpu"), "expected cpu, cuda"),
        (("--fold", "5"), "the last one is 4"),
        (("--fold", "0", "--folds", "6"), "5 patients cannot be dealt into 6 folds"),
        (("--cv", "--folds", "6"), "5 patients cannot be dealt into 6 folds"),
        (("--init", "absent.safetensors"), "cannot be read"),
        (("--steps", "0"), "--steps"),
        (("--colour", "red"), "--colour"),
    ],
)
def test_mistakes_are_told_in_one_line_and_begin_nothing(call, tmp_path, monkeypatch, words, says):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, _, error = call("--out", tmp_path / "run", *words)
    assert code == 2
    assert says in error
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (TOY.replace("steps =", "stpes ="), "did you mean 'steps'"),
        (TOY.replace("batch = 2", 'batch = "two"'), "batch = 'two'; expected a whole number"),
        (TOY.replace("batch = 2", "batch = 2.5"), "batch = 2.5; expected a whole number"),
        (TOY.replace('"cnn3d-seg"', '"cnn4d"'), "no network named 'cnn4d'"),
        (TOY + 'precision = "fp8"\n', "precision = 'fp8'"),
        (TOY + 'optimiser = "adamx"\n', "did you mean 'adam"),
        (TOY + 'loss = "cross-entropy"\n', "expected one of dice+bce, dice, bce to segment"),
        (TOY + "epochs = -1\n", "epochs = -1; expected 0 or more"),
        (TOY.replace("validate_every = 2", "validate_every = 0"), "give epochs too"),
        (TOY + "[pretrain]\nsteps = 3\n", "needs phantoms"),
        (TOY + "[licence2]\n", "unknown key 'licence2'; did you mean 'licence'"),
        (TOY.replace('regions = ["wt"]', ""), "'regions' is missing"),
        ('task = "classify"\n' + TOY, "a classifier needs 'classes'"),
        ("fit = 3\n" + TOY.split("[fit]")[0], "expected a table"),
    ],
)
def test_mistakes_in_recipes_are_told_in_one_line(call, tmp_path, recipe, says):
    code, _, error = call("--out", tmp_path / "run", recipe=recipe)
    assert code == 2
    assert says in error
    assert len(error.splitlines()) == 1


def test_pickles_are_no_weights_to_begin_with(call, tmp_path):
    torch.save({"w": torch.zeros(1)}, tmp_path / "evil.pt")
    code, _, error = call("--out", tmp_path / "run", "--init", tmp_path / "evil.pt")
    assert code == 2
    assert "pickle" in error
    assert len(error.splitlines()) == 1


def test_data_without_segmentations_is_told(call, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    folder = tmp_path / "data/p1"
    folder.mkdir(parents=True)
    for name in ("flair", "t1", "t1ce", "t2"):
        nibabel.save(
            nibabel.Nifti1Image(np.ones((6, 6, 6), np.int16), np.eye(4)), folder / f"p1_{name}.nii.gz"
        )
    code, _, error = call("--out", tmp_path / "run", data=str(tmp_path / "data"))
    assert code == 2
    assert "no segmented case" in error


def test_a_folder_that_cannot_be_made_is_told(call, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, error = call("--out", tmp_path / "file/run")
    assert code == 2
    assert "cannot be written" in error
    assert len(error.splitlines()) == 1


def test_what_a_terminal_shows(monkeypatch):
    """The live line, drawn on a terminal of rich's own."""
    import io

    from rich.console import Console

    from voxzoo.export import progress

    screen = io.StringIO()
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0)
    live = progress.Live()
    live._bar.live.console = Console(file=screen, force_terminal=True, width=100)
    live.start(0, 4, "Dice")
    for step in (1, 2):
        live.tick(step, torch.tensor(0.5))
    live.line({"step": 2, "loss": 0.5, "score": 0.25})
    live.tick(3, torch.tensor(0.25))
    live.stop()
    text = screen.getvalue()
    assert "step 2: loss 0.5000, held-out Dice 0.2500" in text
    assert "loss 0.2500, Dice 0.2500" in text
    assert "3/4" in text
