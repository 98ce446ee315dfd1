"""Adapters as LoRAs in GGUF: in llama.cpp they give PEFT's logits; what they cannot hold is refused."""

import contextlib
import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft", reason="the oracle")
pytest.importorskip("gguf", reason="needs the [llm] extra")
cpp = pytest.importorskip("llama_cpp", reason="needs the [llm] extra")

from click.testing import CliRunner  # noqa: E402

from voxzoo.export.gguf.adapter import read_adapter  # noqa: E402
from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.gguf.lora_gguf import runtime_lora  # noqa: E402
from voxzoo.export.gguf.pair import open_pair  # noqa: E402
from voxzoo.export.gguf.probe import Probe  # noqa: E402
from voxzoo.export.gguf_cli import command  # noqa: E402
from voxzoo.zoo.errors import UsageError  # noqa: E402
from voxzoo.zoo.ggufheader import read_gguf_header  # noqa: E402
from voxzoo.zoo.runtimes.llamacpp_native import Settings  # noqa: E402

from . import gguf_models  # noqa: E402

IDS = [3, 17, 200, 64, 64, 9, 259, 255, 40, 41]
TEXT = r".*language_model.*(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"


class Base:
    def __init__(self, folder, tied):
        self.model = gguf_models.llava(folder / "hf", tied=tied)
        made = convert(folder / "hf", folder, "f32")
        self.text, self.pair = made.text, open_pair(made.text, made.mmproj)

    def adapted(self, folder, target=TEXT, **options):
        """An adapter in ``folder`` and the logits of PEFT's model with it."""
        config = peft.LoraConfig(target_modules=target, **{"r": 4, "lora_alpha": 8, **options})
        model = peft.get_peft_model(copy.deepcopy(self.model), config)
        torch.manual_seed(3)
        for name, parameter in model.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                parameter.data += 0.1 * torch.randn_like(parameter)
        model.save_pretrained(folder)
        with torch.inference_mode():
            return model.eval()(input_ids=torch.tensor([IDS])).logits[0].numpy()


@pytest.fixture(scope="module")
def untied(tmp_path_factory):
    return Base(tmp_path_factory.mktemp("untied"), tied=False)


@pytest.fixture(scope="module")
def tied(tmp_path_factory):
    return Base(tmp_path_factory.mktemp("tied"), tied=True)


def logits(text, lora=None):
    """llama.cpp's, with a LoRA applied while it runs."""
    probe = Probe(str(text), None, Settings(cache="f32"))
    with contextlib.ExitStack() as stack:
        stack.callback(probe.close)
        if lora:
            handle = cpp.llama_adapter_lora_init(probe._model, str(lora).encode())
            assert handle
            handles, scales = (cpp.llama_adapter_lora_p_ctypes * 1)(handle), (cpp.ctypes.c_float * 1)(1.0)
            assert cpp.llama_set_adapters_lora(probe._context, handles, 1, scales) == 0
        return probe.logits([IDS])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"use_rslora": True},
        {"rank_pattern": {".*q_proj": 2}, "alpha_pattern": {".*q_proj": 32, ".*down_proj": 4}},
        {"target": TEXT + r"|lm_head"},
    ],
    ids=["plain", "rslora", "patterns", "lm_head"],
)
def test_llama_cpp_applies_what_peft_does(untied, tmp_path, options):
    wanted = untied.adapted(tmp_path / "a", **options)
    made = runtime_lora(untied.pair, read_adapter(tmp_path / "a"), tmp_path / "lora.gguf")
    got, before = logits(untied.text, made.path), logits(untied.text)
    assert made.modules == 14 + ("target" in options)
    assert np.abs(got - wanted).max() <= 1e-5 * max(1, wanted.std())
    assert np.abs(got - before).max() > 0.05


