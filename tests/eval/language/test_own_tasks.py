"""A user's prompt task in one file: scored by what its target is, or by its own ``score``."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

import voxzoo
from voxzoo.eval.cli import command
from voxzoo.eval.language.own import kind_of
from voxzoo.eval.language.protocols import named
from voxzoo.eval.language.references import CaseReference, References
from voxzoo.eval.language.scoring import Reading
from voxzoo.eval.language.transcripts import Answer, Transcript
from voxzoo.eval.results import Results
from voxzoo.zoo.errors import UsageError
from voxzoo.zoo.tasks.answers import Parsed, accept, refuse
from voxzoo.zoo.tasks.prompt import prompt_task
from voxzoo.zoo.tasks.slices import SliceRule

MINE = """
import re

import numpy as np

from voxzoo.zoo.tasks.answers import accept, refuse
from voxzoo.zoo.tasks.slices import SliceRule


class Side:
    name, new_tokens, slices = "side", 5, SliceRule()
    prompts = {"default": "Is the tumour on the left or on the right of this picture?"}

    def grammar(self, frame=(128, 128)):
        return 'root ::= "left" | "right"'

    def parse(self, text, parser="lenient", frame=(128, 128)):
        found = re.findall("left|right", text)
        return accept(found[0], (found[0],)) if found else refuse("neither left nor right in it")

    def target(self, mask=None, grade=None):
        if mask is None or not mask.any():
            return None
        return "left" if np.nonzero(mask)[1].mean() < mask.shape[1] / 2 else "right"


