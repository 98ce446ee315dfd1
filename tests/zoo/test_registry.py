"""How a name, a path or a URL becomes a model, and what is refused on the way."""

import dataclasses
import hashlib
import json
import warnings
from pathlib import Path

import pytest

from voxzoo.zoo import download, onnxfile, registry
from voxzoo.zoo.errors import (
    ContractError,
    DeviceError,
    IntegrityError,
    ModelError,
    ModelNotFoundError,
    UsageError,
)


@pytest.fixture
def zoo(tmp_path, monkeypatch, make_onnx, make_contract):
    """A zoo of one model, "tiny", in a folder of its own; the current folder is another one."""
    weights, here = tmp_path / "weights", tmp_path / "here"
    weights.mkdir()
    here.mkdir()
    path = tmp_path / "new.onnx"
    path.write_bytes(make_onnx())
    onnxfile.write_contract(path, make_contract())
    monkeypatch.setattr(registry, "WEIGHTS", weights)
    monkeypatch.setenv("VOXZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(here)
    real = registry.entries
    monkeypatch.setattr(registry, "entries", lambda folder=None: real(folder or weights))
    registry.register(path, "a toy", folder=weights)
    return weights


def rewrite(zoo, **changes):
    path = zoo / "registry.json"
    plain = json.loads(path.read_text())
    plain["models"][0].update(changes)
    path.write_text(json.dumps(plain))


@pytest.mark.parametrize("spec", ["tiny", "tiny.onnx", Path("tiny"), Path("tiny.onnx")])
def test_a_name_with_and_without_suffix(zoo, spec):
    found = registry.resolve(spec)
    assert found.how == "bundled zoo model tiny 0.1.0"
    assert found.path == zoo / "tiny.onnx"
    assert registry.load(spec).reference == found.how


def test_an_existing_file_wins_and_is_said(zoo, tiny):
    Path("tiny.onnx").write_bytes(tiny.read_bytes())
    assert (
        registry.resolve("tiny.onnx").how == "file tiny.onnx (the file wins over the zoo model of that name)"
    )
    assert registry.resolve("./tiny.onnx").how == "file ./tiny.onnx"
    assert registry.resolve("tiny").how.startswith("bundled")


def test_a_folder_of_that_name_does_not_hide_the_model(zoo):
    Path("tiny").mkdir()
    assert registry.resolve("tiny").how.startswith("bundled")
    Path("other").mkdir()
    with pytest.raises(ModelError, match="is a folder"):
        registry.resolve("other")


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("tyni", "did you mean tiny"),
        ("TINY.onnx", "did you mean tiny"),
        ("./tiny.onnx", "zoo has tiny"),
        ("xyz", "zoo has tiny, baseline:"),
    ],
)
def test_a_slip_gets_a_hint_and_the_list(zoo, spec, hint):
    with pytest.raises(ModelNotFoundError, match=f"neither a file nor a name.*{hint}"):
        registry.resolve(spec)


def test_the_entry_says_what_the_file_is(zoo):
    data = (zoo / "tiny.onnx").read_bytes()
    entry = registry.entries()["tiny"]
    assert (entry.bytes, entry.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert entry.content_sha256 == onnxfile.content_sha256(data)
    assert registry.names() == ("tiny", "baseline:flair-threshold")


def test_registering_again_replaces(zoo, tmp_path, make_contract):
    path = tmp_path / "new.onnx"
    onnxfile.write_contract(path, make_contract(version="0.2.0"))
    registry.register(path, "a better toy", ("https://example.org/tiny.onnx",), zoo)
    (entry,) = registry.entries().values()
    assert (entry.version, entry.description, len(entry.urls)) == ("0.2.0", "a better toy", 1)
    assert registry.load("tiny").contract.version == "0.2.0"


def test_metadata_changed_behind_the_registry(zoo, make_contract):
    """The content hash does not see the contract; the file's does."""
    onnxfile.write_contract(zoo / "tiny.onnx", make_contract(version="6.6.6"))
    with pytest.raises(IntegrityError, match=r"sha256 .* registry says"):
        registry.load("tiny")


def test_another_network_under_the_name(zoo, make_onnx, make_contract):
    (zoo / "tiny.onnx").write_bytes(make_onnx(bias=-1.0))
    onnxfile.write_contract(zoo / "tiny.onnx", make_contract())
    with pytest.raises(IntegrityError, match="content hash"):
        registry.load("tiny")


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_cut_file_under_the_name(zoo, cut):
    path = zoo / "tiny.onnx"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(IntegrityError):
        registry.load("tiny")


def test_a_file_that_is_gone(zoo):
    (zoo / "tiny.onnx").unlink()
    with pytest.raises(ModelNotFoundError, match="gone"):
        registry.load("tiny")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"models": [{"name": "x"}]}', '{"models": 3}'])
def test_a_damaged_registry(zoo, text):
    (zoo / "registry.json").write_text(text)
    with pytest.raises(ContractError, match="registry is damaged"):
        registry.entries()


