"""``zoo-eval`` as a user meets it: exit codes, one clear line, files, a table."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from voxzoo.eval.cli import command
from voxzoo.eval.results import Results
from voxzoo.zoo.nifti import write_nifti

AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
BASELINE = "baseline:flair-threshold"


def write_patient(folder, index=0):
    """A head of noise with a bright ball in it, as a BraTS folder."""
    generator = np.random.default_rng(index)
    grid = np.indices((24, 26, 22)) - np.array([12, 13, 11])[:, None, None, None]
    radius = np.sqrt((grid**2).sum(axis=0))
    ball = np.sqrt(((grid - np.array([2, index % 3, -2])[:, None, None, None]) ** 2).sum(axis=0)) < 4
    image = (100 + 10 * generator.standard_normal(radius.shape) + 100 * ball) * (radius < 10)
    name = f"BraTS2021_{index:05d}"
    for suffix in ("flair", "t1", "t1ce", "t2"):
        write_nifti(folder / name / f"{name}_{suffix}.nii.gz", image.astype(np.int16), AFFINE, np.int16)
    labels = np.where(ball & (radius < 10), 2, 0).astype(np.uint8)
    write_nifti(folder / name / f"{name}_seg.nii.gz", labels, AFFINE, np.uint8)
    return folder / name


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "patients"
    for index in range(3):
        (folder / f"BraTS2021_{index:05d}").mkdir(parents=True)
        write_patient(folder, index)
    return folder


@pytest.fixture
def zoo_eval(tmp_path, monkeypatch):
    """Run the command in ``tmp_path``; gives exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        assert result.return_value == code, result.output
        return result

    return run


def one_line(result):
    """The error, which has to be a single line without a traceback."""
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("zoo-eval: error: ")
    return lines[0]


def test_a_run_from_the_first_line_to_the_files(zoo_eval, data, tmp_path):
    result = zoo_eval("--model", BASELINE, "--data", data, "--out", "run", "--parquet")
    assert "built into voxzoo" in result.stderr
    assert "3 cases" in result.stderr
    for word in (
        "dice",
        "hd95, mm",
        "nsd at 1 mm",
        "n/miss/empty",
        "3/0/0",
        "Worst cases:",
        "BraTS2021_00001",
    ):
        assert word in result.stdout
    results = Results.load(tmp_path / "run")
    assert results.aggregate["dice"].n == 3
    assert results.dataset["name"] == "patients"
    assert results.scores.runtime["device"] == "cpu"
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["cases.csv", "cases.parquet", "records.jsonl", "results.json"]


def test_without_a_folder_the_same_command_finds_its_own(zoo_eval, data, tmp_path):
    zoo_eval("--model", BASELINE, "--data", data)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("baseline-flair-threshold-patients-")
    again = zoo_eval("--model", BASELINE, "--data", data)
    assert "3 of 3 cases were on file" in again.stdout
    zoo_eval("--model", BASELINE, "--data", data, "--empty", "nan")
    assert len(list((tmp_path / "runs").iterdir())) == 2


def test_a_case_that_cannot_be_read_is_named_and_the_rest_scored(zoo_eval, data, tmp_path):
    flair = data / "BraTS2021_00001" / "BraTS2021_00001_flair.nii.gz"
    flair.write_bytes(flair.read_bytes()[:-500])
    result = zoo_eval("--model", BASELINE, "--data", data, "--out", "run", code=1)
    assert "Failed (1 of 3):" in result.stdout
    assert "BraTS2021_00001_flair.nii.gz" in result.stdout
    dice = Results.load(tmp_path / "run").aggregate["dice"]
    assert (dice.n, dice.missing) == (3, 1)


def test_a_poor_prediction_is_a_result(zoo_eval, data):
    for path in data.glob("*/*_flair.nii.gz"):
        write_nifti(path, np.full((24, 26, 22), 7, np.int16), AFFINE, np.int16)
    result = zoo_eval("--model", BASELINE, "--data", data, "--out", "run")
    assert "3/0/3" in result.stdout
    assert "empty prediction" in result.stdout


def test_some_cases_only(zoo_eval, data, tmp_path):
    (tmp_path / "ids.txt").write_text("BraTS2021_00002\n\nBraTS2021_00000\n")
    for cases, wanted in (("ids.txt", 2), ("BraTS2021_00002, BraTS2021_00001", 2), ("BraTS2021_00002", 1)):
        zoo_eval("--model", BASELINE, "--data", data, "--out", "run", "--cases", cases)
        assert Results.load(tmp_path / "run").aggregate["dice"].n == wanted


