"""``benchmarks/tables.py``: tables from benchmark files, and floors that are missed."""

import importlib.util
import json
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[3] / "benchmarks" / "tables.py"


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("benchmark_tables", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def file(tmp_path):
    def write(ratio=6.0, cpu="A CPU", name="bench.json"):
        row = {
            "file": "test_bench_x", "name": "a|b", "ours_s": 0.002, "peers_s": {"peer": 0.002 * ratio},
            "ratios": {"peer": ratio, "other": 2.0}, "floors": {"peer": 5},
        }  # fmt: skip
        machine = {"cpu": cpu, "cores": 2, "secret": "host"}
        path = tmp_path / name
        path.write_text(json.dumps({"benchmarks": [], "voxzoo": {"ratios": [row], "machine": machine}}))
        return path

    return write


def test_a_table_and_what_is_kept(tables, file, tmp_path, capsys):
    kept = tmp_path / "results" / "kept.json"
    assert tables.main([str(file()), "--check", "--keep", str(kept)]) == 0
    out = capsys.readouterr().out
    assert "| a\\|b | 2 ms | peer 6x (floor 5x), other 2x |" in out
    assert "A CPU, 2 cores" in out
    assert "secret" not in kept.read_text()
    assert tables.main([str(kept), "--check"]) == 0  # what was kept can be read again


@pytest.mark.parametrize("ratio", [4.99, 0.0, float("nan")])
def test_below_the_floor(tables, file, capsys, ratio):
    assert tables.main([str(file(ratio)), "--check"]) == 1
    assert "below its floor: a|b" in capsys.readouterr().err
    assert tables.main([str(file(ratio))]) == 0


def test_into_a_readme(tables, file, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    assert tables.main([str(file()), "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "peer 6x" in text


@pytest.mark.parametrize("text", ["", "{}", "no json", '{"voxzoo": {"ratios": []}}'])
def test_files_that_are_none(tables, tmp_path, capsys, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    assert tables.main([str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_a_readme_without_marks_and_two_machines(tables, file, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("nothing")
    assert tables.main([str(file()), "--readme", str(readme)]) == 2
    assert tables.main([str(file()), str(file(cpu="B", name="b.json"))]) == 2
    assert "different machines" in capsys.readouterr().err
