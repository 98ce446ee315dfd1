"""Runs of classifiers: what counts as wrong, what takes no part, what is kept, what is shown."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from voxzoo.eval import cli, tables
from voxzoo.eval.report import Reporter, footnotes
from voxzoo.eval.results import Results
from voxzoo.eval.runner import evaluate
from voxzoo.zoo.contract import ImageSpec
from voxzoo.zoo.errors import RunError, UsageError

MAJORITY = "baseline:majority-class"
IMAGES = ImageSpec("x", ("red", "green", "blue"), (32, 32), "pad", "unit")


def stable(results):
    """The file without what may differ between sessions."""
    plain = results.to_dict() if isinstance(results, Results) else json.loads(results.read_bytes())
    for scores in (plain, *plain["baselines"].values()):
        del scores["times"]
        scores.pop("energy", None)
        for case in scores["cases"]:
            del case["seconds"], case["energy"]
    del plain["environment"], plain["session"]
    return json.dumps(plain)


def shown(results, width=110):
    console = Console(width=width, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    Reporter(console, console).show(results)
    return console.export_text()


def test_figures_by_hand(toys):
    """Truth high high high low; answered high (0.9), low (0.4), high (0.6), high (0.7)."""
    answers = {"case0": [0.1, 0.9], "case1": [0.6, 0.4], "case2": [0.4, 0.6], "case3": [0.3, 0.7]}
    model = toys.classifier(answers=answers)
    results = evaluate(model, toys.graded("high", "high", "high", "low"), seed=3)
    figures = {name: a.mean for name, a in results.aggregate.items()}
    assert figures["accuracy"] == 2 / 4
    assert figures["recall_high"] == pytest.approx(2 / 3)
    assert figures["recall_low"] == figures["precision_low"] == figures["f1_low"] == 0
    assert figures["precision_high"] == pytest.approx(2 / 3)
    assert figures["balanced_accuracy"] == figures["macro_f1"] == pytest.approx(1 / 3)
    # tp 2, fp 1, fn 1, tn 0
    assert figures["mcc"] == pytest.approx(-1 / math.sqrt(3 * 3 * 1 * 1))
    # High scores 0.9, 0.4, 0.6 against low's 0.7: one pair of three is won.
    assert figures["auc"] == pytest.approx(1 / 3)
    assert figures["nll"] == pytest.approx(-math.log(0.9 * 0.4 * 0.6 * 0.3) / 4, rel=1e-6)
    assert figures["brier"] == pytest.approx(2 * (0.1**2 + 0.6**2 + 0.4**2 + 0.7**2) / 4, rel=1e-6)
    # 0.6 and 0.6 share a bin (one right of two); 0.7 and 0.9 have their own.
    assert figures["ece"] == pytest.approx((2 * 0.1 + 0.7 + 0.1) / 4, rel=1e-6)
    assert "auc_high" not in figures
    assert results.task == "classify"
    assert results.scores.details["target"] == "grade"
    assert results.scores.details["support"] == {"low": 1, "high": 3}
    assert results.scores.details["confusion"] == {
        "reference": ["low", "high"],
        "answer": ["low", "high", None],
        "counts": [[0, 1, 0], [1, 2, 0]],
    }
    record = results.cases[1]
    assert (record.reference, record.answer["label"], record.metrics["correct"]) == ("high", "low", 0)
    assert record.metrics["p_true"] == pytest.approx(0.4)


def test_the_majority_class_stands_beside_the_model(toys):
    baseline = evaluate(toys.classifier(), toys.graded("high", "low", "high", "high")).baselines[MAJORITY]
    means = {name: a.mean for name, a in baseline.aggregate.items()}
    assert "always 'high'" in baseline.model["found"]
    assert (means["accuracy"], means["balanced_accuracy"], means["mcc"], means["auc"]) == (0.75, 0.5, 0, 0.5)
    assert means["ece"] == 0
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert means["nll"] == pytest.approx(entropy, rel=1e-6)
    assert not evaluate(toys.classifier(), toys.graded("high", "low"), baseline=False).baselines


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"fail": ["case1"]}, "the toy is broken"),
        ({"answers": {"case1": [math.nan, math.nan]}}, "no set of probabilities"),
        ({"answers": {"case1": [0.5, 0.6]}}, "no set of probabilities"),
        ({"answers": {"case1": [-0.5, 1.5]}}, "no set of probabilities"),
        ({"answers": {"case1": [1.0, 0.0, 0.0]}}, "3"),
    ],
)
def test_a_case_without_an_answer_is_certainly_wrong(toys, bad, reason):
    results = evaluate(toys.classifier(**bad), toys.graded("high", "low", "high", "low"))
    (failure,) = results.failures
    assert (failure.case, failure.reference) == ("case1", "low")
    assert reason in failure.reason
    accuracy, recall = results.aggregate["accuracy"], results.aggregate["recall_low"]
    assert (accuracy.mean, accuracy.n, accuracy.missing) == (0.75, 4, 1)
    assert (recall.mean, recall.n, recall.missing) == (0.5, 2, 1)
    assert results.aggregate["precision_low"].mean == 1
    assert results.aggregate["auc"].mean == 0.5  # it stands above both that are high
    assert results.aggregate["brier"].mean == pytest.approx(2 / 4)
    assert results.aggregate["nll"].mean == pytest.approx(23 * math.log(2) / 4)
    assert results.aggregate["ece"].mean == pytest.approx(1 / 4)
    assert results.scores.details["confusion"]["counts"] == [[1, 0, 1], [0, 2, 0]]
    assert results.baselines[MAJORITY].aggregate["accuracy"].missing == 0


def test_cases_without_a_reference_are_counted_named_and_never_wrong(toys):
    model = toys.classifier()
    results = evaluate(model, toys.graded("high", None, "low", None))
    assert model.inferred == ["case0", "case2"]
    counts = results.scores.counts
    assert (counts["cases"], counts["scored"], counts["failed"], counts["no_reference"]) == (4, 2, 0, 2)
    assert (results.aggregate["accuracy"].n, results.aggregate["accuracy"].mean) == (2, 1)
    assert not results.failures
    assert [r.case for r in results.scores.without_reference] == ["case1", "case3"]
    assert "No reference (2 of 4, not scored): case1, case3" in footnotes(results)
    assert results.baselines[MAJORITY].counts["no_reference"] == 2


def test_a_class_that_the_model_does_not_know(toys):
    model = toys.classifier()
    results = evaluate(model, toys.graded("high", "unclear", "low"))
    (failure,) = results.failures
    assert "case1: its grade is 'unclear', the model knows low, high" in failure.reason
    assert "case1" not in model.inferred
    assert results.aggregate["accuracy"].mean == pytest.approx(2 / 3)
    assert results.aggregate["balanced_accuracy"].mean == 1
    confusion = results.scores.details["confusion"]
    assert confusion["reference"] == ["low", "high", "unclear"]
    assert confusion["counts"][2] == [0, 0, 1]
    assert results.baselines[MAJORITY].aggregate["accuracy"].missing == 1


def test_every_case_fails(toys):
    results = evaluate(toys.classifier(fail=["case0", "case1"]), toys.graded("high", "low"))
    assert results.aggregate["accuracy"].mean == results.aggregate["auc"].mean == 0
    assert "Failed (2 of 2):" in shown(results)


def test_one_class_only(toys):
    results = evaluate(toys.classifier(), toys.graded("high", "high", "high"))
    assert math.isnan(results.aggregate["auc"].mean)
    assert math.isnan(results.aggregate["mcc"].mean)
    assert results.aggregate["auc"].ci95 is None
    assert results.aggregate["accuracy"].mean == 1
    text = shown(results)
    assert "Not among these cases: low." in text
    assert "All of one class: MCC and AUC are undefined" in text


def test_what_cannot_be_a_run(toys):
    with pytest.raises(UsageError, match=r"none of its 2 cases says its 'grade'.*facts there are: site"):
        evaluate(toys.classifier(), toys.graded(None, None))
    with pytest.raises(UsageError, match="toy-cls was made to classify, it cannot be asked to segment"):
        evaluate(toys.classifier(), toys.graded("high"), task="segment")
    with pytest.raises(UsageError, match="cannot be asked to classify"):
        evaluate(toys.model(), toys.graded("high"), task="classify")
    model = toys.classifier()
    output = replace(model.contract.output, target="")
    model.contract = replace(model.contract, output=output)
    with pytest.raises(UsageError, match=r"output\.target"):
        evaluate(model, toys.graded("high"))


@pytest.mark.parametrize("option", [{"preset": "medpy"}, {"empty": 5.0}, {"save_masks": "masks"}])
def test_options_of_another_task_are_refused(toys, option):
    with pytest.raises(UsageError, match=r"is about the task segment.*; the task here is classify"):
        evaluate(toys.classifier(), toys.graded("high", "low"), **option)


def test_intervals_are_over_patients(toys):
    """Ten cases of two patients: only as much is known as of two."""
    cases = [replace(toys.case(i), patient=f"p{i // 5}", grade="high" if i % 2 else "low") for i in range(10)]
    wrong = {case.id: [0.5, 0.5] for case in cases[:5]}  # the first of equals: low
    by_patient = evaluate(toys.classifier(answers=wrong), toys.dataset(cases))
    low, high = by_patient.aggregate["accuracy"].ci95
    assert (low, high) == (pytest.approx(3 / 5), 1)
    own = [replace(case, patient=case.id) for case in cases]
    low, high = evaluate(toys.classifier(answers=wrong), toys.dataset(own)).aggregate["accuracy"].ci95
    assert low < 3 / 5
    assert high == 1
    text = "\n".join(footnotes(by_patient))
    assert "Intervals resample 2 patients." in text


def test_the_seed_and_threads_change_no_figure(toys):
    data = toys.graded(*(["high", "low", "high", None] * 5))
    answers = {f"case{i}": [0.3, 0.7] for i in range(9)}
    one = evaluate(toys.classifier(answers=answers), data, workers=0, seed=1)
    assert stable(one) == stable(evaluate(toys.classifier(answers=answers), data, workers=3, seed=1))
    other = evaluate(toys.classifier(answers=answers), data, seed=2)
    assert {n: a.mean for n, a in one.aggregate.items()}.keys() == other.aggregate.keys()
    assert one.aggregate["nll"].mean == other.aggregate["nll"].mean
    assert one.aggregate["nll"].ci95 != other.aggregate["nll"].ci95


def test_files_and_their_way_back(toys, tmp_path):
    data = toys.graded("high", "low", None, "high")
    results = evaluate(toys.classifier(fail=["case1"]), data, tmp_path / "run")
    folder = tmp_path / "run"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["cases.csv", "cases.majority-class.csv", "records.jsonl", "results.json"]
    assert Results.load(folder).to_json() == results.to_json()
    plain = json.loads((folder / "results.json").read_text())
    assert plain["task"] == "classify"
    assert plain["classes"] == ["low", "high"]
    assert plain["aggregate"]["mcc"].keys() == {"mean", "ci95", "n", "missing", "empty"}
    rows = tables.rows(results.scores)
    assert (rows[0]["reference"], rows[0]["label"], rows[0]["probabilities.high"]) == ("high", "high", 1)
    assert (rows[1]["status"], rows[1]["label"], rows[1]["correct"]) == ("failed", None, 0)
    assert (rows[2]["status"], rows[2]["reference"], rows[2]["correct"]) == ("no-reference", None, None)


def test_nothing_is_computed_twice_until_the_truth_changes(toys, tmp_path):
    run = tmp_path / "run"
    first = evaluate(toys.classifier(), toys.graded("high", "low", None), run)
    lines = (run / "records.jsonl").read_bytes().count(b"\n")
    again = toys.classifier()
    second = evaluate(again, toys.graded("high", "low", None), run)
    assert again.inferred == []
    assert second.session["cases_reused"] == 3
    assert stable(first) == stable(second)
    assert (run / "records.jsonl").read_bytes().count(b"\n") == lines
    answers = {"case1": [1.0, 0.0]}
    corrected = toys.classifier(answers=answers)
    results = evaluate(corrected, toys.graded("high", "high", "low"), run)
    assert corrected.inferred == ["case1", "case2"]
    assert results.aggregate["accuracy"].mean == pytest.approx(2 / 3)
    assert stable(results) == stable(
        evaluate(toys.classifier(answers=answers), toys.graded("high", "high", "low"))
    )


def test_another_temperature_is_another_run(toys, tmp_path):
    evaluate(toys.classifier(), toys.graded("high", "low"), tmp_path)
    model = toys.classifier()
    output = replace(model.contract.output, temperature=2.0)
    model.contract = replace(model.contract, output=output)
    with pytest.raises(RunError, match="contract"):
        evaluate(model, toys.graded("high", "low"), tmp_path)


# A run that kills itself, as hard as it goes, before the case that is named.
CHILD = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import conftest
from voxzoo.eval import environment, runner

class Killed(conftest.ToyClassifier):
    def infer(self, case):
        if case.id == sys.argv[3]:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().infer(case)

environment.code_version = lambda: "code"  # else editing a file while this runs would be another run
answers = {f"case{i}": [0.2 + i / 20, 0.8 - i / 20] for i in range(8)}
data = conftest.make_graded(*["high", "low", None, "high"] * 2, "low", "high")
runner.evaluate(Killed(answers=answers, fail=["case4"]), data, sys.argv[2])
"""


