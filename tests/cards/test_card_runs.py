"""Reading runs: what is refused, by which name, and what may stand beside what."""

import json

import pytest

from voxzoo.cards.runs import boards, comparison, labelled, read_run, read_runs
from voxzoo.zoo.errors import RunError, UsageError


def test_a_run_says_what_its_file_says(made):
    run = read_run(made.write({**made.segment(), "energy": made.energy}))
    assert (run.model, run.task, run.dataset, run.version) == ("toy", "segment", "toys", "")
    assert run.definition == {"preset": "medpy", "empty": "penalty", "tolerance_mm": 1.0}
    assert run.rules == "preset medpy; empty penalty; tolerance_mm 1"
    assert run.headline == ("dice", "hd95", "nsd")
    assert run.figures["dice"].ci95 == (0.2, 0.8)
    assert (run.seconds_per_slice, run.seconds_per_patient) == (0.25, 2.0)
    assert (run.energy.per_slice, run.energy.low_per_slice, run.energy.high_per_slice) == (2.0, 1.0, 4.0)
    assert (run.energy.grams_per_slice, run.energy.kind) == (0.0005, "estimated")
    assert "France: 100 gCO2e/kWh" in run.energy.grid


@pytest.mark.parametrize("energy", [None, {}, {"joules": None}])
def test_no_figure_of_energy_is_none_and_not_zero(made, energy):
    assert read_run(made.write({**made.segment(), "energy": energy})).energy is None


@pytest.mark.parametrize("change", [{"low": 64.0}, {"joules": "much"}, {"per_axial_slice": 3}, {"grid": {}}])
def test_half_an_energy_is_an_error_that_names_the_file(made, change):
    folder = made.write({**made.segment(), "energy": {**made.energy, **change}})
    with pytest.raises(RunError, match=r"results\.json: damaged: energy"):
        _ = read_run(folder).energy


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_in_half_is_named(made, share):
    folder = made.write(made.segment())
    file = folder / "results.json"
    text = file.read_text()
    file.write_text(text[: int(len(text) * share)])
    with pytest.raises(RunError, match=r"run.results\.json: not JSON.*cut off, perhaps"):
        read_run(folder)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("voxzoo.results/0", "older voxzoo .voxzoo.results/0; this one reads voxzoo.results/1"),
        ("voxzoo.results/2", "newer voxzoo .voxzoo.results/2; this one reads voxzoo.results/1"),
        ("other/1", "not a results file of voxzoo .schema 'other/1'"),
        (None, "not a results file"),
    ],
)
def test_another_schema_is_refused_by_name(made, schema, words):
    with pytest.raises(RunError, match=words):
        read_run(made.write({**made.segment(), "schema": schema}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {"name": 3}}, "the model has no name"),
        ({"model": []}, "the model has no name"),
        ({"contract": "x"}, "contract of the model: expected an object or null"),
        ({"counts": [1]}, "counts of the model: expected an object"),
        ({"dataset": {"name": "x"}}, r"dataset\.sha256: expected a text"),
        ({"dataset": "x"}, "dataset"),
        ({"options": None}, "options: expected an object"),
        ({"task": 7}, "task: expected a text"),
        ({"aggregate": {"dice": {"mean": "x"}}}, "damaged"),
        ({"aggregate": {"dice": 1}}, "damaged"),
        ({"cases": [1]}, "damaged"),
        ({"cases": None}, "damaged"),
        ({"baselines": {"b": {}}}, "damaged"),
    ],
)
def test_parts_of_the_wrong_kind_are_named(made, change, words):
    with pytest.raises(RunError, match=words) as caught:
        read_run(made.write({**made.segment(), **change}))
    assert "results.json" in str(caught.value)


