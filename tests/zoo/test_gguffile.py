"""GGUF files: read as the gguf package reads them, hashed, signed; refused in words otherwise."""

import hashlib
import struct
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxzoo.zoo import gguffile
from voxzoo.zoo.errors import (
    ContractError,
    IntegrityError,
    ModelError,
    ModelNotFoundError,
    UsageError,
    VoxzooError,
)
from voxzoo.zoo.ggufheader import TYPES, read_gguf_header
from voxzoo.zoo.ggufpair import open_pair, split_pair
from voxzoo.zoo.modelfile import KEY
from voxzoo.zoo.prompt_contract import MmprojSpec, PromptContract
from voxzoo.zoo.specs import LicenceSpec
from voxzoo.zoo.tasks.slices import SliceRule

gguf = pytest.importorskip("gguf", reason='needs gguf: pip install "voxzoo[llm]"')


def write(path, architecture="llama", embedding=8, values=(), tensors=None):
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_array("some.numbers", [3, 1, 2])
    writer.add_token_list(["a", "b", b"\xff\xfe"])
    writer.add_bool("some.flag", True)
    writer.add_float32("some.fraction", 0.5)
    writer.add_uint64("some.large", 1 << 60)
    writer.add_uint32(f"{architecture}.embedding_length", embedding)
    for key, value in values:
        writer.add_string(key, value)
    tensors = {"t": np.arange(12, dtype=np.float32).reshape(3, 4)} if tensors is None else tensors
    for name, array in {**tensors, "u": np.arange(64, dtype=np.float16).reshape(2, 32)}.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def text(tmp_path):
    return write(tmp_path / "toy.gguf")


@pytest.fixture
def mmproj(tmp_path):
    tensors = {"mm.2.weight": np.zeros((8, 8), np.float32)}
    return write(tmp_path / "toy-mmproj.gguf", "clip", tensors=tensors)


def contract(file="toy-mmproj.gguf", sha256="0" * 64, **changes):
    facts = {
        "name": "toy",
        "version": "0.1",
        "prompts": {"box": "brief"},
        "image": (128, 128),
        "slices": SliceRule(),
        "mmproj": MmprojSpec(file, sha256),
        "licence": LicenceSpec("Apache-2.0", "none", "confirmed"),
    }
    return PromptContract(**{**facts, **changes})


def sha256_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_header_is_what_the_gguf_package_reads(text):
    ours, theirs = read_gguf_header(text), gguf.GGUFReader(str(text))
    for tensor in theirs.tensors:
        own = ours.tensors[tensor.name]
        assert own.shape == tuple(tensor.shape.tolist())
        assert (own.offset, own.size, own.type) == (tensor.data_offset, tensor.n_bytes, tensor.tensor_type)
    assert list(ours.metadata) == [key for key in theirs.fields if not key.startswith("GGUF.")]
    for key, entry in ours.metadata.items():
        if key != "tokenizer.ggml.tokens":
            assert np.array_equal(entry.value, theirs.fields[key].contents())
    assert ours.get("tokenizer.ggml.tokens")[:2] == ["a", "b"]
    assert ours.get("tokenizer.ggml.tokens")[2].encode("utf-8", "surrogateescape") == b"\xff\xfe"
    assert (ours.architecture, ours.alignment, ours.data_start) == ("llama", 32, theirs.data_offset)


