"""Weights in files: pickles refused, other networks named, whole or not at all."""

import os
import pickle
import resource
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from voxzoo.export import weights  # noqa: E402
from voxzoo.zoo.errors import ModelError, RunError  # noqa: E402


def _linear(inputs, outputs):
    return torch.nn.Linear(inputs, outputs)


def test_round_trip_keeps_every_bit_and_fact(tmp_path):
    path = tmp_path / "w.safetensors"
    tensors = {"a": torch.randn(3, 4).T, "b": torch.tensor([1, 2])}
    weights.write(path, tensors, {"step": "7"})
    back, facts = weights.read(path)
    assert facts == {"step": "7"}
    assert all(torch.equal(back[k], tensors[k]) for k in tensors)
    assert os.listdir(tmp_path) == ["w.safetensors"]
    assert path.stat().st_mode & 0o044


def _trap(path):
    """A pickle that would create a file if anybody loaded it."""

    class Trap:
        def __reduce__(self):
            return open, (str(path.parent / "sprung"), "w")

    path.write_bytes(pickle.dumps(Trap()))


@pytest.mark.parametrize("kind", ["torch", "old torch", "bare"])
def test_pickles_are_refused_unread(tmp_path, kind):
    path = tmp_path / "evil.safetensors"
    if kind == "bare":
        _trap(path)
    else:
        torch.save(_linear(2, 2).state_dict(), path, _use_new_zipfile_serialization=kind == "torch")
    with pytest.raises(ModelError, match=r"pickle.*safetensors") as caught:
        weights.read_weights(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "sprung").exists()


def test_absent_cut_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(ModelError, match="cannot be read"):
        weights.read(path)
    weights.write(path, {"a": torch.randn(100)})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        weights.read(path)
    path.write_text("name: me\n")
    with pytest.raises(ModelError, match="not a whole safetensors file"):
        weights.read(path)


def test_weights_of_another_network_are_named():
    net = _linear(3, 2)
    before = net.weight.detach().clone()
    with pytest.raises(ModelError, match=r"another network: weight is \(2, 4\), expected \(2, 3\)"):
        weights.put(_linear(4, 2).state_dict(), net, "w")
    with pytest.raises(ModelError, match="bias is not in the file"):
        weights.put({"weight": before}, net, "w")
    with pytest.raises(ModelError, match="extra is not in this network"):
        weights.put({**net.state_dict(), "extra": before}, net, "w")
    assert torch.equal(net.weight, before)


def test_a_checkpoint_gives_its_averaged_weights(tmp_path):
    path = tmp_path / "last.safetensors"
    weights.write(path, {"network.weight": torch.zeros(2), "average.weight": torch.ones(2)})
    assert torch.equal(weights.read_weights(path)["weight"], torch.ones(2))


FULL = """
import resource, sys, torch
from pathlib import Path
from voxzoo.export import weights
from voxzoo.zoo.errors import RunError
path = Path(sys.argv[1])
weights.write(path, {"a": torch.zeros(10)})
before = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # what a full disk looks like to a writer
try:
    weights.write(path, {"a": torch.zeros(100_000)})
except RunError as error:
    assert "\\n" not in str(error) and "make room" in str(error), error
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == [path.name]
    print("told")
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a file-size limit")
def test_a_full_disk_leaves_the_old_file(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "w.safetensors")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.stdout == "told\n", done.stderr[-1000:]


def test_a_folder_that_is_gone_is_told(tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        weights.write(tmp_path / "gone" / "w.safetensors", {"a": torch.zeros(1)})
