"""zoo-merge and bad input: damaged and hostile files, adapters of other models, full disks, Ctrl-C.

The files are made by the ``gguf`` and ``safetensors`` packages; neither torch nor PEFT is needed.
"""

import errno
import json
import resource
import struct

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

gguf = pytest.importorskip("gguf", reason="writes the base models")
save_file = pytest.importorskip("safetensors.numpy", reason="writes the adapters").save_file

from voxzoo.export import merge_cli, safefile  # noqa: E402
from voxzoo.export.gguf import merging, peftconfig, rewrite  # noqa: E402
from voxzoo.export.gguf.adapter import read_adapter  # noqa: E402
from voxzoo.export.gguf.merging import prepare  # noqa: E402
from voxzoo.export.gguf.pair import open_pair  # noqa: E402
from voxzoo.zoo.errors import (  # noqa: E402
    ModelError,
    ModelNotFoundError,
    RunError,
    UsageError,
    VoxzooError,
)

WIDTH, HEADS, KEYS, HIDDEN, TOWER, VOCABULARY = 64, 4, 2, 96, 32, 48
LAYER = "base_model.model.model.language_model.layers.0."


def text_tensors(width=WIDTH, blocks=2):
    rng = np.random.default_rng(0)
    shapes = {"token_embd.weight": (VOCABULARY, width), "output_norm.weight": (width,)}
    for n in range(blocks):
        half = width * KEYS // HEADS
        shapes |= {
            f"blk.{n}.attn_norm.weight": (width,), f"blk.{n}.ffn_norm.weight": (width,),
            f"blk.{n}.attn_q.weight": (width, width), f"blk.{n}.attn_k.weight": (half, width),
            f"blk.{n}.attn_v.weight": (half, width), f"blk.{n}.attn_output.weight": (width, width),
            f"blk.{n}.ffn_gate.weight": (HIDDEN, width), f"blk.{n}.ffn_up.weight": (HIDDEN, width),
            f"blk.{n}.ffn_down.weight": (width, HIDDEN),
        }  # fmt: skip
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def tower_tensors(out=WIDTH, swapped=False):
    rng = np.random.default_rng(1)
    up, down = ("ffn_down", "ffn_up") if swapped else ("ffn_up", "ffn_down")
    shapes = {
        "v.patch_embd.weight": (TOWER, 3, 8, 8), "v.blk.0.attn_q.weight": (TOWER, TOWER),
        f"v.blk.0.{up}.weight": (64, TOWER), f"v.blk.0.{up}.bias": (64,),
        f"v.blk.0.{down}.weight": (TOWER, 64),
        "mm.0.weight": (WIDTH, TOWER), "mm.2.weight": (out, WIDTH),
    }  # fmt: skip
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def write(path, architecture, tensors, format="F32", **values):
    kind = gguf.GGMLQuantizationType[format]
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in values.items():
        add = {int: writer.add_uint32, str: writer.add_string, bool: writer.add_bool}[type(value)]
        add(key.replace("__", "."), value)
    for name, value in tensors.items():
        if format == "F32" or value.ndim == 1:
            writer.add_tensor(name, value)
        else:
            writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    for step in ("write_header_to_file", "write_kv_data_to_file", "write_tensors_to_file", "close"):
        getattr(writer, step)()
    return path


def text_model(path, tensors=None, format="F32", architecture="llama", **values):
    facts = {
        "llama__block_count": 2, "llama__embedding_length": WIDTH, "llama__attention__head_count": HEADS,
        "llama__attention__head_count_kv": KEYS, "tokenizer__chat_template": "{{ x }}",
    }  # fmt: skip
    return write(path, architecture, tensors or text_tensors(), format, **{**facts, **values})


def mmproj(path, tensors=None, projector="mlp", **values):
    facts = {"clip__projector_type": projector, "clip__vision__embedding_length": TOWER}
    return write(path, values.pop("architecture", "clip"), tensors or tower_tensors(), **{**facts, **values})


