"""``benchmarks/tables.py``: tables of ratios, floors, what is kept."""

import importlib.util
import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "tables.py"
if not SCRIPT.is_file():
    pytest.skip("no benchmarks/ beside the tests", allow_module_level=True)
spec = importlib.util.spec_from_file_location("benchmark_tables", SCRIPT)
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)

MACHINE = {
    "cpu": "AMD EPYC 9654 96-Core Processor",
    "cores": 2,
    "memory_gib": 23.5,
    "python": "3.11.7",
    "platform": "Linux-6.1.0-secret-host-x86_64-with-glibc2.36",
    "packages": {"numpy": "2.4.6"},
    "threads_env": {"OMP_NUM_THREADS": "1"},
    "node": "secret-host",
}


def row(name="dice", ours=0.001, floors=(), **peers):
    peers = peers or {"numpy": 0.003}
    return {
        "file": "test_bench_overlap",
        "name": name,
        "ours_s": ours,
        "peers_s": peers,
        "ratios": {peer: seconds / ours for peer, seconds in peers.items()},
        "floors": dict(floors),
    }


def write(path, *rows, machine=MACHINE):
    found = {"voxzoo": {"ratios": list(rows), "machine": machine}}
    path.write_text(json.dumps({"machine_info": {}, "benchmarks": [], **found}), encoding="utf-8")
    return str(path)


def wrong(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_ratio_below_its_floor_is_named(tmp_path, capsys):
    rows = [row("dice", floors={"numpy": 2}), row("fill a|b", 0.01, {"cv2": 1.5}, cv2=0.0123)]
    assert tables.main([write(tmp_path / "a.json", *rows), "--check"]) == 1
    out, err = capsys.readouterr()
    assert err.splitlines() == ["below its floor: fill a|b: 1.23x cv2, the floor is 1.5x"]
    assert "| dice | 1 ms | numpy 3x (floor 2x) |" in out
    assert "| fill a\\|b | 10 ms | cv2 1.23x (floor 1.5x) |" in out
    assert tables.main([write(tmp_path / "a.json", rows[0]), "--check"]) == 0


def test_a_ratio_that_is_no_number_is_below_its_floor():
    broken = {**row(floors={"numpy": 2}), "ratios": {"numpy": float("nan")}}
    assert tables.below([broken]) == ["dice: nanx numpy, the floor is 2x"]


def test_what_is_kept_names_no_host_and_reads_again(tmp_path, capsys):
    given = write(tmp_path / "a.json", row("dice", 0.00123456789), row("fill"))
    assert tables.main([given, "--keep", str(tmp_path / "results")]) == 0
    (kept,) = (tmp_path / "results").iterdir()
    assert kept.name == "amd-epyc-9654-2-cores.json"
    text = kept.read_text()
    assert "secret" not in text
    assert json.loads(text)["machine"]["platform"] == "Linux x86_64"
    shown = capsys.readouterr().out
    assert tables.main([str(kept)]) == 0
    assert capsys.readouterr().out == shown
    again = write(tmp_path / "b.json", row("dice", 0.002))
    assert tables.main([str(kept), again, "--keep", str(kept)]) == 0
    assert {r["name"]: r["ours_s"] for r in json.loads(kept.read_text())["ratios"]} == {
        "dice": 0.002,
        "fill": 0.001,
    }


@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "intel-xeon-platinum-8481c-2-cores.json"),
        ("Apple M2", "apple-m2-2-cores.json"),
        ("AMD EPYC", "amd-epyc-2-cores.json"),
    ],
)
def test_short_names_of_machines(cpu, name):
    assert tables.file_name({**MACHINE, "cpu": cpu}) == name


def test_between_the_marks_of_a_readme(tmp_path, capsys):
    given, readme = write(tmp_path / "a.json", row()), tmp_path / "README.md"
    readme.write_text(f"head\n{tables.BEGIN}\nold\n{tables.END}\ntail\n")
    for _ in range(2):
        assert tables.main([given, "--readme", str(readme)]) == 0
    text = readme.read_text()
    assert text.startswith(f"head\n{tables.BEGIN}\nAMD EPYC 9654 96-Core Processor, 2 cores")
    assert text.endswith(f"| dice | 1 ms | numpy 3x |\n{tables.END}\ntail\n")
    assert "old" not in text
    readme.write_text(f"{tables.END}{tables.BEGIN}")
    assert tables.main([given, "--readme", str(readme)]) == 2
    assert "needs the lines" in capsys.readouterr().err


def test_files_that_are_of_no_use_are_refused(tmp_path, capsys):
    good = write(tmp_path / "good.json", row())
    other = write(tmp_path / "other.json", row(), machine={**MACHINE, "cpu": "Apple M2"})
    cut = tmp_path / "cut.json"
    cut.write_text(Path(good).read_text()[:50])
    for files, words in (
        ([good, other], "different machines"),
        ([str(cut)], "cannot be read"),
        ([str(tmp_path / "none.json")], "cannot be read"),
        ([write(tmp_path / "empty.json")], "no ratios in it"),
        ([write(tmp_path / "twice.json", row(), row(ours=2.0))], "two rows of one name"),
        ([wrong(tmp_path / "0.json", "")], "cannot be read"),
        ([wrong(tmp_path / "1.json", "{}")], "no ratios in it"),
        ([wrong(tmp_path / "2.json", '{"voxzoo": {"ratios": []}}')], "no ratios in it"),
    ):
        assert tables.main([*files, "--check"]) == 2
        assert words in capsys.readouterr().err