def test_killed_in_the_middle_it_ends_with_the_same_bytes(tmp_path):
    def run(folder, case):
        command = [sys.executable, "-c", CHILD, os.path.dirname(__file__), str(folder), case]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, start_new_session=True)

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    assert run(killed, "case7").returncode == -signal.SIGKILL
    assert not (killed / "results.json").exists()
    assert (killed / "records.jsonl").read_bytes().count(b"\n") > 2
    assert run(killed, "nobody").returncode == run(whole, "nobody").returncode == 0
    assert stable(killed / "results.json") == stable(whole / "results.json")
    session = json.loads((killed / "results.json").read_bytes())["session"]
    assert session["cases_reused"] >= 2


def test_training_cases_among_the_scored_ones_are_named(toys):
    model = toys.classifier()
    cases = [f"case{i}" for i in range(30)]
    model.contract = replace(model.contract, training={"cases": cases})
    data = toys.graded(*["high", "low"] * 10)
    text = shown(evaluate(model, data))
    assert "NOT HELD OUT: the model was trained on 20 of these cases" in text
    assert "and 8 more" in text


def test_the_report_of_many_classes(toys):
    """No matrix that fits nowhere, but what is taken for what."""
    names = [f"class{i:02d}" for i in range(20)]
    wrong = {"case3": np.eye(20)[7], "case4": np.eye(20)[7]}
    data = toys.graded(*names, "class03")
    wrong["case20"] = np.eye(20)[7]
    text = shown(evaluate(toys.classifier(classes=names, answers=wrong), data))
    assert "Confused most often:\n  class03 taken for class07: 2\n  class04 taken for class07: 1\n" in text
    assert "true \\ answered" not in text