TASK = Side()
"""


class Toy:
    """Answers are Python literals; the target is what a function makes of mask and grade."""

    name, new_tokens, slices, prompts = "toy", 9, SliceRule(), {"default": "?"}

    def __init__(self, target, written=True):
        self._target, self.written = target, written

    def grammar(self, frame=(128, 128)):
        return 'root ::= "x"'

    def parse(self, text, parser="lenient", frame=(128, 128)):
        if not text:
            return refuse("the answer is empty")
        value = json.loads(text, object_hook=None)
        value = tuple(map(_tuples, value)) if isinstance(value, list) else value
        return accept(value, ())

    def target(self, mask=None, grade=None):
        return self._target(mask, grade)


def _tuples(value):
    return tuple(value) if isinstance(value, list) else value


class Scoring(Toy):
    """Figures of its own."""

    def __init__(self, score):
        super().__init__(lambda mask, grade: 1)
        self.score = lambda parsed, target: score(parsed, target)


def reading(task, answers, label=1):
    """Patients a and b; of each slice a 10 x 20 box of tumour is known, and its corners as a polygon."""
    box = (10, 10, 19, 29)
    polygon = ((10, 10), (10, 29), (19, 29), (19, 10))
    cases = {
        name: CaseReference(
            name, name, label, {"axial": (0, 9)}, boxes={0: box, 1: box}, polygons={0: polygon, 1: polygon}
        )
        for name in "ab"
    }
    lines = tuple(Answer(task.name, "m", case, index, text) for case, index, text in answers)
    return Reading(Transcript("made-up", lines), References("toy", cases, (64, 64)), task)


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


@pytest.fixture
def recorded(tmp_path):
    """Recorded ground truth of two patients and what was answered: right, right, wrong, nothing."""
    folder = tmp_path / "data" / "gt"
    folder.mkdir(parents=True)
    patients = [{"patient": p, "label": 1, "tumour_range_axial": [0, 9]} for p in (0, 1)]
    boxes = [{"patient": p, "slice": s, "new": [10, 10, 19, 19]} for p in (0, 1) for s in (0, 1)]
    (folder / "patients.jsonl").write_text("\n".join(map(json.dumps, patients)))
    (folder / "boxes.jsonl").write_text("\n".join(map(json.dumps, boxes)))
    texts = {("0", 0): "left", ("0", 1): "on the left", ("1", 0): "right", ("1", 1): "no idea"}
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(Answer("side", "m", *key, text).to_line() for key, text in texts.items()))
    return path, tmp_path / "data"


def test_a_command_scores_it(mine, recorded, tmp_path):
    path, data = recorded
    arguments = ["--model", f"replay:{path}", "--task", mine, "--data", data, "--out", tmp_path / "run"]
    done = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    assert (done.exception, done.return_value) == (None, 0)
    results = Results.load(tmp_path / "run")
    assert results.task == "side"
    found = results.scores.details["protocols"]
    assert found["all"]["accuracy"]["mean"] == 0.5  # means of (1, 1) and (0, miss)
    assert found["answered"]["accuracy"]["mean"] == 0.5  # of (1, 1) and (0)
    assert results.baselines["baseline:most-frequent"].aggregate["accuracy"].mean == 1.0
    assert results.aggregate["accuracy"].n == 2


def test_it_is_asked_live_and_in_python(mine):
    class Sayer:
        name, content_hash = "sayer", "0" * 64

        def answer(self, question):
            assert question.prompt.startswith("Is the tumour on the left")
            return "left"

    found = voxzoo.evaluate(Sayer(), "phantom:n=2,shape=48x56x48", task=str(mine))
    lines = [record.answer for record in found.cases]
    assert all(line["answers"] == line["understood"] > 0 for line in lines)
    assert 0 <= found.aggregate["accuracy"].mean <= 1


@pytest.mark.parametrize("protocol", ["answered", "all"])
@pytest.mark.parametrize("pooling", ["slice", "volume"])
def test_a_box_of_its_own_is_scored_as_ours(protocol, pooling):
    corners = lambda box: [list(box[:2]), [box[0], box[3]], list(box[2:]), [box[2], box[1]]]  # noqa: E731
    boxes = {("a", 0): (10, 10, 19, 29), ("a", 1): (12, 0, 25, 20), ("b", 0): (40, 40, 63, 63)}
    own = reading(
        Toy(lambda mask, grade: tuple(int(f(v)) for f in (np.min, np.max) for v in np.nonzero(mask))),
        [(*key, json.dumps(box)) for key, box in boxes.items()] + [("b", 1, "")],
    )
    ours = reading(
        prompt_task("box"),
        [(*key, str([tuple(c) for c in corners(box)])) for key, box in boxes.items()] + [("b", 1, "")],
    )
    rules = named(protocol, "toy", pooling=pooling)
    assert own.score(rules).patients == ours.score(rules).patients
    assert {n: s.values for n, s in own.baselines(rules).items()} == {
        n: s.values for n, s in ours.baselines(rules).items()
    }


def test_a_polygon_that_is_the_target_is_perfect():
    points = ((10, 10), (10, 29), (19, 10))
    own = reading(Toy(lambda mask, grade: points), [("a", 0, json.dumps(points)), ("b", 0, "")])
    found = own.score(named("all", "toy"))
    assert found.patients["a"] | {"specificity": 1.0} == {
        **dict.fromkeys(("dice", "iou", "precision", "recall", "specificity"), 1.0), "hd": 0.0, "hd95": 0.0,
    }  # fmt: skip
    assert found.patients["b"]["dice"] == 0.0


def test_a_point_is_as_far_as_it_is():
    own = reading(Toy(lambda mask, grade: (5.0, 5.0)), [("a", 0, "[8, 9]"), ("a", 1, "[5, 5]"), ("b", 0, "")])
    assert own.score(named("answered", "toy")).values == {"distance": 2.5}
    far = own.score(named("all", "toy", empty=100)).patients
    assert far == {"a": {"distance": 2.5}, "b": {"distance": 100.0}}
    assert own.baselines(named("answered", "toy"))["centred-point"].values["distance"] == pytest.approx(
        np.hypot(26.5, 26.5)
    )


def test_a_class_may_come_from_the_grade_alone():
    own = reading(Toy(lambda mask, grade: grade == "high"), [("a", 0, "true"), ("b", 0, "false")])
    assert own.score(named("all", "toy")).patients == {"a": {"accuracy": 1.0}, "b": {"accuracy": 0.0}}


def test_a_score_of_its_own_is_what_counts():
    task = Scoring(lambda parsed, target: {"size": 0 if parsed.value is None else parsed.value * target})
    own = reading(task, [("a", 0, "4"), ("a", 1, "2"), ("b", 0, "")])
    found = own.score(named("all", "toy"))
    assert (found.patients, found.values) == ({"a": {"size": 3.0}, "b": {"size": 0.0}}, {"size": 1.5})
    skipped = own.score(named("answered", "toy"))
    assert (skipped.values, skipped.left_out) == ({"size": 3.0}, {"unscored": ("b",)})
    assert own.baselines(named("all", "toy")) == {}


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (lambda parsed, target: 0.5, "expected names and numbers"),
        (lambda parsed, target: {}, "expected names and numbers"),
        (lambda parsed, target: {"size": "big"}, "expected names and numbers"),
        (lambda parsed, target: {f"size{parsed.value}": 1.0}, "gave size2, before size4"),
    ],
)
def test_a_score_that_gives_no_figures_is_one_line(score, words):
    own = reading(Scoring(score), [("a", 0, "4"), ("a", 1, "2")])
    with pytest.raises(UsageError, match=words):
        own.score(named("all", "toy"))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (lambda mask, grade: {"a": 1}, r"give TASK a method score\(parsed, target\)"),
        (lambda mask, grade: (1, 2, 3), "no class, point, box or polygon"),
        (lambda mask, grade: None, "None on all slices"),
    ],
)
def test_targets_that_say_nothing_are_one_line(target, words):
    with pytest.raises(UsageError, match=words):
        reading(Toy(target), [("a", 0, "4")])


def test_targets_are_of_one_kind():
    kinds = iter(["left", (1, 2)])
    with pytest.raises(UsageError, match="several kinds"):
        reading(Toy(lambda mask, grade: next(kinds)), [("a", 0, "4"), ("a", 1, "4")])


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (True, "class"),
        (np.int64(3), "class"),
        ("left", "class"),
        ([1.5, 2], "point"),
        (np.array([1, 2, 3, 4]), "box"),
        ([(1, 2), (3, 4), (5, 6)], "polygon"),
    ],
)
def test_kinds(target, kind):
    assert kind_of(target) == kind


def test_ours_under_another_prompt_is_scored_as_ours():
    task = replace(prompt_task("box"), prompts={"default": "Box?"})
    given = [("a", 0, "[(10, 10), (10, 29), (19, 29), (19, 10)]")]
    assert reading(task, given).score(named("paper", "box")).values["dice"] == 1.0


def test_a_parse_with_points_is_drawn_from_its_points():
    task = Toy(lambda mask, grade: (0, 0, 9, 9))
    task.parse = lambda text, parser="lenient", frame=(128, 128): Parsed(
        (0, 0, 9, 9), "repaired", ("cut",), "", ((-5, -5), (9, 9))
    )
    assert reading(task, [("a", 0, "x")]).score(named("all", "toy")).patients["a"]["dice"] == 1.0
