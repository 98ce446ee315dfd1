"""The results file: what counts, what is typed, what is refused."""

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from voxzoo.eval import tables
from voxzoo.eval.aggregate import summarise
from voxzoo.eval.names import METRICS, metric_names, split_name
from voxzoo.eval.options import ScoreOptions
from voxzoo.eval.records import FAILED, SCORED, CaseRecord
from voxzoo.eval.report import footnotes
from voxzoo.eval.results import SCHEMA, Results, Scores
from voxzoo.zoo.errors import RunError


def scored(case, patient=None, dice=0.5, hd95=3.0, **values):
    metrics = dict.fromkeys(metric_names(("wt",)), 0.25) | {"dice": dice, "hd95": hd95}
    return CaseRecord("m", case, patient or case, SCORED, metrics=metrics, diagonal_mm=100.0, **values)


def failed(case, patient=None, **values):
    return CaseRecord("m", case, patient or case, FAILED, reason="broken", **values)


def test_every_name_splits_into_metric_and_region():
    for name in metric_names(("wt", "tc", "et")):
        metric, region = split_name(name)
        assert metric in METRICS
        assert name == metric if region == "foreground" else name == f"{metric}_{region}"


def test_a_miss_is_a_failure_of_the_model():
    summary = summarise(
        [scored("a", dice=1.0), failed("b", diagonal_mm=80.0, reference_ml={"foreground": 4.0})], ("wt",)
    )
    dice, hd95 = summary.aggregate["dice"], summary.aggregate["hd95"]
    assert (dice.mean, dice.n, dice.missing, dice.empty) == (0.5, 2, 1, 0)
    assert hd95.mean == (3.0 + 80.0) / 2
    assert summary.aggregate["nsd"].mean == 0.125
    assert summary.records[1].metrics["volume_error_ml"] == -4.0
    assert summary.records[1].metrics["volume_error_rel"] == -1.0


def test_a_miss_of_unknown_size_costs_the_largest_diagonal_or_the_known_constant():
    assert summarise([scored("a"), failed("b")], ("wt",)).aggregate["hd95"].mean == (3.0 + 100.0) / 2
    assert summarise([failed("b")], ("wt",)).aggregate["hd95"].mean == 374.0


def test_a_number_replaces_the_diagonal():
    summary = summarise([failed("b", diagonal_mm=80.0)], ("wt",), options=ScoreOptions(empty=200.0))
    assert summary.aggregate["hd95_wt"].mean == 200.0
    assert summary.aggregate["dice"].mean == 0.0


def test_a_preset_has_its_own_penalty():
    options = ScoreOptions(preset="brats2023")
    assert (
        summarise([failed("b", diagonal_mm=80.0)], ("wt",), options=options).aggregate["hd95"].mean == 374.0
    )


@pytest.mark.parametrize("empty", ["nan", "inf", "raise", "peer"])
def test_a_miss_is_never_absent_whatever_the_policy_for_empty_masks(empty):
    summary = summarise([failed("b", diagonal_mm=80.0)], ("wt",), options=ScoreOptions(empty=empty))
    assert (summary.aggregate["hd95"].mean, summary.aggregate["dice"].mean) == (80.0, 0.0)


def test_patients_are_the_unit():
    records = [scored("a1", "a", dice=0.0), scored("a2", "a", dice=0.5), scored("b1", "b", dice=1.0)]
    dice = summarise(records, ("wt",)).aggregate["dice"]
    assert (dice.mean, dice.n) == (0.625, 2)


def test_undefined_values_are_counted_beside_the_mean():
    summary = summarise([scored("a", dice=0.5), scored("b", dice=math.nan)], ("wt",))
    assert (summary.aggregate["dice"].mean, summary.aggregate["dice"].n) == (0.5, 2)
    assert summary.undefined == {"dice": 1}


def test_infinite_values_have_no_interval():
    hd95 = summarise([scored("a"), scored("b", hd95=math.inf)], ("wt",)).aggregate["hd95"]
    assert (hd95.mean, hd95.ci95) == (math.inf, None)


def test_empty_masks_are_counted_by_region():
    records = [
        scored("a", empty_prediction={"wt": True}, empty_reference={"wt": True}),
        scored("b", empty_prediction={"wt": True}, empty_reference={"wt": False}),
        scored("c", empty_prediction={"wt": False}, empty_reference={"wt": True}),
    ]
    summary = summarise(records, ("wt",))
    assert summary.empties["wt"] == {"prediction": 2, "reference": 2, "both": 1}
    assert summary.aggregate["dice_wt"].empty == 2
    assert summary.aggregate["dice"].empty == 0


OPTIONS = {"empty": "penalty", "preset": "metrics-reloaded", "tolerance_mm": 1.0}


