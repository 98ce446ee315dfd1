"""``zoo-bench``: rows, ratios, refusals, resuming; and the counting of operations by hand and beside onnx."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from voxzoo.eval.bench import run as bench_run
from voxzoo.eval.bench.flops import count_flops
from voxzoo.eval.bench.peak import gemm_model, peak_flops
from voxzoo.eval.bench.run import Bench, BenchOptions
from voxzoo.eval.bench.subjects import Opened, Wanted, named
from voxzoo.eval.bench.summary import ratios, row
from voxzoo.eval.bench.turns import Item, Plan, Turn, take_turns
from voxzoo.eval.bench.work import Did
from voxzoo.eval.bench_cli import command
from voxzoo.eval.energy.carbon import Grid
from voxzoo.eval.energy.estimate import Estimate
from voxzoo.eval.energy.items import ItemMeter
from voxzoo.zoo.errors import ModelError, UsageError

GRID = Grid(360.0, "", "here", None, "a test")
DATA = "phantom:n=2,shape=32x40x32"
BASELINE = "baseline:flair-threshold"
SCRIPT = """
class Model:
    name = "scripted"
    content_hash = "ab" * 32
    def answer(self, question):
        {body}
MODEL = Model()
"""


@pytest.fixture
def script(tmp_path):
    def write(name="scripted.py", body='return "Choice: 1"'):
        path = tmp_path / name
        path.write_text(SCRIPT.format(body=body))
        return f"script:{path}"

    return write


@pytest.fixture
def zoo_bench(tmp_path, monkeypatch):
    """Run the command in ``tmp_path``."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        result = CliRunner().invoke(command, [*map(str, arguments), "--seconds", "0.05", "-d", DATA])
        error = result.exception
        if error is not None and not isinstance(error, SystemExit):
            raise error
        assert result.exit_code == code, result.output
        return result

    return run


class FakeSubject:
    """Takes the seconds it is told to take; nothing is really done."""

    unit = "volume"

    def __init__(self, name="fake", seconds=0.0, slices=10, fail=(), content="aa"):
        self.name, self.seconds, self.slices, self.fail = name, seconds, slices, fail
        runtime = {"name": "fake", "precision": "fp32", "device": "cpu"}
        self.facts = {"name": name, "content_sha256": content, "runtime": runtime, "flops_per_run": None}
        self.worked = []

    def work(self, case, turn):
        self.worked.append((case.id, turn))
        if case.id in self.fail:
            raise ModelError(f"{case.id}: broken")
        return Did({"infer": self.seconds}, self.slices, self.slices)


def turns_of(rows, seconds=1.0, cases=("a", "b")):
    """All turns of an interleaved run without waiting: clocks do not matter, work says what it took."""
    found = []
    with ItemMeter([Estimate()]) as meter:
        people = [SimpleNamespace(id=name) for name in cases]
        take_turns(rows, people, Plan(seconds, 1e-9), meter, [], found.append)
    return found


def test_models_take_turns_on_the_same_case():
    rows = {name: Opened(FakeSubject(name, seconds=0.3), 0.0) for name in ("x", "y")}
    found = turns_of(rows)
    assert [(t.model, t.round) for t in found] == [
        ("x", 0), ("y", 0), ("y", 1), ("x", 1), ("x", 2), ("y", 2), ("y", 3), ("x", 3)
    ]  # fmt: skip
    assert [t.items[0].case for t in found] == ["a", "a", "b", "b", "a", "a", "b", "b"]


def test_figures_by_hand():
    items = [Item("a", {"prepare": 1.0, "infer": s}, 2.0, 10, 10) for s in (1.0, 2.0, 3.0)]
    opened = {**Opened(FakeSubject(), 0.5, 0.7, 2**20).to_dict(), "flops_per_run": 100, "runs_per_volume": 1}
    spent = {"cpu_seconds": {"answer": 6.0}, "readings": {"cpu": _reading(36.0, 9.0)}}
    got = row(opened, [Turn("x", 0, tuple(items), spent)], 200.0, GRID)
    assert got["seconds_per_patient"] == {"median": 3.0, "p95": pytest.approx(3.9), "least": 2.0, "n": 3}
    assert got["seconds_per_slice"]["median"] == pytest.approx(0.3)
    assert got["patients_per_s"] == pytest.approx(3 / 9)
    assert got["slices_per_s"] == pytest.approx(30 / 9)
    assert (got["patients"], got["slices"], got["slices_per_patient"]) == (3, 30, 10)
    assert got["energy_per_patient"]["joules"] == 12
    assert got["energy_per_slice"]["joules"] == pytest.approx(1.2)
    assert got["watts"] == 4
    assert got["gco2e_per_1000_slices"]["grams"] == pytest.approx(1200 / 3.6e6 * 360)
    assert (got["flops_per_s"], got["share_of_peak"]) == (50, 0.25)


