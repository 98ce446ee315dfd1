"""A benchmark on a card."""

import json

import pytest
from click.testing import CliRunner

from voxzoo.cards.bench import bench_among, bench_section, keep_bench, read_bench
from voxzoo.cards.cli import command
from voxzoo.zoo.errors import RunError


@pytest.fixture
def plain(made):
    row = {
        "content_sha256": "ab" * 32,
        "runtime": {"name": "toy", "version": "1", "device": "cpu", "precision": "fp32"},
        "items": 3,
        "reason": "",
        "memory_bytes": 3 * 2**20,
        "seconds_per_patient": {"median": 2.0, "p95": 3.0},
        "seconds_per_slice": {"median": 0.0125, "p95": 0.02},
        "energy_per_slice": made.energy["per_axial_slice"],
        "gco2e_per_1000_slices": {"grams": 0.5},
    }
    nothing = {**made.energy["per_axial_slice"], "joules": None, "low": None, "high": None}
    return {
        "schema": "voxzoo.bench/1",
        "first": "other",
        "ratios": {"other": {"seconds_per_patient": 1.0}, "toy": {"seconds_per_patient": 2.5}},
        "models": {
            "other": {**row, "content_sha256": "cd" * 32},
            "toy": row,
            "toy <b>": {**row, "energy_per_slice": nothing, "memory_bytes": None},
            "toy (broken)": {**row, "items": 0, "reason": "it | broke"},
        },
        "dataset": {"name": "toys", "source": "/home/someone/toys", "cases": ["a", "b"]},
        "environment": {"cpu": "A CPU", "platform": "Linux-6.1.0-somewhere-x86_64"},
    }


def write(folder, plain):
    (folder / "bench.json").write_text(json.dumps(plain))
    return folder


def test_the_rows_of_the_model(tmp_path, plain):
    text = bench_section(read_bench(write(tmp_path, plain)), "ab" * 32)
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()[2:5]]
    assert rows[0] == [
        "toy",
        "toy 1 cpu fp32",
        "2.00 (3.00)",
        "12.5",
        "3.00",
        "2.00 [1.00, 4.00]",
        "estimated (estimate)",
        "0.500",
        "2.50",
    ]
    assert rows[1][0] == "toy &lt;b&gt;"
    assert rows[1][4:8] == ["not measured", "not measured", "-", "not measured"]
    assert rows[2][2] == "failed: it \\| broke"
    assert "on toys, 2 cases; A CPU." in text


def test_a_kept_benchmark_says_the_same_and_names_no_folder(tmp_path, plain):
    bench = read_bench(write(tmp_path, plain))
    again = read_bench(keep_bench(bench, tmp_path / "kept"))
    assert bench_section(again, "ab" * 32) == bench_section(bench, "ab" * 32)
    text = again.source.read_text()
    assert "/home" not in text
    assert "somewhere" not in text


def test_what_cannot_be_read_is_named(tmp_path, plain):
    with pytest.raises(RunError, match=r"bench\.json: cannot be read"):
        read_bench(tmp_path)
    with pytest.raises(RunError, match="of other models"):
        bench_section(read_bench(write(tmp_path, plain)), "ee" * 32)
    for change, words in (
        ({"schema": "voxzoo.bench/2"}, "of another voxzoo"),
        ({"schema": "x"}, "not of zoo-bench"),
        ({"models": [1]}, "damaged: models"),
    ):
        with pytest.raises(RunError, match=words):
            read_bench(write(tmp_path, {**plain, **change}))
    (tmp_path / "bench.json").write_text(json.dumps(plain)[:90])
    with pytest.raises(RunError, match="cut off, perhaps"):
        read_bench(tmp_path)
    del plain["models"]["toy"]["runtime"]
    with pytest.raises(RunError, match="damaged: KeyError 'runtime'"):
        bench_section(read_bench(write(tmp_path, plain)), "ab" * 32)


def test_a_benchmark_among_the_runs_goes_on_the_card(made, tmp_path, plain):
    folder = made.write(made.segment())
    content = json.loads((folder / "results.json").read_text())["model"]["content_sha256"]
    plain["models"]["toy"]["content_sha256"] = content
    kept = tmp_path / "kept"
    words = ["keep", "--runs", str(folder), "--bench", str(write(tmp_path, plain)), "--out", str(kept)]
    assert CliRunner().invoke(command, words).exit_code == 0
    assert sorted(path.name for path in kept.iterdir()) == ["bench.json", "segment-toys.json"]
    words = ["build", "--model", "toy", "--runs", str(kept), "--out", str(tmp_path / "card")]
    assert CliRunner().invoke(command, words).exit_code == 0
    text = (tmp_path / "card" / "README.md").read_text()
    assert "### Benchmark" in text
    assert "| 2.00 [1.00, 4.00] | estimated (estimate) |" in text
    with pytest.raises(RunError, match="which one goes on the card"):
        bench_among([str(kept), str(tmp_path)])
