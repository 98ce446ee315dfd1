"""Energy of the items of a run: by hand, per patient and per slice, through a run and its journal."""

import json

import pytest

from voxzoo.eval.energy.carbon import Grid
from voxzoo.eval.energy.counter import Unwrapped
from voxzoo.eval.energy.estimate import Estimate, WattsPerCore
from voxzoo.eval.energy.items import ItemMeter, Spent, meter_of, summary
from voxzoo.eval.energy.reading import METHODS
from voxzoo.eval.energy.words import lines
from voxzoo.eval.results import Results
from voxzoo.eval.runner import evaluate
from voxzoo.zoo.errors import UsageError

GRID = Grid(360.0, "", "here", None, "a test", pue=2.0)


class Scripted:
    """A counter that goes up by what a test says."""

    facts, part, covers, notes = METHODS["rapl"], "cpu", "CPU package-0", ()

    def __init__(self):
        self.at, self.now = 0.0, 0.0
        self._unwrapped = Unwrapped([1e9])

    def joules(self):
        return self.at

    @property
    def faults(self):
        return []

    def close(self):
        pass


def estimated(cpu_s, patient, slices):
    """An item of an estimate at 2, 5, 10 W."""
    with ItemMeter([Estimate(WattsPerCore(2, 5, 10))]) as meter:
        return Spent(
            meter.item({"load": cpu_s / 2, "infer": cpu_s / 2, "score": 99.0}, meter.lap()), patient, slices
        )


def test_an_estimate_by_hand_scoring_left_out():
    found = summary([estimated(1.0, "a", 10), estimated(2.0, "a", 10), estimated(3.0, "b", 20)], GRID)
    assert (found["joules"], found["low"], found["high"]) == (30, 12, 60)
    assert (found["patients"], found["cases"], found["axial_slices"]) == (2, 3, 40)
    assert found["per_patient"]["joules"] == 15
    assert found["per_axial_slice"]["joules"] == 0.75
    assert found["measured"] is False
    assert found["cpu_seconds_per_patient"] == {"load": 1.5, "infer": 1.5, "score": 148.5}
    # 0.75 J a slice, 750 J a thousand: at 360 g/kWh and a PUE of 2, 0.15 g.
    assert found["gco2e_per_1000_slices"]["grams"] == pytest.approx(0.15)
    assert found["co2_grams"] == pytest.approx(30 / 3.6e6 * 720)
    json.dumps(found, allow_nan=False)


def reading(joules, seconds, updates, **more):
    """A counter's lap in a record."""
    plain = {"joules": None, "low": None, "high": None, "method": "rapl", "measured": True, "reason": "short"}
    lap = {**plain, "seconds": seconds, "updates": updates, "covers": "CPU", "counted": joules, **more}
    return {"cpu_seconds": {"infer": 0.1}, "readings": {"cpu": lap}}


def test_short_windows_are_refused_alone_and_make_a_long_one_together():
    items = [Spent(reading(3.0, 0.2, 10), f"p{k}", 5) for k in range(10)]
    found = summary(items, GRID)
    assert found["per_patient"]["joules"] == pytest.approx(3.0)
    assert found["measured"] is True
    assert found["updates"] == 100
    few = summary(items[:2], GRID)
    assert few["joules"] is None
    assert "resolves" in few["reason"]
    assert few["co2_grams"] is None
    assert few["gco2e_per_1000_slices"]["grams"] is None


def test_methods_are_never_mixed():
    counter = [Spent(reading(30.0, 2.0, 100), f"p{k}", 5) for k in range(3)]
    found = summary([*counter, estimated(1.0, "x", 5)], GRID)
    assert found["method"] == "rapl"
    assert found["per_patient"]["joules"] == pytest.approx(30.0)  # over the three patients that it is about