def test_masks(zoo_eval, data, tmp_path):
    zoo_eval("--model", BASELINE, "--data", data, "--limit", 1, "--out", "run", "--save-masks", "masks")
    import nibabel

    mask = nibabel.load(tmp_path / "masks" / "BraTS2021_00000.nii.gz")
    assert mask.shape == (24, 26, 22)
    assert np.array_equal(mask.affine, AFFINE)
    row = Results.load(tmp_path / "run").cases[0]
    assert np.count_nonzero(mask.dataobj) / 1000 == pytest.approx(row.metrics["volume_ml"])


def test_json_is_all_there_is_on_stdout(zoo_eval, data):
    result = zoo_eval("--model", BASELINE, "--data", data, "--out", "run", "--json")
    assert json.loads(result.stdout)["aggregate"]["dice"]["n"] == 3


def test_quiet_prints_the_table_alone(zoo_eval, data):
    result = zoo_eval("--model", BASELINE, "--data", data, "--out", "run", "--quiet")
    assert result.stderr == ""
    assert "dice" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "cnn3d-sge"], "neither a file nor a name in the zoo"),
        (["--model", BASELINE, "--data", "nowhere"], "nowhere: neither a folder"),
        (["--model", BASELINE, "--cases", "nobody"], "there is no case 'nobody'"),
        (["--model", BASELINE, "--cases", ","], "no id"),
        (["--model", BASELINE, "--empty", "maybe"], "maybe"),
        (["--model", BASELINE, "--preset", "mine"], "mine"),
        (["--model", BASELINE, "--tolerance-mm", "-1"], "tolerance_mm: got -1"),
        (["--model", BASELINE, "--limit", "0"], "limit: got 0"),
        (["--model", BASELINE, "--task", "sing"], "task: got 'sing'"),
        (["--model", BASELINE, "--runtime", "abacus"], "abacus"),
        (["--model", BASELINE, "--out", "ids.txt/run"], "cannot be written"),
        (["--model", BASELINE, "--save-masks", "ids.txt"], "cannot be written"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(zoo_eval, data, tmp_path, arguments, message):
    (tmp_path / "ids.txt").write_text("BraTS2021_00002\n")
    before = sorted(tmp_path.rglob("*"))
    if "--data" not in arguments:
        arguments = [*arguments, "--data", data]
    assert message in one_line(zoo_eval(*arguments, code=2))
    assert sorted(tmp_path.rglob("*")) == before


def test_another_run_in_the_folder(zoo_eval, data):
    zoo_eval("--model", BASELINE, "--data", data, "--out", "run")
    line = one_line(
        zoo_eval("--model", BASELINE, "--data", data, "--out", "run", "--tolerance-mm", 2, code=2)
    )
    assert "options.tolerance_mm: 1.0 there, 2.0 asked for" in line
    zoo_eval("--model", BASELINE, "--data", data, "--out", "run", "--tolerance-mm", 2, "--overwrite")


def test_debug_shows_where_an_error_comes_from(zoo_eval):
    from voxzoo.zoo.errors import UsageError

    with pytest.raises(UsageError):
        zoo_eval("--model", BASELINE, "--data", "nowhere", "--debug")


def run_python(*arguments):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120)


def test_a_missing_model_is_wrong_use_in_a_shell_too():
    done = run_python("-m", "voxzoo.eval.cli")
    assert done.returncode == 2
    assert "--model" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    done = run_python("-m", "voxzoo.eval.cli", "--model", "x", "--colour", "red")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from voxzoo.eval.cli import command; command(['--help'], standalone_mode=False);"
        "heavy = {'numba', 'scipy', 'nibabel', 'rich', 'onnxruntime', 'openvino', 'torch', 'pandas'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = run_python("-c", code)
    assert "--save-masks" in done.stdout
    assert done.stdout.strip().endswith("[]"), done.stdout


@pytest.mark.parametrize("quiet", [True, False])
def test_terms_of_research_only_weights_are_said_once(zoo_eval, data, quiet, monkeypatch, recwarn):
    from dataclasses import replace

    from voxzoo.zoo import registry
    from voxzoo.zoo.contract import LicenceSpec

    load = registry.load

    def research_only(*arguments, **options):
        model = load(*arguments, **options)
        licence = LicenceSpec("CC BY-NC 4.0", "a challenge's terms", "research-only")
        model.contract = replace(model.contract, name="theirs", licence=licence)
        registry.tell_terms(model.contract)
        return model

    monkeypatch.setattr(registry, "load", research_only)
    options = ["--quiet"] if quiet else []
    result = zoo_eval("--model", BASELINE, "--data", data, "--out", "run", "--no-baseline", *options)
    assert result.stderr.count("RESEARCH USE ONLY") == 1
    assert not [w for w in recwarn if "CC BY-NC" in str(w.message)]
