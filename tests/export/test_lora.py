"""LoRA fine-tuning: which layers, what is learned, resumed to the bit, read by peft, merged to the same."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from click.testing import CliRunner  # noqa: E402
from torch import nn  # noqa: E402

from voxzoo.export.cli import command  # noqa: E402
from voxzoo.export.language.adapters import LoraSpec, load_base, part_of, targets  # noqa: E402
from voxzoo.export.language.chats import Chats  # noqa: E402
from voxzoo.export.language.lora_cli import recipe_of  # noqa: E402
from voxzoo.export.language.tuning import LOSS, Drawn, Tuning, tune  # noqa: E402
from voxzoo.export.networks.llava_nano import NanoSpec, build, save  # noqa: E402
from voxzoo.export.progress import Silent  # noqa: E402
from voxzoo.zoo.errors import ModelError, ModelNotFoundError, RunError, UsageError  # noqa: E402

from .nano_cases import SMALL, some_slices  # noqa: E402


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("base")
    model, _ = build(NanoSpec(**SMALL))
    with (
        torch.no_grad()
    ):  # a frozen head of tiny numbers could say nothing, whatever an adapter did before it
        model.get_input_embeddings().weight.mul_(30)
    save(model, folder)
    return folder


def _options(**changed):
    """What the command gets, some of it changed."""
    given = ["--base", "x", "--task", "box", "--data", "d", "--out", "o", "--steps", "6", "--batch", "2"]
    return {**_lora().make_context("lora", [*given, "--validate-every", "2"]).params, **changed}


def _lora():
    from voxzoo.export.language.lora_cli import command as lora

    return lora


def _tuning(held_out=("b",), **options):
    task = options.get("task", "box")
    kept = [one for case in held_out for one in some_slices(case, 2) if task == "grade" or one.mask.any()]
    learned = [one for one in some_slices() if task == "grade" or one.mask.any()]
    return Tuning(recipe_of(_options(**options)), learned, kept, {"real": ["a"], "held_out": list(held_out)})


def _tune(base, folder, on_line=lambda line: None, held_out=("b",), **options):
    return tune(_tuning(held_out, **options), *load_base(str(base)), folder, progress=Silent(on_line))


def test_the_three_parts_of_a_model_are_told_apart(base):
    model, _ = load_base(str(base))
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    found = {name: part_of(name) for name in linear}
    assert {part for name, part in found.items() if name != "lm_head"} == {"vision", "projector", "language"}
    assert found["lm_head"] is None
    with pytest.raises(UsageError, match="projector"):
        targets([("vision_tower.fc1", nn.Linear(1, 1))], ["vision", "projector"])


@pytest.mark.parametrize("parts", [("vision",), ("projector", "language")])
def test_only_the_parts_asked_for_are_trained(base, parts, tmp_path):
    net = _tune(base, tmp_path, parts=",".join(parts), steps=1, validate_every=1, held_out=())
    names = [name for name, value in net.named_parameters() if value.requires_grad]
    assert all("lora_" in name for name in names)
    assert {part_of(name) for name in names} == set(parts)


def test_labels_are_the_answer_and_nothing_else(base):
    processor = load_base(str(base))[1]
    chats, slices = Chats(processor, "center", "brief"), some_slices()[:2]
    inputs = chats.taught(slices, ["(1, 2)", "(100, 120)"])
    said = [processor.tokenizer.decode(row[row >= 0]) for row in inputs["labels"]]
    assert said == ["(1, 2)<|end|>", "(100, 120)<|end|>"]
    first = inputs["input_ids"][0]
    assert (first == processor.image_token_id).nonzero()[:, 0].tolist() == list(range(1, 65))


def test_the_loss_falls_and_kept_aside_patients_are_asked(base, tmp_path):
    lines = []
    _tune(
        base, tmp_path, lines.append, steps=40, validate_every=10, learning_rate=1e-2, batch=4, augment=False
    )
    assert lines[-1]["loss"] < 0.75 * lines[0]["loss"]
    assert lines[-1]["validation"][LOSS] < lines[0]["validation"][LOSS]
    assert set(lines[-1]["validation"]) == {LOSS, "b/box-dice"}
    assert lines[-1]["score"] == lines[-1]["validation"]["b/box-dice"]


def test_a_killed_one_resumes_to_the_same_curve_and_adapter(base, tmp_path):
    def stop(line):
        if line["step"] == 4:
            raise KeyboardInterrupt

    _tune(base, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _tune(base, tmp_path / "cut", stop)
    _tune(base, tmp_path / "cut")
    for name in ("curve.jsonl", "adapter/adapter_model.safetensors"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()
    with pytest.raises(RunError, match=r"options\.rank was 16, now 8"):
        _tune(base, tmp_path / "cut", rank=8)


def test_accumulated_batches_learn_what_one_large_batch_learns(base, tmp_path):
    plain = {"augment": False, "steps": 1, "validate_every": 1, "held_out": (), "task": "center"}
    one = _tune(base, tmp_path / "one", batch=4, accumulate=1, **plain)
    two = _tune(base, tmp_path / "two", batch=2, accumulate=2, **plain)
    for (name, a), (_, b) in zip(one.named_parameters(), two.named_parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5), name


def test_checkpointing_changes_nothing_but_memory(base, tmp_path):
    short = {"steps": 2, "validate_every": 2, "held_out": ()}
    one = _tune(base, tmp_path / "one", **short)
    two = _tune(base, tmp_path / "two", checkpointing=True, **short)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_peft_reads_the_adapter_and_merged_it_answers_the_same(base, tmp_path):
    from peft import PeftModel

    _tune(base, tmp_path, steps=8, validate_every=8, learning_rate=1e-2)
    model, processor = load_base(str(base))
    chats, slices = Chats(processor, "box", "brief"), [s for s in some_slices("c", 2) if s.mask.any()]
    plain = chats.answers(model.eval(), slices, 18, 4)
    net = PeftModel.from_pretrained(model, tmp_path / "adapter").eval()
    tuned = chats.answers(net, slices, 18, 4)
    merged = chats.answers(net.merge_and_unload().eval(), slices, 18, 4)
    assert tuned == merged
    assert tuned != plain


def test_grades_are_drawn_alike():
    slices = [*some_slices("a", 6, 1), *some_slices("bb", 1, 0)]
    tuning = Tuning(recipe_of(_options(task="grade", batch=30, augment=False)), slices, [], {})
    _, texts = Drawn(tuning).batch(0)
    digits = [text[8] for text in texts]
    assert {digit: digits.count(digit) for digit in "012"} == {"0": 10, "1": 10, "2": 10}


def test_varied_slices_and_their_answers_belong_together():
    for one, text in zip(*Drawn(_tuning(batch=6)).batch(3), strict=True):
        corners = np.array([int(n) for n in text.translate(str.maketrans("[](),", "     ")).split()]).reshape(
            4, 2
        )
        rows, cols = np.nonzero(one.mask)
        assert corners.min(0).tolist() == [rows.min(), cols.min()]
        assert corners.max(0).tolist() == [rows.max(), cols.max()]


def test_the_command_writes_an_adapter(base, tmp_path):
    given = ["lora", "--base", str(base), "--task", "center", "--data", "phantom:n=2,shape=32x40x32"]
    given += ["--out", str(tmp_path), "--steps", "2", "--batch", "2", "--validate-every", "1", "--asked", "2"]
    given += ["--folds", "2", "--threads", "1", "--plane", "coronal"]
    done = CliRunner().invoke(command, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["r"] == 16
    assert json.loads((tmp_path / "recipe.json").read_text())["recipe"]["input"]["plane"] == "coronal"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"parts": ("eyes",)}, "got eyes; expected some of vision, projector, language"),
        ({"parts": ()}, "got none"),
        ({"rank": 0}, "rank of 1"),
        ({"alpha": float("nan")}, "alpha above 0"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_adapters_that_cannot_be_are_refused(values, said):
    with pytest.raises(UsageError, match=said):
        LoraSpec(**values)


def test_a_base_that_is_none_is_one_line(tmp_path):
    with pytest.raises(ModelNotFoundError, match="no such folder"):
        load_base(str(tmp_path / "absent"))
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_base(str(tmp_path))


def test_a_checkpoint_of_another_adapter_is_refused(base, tmp_path):
    from voxzoo.export import weights

    _tune(base, tmp_path, steps=2, validate_every=2, held_out=())
    weights.write(tmp_path / "last.safetensors", {"adapter.x": torch.zeros(1)}, {"step": "1"})
    with pytest.raises(ModelError, match="another adapter"):
        _tune(base, tmp_path, steps=2, validate_every=2, held_out=())