def test_the_report_says_what_matters(toys):
    answers = {"case0": [0.05, 0.95], "case1": [0.1, 0.9], "case2": [0.45, 0.55]}
    model = toys.classifier(answers=answers, fail=["case3"])
    output = replace(model.contract.output, temperature=1.5)
    model.contract = replace(model.contract, output=output)
    text = shown(evaluate(model, toys.graded("high", "low", "high", "low", None)))
    for word in (
        "toy-cls on toys (5 patients)",
        "majority-class",
        "balanced accuracy",
        "4/1",
        "true \\ answered",
        "no answer",
        "Calibration: 0.850 sure on average, 0.500 right: overconfident (ECE",
        "15 equal-width bins; temperature 1.5 of the contract applied",
        "Surest mistakes (1 in all):\n  case1: high (0.900), WRONG, it is low",
        "Failed (1 of 5):\n  case3: the toy is broken",
        "Intervals resample 4 patients",
    ):
        assert word in text, text


def test_long_names_of_classes_are_numbered(toys):
    names = ["a_rather_long_name_of_a_class", "another_rather_long_name", "a_third_name_of_a_class"]
    text = shown(evaluate(toys.classifier(classes=names), toys.graded(*names)))
    (head,) = (line for line in text.splitlines() if "true \\ answered" in line)
    assert head.split()[-3:] == ["1", "2", "3"]
    assert "2 another_rather_long_name" in text