def test_a_plain_adapter_keeps_its_own_factors(untied, tmp_path):
    import gguf
    from safetensors.numpy import load_file

    untied.adapted(tmp_path / "a")
    made = runtime_lora(untied.pair, read_adapter(tmp_path / "a"), tmp_path / "lora.gguf")
    reader = gguf.GGUFReader(made.path)
    found = {t.name: np.array(t.data) for t in reader.tensors}
    source = load_file(tmp_path / "a" / "adapter_model.safetensors")
    name = next(key for key in source if "layers.1.mlp.up_proj.lora_B" in key)
    assert (found["blk.1.ffn_up.weight.lora_b"] == source[name]).all()
    assert reader.fields["adapter.lora.alpha"].contents() == 8
    assert reader.fields["adapter.type"].contents() == "lora"


def test_a_weight_is_folded_in(untied, tmp_path):
    import gguf

    untied.adapted(tmp_path / "a")
    whole = runtime_lora(untied.pair, read_adapter(tmp_path / "a"), tmp_path / "1.gguf")
    half = runtime_lora(untied.pair, read_adapter(tmp_path / "a", 0.5), tmp_path / "2.gguf", "f16")
    one, two = ({t.name: t.data for t in gguf.GGUFReader(made.path).tensors} for made in (whole, half))
    for name in one:
        factor = 0.5 if name.endswith("lora_b") else 1
        assert (two[name] == (factor * one[name]).astype(np.float16)).all()


@pytest.mark.parametrize(
    ("base", "options", "message"),
    [
        ("untied", {"use_dora": True}, "DoRA divides by the length of each row"),
        ("untied", {"target": TEXT + r"|.*vision_tower.*fc1"}, "--text-only"),
        ("untied", {"target": TEXT + r"|.*linear_1"}, "vision part.*zoo-merge"),
        ("untied", {"modules_to_save": ["lm_head"]}, "whole parameter"),
        ("untied", {"bias": "all", "target": r".*linear_1"}, "vision part|bias"),
        ("untied", {"target": TEXT + r"|.*embed_tokens"}, "embeddings"),
        ("tied", {"target": TEXT + r"|lm_head"}, "tied to the embeddings.*crash"),
    ],
    ids=["dora", "tower", "projector", "modules_to_save", "bias", "embeddings", "tied-head"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_llama_cpp_would_drop_or_crash_on_is_refused(request, tmp_path, base, options, message):
    given = request.getfixturevalue(base)
    given.adapted(tmp_path / "a", **options)
    with pytest.raises(UsageError, match=message):
        runtime_lora(given.pair, read_adapter(tmp_path / "a"), tmp_path / "lora.gguf")
    assert not (tmp_path / "lora.gguf").exists()


def test_the_vision_part_is_left_out_only_when_asked(untied, tmp_path):
    untied.adapted(tmp_path / "a", target=TEXT + r"|.*vision_tower.*fc1")
    arguments = ["lora", str(tmp_path / "a"), "--base", str(untied.text), "--out", str(tmp_path / "l.gguf")]
    mmproj = ["--mmproj", str(untied.pair.mmproj.name)]
    refused = CliRunner().invoke(command, [*arguments, *mmproj])
    assert isinstance(refused.exception, UsageError)
    done = CliRunner().invoke(command, [*arguments, *mmproj, "--text-only"], catch_exceptions=False)
    assert "14 weights" in done.output
    assert "3 modules of the vision part are left out" in done.output
    assert len(read_gguf_header(tmp_path / "l.gguf").tensors) == 28


def test_an_adapter_of_another_model_is_refused(untied, tmp_path):
    other = gguf_models.llava(tmp_path / "other")
    config = peft.LoraConfig(target_modules=r".*q_proj", r=4)
    model = peft.get_peft_model(other, config)
    model.save_pretrained(tmp_path / "a")
    gguf_models.llama(tmp_path / "hf", hidden_size=128)
    pair = open_pair(convert(tmp_path / "hf", tmp_path, "f32").text)
    with pytest.raises(UsageError, match=r"adapter of another model|vision part"):
        runtime_lora(pair, read_adapter(tmp_path / "a"), tmp_path / "lora.gguf", text_only=True)
