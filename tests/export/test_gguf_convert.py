"""Checkpoints to GGUF: llama.cpp computes what transformers does, and what it would not is refused."""

import json
import shutil
import tracemalloc

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers", reason="builds the models")
gguf = pytest.importorskip("gguf", reason="needs the [llm] extra")
pytest.importorskip("llama_cpp", reason="needs the [llm] extra")

from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.gguf.probe import Probe  # noqa: E402
from voxzoo.export.gguf.verify import picture  # noqa: E402
from voxzoo.export.safefile import SafeFile  # noqa: E402
from voxzoo.zoo.errors import IntegrityError, ModelError, ModelNotFoundError, UsageError  # noqa: E402
from voxzoo.zoo.ggufheader import read_gguf_header  # noqa: E402
from voxzoo.zoo.runtimes.llamacpp_native import Settings  # noqa: E402

from . import gguf_models  # noqa: E402

EXACT = Settings(cache="f32")
IDS = [3, 17, 200, 64, 64, 9, 259, 255, 40, 41]
ROPE3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def logits(model, ids):
    with torch.inference_mode():
        return model(input_ids=torch.tensor([ids])).logits[0].numpy()


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    return folder / "hf", gguf_models.llava(folder / "hf"), convert(folder / "hf", folder, "f32")


@pytest.fixture(scope="module")
def idefics3(tmp_path_factory):
    folder = tmp_path_factory.mktemp("idefics3")
    return folder / "hf", gguf_models.idefics3(folder / "hf"), convert(folder / "hf", folder, "f32")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tie_word_embeddings": True},
        {"num_key_value_heads": 1, "head_dim": 24},
        {"attention_bias": True, "mlp_bias": True},
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 1000.0, "factor": 4.0}},
        {"rope_parameters": ROPE3},
    ],
    ids=["plain", "tied", "head_dim", "biases", "linear", "llama3"],
)
def test_llama_gives_the_same_logits(tmp_path, settings):
    ids = IDS * 9  # long enough that the rotations of llama3 differ from the plain ones
    model = gguf_models.llama(tmp_path / "hf", **settings)
    made = convert(tmp_path / "hf", tmp_path / "out", "f32")
    wanted = logits(model, ids)
    got = Probe(str(made.text), None, EXACT).logits([ids])
    assert made.mmproj is None
    assert np.abs(got - wanted).max() <= 1e-5 * max(1, wanted.std())


@pytest.mark.parametrize("family", ["llava", "idefics3"])
def test_language_part_gives_the_same_logits(family, request):
    _, model, made = request.getfixturevalue(family)
    got = Probe(str(made.text), str(made.mmproj), EXACT).logits([IDS])
    assert np.abs(got - logits(model, IDS)).max() <= 1e-5


def rounded_eyes(model):
    """The model with llama.cpp's arithmetic in its eyes: pixels, first layer and GELU in 16 bits."""

    def gelu(x):
        h = x.half().float()
        y = 0.5 * h * (1 + torch.tanh(0.7978845608028654 * h * (1 + 0.044715 * h * h)))
        return torch.where(x >= 10, x, torch.where(x <= -10, 0, y.half().float()))

    for name, module in model.named_modules():
        if "GELU" in type(module).__name__:
            module.forward = gelu
        if name.endswith("patch_embedding"):
            module.weight.data = module.weight.data.half().float()
            module.register_forward_pre_hook(lambda _, given: (given[0].half().float(),))
    return model


