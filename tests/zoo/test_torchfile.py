"""TorchScript files read as archives: no torch is needed to hash them, to read their contract, to refuse."""

import hashlib
import zipfile

import pytest

from voxzoo.zoo import onnxfile, registry, torchfile
from voxzoo.zoo.errors import (
    ContractError,
    IntegrityError,
    MissingDependencyError,
    ModelError,
    ModelNotFoundError,
    UsageError,
)
from voxzoo.zoo.runtimes import base

MEMBERS = {
    "net/data.pkl": b"pickled",
    "net/code/__torch__/net.py": b"def forward(): ...",
    "net/constants.pkl": b"",
    "net/data/0": b"\0" * 64,
}


def digest(members):
    """The definition once more: name, size and bytes of each member, by name, the contract left out."""
    found = hashlib.sha256()
    for name in sorted(members):
        found.update(name.encode() + b"\0%d\0" % len(members[name]) + members[name])
    return found.hexdigest()


def pack(path, members, packing=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def make(tmp_path, make_contract):
    """A file of these members with a contract that belongs to them."""

    def build(members=MEMBERS, **changes):
        contract = make_contract(**changes).with_hash(digest(members))
        extra = {"net/extra/voxzoo.contract": contract.to_json().encode()}
        return pack(tmp_path / "net.pt", {**members, **extra})

    return build


def test_contract_and_hashes(make):
    path = make()
    file = torchfile.inspect(path)
    assert file.contract().name == "tiny"
    assert file.content_sha256 == digest(MEMBERS)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.size == path.stat().st_size
    assert file.form == "TorchScript"


def test_order_of_members_does_not_matter(make, tmp_path):
    turned = pack(tmp_path / "turned.pt", dict(reversed(MEMBERS.items())))
    assert torchfile.inspect(turned).content_sha256 == torchfile.inspect(make()).content_sha256


@pytest.mark.parametrize("name", list(MEMBERS))
def test_any_changed_or_lost_member_is_noticed(make, tmp_path, name):
    with zipfile.ZipFile(make()) as archive:
        there = {n: archive.read(n) for n in archive.namelist()}
    changed = pack(tmp_path / "changed.pt", {**there, name: there[name] + b"!"})
    with pytest.raises(IntegrityError, match="changed after the contract"):
        torchfile.inspect(changed).contract()
    more = pack(tmp_path / "more.pt", {**there, "net/code/more.py": b"import os"})
    with pytest.raises(IntegrityError, match="changed after the contract"):
        torchfile.inspect(more).contract()


def test_damaged_bytes_are_noticed(make):
    path = make()
    content = bytearray(path.read_bytes())
    content[content.index(b"def forward")] ^= 1
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="damaged archive"):
        torchfile.inspect(path)


def test_two_members_of_one_name(make):
    path = make()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("net/data/0", b"other")
    with pytest.raises(IntegrityError, match="two members"):
        torchfile.inspect(path)


def test_compressed_members(tmp_path):
    path = pack(tmp_path / "packed.pt", MEMBERS, zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelError, match="compressed"):
        torchfile.inspect(path)


def test_no_contract(tmp_path):
    file = torchfile.inspect(pack(tmp_path / "bare.pt", MEMBERS))
    with pytest.raises(ContractError, match=r"extra files has no 'voxzoo\.contract'"):
        file.contract()


def test_what_is_no_torchscript(tmp_path, tiny):
    checkpoint = pack(tmp_path / "w.pt", {"w/data.pkl": b"", "w/data/0": b""})
    assert not torchfile.is_torchscript(checkpoint)
    assert not torchfile.is_torchscript(tiny)
    assert not torchfile.is_torchscript(tmp_path)
    with pytest.raises(ModelError, match="not a TorchScript file"):
        torchfile.inspect(checkpoint)
    with pytest.raises(ModelNotFoundError):
        torchfile.inspect(tmp_path / "absent.pt")
    with pytest.raises(ModelError, match="pickle"):
        registry.load(checkpoint)


class TestTrust:
    def test_onnx_needs_none(self, tiny):
        torchfile.check_trust(onnxfile.inspect(tiny), "auto", known=False, trust=False)

    @pytest.mark.parametrize("runtime", ["auto", "onnxruntime", "openvino"])
    @pytest.mark.parametrize("known", [True, False])
    def test_has_to_be_asked_for_by_name(self, make, runtime, known):
        with pytest.raises(UsageError, match="--runtime torchscript"):
            torchfile.check_trust(torchfile.inspect(make()), runtime, known=known, trust=True)

    def test_registry_or_the_users_word(self, make):
        file = torchfile.inspect(make())
        torchfile.check_trust(file, "torchscript", known=True, trust=False)
        torchfile.check_trust(file, "torchscript", known=False, trust=True)
        with pytest.raises(UsageError, match=file.sha256):
            torchfile.check_trust(file, "torchscript", known=False, trust=False)

    def test_load_asks_before_anything_runs(self, make):
        with pytest.raises(UsageError, match="--trust"):
            registry.load(make(), runtime="torchscript")


def test_auto_never_chooses_it():
    assert "torchscript" not in base.RUNTIMES
    assert base.get_runtime("torchscript").is_installed() in (True, False)


def test_without_torch(make, monkeypatch):
    import sys

    from voxzoo.zoo.runtimes import torchscript

    torchscript.import_torch.cache_clear()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        registry.load(make(), runtime="torchscript", trust=True)
    assert not torchscript.is_installed()
    torchscript.import_torch.cache_clear()