@pytest.mark.parametrize("field", ["sha256", "content_sha256"])
@pytest.mark.parametrize("value", ["", "ab", None])
def test_a_hash_that_is_no_hash_matches_nothing(zoo, field, value):
    """A check against an empty or short hash would accept everything."""
    rewrite(zoo, **{field: value})
    with pytest.raises(ContractError, match="no valid hashes"):
        registry.load("tiny")


def test_a_model_that_is_not_bundled_is_downloaded_once(zoo, monkeypatch):
    data = (zoo / "tiny.onnx").read_bytes()
    (zoo / "tiny.onnx").unlink()
    rewrite(zoo, urls=["https://example.org/tiny.onnx"])
    asked = []

    def fetch(url, target, sha256=None):
        asked.append((url, sha256))
        target.parent.mkdir(parents=True, exist_ok=True)
        new = not target.exists()
        target.write_bytes(data)
        return new

    monkeypatch.setattr(download, "fetch", fetch)
    assert not registry.is_local(registry.entries()["tiny"])
    first, second = registry.load("tiny"), registry.load("tiny")
    assert first.reference == "zoo model tiny 0.1.0, downloaded from https://example.org/tiny.onnx"
    assert second.reference == "zoo model tiny 0.1.0, from the cache"
    assert {sha for _, sha in asked} == {hashlib.sha256(data).hexdigest()}


def test_urls(zoo, monkeypatch):
    data, asked = (zoo / "tiny.onnx").read_bytes(), []

    def fetch(url, target, sha256=None):
        asked.append((url, sha256))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return True

    monkeypatch.setattr(download, "fetch", fetch)
    sha = hashlib.sha256(data).hexdigest()
    assert registry.load(f"https://h.org/a/m.onnx?x=1#sha256={sha.upper()}").reference == (
        "downloaded from https://h.org/a/m.onnx?x=1"
    )
    registry.load(f"http://h.org/m.onnx#sha256={sha}")
    registry.load("https://h.org/%2e%2e%2fm.onnx")
    assert asked[0] == ("https://h.org/a/m.onnx?x=1", sha)
    assert all(p.parent == download.cache_dir() / "urls" for p in (download.cache_dir() / "urls").iterdir())
    with pytest.raises(UsageError, match="http can be tampered with"):
        registry.load("http://h.org/m.onnx")
    for fragment in ("sha256=abc", "sha256=", "md5=00", sha):
        with pytest.raises(UsageError, match="64 hexadecimal"):
            registry.load(f"https://h.org/m.onnx#{fragment}")


def test_a_file_without_contract_runs_with_one_given(tmp_path, make_onnx, make_contract):
    path, text = tmp_path / "bare.onnx", tmp_path / "contract.json"
    path.write_bytes(make_onnx())
    with pytest.raises(ContractError, match="--contract FILE"):
        registry.load(path)
    text.write_text(make_contract().to_json())
    assert registry.load(path, contract=text).reference == f"file {path}, with the contract {text}"
    assert registry.load(path, contract=make_contract()).content_hash == onnxfile.content_sha256(path)
    with pytest.raises(IntegrityError, match="belongs to content"):
        registry.load(path, contract=make_contract().with_hash("0" * 64))
    text.write_text('{"schema": "voxzoo.contract/1"}')
    with pytest.raises(ContractError, match=r"contract\.json: contract field name: missing"):
        registry.load(path, contract=text)
    with pytest.raises(ContractError, match="cannot be read"):
        registry.load(path, contract=tmp_path / "absent.json")


def test_research_only_weights_say_so_once(tmp_path, make_onnx, make_contract, monkeypatch):
    monkeypatch.setattr(registry, "_told", set())
    path = tmp_path / "m.onnx"
    path.write_bytes(make_onnx())
    onnxfile.write_contract(path, make_contract(status="research-only"))
    with pytest.warns(registry.ResearchOnlyWarning, match="RESEARCH USE ONLY"):
        registry.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.load(path)


def test_baselines_have_no_options_that_would_be_ignored():
    with pytest.raises(ModelNotFoundError, match="baseline:flair-threshold"):
        registry.load("baseline:flair")
    with pytest.raises(UsageError, match="runs in voxzoo itself"):
        registry.load("baseline:flair-threshold", runtime="openvino")
    for options in ({"device": "cuda"}, {"precision": "bf16"}):
        with pytest.raises(DeviceError):
            registry.load("baseline:flair-threshold", **options)


def test_the_bundled_zoo_is_sound():
    """Every model that ships: registry, file and contract agree, and the terms are told."""
    for entry in registry.entries().values():
        contract = registry.verify(registry.resolve(entry.name)).contract()
        assert (contract.name, contract.version, contract.licence.line) == (
            entry.name, entry.version, entry.licence)  # fmt: skip
        assert dataclasses.asdict(contract.licence)["status"] in ("confirmed", "unconfirmed", "research-only")