def embeddings(folder, image):
    """What the language model gets of an image in transformers, plain and with llama.cpp's rounding."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(text=["<image>"], images=[[Image.fromarray(image)]], return_tensors="pt")
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    pixels = {k: inputs[k] for k in ("pixel_values", "pixel_attention_mask") if k in inputs}

    def run():
        with torch.inference_mode():
            found = model.model.get_image_features(**pixels).pooler_output
        return torch.cat([one.reshape(-1, one.shape[-1]) for one in found]).numpy()

    plain = run()
    rounded_eyes(model)
    return plain, run()


@pytest.mark.parametrize("family", ["llava", "idefics3"])
def test_image_gives_the_same_embeddings(family, request):
    folder, _, made = request.getfixturevalue(family)
    image = picture(32)
    plain, rounded = embeddings(folder, image)
    parts = Probe(str(made.text), str(made.mmproj), EXACT).look(image)
    mine = np.concatenate([part for part in parts if isinstance(part, np.ndarray)])
    assert mine.shape == plain.shape == ((16, 64) if family == "llava" else (20, 64))
    unit = plain.std()
    assert np.abs(mine - plain).max() <= 1e-2 * unit
    # With the same rounding the typical difference is that of float32; a few values round the other way.
    assert np.median(np.abs(mine - rounded)) <= 1e-4 * unit
    assert np.median(np.abs(mine - rounded)) < np.median(np.abs(mine - plain))


@pytest.mark.parametrize(("layer", "blocks"), [(-2, 2), (-3, 1), (1, 1)])
def test_tower_ends_with_the_feature_layer(tmp_path, layer, blocks):
    gguf_models.llava(tmp_path / "hf", layer=layer)
    made = convert(tmp_path / "hf", tmp_path, "f32")
    header = read_gguf_header(made.mmproj)
    assert header.get("clip.vision.block_count") == blocks
    assert f"v.blk.{blocks}.ln1.weight" not in header.tensors
    plain, _ = embeddings(tmp_path / "hf", picture(32))
    (mine,) = Probe(str(made.text), str(made.mmproj), EXACT).look(picture(32))
    assert np.abs(mine - plain).max() <= 1e-2 * plain.std()


def test_weights_are_bit_identical(llava):
    folder, _, made = llava
    source = SafeFile(folder / "model.safetensors")
    tensors = {t.name: np.array(t.data) for t in gguf.GGUFReader(made.mmproj).tensors}
    name = "vision_tower.encoder.layers.1.mlp.fc1.weight"
    assert (tensors["v.blk.1.ffn_up.weight"] == source.read(name)).all()
    assert tensors["v.patch_embd.weight"].shape == (32, 3, 8, 8)


@pytest.mark.parametrize("type", ["f16", "q8_0", "q4_k_m"])
def test_smaller_types_stay_close(tmp_path, type):
    # Rows of 256 weights, so that K-quants have whole blocks.
    model = gguf_models.llama(tmp_path / "hf", hidden_size=256, intermediate_size=256)
    made = convert(tmp_path / "hf", tmp_path, type)
    wanted = logits(model, IDS)
    got = Probe(str(made.text), None, EXACT).logits([IDS])
    far = np.linalg.norm(got - wanted) / np.linalg.norm(wanted)
    assert far < {"f16": 3e-3, "q8_0": 0.06, "q4_k_m": 0.45}[type]
    types = {t.type_name for t in read_gguf_header(made.text).tensors.values()}
    assert types == {"f16": {"F32", "F16"}, "q8_0": {"F32", "Q8_0"}, "q4_k_m": {"F32", "Q4_K", "Q6_K"}}[type]


def test_files_are_named_by_model_and_type(llava, tmp_path):
    made = convert(llava[0], tmp_path, "q8_0", name="eye-1.0")
    assert (made.text.name, made.mmproj.name) == ("eye-1.0-Q8_0.gguf", "mmproj-eye-1.0-F16.gguf")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([made.text.name, made.mmproj.name])


def test_conversion_is_reproducible(llava, tmp_path):
    again = convert(llava[0], tmp_path, "f32", name=llava[2].text.name.removesuffix("-F32.gguf"))
    assert again.text.read_bytes() == llava[2].text.read_bytes()
    assert again.mmproj.read_bytes() == llava[2].mmproj.read_bytes()


def test_shards_are_joined_and_half_precision_is_read(llava, tmp_path):
    _, model, made = llava
    folder = tmp_path / "hf"
    shutil.copytree(llava[0], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    model.save_pretrained(folder, max_shard_size="100KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    name = made.text.name.removesuffix("-F32.gguf")
    assert convert(folder, tmp_path, "f32", name=name).text.read_bytes() == made.text.read_bytes()


def test_bfloat16_is_widened_exactly(tmp_path):
    model = gguf_models.llama(tmp_path / "hf")
    model.to(torch.bfloat16).save_pretrained(tmp_path / "hf")
    made = convert(tmp_path / "hf", tmp_path, "f32")
    tensors = {t.name: np.array(t.data) for t in gguf.GGUFReader(made.text).tensors}
    wanted = model.model.embed_tokens.weight.float().detach().numpy()
    assert (tensors["token_embd.weight"] == wanted).all()


def test_memory_does_not_grow_with_the_model(tmp_path):
    gguf_models.llama(tmp_path / "hf", num_hidden_layers=24, hidden_size=128, intermediate_size=512)
    size = (tmp_path / "hf" / "model.safetensors").stat().st_size
    convert(tmp_path / "hf", tmp_path / "warm", "q8_0")
    tracemalloc.start()
    convert(tmp_path / "hf", tmp_path, "q8_0")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 20e6
    assert peak < 6e6


# What is refused


def edited(source, folder, name="config.json", **changes):
    """A copy of a checkpoint with other settings; dots reach into parts."""
    shutil.copytree(source, folder)
    values = json.loads((folder / name).read_text())
    for key, value in changes.items():
        *parts, last = key.split("__")
        inner = values
        for part in parts:
            inner = inner[part]
        inner[last] = value
    (folder / name).write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"architectures": ["MllamaForConditionalGeneration"]},
            "no llama.cpp runtime.*transformers:",
        ),
        ({"model_type": "mllama"}, "no llama.cpp runtime.*transformers:"),
        ({"architectures": ["Qwen2VLForConditionalGeneration"]}, "Qwen2VLForConditionalGeneration in config"),
        ({"architectures": None}, "converted are LlavaForConditionalGeneration"),
        ({"vision_config__model_type": "clip_vision_model"}, "CLS token.*25814.*SigLIP"),
        ({"vision_config__model_type": "pixtral"}, "pixtral"),
        ({"vision_feature_select_strategy": "default"}, "drops the first patch"),
        ({"vision_feature_layer": [-1, -2]}, "vision_feature_layer is"),
        ({"vision_feature_layer": -9}, "vision_feature_layer is -9 of 3 blocks"),
        ({"projector_hidden_act": "relu"}, "relu"),
        ({"vision_config__hidden_act": "relu"}, "relu"),
        ({"vision_config__intermediate_size": 32}, "swaps its two matrices"),
        ({"text_config__model_type": "mistral"}, "the language model is mistral"),
        ({"text_config__rope_parameters": {"rope_type": "yarn"}}, "rope_type yarn"),
    ],
)
def test_models_that_would_come_out_wrong_are_refused(llava, tmp_path, changes, message):
    folder = edited(llava[0], tmp_path / "hf", **changes)
    with pytest.raises(UsageError, match=message):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"text_config__hidden_size": 128},
            "64.* config.json says .*128",
        ),
        ({"text_config__num_hidden_layers": 3}, "no weight for blk.2."),
        ({"text_config__num_hidden_layers": 1}, "config.json says 1 blocks"),
        ({"text_config__num_attention_heads": "four"}, "num_attention_heads is 'four'"),
        ({"text_config__vocab_size": 100}, "config.json says|the id"),
        ({"vision_config__num_hidden_layers": 5}, "no weight for v.blk.3."),
        ({"vision_config__patch_size": 0}, "patch_size is 0"),
    ],
)
def test_settings_that_contradict_the_weights_are_refused(llava, tmp_path, changes, message):
    folder = edited(llava[0], tmp_path / "hf", **changes)
    with pytest.raises(ModelError, match=message):
        convert(folder, tmp_path / "out")


def test_exact_gelu_is_said(llava, tmp_path):
    folder = edited(llava[0], tmp_path / "hf", vision_config__hidden_act="gelu", projector_hidden_act="gelu")
    notes = convert(folder, tmp_path / "out", "f32").notes
    assert [note.split(" has ")[0] for note in notes] == ["the tower", "the projector"]


def test_idefics3_without_the_marks_of_tiles_is_refused(idefics3, tmp_path):
    folder = tmp_path / "hf"
    shutil.copytree(idefics3[0], folder)
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace("<global-img>", "<other>"))
    with pytest.raises(UsageError, match="no single token for <global-img>"):
        convert(folder, tmp_path / "out")


def test_pickles_are_refused(llava, tmp_path):
    folder = tmp_path / "hf"
    shutil.copytree(llava[0], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(ModelNotFoundError, match=r"no model.safetensors there"):
        convert(folder, tmp_path / "out")
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="a pickle, which would run code"):
        convert(folder, tmp_path / "out")
    (folder / "pytorch_model.bin").rename(folder / "model.safetensors")
    with pytest.raises(ModelError, match="pickle"):
        convert(folder, tmp_path / "out")


def test_damaged_weights_are_refused(llava, tmp_path):
    folder = tmp_path / "hf"
    shutil.copytree(llava[0], folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IntegrityError, match="cut short"):
        convert(folder, tmp_path / "out")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_leave_nothing_behind(tmp_path, value):
    model = gguf_models.llama(tmp_path / "hf")
    model.model.layers[1].mlp.up_proj.weight.data[3, 5] = value
    model.save_pretrained(tmp_path / "hf")
    with pytest.raises(ModelError, match=r"blk.1.ffn_up.weight: weights with NaN or infinity"):
        convert(tmp_path / "hf", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_leaves_nothing_behind(llava, tmp_path, monkeypatch):
    import errno

    from voxzoo.export.gguf import output

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(output, "_data", full)
    with pytest.raises(ModelError, match="no space left on device"):
        convert(llava[0], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"weight_map": {"a": "../secret.safetensors"}}, "not a .safetensors file of this folder"),
        ({"weight_map": {"a": "missing.safetensors"}}, "missing.safetensors is missing"),
        ({"weight_map": []}, "weight_map should be"),
    ],
)
def test_indexes_of_shards_are_checked(llava, tmp_path, index, message):
    folder = tmp_path / "hf"
    shutil.copytree(llava[0], folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises((ModelError, IntegrityError), match=message):
        convert(folder, tmp_path / "out")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "processor_config.json"])
@pytest.mark.parametrize("content", ["{", "[]", "[" * 100000, "\x00"])
def test_broken_json_is_told(llava, tmp_path, name, content):
    folder = tmp_path / "hf"
    shutil.copytree(llava[0], folder)
    (folder / name).write_text(content)
    with pytest.raises(ModelError, match=name):
        convert(folder, tmp_path / "out")


def test_words_that_mean_nothing_are_refused(llava, tmp_path):
    with pytest.raises(UsageError, match=r"--type iq4_xs.*importance matrix"):
        convert(llava[0], tmp_path, "iq4_xs")
    with pytest.raises(UsageError, match="--mmproj-type q4_k_m"):
        convert(llava[0], tmp_path, "q8_0", "q4_k_m")
    with pytest.raises(UsageError, match="--name"):
        convert(llava[0], tmp_path, name="../x")
    with pytest.raises(ModelNotFoundError, match="no such folder"):
        convert(tmp_path / "nowhere", tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"no config.json"):
        convert(tmp_path, tmp_path)
