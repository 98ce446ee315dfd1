"""``zoo-eval`` with language models, recorded and live, from the command to the files."""

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import voxzoo
from voxzoo.eval.cli import command
from voxzoo.eval.language.transcripts import read_transcript
from voxzoo.eval.results import Results
from voxzoo.zoo.answerer import Reply
from voxzoo.zoo.cases import ArraySource, Case
from voxzoo.zoo.datasets import Dataset
from voxzoo.zoo.errors import ModelError, ModelNotFoundError, RunError, UsageError

ROOT = Path(os.environ.get("VOXZOO_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
PLANES = ("axial", "coronal", "sagittal")
TASKS = ("grade", "center", "box", "polygon")


def zoo_eval(*arguments):
    done = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.output


def cohort(n=3):
    """Heads with a bright cube in them; odd ones are of low grade."""
    cases = []
    for i in range(n):
        head = np.zeros((20, 24, 28))
        head[2:18, 2:22, 2:26] = 100 + np.arange(24)
        mask = np.zeros(head.shape, np.uint8)
        mask[6 : 10 + i, 8:14, 9:17] = 2
        head[mask > 0] += 300
        head, mask = (ArraySource(array, np.eye(4), f"c{i}") for array in (head, mask))
        case = Case(f"c{i}", f"c{i}", {"flair": head}, reference=mask, grade="low" if i % 2 else "high")
        cases.append(case)
    return Dataset("toy", tuple(cases), "CC0", "memory", "phantom")


class Seer:
    """Sees what is bright, and says it in the task's own words; refuses now and then."""

    name = "seer"
    content_hash = "0" * 64

    def __init__(self, refuse=lambda question: False, fail=lambda question: False):
        self.asked, self.refuse, self.fail = [], refuse, fail

    def answer(self, question):
        self.asked.append((question.case, question.slice, question.repeat))
        if self.fail(question):
            raise ModelError("out of memory")
        if self.refuse(question):
            return "I cannot help with that."
        bright = np.argwhere(question.image > 200)
        (top, left), (bottom, right) = bright.min(axis=0), bright.max(axis=0)
        return {
            "grade": Reply("Choice: 1", 12, 3, {"low": 0.25, "high": 0.75}, {"temperature": 0.0}),
            "center": f"({(top + bottom) // 2}, {(left + right) // 2})",
            "box": f"[({top}, {left}), ({top}, {right}), ({bottom}, {right}), ({bottom}, {left})]",
            "polygon": f"(({top}, {left}), ({top}, {right}), ({bottom}, {right}), ({bottom}, {left}))",
        }[question.task]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_in_every_plane_live_and_replayed(task, plane, tmp_path):
    data, out = cohort(), tmp_path / "live"
    live = voxzoo.evaluate(Seer(), data, out, task=task, plane=plane, protocol="all")
    value = live.aggregate[{"grade": "accuracy", "center": "in_box"}.get(task, "dice")].mean
    assert value == pytest.approx(2 / 3) if task == "grade" else value > 0.8
    transcript = read_transcript(out / "transcript.jsonl")
    assert {answer.plane for answer in transcript.answers} == {plane}
    assert all(answer.image_sha256 and answer.prompt_sha256 for answer in transcript.answers)
    again = voxzoo.evaluate(f"replay:{out / 'transcript.jsonl'}", data, task=task)
    assert {n: (a.mean, a.ci95) for n, a in again.aggregate.items()} == {
        n: (a.mean, a.ci95) for n, a in live.aggregate.items()
    }
    assert again.scores.details["protocols"] == live.scores.details["protocols"]


def test_a_live_run_goes_on_where_it_stopped(tmp_path):
    whole = voxzoo.evaluate(Seer(), cohort(), tmp_path / "whole", task="box", repeats=2)
    torn = tmp_path / "torn"
    voxzoo.evaluate(Seer(), cohort(), torn, task="box", repeats=2)
    lines = (torn / "transcript.jsonl").read_text().splitlines(keepends=True)
    (torn / "transcript.jsonl").write_text("".join(lines[:5]) + lines[5][:30])
    (torn / "results.json").unlink()
    second = Seer()
    again = voxzoo.evaluate(second, cohort(), torn, task="box", repeats=2)
    assert len(second.asked) == len(lines) - 5
    assert again.scores.aggregate == whole.scores.aggregate
    assert again.scores.cases == whole.scores.cases
    third = Seer()
    voxzoo.evaluate(third, cohort(), torn, task="box", repeats=2)
    assert not third.asked


def test_answers_of_another_model_are_not_taken(tmp_path):
    voxzoo.evaluate(Seer(), cohort(), tmp_path, task="box")
    (tmp_path / "results.json").unlink()
    other = Seer()
    other.content_hash = "1" * 64
    with pytest.raises(RunError, match="another model"):
        voxzoo.evaluate(other, cohort(), tmp_path, task="box")


def test_a_question_without_an_answer_is_told_and_the_rest_is_scored(tmp_path):
    seer = Seer(fail=lambda q: q.case == "c1" and q.slice % 2)
    found = voxzoo.evaluate(seer, cohort(), tmp_path, task="center")
    problems = found.scores.details["problems"]
    assert problems
    assert all(line.startswith("c1: slice ") and line.endswith("out of memory") for line in problems)
    assert found.aggregate["in_box"].n == 3
    counts = found.scores.details["scoring"]["all"]["counts"]
    assert (counts["unanswered"], counts["slices_scored"]) == (len(problems), counts["slices"])
    asked = Seer()
    again = voxzoo.evaluate(asked, cohort(), tmp_path, task="center")
    assert (len(asked.asked), again.scores.details["problems"]) == (len(problems), [])


def test_a_model_that_answers_nothing_is_at_the_bottom_and_told(tmp_path):
    found = voxzoo.evaluate(Seer(fail=lambda q: True), cohort(1), tmp_path, task="center", empty=100)
    assert found.scores.details["problems"]
    assert {n: a.mean for n, a in found.aggregate.items()} == {
        "in_box": 0.0, "shortest_p95": 100.0, "euclid_p95": 100.0,
        "shortest_p95_mm": 100 * 20 / 128, "euclid_p95_mm": 100 * 20 / 128,  # the head is 20 mm long
    }  # fmt: skip


@pytest.mark.parametrize("option", ["model", "task"])
def test_a_script_that_is_no_python_is_one_line(tmp_path, option):
    path = tmp_path / "mine.py"
    path.write_text("MODEL =\n")
    given = {"model": (f"script:{path}", "box"), "task": (Seer(), str(path))}[option]
    with pytest.raises(UsageError, match=r"mine\.py:1: invalid syntax"):
        voxzoo.evaluate(given[0], cohort(), task=given[1])


def test_refusals_are_results(tmp_path):
    found = voxzoo.evaluate(Seer(refuse=lambda q: q.slice % 2), cohort(), tmp_path, task="box")
    answers = found.scores.details["answers"]
    assert answers["refused"] > 0
    assert answers["refused"] + answers["understood"] + answers["repaired"] == answers["answers"]
    assert not found.scores.details["problems"]
    lines = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert {line["status"] for line in lines if line["slice"] % 2} == {"refused"}
    assert all(line["refused"] for line in lines if line["slice"] % 2)


def test_grades_leave_a_figure_of_their_votes(tmp_path):
    voxzoo.evaluate(Seer(), cohort(), tmp_path, task="grade")
    root = ElementTree.parse(tmp_path / "gldr.svg").getroot()
    dots = root.findall("{http://www.w3.org/2000/svg}circle")
    assert [dot[0].text for dot in dots] == ["c1: 1.000", "c0: 1.000", "c2: 1.000"]
    assert [dot.get("fill") == "white" for dot in dots] == [True, False, False]


def test_repeats_and_wordings_are_compared(tmp_path):
    calls = iter(range(10**6))
    seer = Seer(refuse=lambda q: next(calls) % 3 == 0)
    found = voxzoo.evaluate(seer, cohort(), tmp_path, task="grade", repeats=3, prompt="all")
    details = found.scores.details
    assert set(details["consistency"]) == {"repeats", "prompts"}
    assert details["consistency"]["repeats"]["agreement"] == pytest.approx(2 / 3)
    assert details["selective"]["slice"]["aurc"] == pytest.approx(
        details["selective"]["slice"]["best_aurc"], abs=0.7
    )


def test_tasks_and_models_that_do_not_go_together():
    with pytest.raises(ModelNotFoundError, match="no such file"):
        voxzoo.evaluate("replay:nowhere.jsonl", cohort(), task="box")
    with pytest.raises(UsageError, match="cannot be asked"):
        voxzoo.evaluate("cnn3d-seg", cohort(), task="box")
    with pytest.raises(UsageError, match="protocol"):
        voxzoo.evaluate(Seer(), cohort(), task="box", protocol="best")
    with pytest.raises(UsageError, match="vote"):
        voxzoo.evaluate("baseline:flair-threshold", "phantom:n=1,shape=48x56x48", vote="author")
    with pytest.raises(UsageError, match="plane"):
        voxzoo.evaluate(Seer(), cohort(), task="box", plane="oblique")


@pytest.fixture
def recorded(tmp_path):
    """A cohort of two patients with boxes, and answers to them."""
    folder = tmp_path / "data" / "gt"
    folder.mkdir(parents=True)
    ranges = {f"tumour_range_{plane}": [0, 9] for plane in PLANES}
    patients = [{"patient": p, "label": p, **ranges} for p in (0, 1)]
    boxes = [{"patient": p, "slice": s, "new": [10, 10, 19, 19]} for p in (0, 1) for s in range(4)]
    (folder / "patients.jsonl").write_text("\n".join(map(json.dumps, patients)))
    (folder / "boxes.jsonl").write_text("\n".join(map(json.dumps, boxes)))
    raw = "[(10, 10), (10, 19), (19, 19), (19, 10)]"
    lines = [
        {"task": "bbox", "model": "m", "view": "axial", "patient": p, "slice": s, "raw": raw}
        for p in (0, 1)
        for s in range(4)
    ]
    path = tmp_path / "anything.txt"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path, tmp_path / "data"


def test_a_command_scores_recorded_answers_without_images(recorded, tmp_path):
    path, data = recorded
    code, shown = zoo_eval(
        "--model", f"replay:{path}", "--task", "box", "--data", data, "--out", tmp_path / "run"
    )
    assert code == 0
    assert "full-frame" in shown
    results = Results.load(tmp_path / "run")
    assert results.aggregate["dice"].mean == 1.0
    assert set(results.scores.details["protocols"]) == {"paper", "answered", "all"}
    assert set(results.baselines) == {f"baseline:{n}" for n in ("full-frame", "centred-box", "random-box")}
    assert results.task == "box"
    again, _ = zoo_eval("--model", f"replay:{path}", "--data", data, "--out", tmp_path / "run")
    assert again == 0
    with pytest.raises(RunError, match="protocol"):
        voxzoo.evaluate(f"replay:{path}", data, tmp_path / "run", task="box", protocol="paper")


def test_lines_that_cannot_be_used_end_in_exit_code_1(recorded, tmp_path):
    path, data = recorded
    with path.open("a") as file:
        file.write("\noops\n")
    code, shown = zoo_eval(
        "--model", f"replay:{path}", "--task", "box", "--data", data, "--out", tmp_path / "r"
    )
    assert code == 1
    assert f"{path}:9: not JSON" in shown
    assert Results.load(tmp_path / "r").aggregate["dice"].mean == 1.0


@pytest.mark.parametrize("task", ["grade", "polygon"])
def test_a_task_that_was_not_asked_is_one_line(recorded, tmp_path, task):
    path, data = recorded
    code, shown = zoo_eval(
        "--model", f"replay:{path}", "--task", task, "--data", data, "--out", tmp_path / "r"
    )
    assert code == 1
    assert "it holds box" in shown


def test_some_cases_only(recorded):
    path, data = recorded
    found = voxzoo.evaluate(f"replay:{path}", data, task="box", cases=("1",))
    assert [record.case for record in found.cases] == ["1"]
    with pytest.raises(UsageError, match="'9' is not in"):
        voxzoo.evaluate(f"replay:{path}", data, task="box", cases=("9",))


def test_the_ground_truth_alone_cannot_be_shown_to_a_live_model(recorded):
    with pytest.raises(UsageError, match="no images"):
        voxzoo.evaluate(Seer(), recorded[1], task="box")


@pytest.mark.data
@pytest.mark.parametrize(
    ("file", "task", "options", "expected"),
    [
        ("cls_general_axial", "grade", (), {"accuracy": 0.7818, "f1": 0.8776, "specificity": 0.0}),
        (
            "cls_general_axial",
            "grade",
            ("--slices", "core20", "--no-slices", "low"),
            {"accuracy": 0.7636, "recall": 0.9091, "specificity": 0.1818},
        ),
        ("centre_general", "center", (), {"in_box": 0.0805, "shortest_p95": 22.8566, "euclid_p95": 57.4112}),
        ("bbox_general", "box", (), {"dice": 0.1219, "hd": 65.9103, "hd95": 65.9103, "recall": 0.2941}),
    ],
)
def test_the_command_gives_the_published_figures(file, task, options, expected, data_root, tmp_path):
    path = data_root / "thesis_transcripts" / "part_A" / f"{file}.jsonl"
    code, _ = zoo_eval(
        *("--model", f"replay:{path}", "--task", task, "--data", data_root / "thesis_transcripts"),
        *("--protocol", "paper", "--out", tmp_path, *options),
    )
    found = json.loads((tmp_path / "results.json").read_text())
    assert code == 0
    assert {name: round(found["aggregate"][name]["mean"], 4) for name in expected} == expected
    assert found["protocols"]["paper"] == found["aggregate"]


@pytest.mark.data
def test_trivial_answers_score_what_the_study_note_says(data_root):
    folder = data_root / "thesis_transcripts"
    for file, task, name, metric, expected in (
        ("bbox_general", "box", "full-frame", "dice", 0.122),
        ("bbox_general", "box", "centred-box", "dice", 0.141),
        ("centre_general", "center", "centred-point", "euclid_p95", 48.8),
        ("cls_general_axial", "grade", "always-high", "f1", 0.889),
    ):
        found = voxzoo.evaluate(f"replay:{folder / 'part_A' / file}.jsonl", folder, task=task)
        value = found.baselines[f"baseline:{name}"].aggregate[metric].mean
        assert value == pytest.approx(expected, abs=0.05 if expected > 1 else 5e-4)
