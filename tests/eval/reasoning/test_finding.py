"""The classifier's part: what labels mean, which images are shown, what the models are told."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from voxzoo.eval.reasoning.benchmark import read_benchmark
from voxzoo.eval.reasoning.command import evaluate_reasoning
from voxzoo.eval.reasoning.finding import Finder, choose_images, settle_labels
from voxzoo.zoo.contract import ImageSpec
from voxzoo.zoo.datasets import open_dataset
from voxzoo.zoo.errors import UsageError
from voxzoo.zoo.model import Prediction
from voxzoo.zoo.tasks.classify import Classification

CONDITIONS = ("colon_polyps", "erythema", "large_bowels", "normal_esophagus")


class Bright:
    """Classifies by brightness: four classes from black to white, the second choice is the next class."""

    name, content_hash = "bright", "b" * 64

    def __init__(self, labels=CONDITIONS, training=None):
        self.contract = SimpleNamespace(
            task="classify",
            input=ImageSpec("image", ("red", "green", "blue"), (8, 8), "pad", "unit"),
            labels=dict(enumerate(labels)),
            training=training,
        )

    def predict(self, case):
        place = int(case.read().mean()) // 64
        shares = np.full(4, 0.05, np.float32)
        shares[place], shares[(place + 1) % 4] = 0.7, 0.2
        return Prediction(Classification(self.contract.labels, shares), {})


@pytest.fixture
def folder(tmp_path):
    """Three images of each condition, by name as bright as the condition's place, but for one."""
    for place, name in enumerate(CONDITIONS):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(3):
            level = 64 * place + 20 + number
            image = np.full((8, 8, 3), 250 if (place, number) == (0, 2) else level, np.uint8)
            cv2.imwrite(str(tmp_path / "data" / name / f"{number}.png"), image)
    return tmp_path / "data"


class Listens:
    name, content_hash = "listens", "l" * 64

    def __init__(self):
        self.prompts = []

    def answer(self, question):
        self.prompts.append(question.prompt)
        said = "Polypectomy." if "reports: colon polyps" in question.prompt else "No treatment is needed."
        return json.dumps(dict.fromkeys(question.schema["properties"], said))


def test_labels_that_are_written_alike_need_no_mapping():
    assert settle_labels(("a", "b"), ("b", "a"), {}) == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "does not know the classifier's polyps, other: .*polyps=...,other=..."),
        ({"polyps": "polyp"}, "does not know the classifier's other"),
        ({"polyps": "polyps", "other": "-"}, "'polyps' is no condition"),
        ({"polyp": "polyp", "other": "-"}, "'polyp' is no label"),
    ],
)
def test_a_mapping_is_asked_for_never_guessed(given, told):
    with pytest.raises(UsageError, match=told):
        settle_labels(("polyps", "other"), ("polyp", "ulcer"), given)
    found = settle_labels(("polyps", "other"), ("polyp",), {"polyps": "polyp", "other": "-"})
    assert found == {"polyps": "polyp", "other": "other"}


@pytest.mark.parametrize("labels", ["a", "a=", "=b", "a=b,a=c"])
def test_mappings_that_are_none(labels):
    with pytest.raises(UsageError, match="expected LABEL=CONDITION"):
        evaluate_reasoning(Listens(), "example", classifier=Bright(), labels=labels)


def test_what_a_model_is_told_in_each_arm(folder):
    asker = Listens()
    found = evaluate_reasoning(asker, "example", data=folder, classifier=Bright(), images=3).results
    told = [line.split(". ", 1)[1].splitlines()[0] for line in asker.prompts if "reports" in line]
    assert (
        told.count("A classifier reports: colon polyps (calibrated probability 0.70; next: erythema, 0.20).")
        == 2
    )
    assert (
        told.count(
            "A classifier reports: normal esophagus (calibrated probability 0.70; next: colon polyps, 0.20)."
        )
        == 4
    )  # one of them is a polyp
    assert sum("No finding was reported." in prompt for prompt in asker.prompts) == 4
    assert sum("The confirmed finding is" in prompt for prompt in asker.prompts) == 4
    classifier = found.scores.details["classifier"]
    assert (classifier["images"], classifier["right"], classifier["calibrated"]) == (12, 11, False)
    polyps = next(record for record in found.cases if record.case == "polyps-treatment")
    assert polyps.metrics["recall_predicted"] == pytest.approx(0.5 * 2 / 3)  # polypectomy, on two of three
    assert polyps.metrics["recall_true"] == 0  # it listens to classifiers only
    gain = found.aggregate["recall_predicted_minus_without"]
    assert gain.n == 10
    assert gain.mean == pytest.approx(
        np.mean([r.metrics["recall_predicted"] - r.metrics["recall_without"] for r in found.cases])
    )


