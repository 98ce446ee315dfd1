"""A network of one's own: exported, proved, loaded again and run; and every way in which that is refused."""

import hashlib
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from torch import nn  # noqa: E402

from voxzoo.export.delivery import example_cases  # noqa: E402
from voxzoo.export.from_torch import cases_of, from_torch  # noqa: E402
from voxzoo.export.networks import build  # noqa: E402
from voxzoo.zoo import onnxfile, registry, torchfile  # noqa: E402
from voxzoo.zoo.contract import Contract, InputSpec, LicenceSpec, OutputSpec  # noqa: E402
from voxzoo.zoo.errors import (  # noqa: E402
    ContractError,
    DeviceError,
    IntegrityError,
    ModelError,
    RunError,
    UsageError,
)
from voxzoo.zoo.runtimes.base import open_session  # noqa: E402

LICENCE = LicenceSpec("Apache-2.0", "no data", "confirmed")
MRI = ("flair", "t1", "t1ce", "t2")


def volumes(shape=(9, 12, 10), channels=MRI, regions=("wt",), **output):
    labels = {1: "whole_tumour"} if regions == ("wt",) else {1: "necrosis", 2: "edema", 3: "enhancing"}
    output = {"name": "logits", "kind": "regions", "channels": regions, "activation": "sigmoid", **output}
    return Contract(
        name="mine",
        version="1",
        task="segment",
        input=InputSpec("image", channels, shape, (20.0, 20.0, 20.0)),
        output=OutputSpec(**output),
        labels=labels,
        licence=LICENCE,
    )


