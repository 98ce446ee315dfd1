"""Cards of language models that are GGUF files: an untrained one is built, asked, put on a card, pushed."""

import json

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason='builds the model: pip install "voxzoo[train]"')
pytest.importorskip("transformers", reason='builds the model: pip install "voxzoo[train]"')
pytest.importorskip("llama_cpp", reason='needs llama-cpp-python: pip install "voxzoo[llm]"')

from voxzoo.cards.check import check  # noqa: E402
from voxzoo.cards.cli import command  # noqa: E402
from voxzoo.cards.keep import keep  # noqa: E402
from voxzoo.cards.rerun import rerun_command  # noqa: E402
from voxzoo.cards.runs import read_run  # noqa: E402
from voxzoo.eval.runner import evaluate  # noqa: E402
from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.networks.llava_nano import NanoSpec, build, save  # noqa: E402
from voxzoo.zoo import gguffile  # noqa: E402
from voxzoo.zoo.cases import ArraySource, Case  # noqa: E402
from voxzoo.zoo.datasets import Dataset  # noqa: E402
from voxzoo.zoo.language import load_language  # noqa: E402
from voxzoo.zoo.prompt_contract import MmprojSpec, PromptContract  # noqa: E402
from voxzoo.zoo.specs import LicenceSpec  # noqa: E402
from voxzoo.zoo.tasks.slices import SliceRule  # noqa: E402

STATED = {"summary": "A toy.", "limitations": "Untrained: it says nonsense and reads no language."}


def cases():
    rng = np.random.default_rng(0)
    for i in range(2):
        head = np.zeros((20, 24, 28))
        head[2:18, 2:22, 2:26] = 100 + 30 * rng.random((16, 20, 24))
        mask = np.zeros(head.shape, np.uint8)
        mask[6:10, 8:14, 9 : 11 + i] = 2
        sources = [ArraySource(array, np.eye(4), f"c{i}") for array in (head + 300 * (mask > 0), mask)]
        yield Case(f"c{i}", f"c{i}", {"flair": sources[0]}, reference=sources[1], grade="high")


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    """(nano.gguf beside its mmproj and statements, run folders of two tasks)."""
    root = tmp_path_factory.mktemp("nano")
    torch.manual_seed(1)
    save(build(NanoSpec(32, 1, 64, 1, 64, 1, 96, 2, 1))[0], root / "hf")
    done = convert(root / "hf", root / "out", "f32")
    vision = done.mmproj.rename(root / "out" / "nano-mmproj.gguf")
    contract = PromptContract(
        name="tiny-nano",
        version="0.1",
        prompts={"grade": "brief", "box": "question"},
        image=(128, 128),
        slices=SliceRule(place="full"),
        mmproj=MmprojSpec(vision.name, gguffile.inspect(vision).sha256),
        licence=LicenceSpec("Apache-2.0", "none", "confirmed"),
        training={"cases": ["someone"], "steps": 0},
    )
    path = root / "out" / "nano.gguf"
    gguffile.with_contract(done.text, contract, path)
    (root / "out" / "nano.card.yaml").write_text(yaml.safe_dump(STATED))
    data = Dataset("toy", tuple(cases()), "CC0", "memory", "phantom")
    model = load_language(str(path), threads=1)
    for task, more in (("box", {"repeats": 2}), ("grade", {"prompt": "question", "show": "all"})):
        evaluate(model, data, root / "runs" / task, task=task, **more)
    return path, [root / "runs" / task for task in ("box", "grade")]


def run(*words):
    return CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False)


@pytest.fixture(scope="module")
def card(nano, tmp_path_factory):
    out = tmp_path_factory.mktemp("card")
    done = run("build", "--model", nano[0], "--runs", *nano[1], "--out", out)
    assert done.exception is None, done.output
    return out


def test_the_card_says_what_it_is_and_how_its_answers_were_read(nano, card):
    text = (card / "README.md").read_text()
    results = json.loads((nano[1][0] / "results.json").read_text())
    found = results["answers"]
    rate = (found["understood"] + found["repaired"]) / found["answers"]
    assert f"- **Limitations:** {STATED['limitations']}" in text
    assert "**Prompt tasks (wording it was trained on):** grade (brief), box (question)" in text
    assert f"parse rate {rate:.3f} (lenient parser): of {found['answers']} answers" in text
    assert "| figure | all (this run's rules) | paper | answered |" in text
    for name in ("all", "paper", "answered"):
        assert f"{results['protocols'][name]['dice']['mean']:.3f}" in text
    assert "**Held out:** yes" in text
    head = yaml.safe_load(text.split("---\n")[1])
    assert (head["license"], head["pipeline_tag"]) == ("apache-2.0", "image-text-to-text")
    assert results["model"]["content_sha256"] == head["voxzoo"]["content_sha256"]
    assert check(card).errors == ()


def test_a_slice_that_is_asked_about_twice_is_one_slice(nano):
    asked = [read_run(folder) for folder in nano[1]]
    counts = [one.scores.counts["axial_slices"] for one in asked]
    assert counts[0] == sum(record.slices for record in asked[0].cases)
    assert counts[0] * 2 == asked[0].details["answers"]["answers"]
    assert counts[0] == asked[0].scores.times["axial_slices"]


def test_the_command_that_asks_again(nano):
    box, grade = (rerun_command(read_run(folder)).split() for folder in nano[1])
    assert box[box.index("--repeats") + 1] == "2"
    assert "--prompt" not in box
    assert "--precision" not in box
    assert grade[grade.index("--prompt") + 1] == "question"
    assert grade[grade.index("--show") + 1] == "all"
    assert box[2].endswith("nano.gguf")


def test_kept_runs_give_the_same_card(nano, card, tmp_path):
    kept = [keep(read_run(folder), tmp_path / "kept") for folder in nano[1]]
    done = run("build", "--model", nano[0], "--runs", *kept, "--out", tmp_path / "again")
    assert done.exception is None, done.output
    assert (tmp_path / "again" / "README.md").read_text() == (card / "README.md").read_text()


def test_a_push_takes_both_files(nano, card):
    done = run("push", "--card", card, "--repo", "me/nano", "--model", nano[0], "--dry-run")
    assert done.exception is None, done.output
    lines = done.output.splitlines()
    assert lines[0] == "nothing is sent:"
    targets = [line.split()[-1] for line in lines if " bytes  " in line]
    assert targets == ["README.md", "nano-mmproj.gguf", "nano.gguf"]
    for name in targets[1:]:
        assert gguffile.inspect(nano[0].parent / name).sha256 in done.output


def test_runs_of_another_vision_part_are_refused(nano, tmp_path):
    plain = json.loads((nano[1][0] / "results.json").read_text())
    plain["model"]["content_sha256"] = "0" * 64
    (tmp_path / "results.json").write_text(json.dumps(plain))
    done = run("build", "--model", nano[0], "--runs", tmp_path, "--out", tmp_path / "out")
    assert "the card is about 'tiny-nano' with content" in str(done.exception)
