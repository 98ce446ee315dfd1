"""Every published, corrected and per-patient value of the study's recorded answers, one test each."""

import json
import os
from functools import cache
from pathlib import Path

import pytest

from voxzoo.eval.language.grade import score_grade
from voxzoo.eval.language.protocols import named
from voxzoo.eval.language.references import read_references
from voxzoo.eval.language.scoring import Reading

pytestmark = pytest.mark.data

ROOT = Path(os.environ.get("VOXZOO_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
STUDY = ROOT / "thesis_transcripts"
REGION = {
    "dice": "dice",
    "hd": "hd95",
    "precision": "precision",
    "recall": "recall",
    "specificity": "specificity",
}
POINT = {name: name for name in ("in_box", "shortest_p95", "euclid_p95")}
RATES = ("accuracy", "f1", "precision", "recall", "specificity")
NO_SLICES = {"empty_drop": "drop", "empty_LGG": "low"}
SAME_SLICE = ("quoted-reference", "half-open-box", "row-edges")
RULES = {
    "bbox/general/author": ("bbox_general", "box", "paper", {}),
    "bbox/general/same_slice_gt": ("bbox_general", "box", "paper", {"quirks": SAME_SLICE}),
    "bbox/general/corrected_answered": ("bbox_general", "box", "answered", {"empty": 128}),
    "bbox/general/corrected_all": ("bbox_general", "box", "all", {"empty": 128}),
    "centre/general/author": ("centre_general", "center", "paper", {}),
    "centre/general/corrected_answered": ("centre_general", "center", "answered", {}),
    "centre/general/corrected_all": ("centre_general", "center", "all", {}),
    "polygon/general/author": ("polygon_general", "polygon", "paper", {}),
    "polygon/general/pooled_corrected": (
        "polygon_general",
        "polygon",
        "answered",
        {"pooling": "volume", "empty": 128},
    ),
    "polygon/general/per_slice_answered": ("polygon_general", "polygon", "answered", {"empty": 128}),
    "polygon/general/per_slice_corrected": ("polygon_general", "polygon", "all", {"empty": 128}),
}
"""Key of expected.json -> file, task, protocol, options."""


@cache
def study(name):
    path = STUDY / "part_A" / name
    return json.loads(path.read_text()) if path.is_file() else {}


@cache
def opened(file, task):
    return Reading.open(STUDY / "part_A" / f"{file}.jsonl", task, _references())


@cache
def _references():
    return read_references(STUDY)


@cache
def scored(key):
    file, task, protocol, options = RULES[key] if key in RULES else _grade_rules(key)
    return opened(file, task).score(named(protocol, task, **options))


def _grade_rules(key):
    _, run, parser, vote, empty = key.split("/")
    slices = "core20" if run.endswith("__core20") else "all"
    rules = {
        "parser": parser,
        "vote": vote.replace("_", "-"),
        "no_slices": NO_SLICES[empty],
        "slices": slices,
    }
    return f"cls_{run.removesuffix('__core20')}", "grade", "paper", rules


def of_regions_and_points():
    for key, values in study("expected.json").get("expected", {}).items():
        if not key.startswith("cls"):
            yield from ((key, name) for name in values if name in REGION or name in POINT)


def of_grades():
    for key, values in study("expected.json").get("expected", {}).items():
        if key.startswith("cls") and "slice_counts" not in key and "+" not in key:
            yield from ((key, name) for name in values)


def published(name):
    return study("expected.json")["published"][name]


def figure(key, name):
    return scored(key).values[(POINT if key.startswith("centre") else REGION)[name]]


@pytest.mark.parametrize(("key", "name"), [*of_regions_and_points()])
def test_a_figure_over_patients(key, name, data_root):
    assert figure(key, name) == pytest.approx(study("expected.json")["expected"][key][name], rel=0, abs=1e-9)


@pytest.mark.parametrize("key", RULES)
def test_every_figure_of_every_patient(key, data_root):
    expected = study("expected_per_patient.json")[key]
    found = scored(key).patients
    names = POINT if key.startswith("centre") else REGION
    assert set(found) == set(expected)
    for patient, values in expected.items():
        for theirs, value in values.items():
            assert found[patient][names[theirs]] == pytest.approx(value, rel=0, abs=1e-9), (patient, theirs)


@pytest.mark.parametrize("key", RULES)
def test_what_was_counted(key, data_root):
    expected, counts = study("expected.json")["expected"][key], scored(key).counts
    ours = {
        "patients": "patients",
        "slices_scored": "slices_scored",
        "slices_total": "slices",
        "slices": "slices",
        "unanswered": "unanswered",
        "slices_scored_with_stale_gt": "stale_reference",
    }
    same = {name: counts[ours[name]] for name in expected if name in ours}
    assert same == {name: expected[name] for name in same}
    assert len(same) >= 2
    if "slices_answered" in expected:
        assert counts["slices"] - counts["unanswered"] == expected["slices_answered"]


@pytest.mark.parametrize(("key", "name"), [*of_grades()])
def test_a_figure_of_grades(key, name, data_root):
    expected, result = study("expected.json")["expected"][key][name], scored(key)
    if name == "predicted_2_or_3":
        assert [int(p) for p in result.left_out.get("abstained", ())] == expected
    elif name == "patients_scored":
        assert result.counts["patients"] + len(result.left_out.get("abstained", ())) == expected
    elif name in ("n", "tp", "tn", "fp", "fn"):
        assert result.counts["patients" if name == "n" else name] == expected
    else:
        ours = "auc" if name == "auc_gldr" else name
        assert result.values[ours] == pytest.approx(expected, rel=0, abs=1e-9)


def of_tallies():
    return [key for key in study("expected_per_patient.json") if "/tally_" in key]


@pytest.mark.parametrize("key", of_tallies())
def test_the_votes_of_every_patient(key, data_root):
    run, parser = key.removeprefix("cls/").split("/tally_")
    result = scored(f"cls/{run}/{parser}/abstain_wrong/empty_LGG")
    names = ("votes_low", "votes_high", "votes_none", "votes_unparsed")
    found = {p: [int(row[name]) for name in names] for p, row in result.patients.items()}
    assert found == study("expected_per_patient.json")[key]


@pytest.mark.parametrize("run", ["general_axial", "general_axial__core20", "finetuned_100steps"])
@pytest.mark.parametrize("parser", ["strict", "lenient"])
def test_the_votes_of_all_slices(run, parser, data_root):
    expected = study("expected.json")["expected"][f"cls/{run}/slice_counts"]
    counts = scored(f"cls/{run}/{parser}/author/empty_drop").counts
    assert [counts[name] for name in ("low", "high", "none", "unparsed")] == expected[parser]
    assert counts["slices"] == expected["total"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("centre/general", "centre/general/author"),
        ("bbox/general", "bbox/general/author"),
        ("polygon/general", "polygon/general/author"),
    ],
)
def test_the_published_tables_6_8_and_10_to_the_last_digit(name, key, data_root):
    for figure_name, value in published(name).items():
        if figure_name not in ("table", "reproduced_by"):
            assert round(figure(key, figure_name), 4) == value, figure_name


def test_the_published_table_3_to_the_last_digit(data_root):
    values = opened("cls_general_axial", "grade").score(named("paper", "grade")).values
    assert {name: round(values[name], 4) for name in RATES} == {
        name: published("cls/general_axial")[name] for name in RATES
    }


def test_the_first_row_of_table_4_adds_two_options(data_root):
    rules = named("paper", "grade", slices="core20", no_slices="low")
    values = opened("cls_general_axial", "grade").score(rules).values
    assert {name: round(values[name], 4) for name in RATES} == {
        name: published("cls/general_axial__core20")[name] for name in RATES
    }


def test_the_second_row_of_table_4_as_far_as_it_was_recorded(data_root):
    values = opened("cls_finetuned_100steps", "grade").score(named("paper", "grade")).values
    for name in ("f1", "precision", "recall"):
        assert round(values[name], 4) == published("cls/finetuned_100steps")[name]


def test_the_second_row_of_table_4_with_the_patient_who_is_not_recorded(data_root):
    rules = named("paper", "grade", assumed={"0": "low"})
    sheet = opened("cls_finetuned_100steps", "grade").sheet(rules)
    assert sheet.not_recorded == ("0",)
    result = score_grade(sheet, rules)
    key = "cls/finetuned_100steps/strict/author/empty_drop+patient0_inferred_TN"
    expected = study("expected.json")["expected"][key]
    for name in RATES:
        assert result.values[name] == pytest.approx(expected[name], rel=0, abs=1e-9)
        assert round(result.values[name], 4) == published("cls/finetuned_100steps")[name]
    assert {n: result.counts[n] for n in ("tp", "tn", "fp", "fn")} == {
        n: expected[n] for n in ("tp", "tn", "fp", "fn")
    }
    assert result.facts["assumed"] == {"0": "low"}


def test_every_key_of_the_study_is_tested():
    keys = set(study("expected.json").get("expected", {}))
    tested = {key for key, _ in (*of_grades(), *of_regions_and_points())}
    others = {key for key in keys if "slice_counts" in key or "+patient0" in key}
    assert keys == tested | others


def test_the_order_of_the_lines_does_not_matter(tmp_path, data_root):
    lines = (STUDY / "part_A" / "bbox_general.jsonl").read_text().splitlines()
    path = tmp_path / "anything.jsonl"
    path.write_text("\n".join(reversed(lines)))
    again = Reading.open(path, "box", _references()).score(named("paper", "box"))
    assert again.values == scored("bbox/general/author").values