def test_types_are_those_of_the_gguf_package():
    known = {int(kind): (kind.name, *sizes) for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {number: (kind.name, kind.block, kind.bytes) for number, kind in TYPES.items()} == known


def test_content_is_the_tensor_section(text, tmp_path):
    file = gguffile.inspect(text)
    raw = text.read_bytes()
    assert file.content_sha256 == hashlib.sha256(raw[file.header.data_start :]).hexdigest()
    assert file.sha256 == hashlib.sha256(raw).hexdigest()
    assert file.form == "GGUF 3, llama, 2 tensors, mostly F16"
    other = gguffile.inspect(write(tmp_path / "b.gguf", values=[("tokenizer.chat_template", "x")]))
    assert other.content_sha256 == file.content_sha256
    assert other.described_sha256 != file.described_sha256


def test_contract_goes_in_and_is_replaced(text, tmp_path):
    signed = gguffile.with_contract(text, contract(), tmp_path / "b.gguf")
    file = gguffile.inspect(tmp_path / "b.gguf")
    assert file.contract() == signed
    assert signed.content_sha256 == gguffile.content_sha256(text) == file.content_sha256
    assert file.described_sha256 == gguffile.inspect(text).described_sha256
    gguffile.with_contract(tmp_path / "b.gguf", contract(version="0.2"), tmp_path / "b.gguf")
    raw = (tmp_path / "b.gguf").read_bytes()
    assert raw.count(KEY.encode() + b"\x08\0\0\0") == 1
    assert gguffile.inspect(tmp_path / "b.gguf").contract().version == "0.2"
    before, after = (gguf.GGUFReader(str(p)) for p in (text, tmp_path / "b.gguf"))
    for a, b in zip(before.tensors, after.tensors, strict=True):
        assert a.name == b.name
        assert np.array_equal(a.data, b.data)
    gguffile.with_texts(tmp_path / "b.gguf", {KEY: None}, tmp_path / "c.gguf")
    assert (tmp_path / "c.gguf").read_bytes() == text.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.gguf", "c.gguf", "toy.gguf"]


def test_contract_of_other_bytes(text):
    gguffile.with_contract(text, contract(), text)
    raw = bytearray(text.read_bytes())
    raw[-1] ^= 1
    text.write_bytes(raw)
    with pytest.raises(IntegrityError, match="changed after the contract"):
        gguffile.inspect(text).contract()


def test_without_contract(text):
    with pytest.raises(ContractError, match=r"no contract inside.*--contract FILE"):
        gguffile.inspect(text).contract()


def test_nothing_is_left_of_what_cannot_be_written(text, tmp_path):
    with pytest.raises(ModelError, match="cannot be written"):
        gguffile.with_contract(text, contract(), tmp_path / "nowhere" / "b.gguf")
    with pytest.raises(UsageError, match="is an mmproj"):
        gguffile.with_contract(write(tmp_path / "m.gguf", "clip"), contract(), tmp_path / "b.gguf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.gguf", "toy.gguf"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts": {}}, "prompts"),
        ({"prompts": {"box": ""}}, r"prompts\.box"),
        ({"image": (64, 64)}, "the size of slices"),
        ({"task": "segment"}, "task"),
        ({"content_sha256": "x"}, "content_sha256"),
        ({"training": {"a": float("nan")}}, "training"),
    ],
)
def test_contracts_that_cannot_be(changes, message):
    with pytest.raises(ContractError, match=message):
        contract(**changes)


@pytest.mark.parametrize("name", ["../m.gguf", "/m.gguf", "a\\m.gguf", "..", ""])
def test_an_mmproj_is_a_plain_name(name):
    with pytest.raises(ContractError, match=r"mmproj\.file"):
        contract(name)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("slices", None, "slices"),
        ("slices", {"plane": "axial"}, "missing"),
        ("mmproj", {"file": "a.gguf"}, r"mmproj\.sha256: missing"),
        ("extra", 1, "extra: unknown"),
        ("image", "big", "image"),
        ("task", "segment", "another kind"),
    ],
)
def test_contracts_that_are_damaged(key, value, message):
    with pytest.raises(ContractError, match=message):
        PromptContract.from_json({**contract().to_dict(), key: value})


class TestPair:
    def signed(self, text, mmproj):
        gguffile.with_contract(text, contract(mmproj.name, sha256_of(mmproj)), text)

    def test_found_by_the_contract(self, text, mmproj):
        self.signed(text, mmproj)
        pair = open_pair(text)
        assert (pair.name, pair.mmproj.sha256) == ("toy", sha256_of(mmproj))

    def test_hash_covers_both_files(self, text, mmproj, tmp_path):
        first = open_pair(text, mmproj).content_hash
        tensors = {"mm.2.weight": np.ones((8, 8), np.float32)}
        other = write(tmp_path / "other.gguf", "clip", tensors=tensors)
        assert open_pair(text, other).content_hash != first
        self.signed(text, mmproj)
        assert open_pair(text).content_hash == first

    def test_mmproj_of_another_model(self, text, mmproj, tmp_path):
        self.signed(text, mmproj)
        tensors = {"mm.2.weight": np.ones((8, 8), np.float32)}
        other = write(tmp_path / "other.gguf", "clip", tensors=tensors)
        with pytest.raises(IntegrityError, match="mmproj of another model, or one that was changed"):
            open_pair(text, other)
        wide = write(tmp_path / "wide.gguf", "clip", tensors={"mm.2.weight": np.ones((16, 8), np.float32)})
        gguffile.with_texts(text, {KEY: None}, text)
        with pytest.raises(ModelError, match=r"projects to 16 numbers, .* takes 8"):
            open_pair(text, wide)

    def test_not_there_or_swapped(self, text, mmproj):
        with pytest.raises(ContractError, match=r"give both files: toy.gguf\+MMPROJ.gguf"):
            open_pair(text)
        with pytest.raises(ModelError, match="is an mmproj, a vision part"):
            open_pair(mmproj, text)
        with pytest.raises(ModelError, match="not an mmproj"):
            open_pair(text, text)
        self.signed(text, mmproj)
        mmproj.unlink()
        with pytest.raises(ModelNotFoundError, match="the mmproj that the contract of toy names"):
            open_pair(text)

    def test_what_llama_cpp_cannot_run(self, text, tmp_path):
        mllama = write(tmp_path / "x.gguf", "mllama")
        with pytest.raises(ModelError, match=r"no llama\.cpp runtime: use transformers"):
            open_pair(mllama, mllama)
        tower = {"v.class_embd": np.zeros(8, np.float32)}
        clip = write(tmp_path / "c.gguf", "clip", values=[("clip.projector_type", "mlp")], tensors=tower)
        with pytest.raises(ModelError, match="class token"):
            open_pair(text, clip)

    def test_names(self, tmp_path):
        assert split_pair("x/A.GGUF+y/b.gguf") == ("x/A.GGUF", "y/b.gguf")
        odd = tmp_path / "a.gguf+b.gguf"
        odd.write_bytes(b"")
        assert split_pair(str(odd)) == (str(odd), None)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "empty"),
        (b"PK\x03\x04 and so on", "pickle or a zip"),
        (b"<html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"ggml\x01\0\0\0", "the format before GGUF"),
        (struct.pack("<Q", 20) + b'{"a":1}', "safetensors"),
        (b"\x08\x0aonnx", "it begins with"),
        (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version 1"),
    ],
)
def test_other_files(tmp_path, raw, message):
    path = tmp_path / "renamed.gguf"
    path.write_bytes(raw)
    with pytest.raises(ModelError, match=message):
        gguffile.inspect(path)


