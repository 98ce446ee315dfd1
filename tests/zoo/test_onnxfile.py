"""ONNX files as bytes, against the onnx package and against hashes computed by other means."""

import hashlib
import io
import json
import os
import pickle
import stat
import sys
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxzoo.zoo import onnxfile, wire
from voxzoo.zoo.contract import Contract
from voxzoo.zoo.errors import ContractError, IntegrityError, ModelError, ModelNotFoundError

KEY = "voxzoo.contract"


def reference_content_sha256(data):
    """The hash as onnx's own protobuf classes see it: the same model with its metadata cleared."""
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto.FromString(data)
    del model.metadata_props[:]
    return hashlib.sha256(model.SerializeToString()).hexdigest()


def test_content_hash_is_the_model_without_metadata(make_onnx):
    plain, tagged = make_onnx(), make_onnx(metadata=[("author", "nobody"), ("é", "ü" * 300)])
    assert onnxfile.content_sha256(plain) == hashlib.sha256(plain).hexdigest()
    assert (
        onnxfile.content_sha256(tagged)
        == reference_content_sha256(tagged)
        == hashlib.sha256(plain).hexdigest()
    )
    assert onnxfile.inspect(tagged).sha256 == hashlib.sha256(tagged).hexdigest()
    assert onnxfile.read_metadata(tagged) == {"author": "nobody", "é": "ü" * 300}


def test_content_hash_keeps_file_order_wherever_metadata_stands(make_onnx):
    plain = make_onnx()
    entry = wire.encode_bytes(14, wire.encode_bytes(1, b"k") + wire.encode_bytes(2, b"v"))
    ends = [0, *(f.end for f in wire.walk(io.BytesIO(plain), 0, len(plain)))]
    for end in ends:
        data = plain[:end] + entry + plain[end:]
        assert onnxfile.content_sha256(data) == hashlib.sha256(plain).hexdigest()


def test_another_weight_is_another_hash(make_onnx):
    assert onnxfile.content_sha256(make_onnx()) != onnxfile.content_sha256(make_onnx(bias=-9.0))


def test_versions_are_read(make_onnx):
    file = onnxfile.inspect(make_onnx(opset=20, ir=9))
    assert (file.opset, file.ir_version) == (20, 9)


def test_a_written_contract_is_read_by_onnx_and_by_us(tmp_path, make_onnx, make_contract):
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "m.onnx"
    path.write_bytes(make_onnx(metadata=[("author", "nobody")]))
    written = onnxfile.write_contract(path, make_contract())
    model = onnx.load(path)
    onnx.checker.check_model(model)
    found = {p.key: p.value for p in model.metadata_props}
    assert found["author"] == "nobody"
    assert Contract.from_json(found[KEY]) == written == onnxfile.read_contract(path)
    assert written.content_sha256 == hashlib.sha256(make_onnx()).hexdigest()


def test_writing_again_replaces_and_changes_nothing_else(tiny, make_contract):
    first = tiny.read_bytes()
    onnxfile.write_contract(tiny, make_contract(version="9.9"))
    assert onnxfile.read_contract(tiny).version == "9.9"
    onnxfile.write_contract(tiny, make_contract())
    assert tiny.read_bytes() == first
    assert os.listdir(tiny.parent) == ["tiny.onnx"]


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are posix")
def test_writing_keeps_the_file_mode(tiny, make_contract):
    tiny.chmod(0o640)
    onnxfile.write_contract(tiny, make_contract())
    assert stat.S_IMODE(tiny.stat().st_mode) == 0o640


def test_an_interrupted_write_leaves_the_old_file(tiny, make_contract, monkeypatch):
    before = tiny.read_bytes()

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyboardInterrupt):
        onnxfile.write_contract(tiny, make_contract(version="2"))
    assert tiny.read_bytes() == before
    assert os.listdir(tiny.parent) == ["tiny.onnx"]


