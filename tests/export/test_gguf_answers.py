"""Two models asked the same: scripted ones with known scores, and llava-nano in both runtimes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="one of the two runtimes")
pytest.importorskip("gguf", reason="needs the [llm] extra")
pytest.importorskip("llama_cpp", reason="the other")

from voxzoo.export.gguf.answers import TaskAnswers, compare_answers, compare_runtimes  # noqa: E402
from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.gguf.verify import verify  # noqa: E402
from voxzoo.export.language.slices import Slice  # noqa: E402
from voxzoo.export.networks import llava_nano  # noqa: E402
from voxzoo.zoo.errors import UsageError  # noqa: E402


class Scripted:
    def __init__(self, **answers):
        self.name, self.content_hash, self.answers, self.seen = "scripted", "0" * 64, answers, []

    def answer(self, question):
        self.seen.append(question)
        return self.answers[question.task]


def slices():
    mask = np.zeros((128, 128), bool)
    mask[10:20, 30:50] = True
    return [Slice(case, 4, mask.astype(np.uint8) * 255, mask, 1) for case in ("a", "b")]


RIGHT = {
    "grade": "Choice: 1 Reasoning: seen",
    "center": "(15, 40)",
    "box": "[(10, 30), (10, 50), (20, 50), (20, 30)]",
    "polygon": "[(10, 30), (10, 50), (20, 50), (20, 30)]",
}


def test_the_same_answers_have_the_same_scores():
    one, two = Scripted(**RIGHT), Scripted(**RIGHT)
    found = {each.task: each for each in compare_answers(one, two, slices())}
    assert list(found) == ["grade", "center", "box", "polygon"]
    assert all(each.alike == 1 and each.reference == each.other for each in found.values())
    assert found["grade"].other == found["center"].other == 1.0
    assert [q.prompt for q in one.seen] == [q.prompt for q in two.seen]
    assert all(a.image is b.image for a, b in zip(one.seen, two.seen, strict=True))


def test_a_task_that_got_worse_is_seen():
    worse = Scripted(**{**RIGHT, "center": "(100, 100)", "grade": "Choice: 0 Reasoning: none"})
    found = {each.task: each for each in compare_answers(Scripted(**RIGHT), worse, slices())}
    assert (found["center"].alike, found["center"].reference, found["center"].other) == (0, 1, 0)
    assert found["grade"].other == 0
    assert found["box"].alike == 1


def test_lines_are_for_people():
    assert "100% alike" in TaskAnswers("box", 2, 1.0, "box-dice", 0.5, 0.5).line()


def test_nothing_to_ask_about_is_told():
    with pytest.raises(UsageError, match="no slice with a tumour"):
        compare_answers(Scripted(), Scripted(), [])


def test_llava_nano_answers_alike_in_both_runtimes(tmp_path):
    torch.manual_seed(0)
    model, _ = llava_nano.build(llava_nano.NanoSpec(vision_blocks=1, blocks=1))
    llava_nano.save(model, tmp_path / "hf")
    made = convert(tmp_path / "hf", tmp_path, "f32")
    assert verify(made.text, made.mmproj, tmp_path / "hf").same_tokens
    found = compare_runtimes(made.text, made.mmproj, tmp_path / "hf", most=1)
    assert [each.alike for each in found] == [1.0, 1.0, 1.0, 1.0], [each.line() for each in found]