def lora(folder, modules=None, rank=4, tensors=None, **config):
    """An adapter of random values: module -> (outputs, inputs)."""
    rng = np.random.default_rng(2)
    modules = {"self_attn.q_proj": (WIDTH, WIDTH)} if modules is None else modules
    found = {}
    for name, (rows, columns) in modules.items():
        stem = name if name.startswith("base") else LAYER + name
        found[f"{stem}.lora_A.weight"] = rng.standard_normal((rank, columns), np.float32)
        found[f"{stem}.lora_B.weight"] = rng.standard_normal((rows, rank), np.float32)
    folder.mkdir(parents=True)
    save_file({**found, **(tensors or {})}, folder / "adapter_model.safetensors")
    values = {"peft_type": "LORA", "r": rank or 1, "lora_alpha": 8, **config}
    (folder / "adapter_config.json").write_text(json.dumps(values))
    return folder


@pytest.fixture
def base(tmp_path):
    return text_model(tmp_path / "base.gguf")


@pytest.fixture
def eyes(tmp_path):
    return mmproj(tmp_path / "mmproj.gguf")


def merge(base, adapter, out, eyes=None, **options):
    return prepare(open_pair(base, eyes), [read_adapter(adapter)], **options).write(out)


def run(*arguments):
    """(exit code, all output) of the command, as a program ends."""
    import contextlib
    import io
    import sys
    from unittest import mock

    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
        mock.patch.object(sys, "argv", ["zoo-merge", *map(str, arguments)]),
    ):
        try:
            merge_cli.main()
        except SystemExit as end:
            return end.code, out.getvalue()
    return 0, out.getvalue()


def values_of(path):
    return {t.name: np.array(t.data) for t in gguf.GGUFReader(path).tensors}


# -- adapters that cannot be merged ------------------------------------------------------------------------