def test_no_contract_says_what_to_do(make_onnx):
    with pytest.raises(ContractError, match=r"no contract inside.*--contract FILE"):
        onnxfile.read_contract(make_onnx())


def test_a_contract_that_is_not_valid_names_file_and_field(tmp_path, make_onnx, make_contract):
    plain = make_contract().to_dict()
    plain["output"]["threshold"] = 7
    path = tmp_path / "m.onnx"
    path.write_bytes(make_onnx(metadata=[(KEY, json.dumps(plain))]))
    with pytest.raises(ContractError, match=r"m\.onnx.*output\.threshold"):
        onnxfile.read_contract(path)


def test_an_embedded_contract_has_to_have_its_hash(make_onnx, make_contract):
    data = make_onnx(metadata=[(KEY, make_contract().to_json())])
    with pytest.raises(ContractError, match="content_sha256"):
        onnxfile.read_contract(data)


def test_changed_weights_are_noticed(tiny, make_onnx):
    data = tiny.read_bytes()
    position = data.index(bytes.fromhex("0000a041"))  # 20.0, the only weight that is not 0
    tiny.write_bytes(data[:position] + bytes.fromhex("0000a141") + data[position + 4 :])
    with pytest.raises(IntegrityError, match="changed after"):
        onnxfile.read_contract(tiny)


def test_two_contracts_are_one_too_many(make_onnx, make_contract):
    text = make_contract().with_hash("0" * 64).to_json()
    with pytest.raises(ContractError, match="more than one"):
        onnxfile.read_contract(make_onnx(metadata=[(KEY, text), (KEY, text)]))


def _torch_zip():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "git-LFS"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "web page"),
        (b"\n  <html>", "web page"),
        (pickle.dumps({"weights": [1, 2]}), "pickle"),
        (_torch_zip(), "runs code"),
        (b"GGUF\x03\x00\x00\x00" + bytes(64), "not an ONNX"),
        (b"\x00" * 64, "not an ONNX"),
        (b"just a text file\n" * 20, "not an ONNX"),
        (b"{}", "not an ONNX"),
        (b"\x08\x08", "not an ONNX"),
    ],
)
def test_what_is_no_onnx_is_refused_in_one_line(tmp_path, data, words):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=words) as caught:
        onnxfile.inspect(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=300))
def test_noise_never_gets_through_nor_escapes_as_another_error(data):
    with pytest.raises((ModelError, ContractError)):
        onnxfile.inspect(data)


def test_a_file_cut_anywhere_is_refused(tiny):
    data = tiny.read_bytes()
    for end in range(len(data)):
        with pytest.raises((ModelError, ContractError)):
            onnxfile.inspect(data[:end]).contract()


def test_a_file_cut_in_its_weights_is_called_cut_short(make_onnx):
    data = make_onnx()
    with pytest.raises(IntegrityError, match="cut short"):
        onnxfile.inspect(data[: len(data) // 2])


@pytest.mark.parametrize(("kind", "number"), [("opset", 27), ("opset", 99), ("ir", 14)])
def test_newer_than_we_know_says_which(make_onnx, kind, number):
    words = {"opset": f"opset {number} is newer than the opset 26", "ir": "IR version 14 is newer"}[kind]
    with pytest.raises(ModelError, match=words):
        onnxfile.inspect(make_onnx(**{kind: number}))


def test_weights_in_other_files_are_refused(tmp_path, make_onnx):
    onnx = pytest.importorskip("onnx")
    model = onnx.ModelProto.FromString(make_onnx(channels=600))
    path = tmp_path / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelError, match="external data"):
        onnxfile.inspect(path)


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(ModelNotFoundError, match="no such file"):
        onnxfile.inspect(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        onnxfile.inspect(tmp_path)


@given(st.integers(0, 2**63))
def test_varints_round_trip(value):
    data = bytes([0x08]) + wire.encode_varint(value)
    (field,) = wire.walk(io.BytesIO(data), 0, len(data))
    assert (field.number, field.value, field.end) == (1, value, len(data))