def _reading(joules, seconds):
    return {
        "joules": joules, "low": joules / 2, "high": joules * 2, "method": "estimate", "measured": False,
        "seconds": seconds, "updates": None, "covers": "CPU", "reason": "",
    }  # fmt: skip


def test_a_language_models_slices_make_a_patient():
    items = [Item("a", {"answer": 0.5}, 0.1, 1, 20) for _ in range(5)]
    got = row(Opened(FakeSubject(), 0.1).to_dict(), [Turn("x", 0, tuple(items))], None, GRID)
    assert got["patients"] == pytest.approx(0.25)
    assert got["seconds_per_patient"]["median"] == pytest.approx(10.0)
    assert got["seconds_per_slice"]["median"] == pytest.approx(0.5)
    assert got["slices_per_patient"] == pytest.approx(20)


def test_ratios_are_medians_over_rounds():
    def turn(model, number, seconds):
        return Turn(model, number, (Item("a", {"infer": seconds}, 0.1, 10, 10),))

    # The machine was ten times slower in the second round, for both of them.
    turns = [
        turn("x", 0, 1),
        turn("y", 0, 2),
        turn("x", 1, 10),
        turn("y", 1, 20),
        turn("x", 2, 1),
        turn("y", 2, 3),
    ]
    rows = {name: row(Opened(FakeSubject(name), 0.1).to_dict(), turns, None, GRID) for name in ("x", "y")}
    assert ratios(rows, turns)["y"]["seconds_per_patient"] == 2
    assert ratios(rows, turns)["x"]["seconds_per_patient"] == 1


def test_a_model_that_fails_on_every_item_is_a_row_with_its_reason():
    rows = {"x": Opened(FakeSubject("x", 0.3), 0.0), "y": Opened(FakeSubject("y", fail=("a", "b")), 0.0)}
    found = turns_of(rows)
    assert sum(t.model == "y" for t in found) == 3  # then nobody waits for it any more
    got = row(rows["y"].to_dict(), [t for t in found if t.model == "y"], None, GRID)
    assert (got["items"], got["failed"], got["reason"]) == (0, 3, "a: broken")


def test_two_rows_of_one_name():
    one, two = FakeSubject("same"), FakeSubject("same")
    two.facts["runtime"] = {"name": "other", "precision": "bf16"}
    assert list(named([Opened(one, 0), Opened(two, 0)])) == ["same (fake fp32)", "same (other bf16)"]
    with pytest.raises(UsageError, match="twice"):
        named([Opened(one, 0), Opened(FakeSubject("same"), 0), Opened(FakeSubject("same"), 0)])


def test_turns_are_as_long_as_the_meter_needs():
    assert Plan.of(10, 0.0).turn_s == 1
    assert Plan.of(10, 5.0).turn_s == 5
    assert not Plan.of(10, 5.0).is_done([])


def test_the_command(zoo_bench, script, tmp_path):
    result = zoo_bench("-m", BASELINE, "-m", script(), "--country", "FRA", "--out", "out", "--threads", "1")
    for word in (
        "times as much as baseline:flair-threshold",
        "axial slices of the native grid",
        "slices to ask about",
    ):
        assert word in result.output
    assert "ESTIMATED" in result.output or "measured" in result.output
    plain = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert (plain["schema"], plain["finished"], plain["first"]) == ("voxzoo.bench/1", True, BASELINE)
    assert plain["ratios"][BASELINE]["seconds_per_patient"] == 1
    assert plain["models"][BASELINE]["slices_per_patient"] == 32
    assert plain["models"]["scripted"]["unit"] == "slice"
    assert plain["grid"]["country"] == "FRA"
    text = json.dumps(plain)
    assert os.uname().nodename not in text
    assert str(tmp_path) not in text
    again = zoo_bench(
        "-m", BASELINE, "-m", script(), "--country", "FRA", "--out", "out", "--threads", "1", "--json"
    )
    later = json.loads(again.stdout)
    assert later["session"]["turns_measured"] == 0  # all on file
    assert later["models"]["scripted"]["items"] == plain["models"]["scripted"]["items"]


def test_another_benchmark_in_the_folder(zoo_bench, script):
    zoo_bench("-m", BASELINE, "--out", "out")
    with pytest.raises(Exception, match="holds another run"):
        zoo_bench("-m", BASELINE, "-m", script(), "--out", "out")
    zoo_bench("-m", BASELINE, "-m", script(), "--out", "out", "--overwrite")


def test_a_model_that_fails_now_and_then_sets_the_exit_code(zoo_bench, script, tmp_path):
    body = 'raise ValueError("no answer today")'
    result = zoo_bench("-m", BASELINE, "-m", script(body=body), "--out", "out", code=1)
    assert "scripted: no answer: ValueError: no answer today" in result.output
    plain = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert plain["models"]["scripted"]["items"] == 0