UNSUPPORTED = {
    "another width": ({"self_attn.q_proj": (128, 128)}, {}, r"makes \(128, 128\), the base has \(64, 64\)"),
    "more blocks": ({f"{LAYER[:-2]}7.mlp.up_proj": (HIDDEN, WIDTH)}, {}, r"no blk\.7\.ffn_up\.weight"),
    "another family": ({"base_model.model.visual.blocks.0.qkv": (9, 9)}, {}, "no part of a model"),
    "experts": ({"block_sparse_moe.experts.0.w1": (HIDDEN, WIDTH)}, {}, "no part of a model"),
    "a stranger": ({}, {f"{LAYER}self_attn.q_proj.lora_C": np.zeros(3, np.float32)}, "lora_C: not a tensor"),
    "trained tokens": (
        {},
        {"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": np.ones((1, WIDTH))},
        "not a tensor of plain LoRA",
    ),
    "the tower, without an mmproj": (
        {"base_model.model.model.vision_tower.encoder.layers.0.mlp.fc1": (64, TOWER)},
        {},
        "give it with --mmproj",
    ),
    "a resized vocabulary": (
        {},
        {"base_model.model.model.embed_tokens.weight": np.ones((VOCABULARY + 1, WIDTH), np.float32)},
        r"shape \(49, 64\), the base has \(48, 64\)",
    ),
    "embeddings of another base": (
        {},
        {"base_model.model.lm_head.base_layer.weight": np.ones((VOCABULARY, WIDTH), np.float32)},
        "differs from token_embd.weight",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_cannot_be_merged_is_named_and_nothing_is_written(base, tmp_path, name):
    modules, tensors, why = UNSUPPORTED[name]
    folder = lora(tmp_path / "lora", {"mlp.up_proj": (HIDDEN, WIDTH), **modules}, tensors=tensors)
    with pytest.raises(UsageError, match=why):
        merge(base, folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


BROKEN = {
    "rank 0": ({"rank": 0}, {}, r"A \(0, 64\)"),
    "a rank that the configuration denies": ({"rank_pattern": {"q_proj": 2}}, {}, "rank 4, its .* says 2"),
    "half a pair": ({}, {f"{LAYER}mlp.up_proj.lora_A.weight": np.ones((4, WIDTH), np.float32)}, "but no b"),
    "A and B of different ranks": (
        {"modules": {}},
        {
            f"{LAYER}mlp.up_proj.lora_A.weight": np.ones((4, WIDTH), np.float32),
            f"{LAYER}mlp.up_proj.lora_B.weight": np.ones((HIDDEN, 3), np.float32),
        },
        r"expected \(rank, in\) and \(out, rank\)",
    ),
    "DoRA without magnitudes": ({"use_dora": True}, {}, "no lora_magnitude_vector"),
    "NaN": ({}, {f"{LAYER}self_attn.v_proj.weight": np.full((32, WIDTH), np.nan, np.float32)}, "v_proj.*NaN"),
    "infinity": ({}, {f"{LAYER}input_layernorm.weight": np.full(WIDTH, np.inf, np.float32)}, "NaN or inf"),
    "integers": ({}, {f"{LAYER}input_layernorm.weight": np.ones(WIDTH, np.int8)}, "is I8, expected F32"),
    "two names for one place": (
        {},
        {f"{LAYER}self_attn.q_proj.lora_A.default.weight": np.ones((4, WIDTH), np.float32)},
        "for the same place",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_adapters(base, tmp_path, name):
    options, tensors, why = BROKEN[name]
    with pytest.raises(ModelError, match=why):
        merge(base, lora(tmp_path / "lora", tensors=tensors, **options), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"peft_type": "IA3"}, "only LORA"),
        ({"init_lora_weights": "pissa"}, "changed the base model's weights too"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out = True cannot be merged"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
        ({"some_setting_of_tomorrow": 3}, "some_setting_of_tomorrow"),
        ({"r": 0}, "r = 0, expected a positive number"),
        ({"lora_alpha": float("nan")}, "lora_alpha = nan"),
        ({"rank_pattern": {"(a+)+$": 4}}, "could match for ever"),
        ({"alpha_pattern": {"(": 4}}, "is no regular expression"),
        ({"alpha_pattern": {"q_proj": "8"}}, "each with a positive number"),
        ({"auto_mapping": {"base_model_class": "MllamaForConditionalGeneration"}}, "transformers:BASE"),
    ],
)
def test_settings_that_cannot_be_merged(base, tmp_path, setting, why):
    with pytest.raises(VoxzooError, match=why):
        merge(base, lora(tmp_path / "lora", **setting), tmp_path / "out")


def test_mllama_is_refused_by_its_modules_too(base, tmp_path):
    folder = lora(tmp_path / "lora", {f"{LAYER[:-9]}layers.3.cross_attn.q_proj": (8, 8)})
    with pytest.raises(UsageError, match=r"no llama\.cpp runtime anywhere"):
        merge(base, folder, tmp_path / "out")


def test_a_pickle_is_refused_unread(base, tmp_path):
    folder = lora(tmp_path / "lora")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match="would run code"):
        merge(base, folder, tmp_path / "out")
    (folder / "adapter_model.bin").rename(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").write_bytes(b"PK\x03\x04rest of a zip")
    with pytest.raises(ModelError, match="pickle"):
        merge(base, folder, tmp_path / "out")


# -- bases that cannot be merged into ----------------------------------------------------------------------


def test_bases_that_cannot_be_merged_into(tmp_path, base, eyes):
    cases = [
        (text_model(tmp_path / "a.gguf", architecture="qwen2"), None, "only llama"),
        (text_model(tmp_path / "b.gguf", architecture="mllama"), None, "transformers:"),
        (eyes, None, "give it with --mmproj"),
        (base, base, "an mmproj has 'clip'"),
        (base, mmproj(tmp_path / "c.gguf", tower_tensors(out=32)), "of another model"),
        (base, mmproj(tmp_path / "d.gguf", {**tower_tensors(), "v.class_embd": np.ones(TOWER, np.float32)}),
         "CLS token"),
    ]  # fmt: skip
    for text, vision, why in cases:
        with pytest.raises(UsageError, match=why):
            open_pair(text, vision)


def test_an_unknown_projector_takes_text_but_no_vision(tmp_path, base):
    strange = mmproj(tmp_path / "strange.gguf", projector="resampler")
    merged = merge(base, lora(tmp_path / "text"), tmp_path / "out", strange)
    assert merged.mmproj.read_bytes() == strange.read_bytes()
    vision = {"base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj": (TOWER, TOWER)}
    with pytest.raises(UsageError, match="'resampler'"):
        merge(base, lora(tmp_path / "vision", vision), tmp_path / "out2", strange)


def test_formats_that_need_an_importance_matrix(tmp_path, base):
    tensors = text_tensors(width=256)
    wanted = tensors["blk.0.attn_q.weight"]
    path = text_model(tmp_path / "iq.gguf", tensors, llama__embedding_length=256)
    raw = bytearray(path.read_bytes())
    at = raw.index(b"blk.0.attn_q.weight") + len("blk.0.attn_q.weight") + 4 + 16
    raw[at : at + 4] = struct.pack("<I", gguf.GGMLQuantizationType.IQ2_XXS)
    path.write_bytes(raw)
    with pytest.raises(UsageError, match=r"IQ2_XXS, which cannot be merged into: .* importance matrix"):
        merge(path, lora(tmp_path / "lora", {"self_attn.q_proj": wanted.shape}), tmp_path / "out")
    with pytest.raises(UsageError, match="importance matrix"):
        merge(base, lora(tmp_path / "lora2"), tmp_path / "out", type="iq3_xxs")


# -- disks, signals, names ---------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_merge_that_stops_half_way(base, eyes, tmp_path, monkeypatch, failure):
    real, calls = rewrite._convert, []

    def stopping(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise failure
        return real(*arguments)

    monkeypatch.setattr(rewrite, "_convert", stopping)
    folder = lora(tmp_path / "lora", {"mlp.up_proj": (HIDDEN, WIDTH), "mlp.gate_proj": (HIDDEN, WIDTH)})
    before = base.read_bytes()
    with pytest.raises(RunError if isinstance(failure, OSError) else KeyboardInterrupt):
        merge(base, folder, tmp_path / "new", eyes)
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    calls.clear()
    with pytest.raises(RunError if isinstance(failure, OSError) else KeyboardInterrupt):
        merge(base, folder, tmp_path / "old", eyes)
    assert list((tmp_path / "old").iterdir()) == []
    assert base.read_bytes() == before


def test_the_second_file_fails_and_the_first_goes_too(base, eyes, tmp_path, monkeypatch):
    real = merging.os.replace

    def failing(source, target):
        if "mmproj" in str(target):
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(merging.os, "replace", failing)
    with pytest.raises(RunError, match="nothing was kept"):
        merge(base, lora(tmp_path / "lora"), tmp_path / "out", eyes)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_too_small_is_noticed_before_anything_is_written(base, tmp_path, monkeypatch):
    usage = merging.shutil.disk_usage(tmp_path)._replace(free=17 << 20)
    monkeypatch.setattr(merging.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(merging, "_SLACK", 18 << 20)
    with pytest.raises(RunError, match="MiB needed"):
        merge(base, lora(tmp_path / "lora"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_real_file_limit_half_way(base, tmp_path):
    """The kernel itself refuses to let the file grow."""
    folder, (soft, hard) = lora(tmp_path / "lora"), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (base.stat().st_size // 2, hard))
    try:
        with pytest.raises(RunError, match="cannot be written"):
            merge(base, folder, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (tmp_path / "out").exists()


def test_files_in_the_way_are_never_replaced(base, tmp_path):
    folder = lora(tmp_path / "lora")
    with pytest.raises(UsageError, match="is there already"):
        merge(base, folder, tmp_path)  # the base's own folder
    kept = base.read_bytes()
    assert values_of(base).keys() == text_tensors().keys()
    assert base.read_bytes() == kept


# -- what is merged, by hand -------------------------------------------------------------------------------


def test_by_hand_in_float32(base, tmp_path):
    """W + alpha / r * B @ A; rows of queries in the order q0 q8 q1 q9 ... of each head of 16."""
    folder = lora(tmp_path / "lora", {"self_attn.q_proj": (WIDTH, WIDTH), "mlp.down_proj": (WIDTH, HIDDEN)})
    merged = values_of(merge(base, folder, tmp_path / "out").text)
    given = read_adapter(folder).file
    for name, module in (("attn_q", "self_attn.q_proj"), ("ffn_down", "mlp.down_proj")):
        a, b = (given.read(f"{LAYER}{module}.lora_{x}.weight").astype(np.float64) for x in "AB")
        change = 2 * b @ a
        if name == "attn_q":
            rows = [16 * head + half * 8 + i for head in range(4) for i in range(8) for half in range(2)]
            change = change[rows]
        expected = text_tensors()[f"blk.0.{name}.weight"] + change
        np.testing.assert_allclose(merged[f"blk.0.{name}.weight"], expected, rtol=1e-5, atol=1e-5)
    untouched = {k for k, v in text_tensors().items() if np.array_equal(v, merged[k])}
    assert untouched == text_tensors().keys() - {"blk.0.attn_q.weight", "blk.0.ffn_down.weight"}


def test_towers_with_swapped_names(base, tmp_path):
    """Converters of 2023 wrote the tower's up projection under the name of its down projection."""
    fc1 = "base_model.model.vision_tower.vision_model.encoder.layers.0.mlp.fc1"
    bias = np.arange(64, dtype=np.float32)
    folder = lora(tmp_path / "lora", {fc1: (64, TOWER)}, tensors={f"{fc1}.bias": bias})
    old = mmproj(tmp_path / "old.gguf", tower_tensors(swapped=True))
    new = mmproj(tmp_path / "new.gguf")
    one, two = (
        values_of(merge(base, folder, tmp_path / f"out{i}", path).mmproj) for i, path in enumerate((old, new))
    )
    np.testing.assert_array_equal(one["v.blk.0.ffn_down.weight"], two["v.blk.0.ffn_up.weight"])
    np.testing.assert_array_equal(one["v.blk.0.ffn_down.bias"], bias)


def test_idefics3(base, tmp_path):
    tensors = {"mm.model.fc.weight": np.ones((WIDTH, 4 * TOWER), np.float32)}
    tower = {k: v for k, v in tower_tensors().items() if k.startswith("v.")}
    eyes = mmproj(tmp_path / "m.gguf", {**tower, **tensors}, projector="idefics3")
    stem = "base_model.model.model."
    modules = {
        f"{stem}connector.modality_projection.proj": (WIDTH, 4 * TOWER),
        f"{stem}vision_model.encoder.layers.0.mlp.fc2": (TOWER, 64),
        f"{stem}text_model.layers.1.mlp.up_proj": (HIDDEN, WIDTH),
    }
    plan = prepare(open_pair(base, eyes), [read_adapter(lora(tmp_path / "lora", modules))]).plan
    assert {line.target for line in plan.lines} == {
        "mm.model.fc.weight", "v.blk.0.ffn_down.weight", "blk.1.ffn_up.weight"
    }  # fmt: skip
    last = {f"{stem}vision_model.encoder.layers.5.mlp.fc2": (TOWER, 64)}
    plan = prepare(open_pair(base, eyes), [read_adapter(lora(tmp_path / "last", last))]).plan
    assert plan.count("unsupported") == 2  # unlike LLaVA's, this tower is used to its end


@pytest.mark.parametrize("format", ["F16", "BF16", "Q8_0", "Q4_1", "Q5_0"])
def test_quantised_bases_keep_their_formats(tmp_path, format):
    base = text_model(tmp_path / "base.gguf", format=format)
    folder = lora(tmp_path / "lora", {"mlp.up_proj": (HIDDEN, WIDTH)})
    merged = merge(base, folder, tmp_path / "out")
    before, after = ({t.name: t for t in gguf.GGUFReader(p).tensors} for p in (base, merged.text))
    assert {k: t.tensor_type for k, t in before.items()} == {k: t.tensor_type for k, t in after.items()}
    kind = gguf.GGMLQuantizationType[format]
    given = read_adapter(folder).file
    a, b = (given.read(f"{LAYER}mlp.up_proj.lora_{x}.weight") for x in "AB")
    name = "blk.0.ffn_up.weight"
    wanted = gguf.quants.dequantize(before[name].data, kind) + 2 * (b @ a)
    got = gguf.quants.dequantize(after[name].data, kind)
    (effect,) = merged.effects
    change = np.linalg.norm(2 * (b @ a))
    assert effect.noise == pytest.approx(np.linalg.norm(got - wanted) / change, rel=1e-3)
    assert effect.change == pytest.approx(change / np.linalg.norm(wanted - 2 * (b @ a)), rel=1e-3)
    assert all(np.array_equal(before[k].data, after[k].data) for k in before if k != name)


def test_rows_are_merged_in_blocks_of_any_size(tmp_path, monkeypatch, base):
    folder = lora(tmp_path / "lora", {"self_attn.k_proj": (32, WIDTH), "mlp.up_proj": (HIDDEN, WIDTH)})
    whole = merge(base, folder, tmp_path / "whole").text.read_bytes()
    monkeypatch.setattr(rewrite, "BLOCK", 7 * WIDTH + 1)
    assert merge(base, folder, tmp_path / "blocks").text.read_bytes() == whole


# -- damaged and hostile bytes -----------------------------------------------------------------------------


def test_truncated_at_every_length(base, eyes, tmp_path):
    folder = lora(tmp_path / "lora")
    for path in (base, folder / "adapter_model.safetensors"):
        whole = path.read_bytes()
        for length in [*range(0, 64), *range(64, len(whole), max(1, len(whole) // 40)), len(whole) - 1]:
            path.write_bytes(whole[:length])
            with pytest.raises(VoxzooError):
                merge(base, folder, tmp_path / "out", eyes)
            assert not (tmp_path / "out").exists()
        path.write_bytes(whole)


@pytest.mark.parametrize(
    "content", [b"", b"GGUF", b"<html>", b"version https://git-lfs", b"\x80\x04x", b"{}", b"\0" * 4096]
)
def test_renamed_files(base, tmp_path, content):
    folder = lora(tmp_path / "lora")
    other = tmp_path / "other.gguf"
    other.write_bytes(content)
    with pytest.raises(VoxzooError):
        merge(other, folder, tmp_path / "out")
    (folder / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(VoxzooError):
        merge(base, folder, tmp_path / "out")


FUZZ = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)
EDITS = st.lists(st.tuples(st.integers(0, 1500), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4)


@FUZZ
@given(edits=EDITS)
def test_fuzzed_headers_never_crash(base, tmp_path, edits):
    folder = tmp_path / "lora"
    if not folder.exists():
        lora(folder)
    for path in (base, folder / "adapter_model.safetensors"):
        whole = path.read_bytes()
        raw = bytearray(whole)
        for at, piece in edits:
            raw[at : at + len(piece)] = piece
        path.write_bytes(raw)
        try:
            prepare(open_pair(base), [read_adapter(folder)]).plan.check()
        except VoxzooError:
            pass
        finally:
            path.write_bytes(whole)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@FUZZ
@given(
    header=st.dictionaries(
        st.text(max_size=5),
        JSON
        | st.fixed_dictionaries(
            {"dtype": st.sampled_from(["F32", "BF16", "X", 3]), "shape": JSON, "data_offsets": JSON}
        ),
        max_size=4,
    )
)
def test_any_header_of_safetensors_is_read_or_refused(tmp_path, header):
    path = tmp_path / "x.safetensors"
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"\0" * 64)
    try:
        file = safefile.SafeFile(path)
    except VoxzooError:
        return
    assert sum(entry.size for entry in file.entries.values()) == 64


@FUZZ
@given(
    values=st.dictionaries(
        st.sampled_from(
            [
                "r",
                "lora_alpha",
                "rank_pattern",
                "alpha_pattern",
                "auto_mapping",
                "use_dora",
                "x",
                "init_lora_weights",
                "base_model_name_or_path",
            ]
        ),
        JSON,
    )
)
def test_any_configuration_is_read_or_refused(values):
    try:
        config = peftconfig.parse_config({"peft_type": "LORA", **values}, "here")
    except VoxzooError:
        return
    assert config.scale("model.layers.0.mlp.up_proj", 4) > 0


def test_a_header_that_announces_much_costs_nothing(tmp_path):
    path = tmp_path / "x.safetensors"
    for announced in (1 << 20, safefile.MAX_HEADER + 1, 1 << 63):
        path.write_bytes(struct.pack("<Q", announced) + b"{}")
        with pytest.raises(VoxzooError):
            safefile.SafeFile(path)
    deep = b'{"a":' + b"[" * 100_000
    path.write_bytes(struct.pack("<Q", len(deep)) + deep)
    with pytest.raises(ModelError, match="no JSON"):
        safefile.SafeFile(path)


# -- the command -------------------------------------------------------------------------------------------


def test_the_plan_is_shown_and_nothing_written(base, eyes, tmp_path):
    folder = lora(tmp_path / "lora", base_model_name_or_path="somebody/llama")
    code, text = run("--base", base, "--mmproj", eyes, "--adapter", folder, "--plan")
    assert code == 0
    assert "blk.0.attn_q.weight" in text
    assert "2 tensors of adapters: 2 text, 0 mmproj, 0 inert, 0 unsupported" in text
    assert "trained on somebody/llama" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["base.gguf", "lora", "mmproj.gguf"]


def test_merging_by_command(base, tmp_path):
    folder = lora(tmp_path / "lora")
    code, text = run("--base", base, "--adapter", folder, "--out", tmp_path / "out", "--type", "q8_0")
    assert code == 0, text
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["base-q8_0.gguf"]
    reader = gguf.GGUFReader(tmp_path / "out" / "base-q8_0.gguf")
    assert reader.fields["general.file_type"].contents() == 7
    assert reader.fields["tokenizer.chat_template"].contents() == "{{ x }}"
    assert {t.tensor_type.name for t in reader.tensors if len(t.shape) == 2} == {"Q8_0"}


def test_doubtful_merges_are_warned_of_with_a_way_out(tmp_path):
    base = text_model(tmp_path / "base.gguf", format="Q4_0")
    folder = lora(tmp_path / "lora", lora_alpha=0.01)
    code, text = run("--base", base, "--adapter", folder, "--out", tmp_path / "out")
    assert code == 0
    assert "warning: 1 of 1 tensors loses more than 0.3 of its change to rounding" in text
    assert "in F32 or F16 and quantise then" in text
    assert "runtime LoRA" in text


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (["--out", "OUT", "--type", "q3"], 2, "expected keep, f16, q8_0, q4_k_m"),
        ([], 2, "give a folder with --out"),
        (["--out", "OUT", "--weight", "1", "--weight", "2"], 2, "1 adapters and 2 weights"),
        (["--out", "OUT", "--weight", "0"], 2, "a number other than 0"),
        (["--out", "OUT", "--verify"], 2, "--checkpoint"),
    ],
)
def test_commands_that_make_no_sense(base, tmp_path, arguments, code, why):
    folder = lora(tmp_path / "lora")
    given = [str(tmp_path / "out") if a == "OUT" else a for a in arguments]
    got, text = run("--base", base, "--adapter", folder, *given)
    assert (got, why in text) == (code, True), text
    assert not (tmp_path / "out").exists()


def test_files_that_are_not_there(base, tmp_path):
    assert run("--base", tmp_path / "no.gguf", "--adapter", tmp_path, "--plan")[0] == 2
    with pytest.raises(ModelNotFoundError, match=r"no adapter_config\.json"):
        read_adapter(tmp_path)


def test_help_needs_nothing():
    assert CliRunner().invoke(merge_cli.command, ["--help"]).exit_code == 0