@pytest.fixture
def results():
    summary = summarise([scored("a", hd95=math.inf, facts={"grade": "high"}), failed("b")], ("wt",))
    scores = Scores(
        model={"name": "m", "found": "made by a test", "content_sha256": "00"},
        contract={"name": "m"},
        runtime={"name": "toy"},
        regions={"wt": (1, 2, 3)},
        counts={"cases": 2, "patients": 2, "scored": 1, "failed": 1, "axial_slices": 0},
        aggregate=summary.aggregate,
        undefined=summary.undefined,
        empties=summary.empties,
        times={"cases": 0},
        cases=summary.records,
    )
    return Results(scores, "segment", {"name": "d"}, {"empty": "penalty"}, "c0de", {"baseline": scores})


def test_a_file_comes_back_as_it_was(results, tmp_path):
    results.save(tmp_path / "results.json")
    back = Results.load(tmp_path)
    assert back.to_json() == results.to_json()
    assert isinstance(back.aggregate["dice"].ci95, tuple)
    assert back.aggregate["hd95"].mean == math.inf
    assert back.folder == tmp_path
    assert [record.case for record in back.failures] == ["b"]


def test_training_cases_among_the_scored_ones_are_named(results):
    trained = replace(results.scores, contract={"name": "m", "training": {"cases": ["b", "z"]}})
    assert trained.seen_in_training == ("b",)
    notes = "\n".join(footnotes(replace(results, scores=trained, options=OPTIONS)))
    assert "NOT HELD OUT: the model was trained on 1 of these cases (b)" in notes
    assert "--cross-validated" not in notes
    assert results.scores.seen_in_training == ()
    assert "NOT HELD OUT" not in "\n".join(footnotes(replace(results, options=OPTIONS)))


def test_cases_that_a_fold_was_kept_from(results):
    folds = [{"cases": ["b"], "held_out": ["a"]}, {"cases": ["a"], "held_out": ["b"]}]
    contract = {"name": "m", "training": {"cases": ["a", "b"], "ensemble": folds}}
    mean = replace(results.scores, contract=contract)
    assert mean.seen_in_training == ("a", "b")
    notes = "\n".join(footnotes(replace(results, scores=mean, options=OPTIONS)))
    assert "--cross-validated asks the fold that never saw a case." in notes
    apart = replace(mean, model={**mean.model, "folds": "apart"})
    assert apart.seen_in_training == ()
    assert "NOT HELD OUT" not in "\n".join(footnotes(replace(results, scores=apart, options=OPTIONS)))
    del folds[1]
    assert apart.seen_in_training == ("b",)
    assert "--cross-validated" not in "\n".join(footnotes(replace(results, scores=apart, options=OPTIONS)))


def test_the_file_is_strict_json_and_flat(results, tmp_path):
    results.save(tmp_path / "results.json")

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    plain = json.loads((tmp_path / "results.json").read_text(), parse_constant=refuse)
    assert plain["schema"] == SCHEMA == "voxzoo.results/1"
    assert list(plain["aggregate"]["dice"]) == ["mean", "ci95", "n", "missing", "empty"]
    assert plain["aggregate"]["hd95"] == {"mean": "inf", "ci95": None, "n": 2, "missing": 1, "empty": 0}
    assert plain["aggregate"]["volume_ref_ml"]["mean"] == 0.25
    assert plain["baselines"]["baseline"]["aggregate"]["dice"] == plain["aggregate"]["dice"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a results file"),
        ('{"schema": "voxzoo.records/1"}', "not a results file"),
        ('{"schema": "voxzoo.results/2"}', "newer voxzoo.*upgrade"),
        ('{"schema": "voxzoo.results/0"}', "older voxzoo.*run it again"),
        ('{"schema": "voxzoo.results/1"}', "damaged: KeyError"),
    ],
)
def test_what_is_no_results_file_of_this_version_is_refused(tmp_path, content, message):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(RunError, match=message):
        Results.load(tmp_path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match="no such file"):
        Results.load(tmp_path / "results.json")


def test_csv_shows_the_values_that_were_counted(results):
    table = list(csv.DictReader(io.StringIO(tables.to_csv(results.scores))))
    assert [row["case"] for row in table] == ["a", "b"]
    assert float(np.mean([float(row["dice"]) for row in table])) == results.aggregate["dice"].mean
    assert (table[0]["hd95"], table[1]["volume_ref_ml"]) == ("inf", "")
    assert (table[1]["status"], table[1]["reason"], table[0]["grade"]) == ("failed", "broken", "high")


def test_facts_do_not_overwrite_columns(results):
    odd = replace(results.scores.cases[0], facts={"dice": "thrown"})
    row = tables.rows(replace(results.scores, cases=(odd,)))[0]
    assert (row["dice"], row["fact_dice"]) == (0.5, "thrown")


def test_parquet_holds_the_same_rows(results):
    parquet = pytest.importorskip("pyarrow.parquet", reason='pip install "voxzoo[parquet]"')
    table = parquet.read_table(io.BytesIO(tables.to_parquet(results.scores))).to_pylist()
    assert table == tables.rows(results.scores)