def test_ctrl_c_leaves_what_was_measured(zoo_bench, script, tmp_path):
    body = (
        'self.n = getattr(self, "n", 0) + 1\n'
        "        if self.n == 3:\n"
        "            raise KeyboardInterrupt\n"
        '        return "Choice: 1"'
    )
    model = script(body=body)
    result = zoo_bench("-m", BASELINE, "-m", model, "--out", "out", code=130)
    assert "UNFINISHED" in result.output
    assert "the same command goes on" in result.output
    plain = json.loads((tmp_path / "out" / "bench.json").read_text())
    assert plain["finished"] is False
    assert plain["models"][BASELINE]["items"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to compare"),
        (["-m", BASELINE, "-m", BASELINE], "given twice"),
        (["-m", BASELINE, "--country", "Atlantis"], "not in the table"),
        (["-m", BASELINE, "--grid", "-3"], "grid"),
        (["-m", BASELINE, "--pue", "0.3"], "pue"),
        (["-m", BASELINE, "--meter", "wattmeter"], "unknown meter"),
        (["-m", BASELINE, "--watts-per-core", "9:1"], "watts per core"),
        (["-m", BASELINE, "--limit", "0"], "limit"),
        (["-m", "nosuchmodel"], "neither a file nor a name"),
        (["-m", "replay:x.jsonl"], "recorded answers take no time"),
        (["-m", "script:nosuch.py"], "no such file"),
    ],
)
def test_what_is_refused(zoo_bench, arguments, said):
    with pytest.raises(Exception, match=said):
        zoo_bench(*arguments)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_seconds_that_cannot_be(seconds):
    with pytest.raises(UsageError, match="seconds"):
        BenchOptions(seconds=seconds)


def test_zero_items_are_refused(monkeypatch):
    from voxzoo.zoo.datasets import Dataset

    nothing = Dataset("empty", (), "CC0", "made by a test", "toy")
    monkeypatch.setattr("voxzoo.zoo.datasets.open_dataset", lambda spec: nothing)
    with pytest.raises(UsageError, match="no cases"):
        Bench(Wanted((BASELINE,)), "empty", BenchOptions(), SimpleNamespace())
    assert bench_run.CASES >= 1


def test_operations_of_a_gemm_by_hand():
    assert count_flops(gemm_model(rows=3, size=5, times=2)).count == 2 * 2 * 3 * 5 * 5


def test_the_gemm_multiplies():
    onnxruntime = pytest.importorskip("onnxruntime", reason='pip install "voxzoo[cpu]"')
    session = onnxruntime.InferenceSession(gemm_model(2, 4, 3), providers=["CPUExecutionProvider"])
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], np.roll(x, 3, axis=1))


def test_a_runtime_without_a_peak():
    assert peak_flops("torchscript", "cpu", "fp32", 1) is None


def test_operations_of_networks_beside_their_formulas(tmp_path):
    onnx = pytest.importorskip("onnx", reason='pip install "voxzoo[train]"')
    from onnx import TensorProto, helper

    def model(nodes, weights, shape, out):
        values = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", out))
        ]
        init = [helper.make_tensor(n, TensorProto.FLOAT, s, np.ones(s).ravel()) for n, s in weights.items()]
        graph = helper.make_graph(nodes, "g", values[:1], values[1:], init)
        return helper.make_model(graph).SerializeToString()

    conv = helper.make_node("Conv", ["x", "w"], ["y"], group=2)
    # 6 filters over 4 of 8 channels, 3 x 3, on 10 x 10 places
    assert (
        count_flops(model([conv], {"w": (6, 4, 3, 3)}, (1, 8, 12, 12), (1, 6, 10, 10))).count == 2 * 600 * 36
    )
    up = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2])
    # every input value meets every weight of its channel
    assert count_flops(model([up], {"w": (8, 3, 2, 2)}, (1, 8, 5, 5), (1, 3, 10, 10))).count == 2 * 200 * 12
    gemm = helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)
    assert count_flops(model([gemm], {"w": (7, 4)}, (7, 3), (3, 4))).count == 2 * 3 * 4 * 7
    # Twice the batch inside, as with mirror images: two answers for each sample.
    assert count_flops(model([gemm], {"w": (7, 4)}, ("batch", 3), ("2*batch", 4))).count == 2 * 2 * 4 * 1
    # A shape that the file does not state: inferred where onnx is.
    chain = [helper.make_node("Conv", ["x", "w"], ["h"]), helper.make_node("Conv", ["h", "w"], ["y"])]
    hidden = count_flops(model(chain, {"w": (8, 8, 3, 3)}, (1, 8, 12, 12), (1, 8, 8, 8)))
    assert hidden.count == 2 * 72 * 8 * (100 + 64)
    assert hidden.nodes == 2
    assert onnx.__version__


def test_operations_of_what_is_no_network():
    assert count_flops(b"\x00\x01\x02").count is None
    assert count_flops(b"").count == 0