def test_a_faulty_window_is_left_out():
    broken = reading(0.0, 2.0, 100, reason="it was reset")
    del broken["readings"]["cpu"]["counted"]
    found = summary([Spent(reading(30.0, 2.0, 100), "a", 5), Spent(broken, "b", 5)], GRID)
    assert found["per_patient"]["joules"] == pytest.approx(30.0)
    only = summary([Spent(broken, "b", 5)], GRID)
    assert (only["joules"], only["reason"]) == (None, "it was reset")


def test_nothing_metered():
    assert summary([], GRID) == {}
    assert summary([Spent({}, "a", 5)], GRID) == {}
    assert "not known" in lines({})[0]


def test_laps_of_a_counter_follow_one_another():
    counter = Scripted()
    with ItemMeter([counter]) as meter:
        counter.at = 5.0
        first = meter.lap()
        counter.at = 12.0
        second = meter.lap()
    assert first["cpu"]["counted"] == pytest.approx(5.0)
    assert second["cpu"]["counted"] == pytest.approx(7.0)
    assert first["cpu"]["joules"] is None  # microseconds: refused
    assert meter.session()["readings"]["cpu"]["reason"]


def test_models_that_run_elsewhere_have_no_cpu_time_here():
    from types import SimpleNamespace

    remote = SimpleNamespace(runtime=SimpleNamespace(device="not known"))
    with meter_of(remote) as meter:
        item = meter.item({"answer": 1.0}, meter.lap())
    assert "estimate" not in str(item["readings"])
    assert any("outside this process" in note for note in meter.session()["notes"])


def test_a_run_has_energy_per_case_and_keeps_it(toys, tmp_path):
    cases = toys.dataset([toys.case(i) for i in range(4)])
    whole = evaluate(toys.model(), cases, tmp_path / "run", baseline=False, country="FRA", pue=1.2)
    energy = whole.scores.details["energy"]
    assert energy["cases"] == 4
    assert 0 < energy["low"] <= energy["joules"] <= energy["high"]
    assert energy["grid"]["country"] == "FRA"
    assert energy["gco2e_per_patient"]["grams"] > 0
    assert all(record.energy["cpu_seconds"]["load"] > 0 for record in whole.cases)
    # 8 axial slices of the toys' native grid
    assert energy["axial_slices"] == 4 * 8
    each, every = energy["per_axial_slice"]["joules"], energy["per_patient"]["joules"]
    assert every == pytest.approx(8 * each, rel=1e-3)
    again = evaluate(toys.model(), cases, tmp_path / "run", baseline=False, country="FRA", pue=1.2)
    assert again.scores.details["energy"] == energy  # from the journal: nothing was run again
    assert Results.load(tmp_path / "run").scores.details["energy"] == energy


def test_the_estimate_of_a_run_is_cpu_time_times_watts(toys):
    whole = evaluate(toys.model(), toys.dataset([toys.case(i) for i in range(3)]), baseline=False, workers=0)
    for record in whole.cases:
        own = sum(s for stage, s in record.energy["cpu_seconds"].items() if stage != "score")
        cpu = record.energy["readings"].get("cpu")
        if cpu["method"] == "estimate":
            assert cpu["joules"] == pytest.approx(6 * own, abs=1e-4)


def test_a_model_that_fails_on_every_case(toys):
    cases = toys.dataset([toys.case(i) for i in range(2)])
    whole = evaluate(toys.model(fail=["case0", "case1"]), cases, baseline=False)
    assert "energy" not in whole.scores.details


@pytest.mark.parametrize("options", [{"country": "Atlantis"}, {"grid": -5}, {"pue": 0.5}])
def test_options_are_refused_before_any_work(toys, options):
    model = toys.model()
    with pytest.raises(UsageError):
        evaluate(model, toys.dataset([toys.case(0)]), **options)
    assert model.inferred == []


def test_lines_for_people():
    found = summary([estimated(1.0, "a", 10)], GRID)
    said = lines(found, ["a note"])
    assert said[0].startswith("Energy (ESTIMATED, estimate): 5 J [2 J, 10 J] per patient")
    assert "per 1000 slices" in said[1]
    assert said[2] == "  a note"
