"""The ``zoo`` command: what it prints and how it exits."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from voxzoo.zoo import cli, onnxfile, registry


@pytest.fixture
def zoo(monkeypatch, capsys):
    """Run the command in this process: (exit code, what it printed, what it complained)."""

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["zoo", *map(str, args)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return (caught.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def bundled(tmp_path, tiny, monkeypatch):
    """A zoo of one model with terms that nobody confirmed."""
    folder = tmp_path / "weights"
    folder.mkdir()
    real = registry.entries
    monkeypatch.setattr(registry, "WEIGHTS", folder)
    monkeypatch.setattr(registry, "entries", lambda where=None: real(where or folder))
    registry.register(tiny, "a toy", folder=folder)
    return folder


def test_list(zoo, bundled):
    code, out, _ = zoo("list")
    assert code == 0
    assert "tiny 0.1.0" in out
    assert "baseline:flair-threshold" in out
    assert "licence: Apache-2.0; data: no data" in out


def test_list_as_json(zoo, bundled):
    rows = json.loads(zoo("list", "--json")[1])
    assert [row["name"] for row in rows] == ["tiny", "baseline:flair-threshold"]
    assert rows[0]["bytes"] == (bundled / "tiny.onnx").stat().st_size
    assert rows[0]["local"] is True


def test_show_has_contract_licence_and_hashes(zoo, bundled):
    file = onnxfile.inspect(bundled / "tiny.onnx")
    code, out, _ = zoo("show", "tiny")
    facts = dict(line.split("  ", 1) for line in out.splitlines())
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    assert code == 0
    assert facts["model"] == "tiny 0.1.0"
    assert facts["found"] == "bundled zoo model tiny 0.1.0"
    assert facts["channels"] == "flair, t1, t1ce, t2"
    assert facts["grid"] == "8 x 10 x 12 voxels of 1 x 1 x 1 mm"
    assert facts["labels"] == "1 whole_tumour"
    assert facts["content sha256"] == file.content_sha256
    assert facts["file sha256"] == file.sha256


@pytest.mark.parametrize("status", ["unconfirmed", "research-only"])
def test_show_shouts_terms_that_are_not_confirmed(zoo, tmp_path, make_onnx, make_contract, status):
    path = tmp_path / "m.onnx"
    path.write_bytes(make_onnx())
    onnxfile.write_contract(path, make_contract(status=status))
    assert status.upper() in zoo("show", path)[1]


def test_show_as_json_is_the_contract(zoo, tiny):
    shown = json.loads(zoo("show", tiny, "--json")[1])
    assert shown["contract"] == onnxfile.read_contract(tiny).to_dict()
    assert shown["found"] == f"file {tiny}"
    assert shown["sha256"] == onnxfile.inspect(tiny).sha256


def test_of_long_lists_show_has_the_beginning(zoo, tmp_path, make_onnx, make_contract):
    path = tmp_path / "m.onnx"
    path.write_bytes(make_onnx())
    cases = [f"case{number:03}" for number in range(300)]
    onnxfile.write_contract(path, replace(make_contract(), training={"cases": cases, "steps": 5}))
    (line,) = [line for line in zoo("show", path)[1].splitlines() if line.startswith("training cases")]
    assert line.startswith("training cases      case000, case001, ")
    assert line.endswith("(300; all with --json)")
    assert len(line) < 200


def test_show_a_baseline(zoo):
    code, out, _ = zoo("show", "baseline:flair-threshold")
    assert (code, "z_score" in out) == (0, True)


def test_show_what_is_not_there(zoo, bundled):
    code, out, err = zoo("show", "tyni")
    assert (code, out) == (2, "")
    assert err.startswith("zoo: error: tyni: neither a file nor a name")
    assert "did you mean tiny" in err
    assert err.count("\n") == 1


def test_show_what_cannot_be_trusted(zoo, tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"<html>")
    code, _, err = zoo("show", tmp_path / "m.onnx")
    assert (code, err.count("\n")) == (1, 1)


def test_verify_everything(zoo, bundled):
    code, out, err = zoo("verify")
    assert (code, err) == (0, "")
    assert out.startswith("ok    tiny: bundled zoo model")


def test_verify_names_every_failure_and_goes_on(zoo, bundled, tmp_path, make_onnx, tiny):
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(make_onnx())
    onnxfile.write_contract(bundled / "tiny.onnx", onnxfile.read_contract(tiny).with_hash(""))
    (bundled / "tiny.onnx").write_bytes((bundled / "tiny.onnx").read_bytes()[:-1])
    code, out, err = zoo("verify", "tiny", bare, tiny, "absent", "baseline:flair-threshold")
    assert code == 1
    assert [line.split()[0] for line in err.splitlines()] == ["FAIL"] * 3
    assert "no contract inside" in err
    assert [line.split()[0] for line in out.splitlines()] == ["ok"] * 2
    assert str(tiny) in out


def test_verify_an_empty_zoo(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "entries", lambda: {})
    code, out, _ = zoo("verify")
    assert (code, "nothing to verify" in out) == (0, True)


@pytest.mark.parametrize("args", [("paint",), ("show",), ("list", "--loud")])
def test_wrong_use_is_2(zoo, args):
    assert zoo(*args)[0] == 2


def test_help_needs_nothing_heavy():
    code = (
        "import sys; sys.argv = ['zoo', '--help']\n"
        "from voxzoo.zoo.cli import command\n"
        "try: command()\n"
        "except SystemExit: pass\n"
        "heavy = {'numba', 'scipy', 'nibabel', 'onnxruntime', 'openvino', 'torch', 'cv2', 'rich'}\n"
        "print(*sorted(heavy & set(sys.modules)), sep='', end='', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "verify" in done.stdout