def classes(spec, names=("a", "b")):
    return Contract(
        name="mine",
        version="1",
        task="classify",
        input=spec,
        output=OutputSpec("logits", "classes", names, activation="softmax"),
        labels=dict(enumerate(names)),
        licence=LICENCE,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A network, its contract and the report of its export."""
    torch.manual_seed(0)
    network, contract = nn.Conv3d(4, 1, 3, padding=1), volumes()
    return network, contract, from_torch(network, contract, tmp_path_factory.mktemp("made") / "m.onnx")


def test_batch_is_free(made):
    path = made[2].path
    x = np.random.default_rng(0).standard_normal((3, 4, 9, 12, 10)).astype(np.float32)
    session = open_session(path, "onnxruntime", "cpu")
    np.testing.assert_allclose(session.run(x)[2], session.run(x[2:])[0], atol=1e-6)
    assert onnxfile.inspect(path).opset == 18


def test_the_report_says_how_it_was_proved(made):
    text = str(made[2])
    assert "2 cases on onnxruntime: largest difference" in text
    assert made[2].bytes == made[2].path.stat().st_size


class TestContradictions:
    """Refused in one line before anything is written."""

    def refused(self, network, contract, tmp_path, words):
        with pytest.raises(ContractError, match=words) as caught:
            from_torch(network, contract, tmp_path / "out" / "m.onnx")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "out").exists()

    def test_channels(self, tmp_path):
        words = r"does not take the contract's input \(2, 3, 9, 12, 10\)"
        self.refused(build("cnn3d-seg"), volumes(channels=MRI[:3]), tmp_path, words)

    def test_regions(self, tmp_path):
        words = r"gives shape \(2, 1, 9, 12, 10\).*wt, tc, et.*\(2, 3, 9, 12, 10\)"
        self.refused(build("cnn3d-seg"), volumes(regions=("wt", "tc", "et")), tmp_path, words)

    def test_a_stride_too_many(self, tmp_path):
        words = r"gives shape \(2, 1, 5, 6, 5\)"
        self.refused(nn.Conv3d(4, 1, 3, stride=2, padding=1), volumes(), tmp_path, words)

    def test_classes(self, tmp_path):
        spec = InputSpec("image", MRI, (9, 12, 10), (20.0, 20.0, 20.0))
        self.refused(build("cnn3d-cls-gap"), classes(spec), tmp_path, r"gives shape \(2, 1\)")

    def test_planes_for_volumes(self, tmp_path):
        self.refused(nn.Conv2d(4, 1, 1), volumes(), tmp_path, "does not take")

    def test_several_outputs(self, tmp_path):
        class Two(nn.Module):
            def forward(self, x):
                return x, x

        self.refused(Two(), volumes(), tmp_path, "gives a tuple; one tensor was expected")


def test_a_file_that_differs_is_not_kept(made, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"what was there")
    with pytest.raises(ModelError, match="not kept"):
        from_torch(*made[:2], path, tolerance=-1.0)
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        from_torch(nn.Conv3d(4, 1, 1), volumes(), tmp_path / "file" / "m.onnx")


def test_cases_that_an_export_is_proved_on():
    contract = volumes()
    assert [case.id for case in cases_of(None, contract)] == ["random 0", "random 1"]
    assert [case.id for case in cases_of(None, volumes((32, 40, 32)))] == ["phantom-0000", "phantom-0001"]
    assert len(cases_of("phantom:n=3,shape=32x40x32", contract, limit=2)) == 2
    assert len(cases_of("phantom:n=1,shape=32x40x32", contract)) == 1
    with pytest.raises(UsageError, match="at least one"):
        cases_of([], contract)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Of a TorchScript file."""
    path = tmp_path_factory.mktemp("ts") / "m.pt"
    return from_torch(build("cnn3d-seg"), volumes(), path, format="torchscript").path


class TestTorchScript:
    def test_torch_opens_it_and_finds_the_contract(self, path):
        extra = {"voxzoo.contract": ""}
        with pytest.warns(DeprecationWarning, match="torch.jit.load"):
            torch.jit.load(str(path), _extra_files=extra)
        assert json.loads(extra["voxzoo.contract"])["name"] == "mine"

    def test_hash_is_over_all_other_members(self, path):
        digest = hashlib.sha256()
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if not name.endswith("/extra/voxzoo.contract"):
                    content = archive.read(name)
                    digest.update(name.encode() + b"\0" + str(len(content)).encode() + b"\0" + content)
        assert torchfile.inspect(path).contract().content_sha256 == digest.hexdigest()

    def test_runs_only_when_asked_for_by_name_and_trusted(self, path):
        with pytest.raises(UsageError, match="--runtime torchscript"):
            registry.load(path)
        with pytest.raises(UsageError, match="--runtime torchscript"):
            registry.load(path, trust=True)
        with pytest.raises(UsageError, match="--trust"):
            registry.load(path, runtime="torchscript")
        model = registry.load(path, runtime="torchscript", trust=True, threads=1)
        assert (model.runtime.name, model.runtime.device, model.runtime.precision) == (
            "torchscript",
            "cpu",
            "fp32",
        )
        mask = model(np.ones((4, 9, 12, 10), np.float32), spacing_mm=(20, 20, 20))
        assert mask.array.shape == (9, 12, 10)

    def test_changed_code_is_refused(self, path, tmp_path):
        changed = tmp_path / "changed.pt"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                target.writestr(name, content + b"\n" if name.endswith(".py") else content)
        with pytest.raises(IntegrityError, match="changed after the contract was written"):
            registry.load(changed, runtime="torchscript", trust=True)

    def test_other_precisions_are_refused(self, path):
        with pytest.raises(DeviceError, match="fp32"):
            registry.load(path, runtime="torchscript", trust=True, precision="bf16")


def test_torchscript_runtime_opens_no_onnx(made):
    with pytest.raises(ModelError, match="not a TorchScript file"):
        registry.load(made[2].path, runtime="torchscript", trust=True)


def test_activation_stays_what_the_contract_says(made):
    """Logits in the file and a sigmoid in the contract give the probabilities of the network."""
    network, contract, report = made
    model = registry.load(report.path, runtime="onnxruntime")
    prepared = model.prepare(example_cases(contract)[0])
    with torch.no_grad():
        expected = torch.sigmoid(network(torch.from_numpy(prepared.tensor[None])))[0].numpy()
    np.testing.assert_allclose(model.infer(prepared), expected, atol=1e-6)
    assert replace(model.contract, content_sha256="") == contract
