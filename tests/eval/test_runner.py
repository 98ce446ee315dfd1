"""Runs over datasets: every case counts, nothing is computed twice, order and threads change nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from voxzoo.eval import pipeline, scoring, stages
from voxzoo.eval.options import Options, ScoreOptions
from voxzoo.eval.results import Results
from voxzoo.eval.runner import evaluate
from voxzoo.eval.tasks.segment import Segment
from voxzoo.zoo.errors import ContractError, GridError, InputError, RunError, UsageError


@pytest.fixture
def dataset(toys):
    return toys.dataset([toys.case(i) for i in range(6)])


def run(model, dataset, out=None, **options):
    return evaluate(model, dataset, out, **{"baseline": False, **options})


def stable(results):
    """The file without what may differ between sessions: times, environment, where it ran."""
    plain = results.to_dict()
    for scores in (plain, *plain["baselines"].values()):
        del scores["times"]
        scores.pop("energy", None)
        for case in scores["cases"]:
            del case["seconds"], case["energy"]
    for name in ("environment", "session"):
        del plain[name]
    return json.dumps(plain)


def test_figures_by_hand(toys):
    """A box of 3 x 5 x 4 voxels shifted by one: 2/3 overlaps in each direction; voxels of 2 mm3."""
    results = run(toys.model(), toys.dataset([toys.case(0)]))
    metrics = results.cases[0].metrics
    assert metrics["dice"] == metrics["dice_wt"] == pytest.approx(2 / 3)
    assert metrics["iou"] == pytest.approx(1 / 2)
    assert metrics["precision"] == metrics["recall"] == pytest.approx(2 / 3)
    assert metrics["specificity"] == pytest.approx((960 - 60 - 20) / (960 - 60))
    assert (metrics["hd"], metrics["hd95"], metrics["nsd"]) == (1.0, 1.0, 1.0)
    assert metrics["volume_ml"] == metrics["volume_ref_ml"] == pytest.approx(0.12)
    assert metrics["volume_error_ml"] == 0


def test_regions_of_a_model_that_has_all_three(toys):
    results = run(toys.model(regions=("wt", "tc", "et"), shift=0), toys.dataset([toys.case(0)]))
    assert {name for name in results.aggregate if name.startswith("dice")} == {
        "dice",
        "dice_wt",
        "dice_tc",
        "dice_et",
    }
    metrics = results.cases[0].metrics
    assert all(metrics[f"dice_{region}"] == 1 for region in ("wt", "tc", "et"))
    # tc: 2 x 2 x 2 voxels, et the half of it that the file calls 4; both of 2 mm3.
    assert (metrics["volume_ml_tc"], metrics["volume_ml_et"]) == pytest.approx((0.016, 0.008))


def test_a_model_of_the_core_alone_is_measured_against_the_core(toys):
    results = run(toys.model(regions=("tc",), shift=0), toys.dataset([toys.case(0)]))
    assert results.aggregate["dice"].mean == results.aggregate["dice_tc"].mean == 1
    assert "dice_wt" not in results.aggregate


def test_every_kind_of_failure_is_named_and_counted(toys, tmp_path):
    cases = [
        toys.case(0),
        toys.case(1, broken="image"),
        toys.case(2, broken="reference"),
        replace(toys.case(3), reference=None),
        replace(toys.case(4), images={"t1": toys.case(4).images["flair"]}),
        toys.case(5),
    ]
    results = run(toys.model(fail=["case5"]), toys.dataset(cases), tmp_path / "run")
    reasons = {record.case: record.reason for record in results.failures}
    assert list(reasons) == ["case1", "case2", "case3", "case4", "case5"]
    assert "truncated" in reasons["case1"]
    assert "truncated" in reasons["case2"]
    assert "no reference" in reasons["case3"]
    assert "no flair" in reasons["case4"]
    assert "toy is broken" in reasons["case5"]
    dice = results.aggregate["dice"]
    assert (dice.n, dice.missing, dice.mean) == (6, 5, pytest.approx(2 / 3 / 6))
    assert results.scores.counts == {
        "cases": 6,
        "patients": 6,
        "scored": 1,
        "failed": 5,
        "no_reference": 0,
        "axial_slices": 40,
    }


def test_an_unexpected_error_of_a_runtime_fails_its_case_only(toys, dataset):
    model = toys.model()
    infer = model.infer

    def sometimes(prepared):
        if prepared.id == "case2":
            raise RuntimeError("out of luck")
        return infer(prepared)

    model.infer = sometimes
    results = run(model, dataset)
    assert [(r.case, r.reason) for r in results.failures] == [("case2", "RuntimeError: out of luck")]


def test_empty_predictions_are_results_not_failures(toys, dataset):
    results = run(toys.model(nothing=["case2"]), dataset)
    assert not results.failures
    assert (results.aggregate["dice"].empty, results.aggregate["dice"].missing) == (1, 0)
    record = results.cases[2]
    assert (record.metrics["dice"], record.metrics["hd95"]) == (0, pytest.approx(record.diagonal_mm))


def test_no_tumour_and_none_predicted_is_perfect(toys):
    results = run(toys.model(), toys.dataset([toys.case(0, empty=True)]))
    metrics = results.cases[0].metrics
    assert (metrics["dice"], metrics["hd95"], metrics["nsd"]) == (1, 0, 1)
    assert results.scores.empties["wt"] == {"prediction": 1, "reference": 1, "both": 1}


def test_the_policy_raise_fails_the_case(toys, dataset):
    results = run(toys.model(nothing=["case2"]), dataset, empty="raise")
    assert [record.case for record in results.failures] == ["case2"]


def test_a_number_as_policy_is_for_distances(toys, dataset):
    metrics = run(toys.model(nothing=["case2"]), dataset, empty=374).cases[2].metrics
    assert (metrics["hd95"], metrics["dice"], metrics["precision"]) == (374, 0, 0)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_threads_change_nothing(toys, dataset, workers):
    one = run(toys.model(fail=["case1"]), dataset)
    other = run(toys.model(fail=["case1"]), dataset, workers=workers)
    assert stable(one) == stable(other)


def test_loading_does_not_run_ahead_without_bound(toys):
    begun = []
    cases = [toys.case(i) for i in range(30)]
    job = stages.Job({"toy": toys.model()}, {"toy": {}}, Segment())

    class Watched(type(job.models["toy"])):
        def prepare(self, case):
            begun.append(case.id)
            return super().prepare(case)

        def infer(self, prepared):
            ahead.append(len(begun) - len(self.inferred))
            return super().infer(prepared)

    ahead = []
    pipeline.stream(replace(job, models={"toy": Watched()}), cases, keep=lambda _: None, workers=2)
    assert max(ahead) <= 2 + 2


def test_the_same_command_computes_nothing_again(toys, dataset, tmp_path):
    first = run(toys.model(), dataset, tmp_path)
    again = toys.model()
    second = run(again, dataset, tmp_path)
    assert again.inferred == []
    assert second.session["cases_reused"] == 6
    assert stable(first) == stable(second)


def test_failures_are_tried_again(toys, dataset, tmp_path):
    run(toys.model(fail=["case1"]), dataset, tmp_path)
    again = toys.model()
    assert not run(again, dataset, tmp_path).failures
    assert again.inferred == ["case1"]


def test_a_changed_file_is_computed_again(toys, tmp_path):
    run(toys.model(), toys.dataset([toys.case(0), toys.case(1)]), tmp_path)
    changed = replace(toys.case(3), id="case1", patient="patient1")
    again = toys.model()
    results = run(again, toys.dataset([toys.case(0), changed]), tmp_path)
    assert again.inferred == ["case1"]
    assert stable(results) == stable(run(toys.model(), toys.dataset([toys.case(0), changed])))


def test_a_run_can_be_extended(toys, dataset, tmp_path):
    run(toys.model(), dataset, tmp_path, limit=2)
    again = toys.model()
    run(again, dataset, tmp_path)
    assert again.inferred == ["case2", "case3", "case4", "case5"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"content_hash": "22" * 32}, "model"),
        ({"regions": ("tc",)}, "contract"),
        ({"empty": "nan"}, "options.empty"),
        ({"tolerance_mm": 2.0}, "options.tolerance_mm"),
    ],
)
def test_a_folder_of_another_run_is_refused_until_told(toys, dataset, tmp_path, change, named):
    run(toys.model(), dataset, tmp_path)
    before = (tmp_path / "results.json").read_bytes()
    kinds = {name: value for name, value in change.items() if name in ("content_hash", "regions")}
    options = {name: value for name, value in change.items() if name not in kinds}
    with pytest.raises(RunError, match=named):
        run(toys.model(**kinds), dataset, tmp_path, **options)
    assert (tmp_path / "results.json").read_bytes() == before
    model = toys.model(**kinds)
    run(model, dataset, tmp_path, overwrite=True, **options)
    assert len(model.inferred) == 6


def test_another_dataset_is_another_run(toys, dataset, tmp_path):
    run(toys.model(), dataset, tmp_path)
    with pytest.raises(RunError, match="dataset: 'toys' there, 'others' asked for"):
        run(toys.model(), toys.dataset(dataset.cases, "others"), tmp_path)


def test_masks_are_saved_and_saved_again_if_lost(toys, dataset, tmp_path):
    masks, out = tmp_path / "masks", tmp_path / "run"
    run(toys.model(), dataset, out, save_masks=masks)
    names = sorted(path.name for path in masks.iterdir())
    assert names == [f"case{i}.nii.gz" for i in range(6)]
    (masks / "case3.nii.gz").unlink()
    (masks / "case4.nii.gz").write_bytes(b"cut")
    again = toys.model()
    run(again, dataset, out, save_masks=masks)
    assert again.inferred == ["case3", "case4"]


def test_files_of_a_run(toys, dataset, tmp_path):
    results = run(toys.model(), dataset, tmp_path / "a" / "b")
    folder = tmp_path / "a" / "b"
    assert sorted(p.name for p in folder.iterdir()) == ["cases.csv", "records.jsonl", "results.json"]
    assert Results.load(folder).to_json() == results.to_json()


def test_an_unwritable_folder_is_said_before_any_work(toys, dataset, tmp_path):
    (tmp_path / "file").write_text("")
    model = toys.model()
    for options in ({"out": tmp_path / "file" / "run"}, {"save_masks": tmp_path / "file"}):
        with pytest.raises(RunError, match="cannot be written"):
            run(model, dataset, **options)
    assert model.inferred == []


def test_an_interrupted_run_keeps_what_was_inferred(toys, dataset, tmp_path):
    whole = run(toys.model(), dataset)
    model = toys.model()
    infer = model.infer

    def interrupted(prepared):
        if prepared.id == "case3":
            raise KeyboardInterrupt
        return infer(prepared)

    model.infer = interrupted
    with pytest.raises(KeyboardInterrupt):
        run(model, dataset, tmp_path)
    assert not (tmp_path / "results.json").exists()
    again = toys.model()
    assert stable(run(again, dataset, tmp_path)) == stable(whole)
    assert again.inferred == ["case3", "case4", "case5"]


def test_patients_with_several_cases(toys):
    cases = [toys.case(0, patient="a"), toys.case(1, patient="a"), toys.case(2, patient="b")]
    results = run(toys.model(), toys.dataset(cases))
    d = [record.metrics["dice"] for record in results.cases]
    assert results.aggregate["dice"].n == 2
    assert results.aggregate["dice"].mean == pytest.approx(((d[0] + d[1]) / 2 + d[2]) / 2)


def test_what_cannot_be_a_run(toys):
    with pytest.raises(UsageError, match="no cases"):
        run(toys.model(), toys.dataset([]))
    with pytest.raises(UsageError, match="more than once"):
        run(toys.model(), toys.dataset([toys.case(0), toys.case(0)]))
    with pytest.raises(UsageError, match="nothing to score"):
        run(toys.model(), toys.dataset([replace(toys.case(0), reference=None)]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"worker": 2}, "unknown option 'worker'.*workers"),
        ({"workers": -1}, "workers: got -1"),
        ({"limit": 0}, "limit: got 0"),
        ({"limit": 1.5}, "limit: got 1.5"),
        ({"empty": "sometimes"}, "sometimes"),
        ({"preset": "mine"}, "mine"),
        ({"tolerance_mm": float("nan")}, "tolerance_mm"),
        ({"tolerance_mm": -1}, "tolerance_mm"),
        ({"task": "guess"}, "task: got 'guess'"),
        ({"cases": "a,b"}, "list of case ids"),
    ],
)
def test_bad_options_are_told_in_one_line(given, message):
    with pytest.raises((UsageError, InputError), match=message):
        Options.of(given)


def test_masks_of_another_shape_are_refused(toys):
    mask = toys.model().finish("", toys.case(0))
    with pytest.raises(GridError, match=r"\(12, 10, 8\).*\(12, 10, 9\)"):
        scoring.score(mask, np.zeros((12, 10, 9), np.uint8), (1, 1, 1), ScoreOptions())


def test_labels_that_no_reference_knows(toys):
    with pytest.raises(ContractError, match="liver"):
        scoring.reference_values("liver")


def test_lesions_are_the_same_in_a_box_as_in_the_whole_image():
    from voxzoo.eval.lesion import lesion_f1, lesion_wise

    generator = np.random.default_rng(5)
    for _ in range(20):
        corner, size = generator.integers(0, 14, 3), generator.integers(3, 12, 3)
        window = tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))
        pred, ref = np.zeros((2, 24, 22, 20), bool)
        pred[window] = generator.random(pred[window].shape) < 0.15
        ref[window] = generator.random(ref[window].shape) < 0.15
        small = scoring._cropped(pred, ref)
        assert small[0].size < pred.size
        assert lesion_wise(*small, min_mm3=2).dice == lesion_wise(pred, ref, min_mm3=2).dice
        assert lesion_f1(*small) == lesion_f1(pred, ref)


@pytest.mark.parametrize("preset", ["metrics-reloaded", "medpy", "monai", "deepmind", "brats2023"])
@pytest.mark.parametrize("empty", ["penalty", "nan", "inf", "peer", 50.0])
def test_every_preset_has_an_answer_to_empty_masks(toys, preset, empty):
    dataset = toys.dataset([toys.case(0), toys.case(1), toys.case(2, empty=True)])
    results = run(toys.model(nothing=["case1"]), dataset, preset=preset, empty=empty)
    if preset == "medpy" and empty == "peer":  # medpy raises: so do we, and a failure costs the penalty
        assert [record.case for record in results.failures] == ["case1", "case2"]
        return
    assert not results.failures
    one, both = results.cases[1].metrics, results.cases[2].metrics
    assert (one["dice"], one["precision"] == 0) == (0, empty != "nan")
    if empty in ("penalty", 50.0):
        assert one["hd95"] == {"penalty": 374.0 if preset == "brats2023" else one["hd"], 50.0: 50.0}[empty]
        assert (both["dice"], both["nsd"], both["hd95"], both["lesion_dice"]) == (1, 1, 0, 1)
        assert one["nsd"] == 0


def test_distances_are_the_metric_core_s_own(toys):
    from voxzoo.eval.surface import surface_metrics

    results = run(toys.model(shift=2), toys.dataset([toys.case(3)]), tolerance_mm=0.5)
    case = toys.case(3)
    ref = np.asarray(case.read_reference()) > 0
    pred = np.roll(ref, 2, axis=0)
    expected = surface_metrics(pred, ref, case.grid().spacing_mm, (0.5,))
    found = results.cases[0].metrics
    assert found["nsd"] == expected.pop("nsd_0.5mm")
    assert {name: found[name] for name in expected} == expected


@pytest.mark.data
def test_real_patients_against_numpy_and_scipy(data_root, tmp_path):
    """The baseline on two patients, every step again by other means."""
    import nibabel
    from scipy import ndimage
    from scipy.spatial import cKDTree

    ids = ("BraTS2021_00000", "BraTS-GLI-00012-000")
    results = evaluate("baseline:flair-threshold", data_root / "glioma3d", tmp_path, cases=ids, limit=2)
    for record in results.cases:
        folder = data_root / "glioma3d" / record.case
        flair = nibabel.load([*folder.glob("*_flair.nii.gz"), *folder.glob("*-t2f.nii.gz")][0])
        truth = nibabel.load(next(folder.glob("*seg.nii.gz"))).get_fdata() > 0
        image, zooms = flair.get_fdata(), flair.header.get_zooms()
        brain = image[image != 0]
        found = (image - brain.mean()) / brain.std() > 1.5
        found &= image != 0
        metrics = record.metrics
        assert metrics["dice"] == pytest.approx(2 * (found & truth).sum() / (found.sum() + truth.sum()))
        assert metrics["volume_error_ml"] == pytest.approx(
            (found.sum() - truth.sum()) * np.prod(zooms) / 1000
        )
        surfaces = [np.argwhere(m & ~ndimage.binary_erosion(m)) * zooms for m in (found, truth)]
        one, other = (cKDTree(b).query(a)[0] for a, b in (surfaces, surfaces[::-1]))
        assert metrics["hd95"] == pytest.approx(max(np.percentile(one, 95), np.percentile(other, 95)))
        assert metrics["hd"] == pytest.approx(max(one.max(), other.max()))
        assert metrics["nsd"] == pytest.approx(
            ((one <= 1).sum() + (other <= 1).sum()) / (len(one) + len(other))
        )
        assert record.slices == 155
    assert results.aggregate["dice"].n == 2