@pytest.fixture
def zoo_eval(tmp_path, monkeypatch):
    """The command with a classifier in place of what ``--model`` names."""
    from voxzoo.zoo import registry

    monkeypatch.chdir(tmp_path)

    def run(model, *arguments):
        monkeypatch.setattr(registry, "load", lambda name, **options: model)
        command = ["--model", "toy", *(str(a) for a in arguments)]
        result = CliRunner().invoke(cli.command, command, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return result

    return run


def test_a_folder_of_images_from_the_command_line(toys, tmp_path, zoo_eval):
    import cv2

    for name, shade in (("bright", 200), ("dark", 40)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(3):
            image = np.full((20, 24, 3), shade + i, np.uint8)
            cv2.imwrite(str(tmp_path / "images" / name / f"{i}.png"), image)
    model = toys.classifier(classes=("bright", "dark"), target="class", spec=IMAGES)
    result = zoo_eval(model, "--data", "images", "--out", "run")
    assert result.return_value == 0
    assert "asked    class: bright, dark" in result.stderr
    assert "[6/6] " in result.stderr
    assert "accuracy" in result.stdout
    assert Results.load(tmp_path / "run").aggregate["accuracy"].n == 6
    again = zoo_eval(model, "--data", "images", "--out", "run", "--json")
    assert json.loads(again.stdout)["session"]["cases_reused"] == 6
    broken = tmp_path / "images" / "dark" / "1.png"
    broken.write_bytes(broken.read_bytes()[:-20])
    result = zoo_eval(model, "--data", "images", "--out", "run")
    assert result.return_value == 1
    assert "Failed (1 of 6):" in result.stdout
    assert "1.png: the image is cut short" in result.stdout
    assert Results.load(tmp_path / "run").aggregate["recall_dark"].mean == pytest.approx(2 / 3)


@pytest.mark.data
def test_real_images(toys, data_root, tmp_path, zoo_eval):
    names = ("colon_polyps", "erythema", "large_bowels", "normal_esophagus")
    sure, unsure = np.eye(4) * 0.6 + 0.1, np.full(4, 0.25)

    class Guesser(toys.classifier):
        """Right of every second image, of the others at a loss."""

        def infer(self, case):
            self.inferred.append(case.id)
            place = names.index(case.fact("class"))
            return (sure[place] if len(self.inferred) % 2 else unsure).astype(np.float32)

    model = Guesser(classes=names, target="class", spec=IMAGES)
    result = zoo_eval(model, "--data", data_root / "endoscopy", "--out", "run", "--quiet")
    assert result.return_value == 0
    results = Results.load(tmp_path / "run")
    support = results.scores.details["support"]
    assert support["erythema"] == 10
    assert results.aggregate["accuracy"].n == sum(support.values()) == len(results.cases)
    # At a loss, the first class is answered: right for the polyps, wrong for everyone else.
    assert results.aggregate["recall_colon_polyps"].mean == 1
    assert results.aggregate["recall_erythema"].mean == 0.5
    assert results.aggregate["precision_erythema"].mean == 1
    low, high = results.aggregate["recall_erythema"].ci95
    assert low < 0.5 < high


@pytest.mark.data
def test_real_patients_of_known_and_unknown_grade(toys, data_root):
    results = evaluate(toys.classifier(answers={"BraTS2021_00000": [0.8, 0.2]}), data_root / "glioma3d")
    counts = results.scores.counts
    assert (counts["cases"], counts["scored"], counts["no_reference"]) == (10, 6, 4)
    assert {r.case for r in results.scores.without_reference} == {
        "BraTS2021_01479",
        "BraTS2021_01481",
        "BraTS2021_01484",
        "BraTS2021_01485",
    }
    assert results.aggregate["accuracy"].mean == pytest.approx(5 / 6)
    assert results.scores.details["support"] == {"low": 0, "high": 6}
    assert math.isnan(results.aggregate["auc"].mean)
    assert results.cases[0].slices == 155