def test_what_is_no_run_says_so(made, tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        read_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="holds no run"):
        read_runs([tmp_path / "empty"])
    (tmp_path / "going").mkdir()
    (tmp_path / "going" / "records.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match=r"not finished.*goes on"):
        read_run(tmp_path / "going")
    with pytest.raises(UsageError, match="no runs"):
        read_runs([])


def test_a_folder_stands_for_the_runs_in_it(made, tmp_path):
    made.write(made.segment("a"), "x/a")
    made.write(made.segment("b"), "x/b")
    (tmp_path / "x" / "kept.json").write_text(json.dumps(made.classify("c")))
    (tmp_path / "x" / "other.json").write_text('{"schema": "something else"}')
    assert [run.label for run in read_runs([tmp_path / "x"])] == ["c", "a", "b"]
    assert [run.label for run in read_runs([f"mine={tmp_path / 'x' / 'a'}"])] == ["mine"]
    with pytest.raises(UsageError, match="'mine' is for one run"):
        read_runs([f"mine={tmp_path / 'x'}"])


def test_a_kept_file_cut_in_half_is_not_skipped(made, tmp_path):
    (tmp_path / "kept.json").write_text(json.dumps(made.segment())[:300])
    with pytest.raises(RunError, match=r"kept\.json: not JSON"):
        read_runs([tmp_path])


def other_data(made):
    plain = made.segment("b")
    plain["dataset"]["sha256"] = "ee" * 32
    plain["cases"][2]["fingerprint"] = "changed"
    return plain


def test_different_data_is_refused_unless_asked_for(made):
    runs = read_runs([made.write(made.segment("a"), "a"), made.write(other_data(made), "b")])
    words = r"a.results\.json and .*b.results\.json are of different data: the files of case 'c2'.*--mixed"
    for refuse in (boards, comparison):
        with pytest.raises(RunError, match=words):
            refuse(runs)
    (board,) = boards(runs, mixed=True)
    assert list(board.runs) == ["a", "b"]
    assert "different data" in board.mixed[0]


def test_other_cases_are_named(made):
    plain = made.segment("b")
    plain["dataset"]["sha256"] = "ee" * 32
    plain["cases"] = plain["cases"][:3]
    runs = read_runs([made.write(made.segment("a"), "a"), made.write(plain, "b")])
    with pytest.raises(RunError, match=r"4 and 3 cases; only .*a.results\.json has 'c3'"):
        boards(runs)


def test_other_definitions_are_refused_unless_asked_for(made):
    plain = made.segment("b")
    plain["options"]["preset"] = "monai"
    runs = read_runs([made.write(made.segment("a"), "a"), made.write(plain, "b")])
    with pytest.raises(RunError, match="preset is 'medpy' and 'monai'"):
        boards(runs)
    assert "preset" in comparison(runs, mixed=True).mixed[0]


def test_runs_of_other_data_have_boards_of_their_own(made):
    plain = made.segment("b")
    plain["dataset"] |= {"name": "more", "sha256": "ee" * 32}
    runs = read_runs([made.write(made.segment("a"), "a"), made.write(plain, "b")])
    assert [(board.dataset, list(board.runs)) for board in boards(runs)] == [("toys", ["a"]), ("more", ["b"])]


def test_tasks_are_never_compared(made):
    runs = read_runs([made.write(made.segment("a"), "a"), made.write(made.classify("b"), "b")])
    assert [board.task for board in boards(runs)] == ["segment", "classify"]
    with pytest.raises(RunError, match="different tasks"):
        comparison(runs, mixed=True)


def test_runs_of_one_model_are_told_apart(made):
    one, other = made.segment(), made.segment()
    other["runtime"]["precision"] = "bf16"
    runs = read_runs([made.write(one, "a"), made.write(other, "b")])
    assert list(labelled(runs)) == ["toy (toy fp32)", "toy (toy bf16)"]
    runs = read_runs([made.write(one, "a"), made.write(one, "b")])
    assert list(labelled(runs)) == ["toy (a)", "toy (b)"]
    assert len(labelled([*runs, *runs])) == 4
