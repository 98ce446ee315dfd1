"""Finished runs beside each other: which pair up, on whose figures, and what is said about it."""

from dataclasses import replace

import numpy as np
import pytest

import voxzoo
from voxzoo.eval.language.compare import compare
from voxzoo.eval.markdown import table
from voxzoo.eval.pairs import Compared, column, comparable, pairs_of, read_runs
from voxzoo.eval.views.pairs import pairs_text
from voxzoo.zoo.errors import RunError, UsageError

DATA = "phantom:n=3,shape=48x56x48"


class Seer:
    """Draws a box around what is bright."""

    name, content_hash = "seer", "0" * 64

    def answer(self, question):
        bright = np.argwhere(question.image > 200)
        (top, left), (bottom, right) = bright.min(axis=0), bright.max(axis=0)
        return {
            "grade": f"Choice: {question.slice % 2}",
            "box": f"[({top}, {left}), ({top}, {right}), ({bottom}, {right}), ({bottom}, {left})]",
        }[question.task]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    out = tmp_path_factory.mktemp("cnn") / "cnn"
    voxzoo.evaluate("baseline:flair-threshold", DATA, out)
    return out


@pytest.fixture(scope="module")
def language(tmp_path_factory):
    out = tmp_path_factory.mktemp("language") / "seer"
    voxzoo.evaluate(Seer(), DATA, out, task="box")
    return out


@pytest.fixture(scope="module")
def grades():
    return Compared("grades", "grades", voxzoo.evaluate(Seer(), DATA, task="grade"))


def test_a_network_stands_beside_a_language_model_on_the_same_patients(network, language):
    runs = read_runs([f"cnn={network}", str(language / "results.json")])
    assert [run.name for run in runs] == ["cnn", "seer"]
    (pair,) = pairs_of(runs, "all")
    masks = {record.patient: record.metrics["dice"] for record in runs[0].results.cases}
    boxes = {record.patient: record.metrics["dice"] for record in runs[1].results.cases}
    assert (pair.first, pair.second, pair.figure) == ("cnn", "seer", "dice")
    assert pair.found == compare(masks, boxes)
    assert pair.found.n == 3
    text = pairs_text([pair], runs, "all")
    assert "not the same quantity" in text
    assert "under the protocol `all`" in text


def test_figures_are_those_of_the_protocol_asked_for(language):
    (run,) = read_runs([str(language)])
    paper = run.results.scores.details["scoring"]["paper"]["patients"]
    assert column(run, "paper", "hd")[1] == {p: row["hd"] for p, row in paper.items()}
    assert column(run, "all", "hd") != column(run, "paper", "hd")


def test_trivial_answers_are_compared_where_they_are_on_file(language):
    runs = read_runs([str(language)])
    found = {pair.second: pair.found for pair in pairs_of(runs, "all", trivial=True)}
    assert set(found) == {f"trivial: {name}" for name in ("full-frame", "centred-box", "random-box")}
    mine = {record.patient: record.metrics["dice"] for record in runs[0].results.cases}
    full = runs[0].results.baselines["baseline:full-frame"].cases
    assert found["trivial: full-frame"] == compare(mine, {r.patient: r.metrics["dice"] for r in full})
    with pytest.raises(UsageError, match="on file under the protocol all"):
        pairs_of(runs, "answered", trivial=True)


def test_what_was_not_asked_alike_makes_no_pair(network, language, grades):
    cnn, seer = read_runs([f"cnn={network}", str(language)])
    assert not comparable(cnn, grades)
    assert not comparable(seer, grades)
    assert pairs_of([cnn, grades], "all") == []
    (pair,) = pairs_of([cnn, seer, grades], "all")
    assert "In no pair: grades (grade)" in pairs_text([pair], [cnn, seer, grades], "all")
    assert "No two of these runs" in pairs_text([], [cnn, grades], "all")


def test_a_classifier_of_grades_stands_beside_grades(network, grades):
    (cnn,) = read_runs([f"cnn={network}"])
    scores = replace(cnn.results.scores, details={"target": "grade"})
    classifier = replace(cnn, results=replace(cnn.results, task="classify", scores=scores))
    assert comparable(classifier, grades)
    assert comparable(grades, classifier)
    stomach = replace(scores, details={"target": "class"})
    assert not comparable(replace(cnn, results=replace(classifier.results, scores=stomach)), grades)


def test_other_patients_are_none(language):
    (run,) = read_runs([str(language)])
    scoring = run.results.scores.details["scoring"]
    moved = {"all": {**scoring["all"], "patients": {"x": {"dice": 0.5}}}}
    details = {**run.results.scores.details, "scoring": moved}
    other = replace(
        run, name="other", results=replace(run.results, scores=replace(run.results.scores, details=details))
    )
    (pair,) = pairs_of([run, other], "all")
    assert pair.found is None
    last = pairs_text([pair], [run, other], "all").splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")][2:5] == ["other", "0", "—"]


def test_runs_of_one_name_need_names(network, language):
    with pytest.raises(UsageError, match="NAME=RUN"):
        read_runs([f"a={network}", f"a={language}"])
    with pytest.raises(RunError, match="cannot be read"):
        read_runs(["nowhere"])
    with pytest.raises(UsageError, match="no run has 'gain'; seer has dice"):
        pairs_of(read_runs([str(language)]), "all", "gain")


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"
