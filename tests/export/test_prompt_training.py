"""Training of llava-nano: learns, packs, resumes to the bit, ends in files that runs accept."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from click.testing import CliRunner  # noqa: E402

from voxzoo.export.cli import command  # noqa: E402
from voxzoo.export.language.judging import judge  # noqa: E402
from voxzoo.export.language.losses import (  # noqa: E402
    Conversations,
    TokenLoss,
    answer_states,
    mask_loss,
    patch_masks,
)
from voxzoo.export.language.sampling import SlicePool  # noqa: E402
from voxzoo.export.language.vocabulary import build_tokenizer, number_ids  # noqa: E402
from voxzoo.export.networks import build  # noqa: E402
from voxzoo.export.progress import Silent  # noqa: E402
from voxzoo.export.recipe import load_recipe, parse_recipe  # noqa: E402
from voxzoo.export.tasks.prompt import PromptTask  # noqa: E402
from voxzoo.export.train import train  # noqa: E402
from voxzoo.zoo.errors import RunError, UsageError  # noqa: E402
from voxzoo.zoo.gguffile import inspect  # noqa: E402

from .nano_cases import SMALL, disc, small_recipe, some_slices  # noqa: E402


def _task(recipe, held_out=("b",)):
    kept = [one for case in held_out for one in some_slices(case, 3) if one.mask.any()]
    return PromptTask(recipe, [(SlicePool(some_slices()), 1.0)], kept, {"real": ["a"], "held_out": ["b"]})


def test_the_bundled_recipe_says_what_is_made():
    recipe = load_recipe("llava-nano")
    assert recipe.input.size == (128, 128)
    assert recipe.language.tasks == ("grade", "center", "box", "polygon")
    assert not recipe.volumes


def test_packed_conversations_compute_what_each_computes_alone():
    torch.manual_seed(0)
    net = build("llava-nano", **SMALL).eval()
    task = _task(small_recipe(polygon_share=1.0))
    images, _, *arrays, _ = (torch.from_numpy(part) for part in task.batch(5))
    said = Conversations(*arrays)
    with torch.no_grad():
        patches = net(images)
        together = answer_states(net, patches, said, task.bos)
        for number in (1, 2, 3, 4):
            mine = said.blocks[0] == number
            if not mine.any():
                continue
            ids = torch.cat([torch.tensor([task.bos]), torch.zeros(64, dtype=int), said.ids[0][mine]])[None]
            inputs = net.llava.get_input_embeddings()(ids)
            inputs[0, 1:65] = patches[0]
            alone = net.llava.model.language_model(inputs_embeds=inputs).last_hidden_state[0, 65:-1]
            packed = together[0][mine][1:]  # a state predicts the token after it
            assert torch.allclose(packed, alone, atol=1e-4)


def test_the_loss_of_tokens_by_hand():
    numbers = number_ids(build_tokenizer())
    loss = TokenLoss(numbers, plain=1, least=0.5)
    size = len(build_tokenizer())
    logits, labels = torch.zeros(3, size), torch.tensor([numbers[5], numbers[9], 3])
    blocks = torch.tensor([1, 2, 2])
    even = float(np.log(size))
    assert loss(logits, labels, blocks, 0.0).item() == pytest.approx(even + even + 0.5 * even, rel=1e-5)
    spread = np.exp(-0.5 * ((np.arange(128) - 9) / 2.0) ** 2)
    spread /= spread.sum()
    entropy = -sum(p * np.log(p) for p in spread if p > 0)
    told = even - entropy  # a divergence: 0 where the Gaussian itself is said
    assert loss(logits, labels, blocks, 2.0).item() == pytest.approx(even + told + 0.5 * even, rel=1e-4)
    near, far = torch.zeros(1, size), torch.zeros(1, size)
    near[0, numbers[10]] = far[0, numbers[60]] = 9.0
    one, block = torch.tensor([numbers[9]]), torch.tensor([2])
    assert loss(near, one, block, 2.0) < loss(far, one, block, 2.0) - 1


def test_masks_of_patches_are_cut_where_patches_are():
    mask = torch.zeros(1, 128, 128)
    mask[0, 16:32, 32:48] = 1  # row 1, column 2 of the 8 x 8 patches
    assert patch_masks(mask).sum(2).nonzero().tolist() == [[0, 10]]
    logits = 40 * (patch_masks(mask) - 0.5)
    assert mask_loss(logits, patch_masks(mask)).item() < 1e-3
    assert mask_loss(-logits, patch_masks(mask)).item() > 10


def test_answers_are_judged_as_runs_judge_them():
    one, two = disc(40, 60, 10, "a", 3), disc(80, 60, 8, "a", 4)
    boxes = ["[(30, 50), (30, 70), (50, 70), (50, 50)]", "nothing"]
    found = judge([one, two], {"box": boxes, "center": ["(40, 60)", "(0, 0)"], "grade": ["Choice: 1", "?"]})
    # the disc's own box once, a miss once; one centre of two; one grade of two
    assert found == {"a": {"box-dice": 0.5, "center-in_box": 0.5, "grade-right": 0.5}}


def test_it_learns_what_it_is_shown(tmp_path):
    few = {"warm_steps": 10, "polygon_share": 0.0, "sigma": (2.0, 1.0), "other_wordings": 0.0}
    recipe = small_recipe({"steps": 50, "validate_every": 10, "learning_rate": 4e-3, "warmup": 5}, **few)
    lines = []
    train(recipe, _task(recipe, ()), tmp_path, progress=Silent(lines.append))
    assert lines[-1]["loss"] < 0.75 * lines[1]["loss"]
    assert lines[-1]["score"] is None


def test_a_killed_training_resumes_to_the_same_curve_and_weights(tmp_path):
    recipe = small_recipe()

    def stop(line):
        if line["step"] == 4:
            raise KeyboardInterrupt

    whole = train(recipe, _task(recipe), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, _task(recipe), tmp_path / "cut", progress=Silent(stop))
    again = train(recipe, _task(recipe), tmp_path / "cut")
    curves = [(tmp_path / name / "curve.jsonl").read_text() for name in ("whole", "cut")]
    assert curves[0] == curves[1]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    figures = json.loads(curves[0].splitlines()[-1])["validation"]
    assert set(figures) == {f"b/{f}" for f in FIGURES}
    with pytest.raises(RunError, match=r"language\.sigma was"):
        train(small_recipe(sigma=(2.0, 1.0)), _task(recipe), tmp_path / "cut")


FIGURES = ("patch-dice", "grade-right", "center-in_box", "box-dice", "polygon-dice")

TOML = """
name = "toy"
version = "0.1"
task = "prompt"
network = "llava-nano"
options = {options}
[input]
contrast = "brain"
[licence]
weights = "CC0-1.0"
data_terms = "phantoms only"
status = "confirmed"
[language]
warm_steps = 1
warm_batch = 2
slices_each = 2
[data]
phantoms = 1
phantom_share = 0.5
[fit]
steps = 2
batch = 2
validate_every = 1
"""


def _toml():
    return TOML.replace("{options}", "{" + ", ".join(f"{k} = {v}" for k, v in SMALL.items()) + "}")


def test_the_command_ends_in_files_that_are_a_model(tmp_path, monkeypatch):
    from transformers import AutoModelForImageTextToText

    monkeypatch.setenv("VOXZOO_CACHE", str(tmp_path / "cache"))
    recipe = tmp_path / "toy.toml"
    recipe.write_text(_toml())
    given = [str(recipe), "--data", "phantom:n=2,shape=32x40x32", "--out", str(tmp_path / "run")]
    given += ["--fold", "0", "--folds", "2", "--threads", "1"]
    done = CliRunner().invoke(command, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "making 1 phantoms" in done.output
    AutoModelForImageTextToText.from_pretrained(tmp_path / "run" / "hf")
    text = inspect(tmp_path / "run" / "gguf" / "toy-Q8_0.gguf")
    contract = text.contract()
    assert contract.prompts == dict.fromkeys(("grade", "center", "box", "polygon"), "brief")
    assert contract.image == (128, 128)
    assert contract.slices.contrast == "brain"
    assert len(contract.training["held_out"]) == 1
    assert (tmp_path / "run" / "gguf" / contract.mmproj.file).is_file()
    again = CliRunner().invoke(command, [*given, "--resume"], catch_exceptions=False)
    assert "making" not in again.output  # phantoms come from the cache


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("contrast = ", "kontrast = "), "kontrast"),
        (("warm_steps = 1", "warm_step = 1"), "did you mean 'warm_steps'"),
        (("warm_steps = 1", "warm_steps = 1.5"), "expected a whole number"),
        (('contrast = "brain"', 'contrast = "bright"'), "contrast='bright'"),
        (("[fit]", "[pretrain]\nsteps = 3\n[fit]"), "warm_steps"),
    ],
)
def test_recipes_that_cannot_be_are_refused(change, said):
    from voxzoo.zoo.errors import VoxzooError

    with pytest.raises(VoxzooError, match=said):
        parse_recipe(_toml().replace(*change), "toy")


def test_pictures_without_masks_are_nothing_to_learn_from(tmp_path):
    import cv2

    (tmp_path / "glioma").mkdir()
    for name in "ab":
        cv2.imwrite(str(tmp_path / "glioma" / f"{name}.png"), np.full((20, 20), 90, np.uint8))
    from voxzoo.export.material import gather

    with pytest.raises(UsageError, match="mask"):
        gather(small_recipe(), [str(tmp_path)]).task()