def test_images_are_chosen_by_seed_and_not_from_training(folder):
    benchmark = read_benchmark("example")
    data = open_dataset(str(folder))

    def chosen(finder, count=2, seed=0, **more):
        images, left_out = choose_images(benchmark, data, finder, count, seed, **more)
        return [case.id for _, _, case in images], left_out

    free = Finder.of(Bright(), benchmark, {})
    assert chosen(free) == chosen(free)
    assert len(chosen(free)[0]) == 8
    assert len({tuple(chosen(free, 1, seed)[0]) for seed in range(8)}) > 1
    trained = Finder.of(Bright(training={"cases": ["erythema/0.png", "erythema/2.png"]}), benchmark, {})
    images, left_out = chosen(trained)
    assert [name for name in images if name.startswith("erythema")] == ["erythema/1.png"]
    assert left_out == 2
    assert chosen(trained, take_seen=True) == (chosen(free)[0], 0)
    everything = Finder.of(Bright(training={"cases": [case.id for case in data.cases]}), benchmark, {})
    with pytest.raises(UsageError, match="12 are of its training, which --seen takes"):
        chosen(everything)


def test_an_image_that_cannot_be_read_counts_as_no_reply(folder):
    (folder / "erythema" / "0.png").write_bytes(b"no image")
    found = evaluate_reasoning(
        Listens(), "example", data=folder, classifier=Bright(), images=3, arms="predicted"
    ).results
    assert found.scores.details["classifier"]["failed"] == 1
    assert found.scores.details["statuses"]["predicted"]["all"]["no reply"] == 2  # its two sections
    assert any("erythema/0.png" in line for line in found.scores.details["problems"])


def test_classes_of_the_data_may_be_labels_but_nothing_else(folder):
    labels = ("polyps", "redness", "bowel", "oesophagus")
    mapping = ",".join(f"{label}={name}" for label, name in zip(labels, CONDITIONS, strict=True))
    for label, name in zip(labels, CONDITIONS, strict=True):
        (folder / name).rename(folder / label)
    found = evaluate_reasoning(
        Listens(), "example", data=folder, classifier=Bright(labels), labels=mapping, arms="predicted"
    ).results
    assert found.scores.details["classifier"]["images"] == 4
    (folder / "polyps").rename(folder / "unknown")
    with pytest.raises(UsageError, match="'unknown' is neither a condition"):
        evaluate_reasoning(Listens(), "example", data=folder, classifier=Bright(labels), labels=mapping)


def test_items_with_images_of_their_own(folder, tmp_path):
    line = {"id": "1", "condition": "erythema", "section": "causes", "key_points": ["NSAIDs"], "source": "t"}
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({**line, "verified_by": None, "image": "data/erythema/1.png"}))
    labels = "colon_polyps=-,large_bowels=-,normal_esophagus=-"
    found = evaluate_reasoning(Listens(), path, classifier=Bright(), labels=labels).results
    (look,) = found.scores.details["classifier"]["looks"]
    assert (look["image"], look["finding"]) == ("data/erythema/1.png", "erythema")
    assert found.scores.details["arms"] == ["without", "predicted", "true"]


@pytest.mark.data
def test_the_bundled_classifier_on_images_that_it_never_saw(data_root):
    asker = Listens()
    found = evaluate_reasoning(
        asker, "example", data=data_root / "endoscopy", classifier="mobilecoatnet-endoscopy", images=2
    ).results
    classifier = found.scores.details["classifier"]
    assert classifier["calibrated"]
    assert classifier["images"] == 8
    assert classifier["trained_on_left_out"] == 265
    assert found.scores.details["statuses"]["predicted"]["all"] == {"answered": 20}