def test_no_file(tmp_path):
    with pytest.raises(ModelNotFoundError):
        gguffile.inspect(tmp_path / "none.gguf")


def head(version=3, tensors=0, keys=0):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


def string(text):
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    "raw",
    [
        head(keys=1 << 62),
        head(tensors=1 << 62),
        head(keys=1) + struct.pack("<Q", 1 << 63),
        head(keys=1) + string(b"k") + struct.pack("<IIQ", 9, 8, 1 << 60),
        head(keys=1) + string(b"k") + struct.pack("<IIQ", 9, 0, 1 << 60),
        head(keys=1) + string(b"k") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 50,
        head(keys=1) + string(b"k") + struct.pack("<IQ", 8, 1 << 40),
        head(keys=1) + string(b"k") + struct.pack("<I", 77) + bytes(8),
        head(keys=2) + (string(b"k") + struct.pack("<II", 4, 0)) * 2,
        head(keys=1) + string(b"\xff") + struct.pack("<II", 4, 0),
        head(keys=1) + string(b"general.alignment") + struct.pack("<II", 4, 0),
        head(keys=1) + string(b"general.alignment") + struct.pack("<II", 4, 3),
        head(tensors=1) + string(b"t") + struct.pack("<I", 5) + bytes(60),
        head(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 1 << 62, 0, 0) + bytes(64),
        head(tensors=1) + string(b"t") + struct.pack("<IQQQQIQ", 4, *[1 << 60] * 4, 0, 0) + bytes(64),
        head(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 4, 0, 1 << 62) + bytes(64),
        head(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 4, 0, 5) + bytes(64),
        head(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 4, 8, 0) + bytes(64),
        head(tensors=1) + string(b"t") + struct.pack("<IQIQ", 1, 4, 99, 0) + bytes(64),
        head(tensors=2) + (string(b"t") + struct.pack("<IQIQ", 1, 4, 0, 0)) * 2 + bytes(64),
        head(tensors=2)
        + b"".join(string(n) + struct.pack("<IQIQ", 1, 4, 0, 0) for n in (b"t", b"u"))
        + bytes(64),
    ],
)
def test_forged_headers_cost_nothing(tmp_path, raw):
    path = tmp_path / "forged.gguf"
    path.write_bytes(raw)
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises((ModelError, IntegrityError), match=r"forged\.gguf"):
        gguffile.inspect(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20
    assert time.process_time() - start < 1


def test_cut_anywhere(text):
    raw = text.read_bytes()
    end = max(t.offset + t.size for t in read_gguf_header(text).tensors.values())
    for length in range(4, end, 7):
        text.write_bytes(raw[:length])
        with pytest.raises(IntegrityError, match="cut short"):
            gguffile.inspect(text)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(4, 900), st.sampled_from([0, 1, 7, 9, 127, 128, 255])), min_size=1, max_size=6
    )
)
def test_fuzzed_files_are_read_or_refused(text, changes):
    raw = bytearray(text.read_bytes())
    for place, value in changes:
        raw[place % len(raw)] = value
    fuzzed = text.with_name("fuzzed.gguf")
    fuzzed.write_bytes(raw)
    try:
        file = gguffile.inspect(fuzzed)
    except VoxzooError:
        return
    assert all(t.offset + t.size <= file.size for t in file.header.tensors.values())
