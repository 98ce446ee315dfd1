"""The transformers runtime on tiny random models: Llama-3.2-Vision's architecture and LLaVA's."""

import json
import os
import shutil
import struct

import numpy as np
import peft
import pytest
import torch
import transformers

from voxzoo.eval.runner import evaluate
from voxzoo.export.networks.llava_nano import NanoSpec, build, save
from voxzoo.zoo.answerer import Answerer, Question
from voxzoo.zoo.cases import ArraySource, Case
from voxzoo.zoo.datasets import Dataset
from voxzoo.zoo.errors import DeviceError, MissingDependencyError, ModelError, ModelNotFoundError, UsageError
from voxzoo.zoo.runtimes import hf_load, hf_vision
from voxzoo.zoo.runtimes.hf_decode import Chooser
from voxzoo.zoo.sampling import Sampling
from voxzoo.zoo.tasks.prompt import choose_prompt, prompt_task

IMAGE = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
SPECIAL = ("<|bos|>", "<|eot|>", "<|pad|>", "<|image|>", "<|python_tag|>")
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% for c in m.content %}{% if c.type == 'image' %}<|image|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endfor %}{% if add_generation_prompt %}\n{% endif %}"
)


def letters():
    """A tokenizer of bytes."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([AddedToken(word, special=True, normalized=False) for word in SPECIAL])
    names = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "pad_token": SPECIAL[2]}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=1024, **names)


def save_mllama(folder):
    """A random Llama-3.2-Vision of 50 thousand parameters."""
    from transformers import MllamaConfig, MllamaForConditionalGeneration, MllamaProcessor
    from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig
    from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil

    tokens = letters()
    image = tokens.convert_tokens_to_ids("<|image|>")
    vision = MllamaVisionConfig(
        hidden_size=32, attention_heads=2, intermediate_size=48, num_hidden_layers=2, num_global_layers=1,
        image_size=28, patch_size=14, max_num_tiles=1, supported_aspect_ratios=[[1, 1]],
        intermediate_layers_indices=[0, 1], vision_output_dim=96,
    )  # fmt: skip
    text = MllamaTextConfig(
        vocab_size=image, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=64, cross_attention_layers=[1], max_position_embeddings=512,
        bos_token_id=256, eos_token_id=257, pad_token_id=258,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )  # fmt: skip
    torch.manual_seed(0)
    model = MllamaForConditionalGeneration(
        MllamaConfig(vision_config=vision, text_config=text, image_token_index=image)
    )
    for name, weight in model.named_parameters():  # as they are made, nothing of the image comes through
        torch.nn.init.constant_(weight, 0.5) if "gate" in name else torch.nn.init.normal_(weight, std=0.3)
    model.generation_config.repetition_penalty = 5.0  # must not have an effect
    model.save_pretrained(folder)
    images = MllamaImageProcessorPil(size={"height": 28, "width": 28}, max_image_tiles=1)
    MllamaProcessor(images, tokens, chat_template=TEMPLATE).save_pretrained(folder)


def save_adapter(base, folder, merged, targets):
    """A random LoRA adapter, and the model with it merged by peft."""
    model = transformers.AutoModelForImageTextToText.from_pretrained(base)
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    torch.manual_seed(1)
    adapted = peft.get_peft_model(model, config)
    adapted.save_pretrained(folder)
    adapted.merge_and_unload().save_pretrained(merged)
    for path in base.iterdir():
        if not (merged / path.name).exists():
            shutil.copy(path, merged)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """Folders: mllama and nano, each with an adapter and the merged model."""
    root = tmp_path_factory.mktemp("models")
    save_mllama(root / "mllama")
    torch.manual_seed(0)
    save(build(NanoSpec(vision_blocks=1, blocks=1))[0], root / "nano")
    for name, targets in (("mllama", ["q_proj", "v_proj", "fc1"]), ("nano", ["q_proj", "fc2", "linear_1"])):
        save_adapter(root / name, root / f"{name}-lora", root / f"{name}-merged", targets)
    return root


def tiny_text(tokens):
    return transformers.LlamaConfig(
        vocab_size=len(tokens) + 8, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=64, max_position_embeddings=2048,
        pad_token_id=258, eos_token_id=257, bos_token_id=256,
    )  # fmt: skip


def idefics3():
    """A random SmolVLM-like model, whose processor cuts the image into tiles and adds a whole view."""
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokens = letters()
    words = ["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"]
    words += [f"<row_{row}_col_{col}>" for row in (1, 2) for col in (1, 2)]
    tokens.add_special_tokens({"additional_special_tokens": words})
    vision = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 48}
    config = transformers.Idefics3Config(
        image_token_id=tokens.convert_tokens_to_ids("<image>"), scale_factor=2, text_config=tiny_text(tokens),
        vision_config={**vision, "image_size": 56, "patch_size": 14}, pad_token_id=258,
    )  # fmt: skip
    images = Idefics3ImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})
    template = TEMPLATE.replace("<|image|>", "<image>")
    processor = transformers.Idefics3Processor(images, tokens, image_seq_len=4, chat_template=template)
    return transformers.Idefics3ForConditionalGeneration(config), processor


def llava_of_clip():
    """A random LLaVA 1.5: CLIP tower with its CLS token, no chat template."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokens = letters()
    tokens.add_special_tokens({"additional_special_tokens": ["<image>"]})
    vision = transformers.CLIPVisionConfig(
        hidden_size=32,
        num_attention_heads=2,
        num_hidden_layers=3,
        intermediate_size=48,
        image_size=28,
        patch_size=14,
    )
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=tiny_text(tokens), image_seq_length=4,
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    images = CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    processor = transformers.LlavaProcessor(
        images, tokens, patch_size=14, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return transformers.LlavaForConditionalGeneration(config), processor


@pytest.mark.parametrize("make", [idefics3, llava_of_clip])
def test_other_families(make, tmp_path):
    torch.manual_seed(0)
    model, processor = make()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    model = opened(tmp_path)
    center = model.answer(ask("center"))
    assert prompt_task("center").parse(center.text, "strict").status == "understood"
    grade, other = (
        model.answer(ask("grade", image, new_tokens=1)) for image in (IMAGE, np.zeros_like(IMAGE))
    )
    assert grade.probabilities != other.probabilities
    ids = model._inputs(model._prompt("Where?"), IMAGE)["input_ids"][0].tolist()
    assert ids.count(256) == (1 if processor.chat_template else 0)


def ask(task, image=IMAGE, repeat=0, prompt="brief", new_tokens=None):
    own = prompt_task(task)
    text = choose_prompt(own, prompt).text
    return Question(task, text, image, own.grammar(), new_tokens or own.new_tokens, "c", "axial", 3, repeat)


def opened(path, temperature=0.0, seed=0, **options):
    return hf_vision.open(str(path), sampling=Sampling(temperature, seed), device="cpu", threads=1, **options)


@pytest.mark.parametrize("name", ["mllama", "nano"])
def test_answers_follow_the_grammar_and_repeat(zoo, name):
    model = opened(zoo / name)
    assert isinstance(model, Answerer)
    assert (model.runtime.device, model.runtime.precision, model.runtime.threads) == ("cpu", "fp32", 1)
    for task in ("center", "box"):
        reply = model.answer(ask(task))
        assert prompt_task(task).parse(reply.text, "strict").status != "refused"
        assert (reply.text, reply.tokens_in) == (model.answer(ask(task)).text, reply.tokens_in)
        assert reply.sampling["temperature"] == 0.0
        assert "seed" not in reply.sampling
    grade = model.answer(ask("grade", new_tokens=12))
    assert grade.text.startswith("Choice: ")
    assert sum(grade.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert list(grade.probabilities) == ["low", "high", "none"]


@pytest.mark.parametrize("name", ["mllama", "nano"])
def test_the_image_and_its_place_matter(zoo, name):
    model = opened(zoo / name)
    dark = model.answer(ask("grade", np.zeros_like(IMAGE), new_tokens=1)).probabilities
    assert dark != model.answer(ask("grade", new_tokens=1)).probabilities
    text = model._prompt("Where?")
    assert text.index("image") < text.index("Where?")
    ids = model._inputs(text, IMAGE)["input_ids"][0].tolist()
    assert ids.count(model._tokenizer.bos_token_id) == 1


@pytest.mark.parametrize("name", ["mllama", "nano"])
def test_probabilities_are_those_of_the_logits_after_choice(zoo, name):
    """Against a plain forward pass over prompt + "Choice: ", the tokens counted by hand."""
    model = opened(zoo / name)
    text = model._prompt(choose_prompt(prompt_task("grade"), "brief").text) + "Choice: "
    plain = transformers.AutoModelForImageTextToText.from_pretrained(zoo / name).eval()
    with torch.no_grad():
        logits = plain(**model._inputs(text, IMAGE)).logits[0, -1]
    digits = [model._tokenizer.convert_tokens_to_ids(digit) for digit in "012"]
    expected = torch.softmax(logits[digits], dim=0).tolist()
    found = model.answer(ask("grade", new_tokens=1)).probabilities
    assert list(found.values()) == pytest.approx(expected, abs=2e-6)


def test_free_answers_are_those_of_generate_without_the_checkpoints_own_penalties(zoo):
    model = opened(zoo / "mllama", grammar="none")
    reply = model.answer(ask("center", new_tokens=8))
    plain = transformers.AutoModelForImageTextToText.from_pretrained(zoo / "mllama").eval()
    inputs = model._inputs(model._prompt(ask("center").prompt), IMAGE)
    with torch.no_grad():
        out = plain.generate(**inputs, max_new_tokens=8, do_sample=False, repetition_penalty=1.0)
    assert reply.text == model._tokenizer.decode(
        out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True
    )
    assert reply.sampling["decoding"] == "free"


def test_seeds_are_the_questions_own(zoo):
    model = opened(zoo / "nano", 0.7, 5)
    torch.manual_seed(1)
    first = [model.answer(ask("center", repeat=n)).text for n in range(4)]
    state = torch.get_rng_state()
    backwards = [model.answer(ask("center", repeat=n)).text for n in (3, 2, 1, 0)]
    assert first == backwards[::-1]
    assert len(set(first)) > 1
    assert torch.equal(state, torch.get_rng_state())
    assert first != [opened(zoo / "nano", 0.7, 6).answer(ask("center", repeat=n)).text for n in range(4)]
    assert all(prompt_task("center").parse(text, "strict").status == "understood" for text in first)


def test_draws_follow_the_softmax():
    """20 000 draws among three tokens: frequencies within four standard errors of the softmax."""
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    chooser = Chooser(str, [99], temperature=1.0, seed=3)
    found = np.bincount([chooser.choose(logits) for _ in range(20_000)], minlength=3) / 20_000
    assert np.all(np.abs(found - [0.5, 0.3, 0.2]) < 4 * np.sqrt(0.25 / 20_000))


@pytest.mark.parametrize("name", ["mllama", "nano"])
def test_an_adapter_answers_as_the_merged_model_does(zoo, name):
    merged, adapted = opened(zoo / f"{name}-merged"), opened(f"{zoo / name}+{zoo / f'{name}-lora'}")
    base = opened(zoo / name)
    assert adapted.name == f"{name}+{name}-lora"
    assert len({model.content_hash for model in (merged, adapted, base)}) == 3
    for task in ("center", "grade"):
        one, other = (model.answer(ask(task, new_tokens=12)) for model in (merged, adapted))
        assert one.text == other.text
        if task == "grade":
            assert one.probabilities == pytest.approx(other.probabilities, abs=2e-5)
            plain = base.answer(ask(task, new_tokens=12)).probabilities
            assert plain != pytest.approx(one.probabilities, abs=1e-3)


def test_an_adapter_of_another_model_is_refused(zoo, tmp_path):
    with pytest.raises(ModelError, match="does not fit"):
        opened(f"{zoo / 'nano'}+{zoo / 'mllama-lora'}")
    with pytest.raises(ModelNotFoundError, match="no such folder"):
        opened(f"{zoo / 'nano'}+{tmp_path / 'none'}")


def edit_adapter(folder, change):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "adapter_model.safetensors")
    change(weights)
    save_file(weights, folder / "adapter_model.safetensors")


def with_nan(weights):
    next(iter(weights.values())).view(-1)[0] = float("nan")


def without_one(weights):
    del weights[next(iter(weights))]


def with_more(weights):
    weights["base_model.model.nowhere.lora_A.weight"] = torch.zeros(4, 4)


@pytest.mark.parametrize(("change", "told"), [(with_nan, "NaN"), (without_one, "fit"), (with_more, "fit")])
def test_no_weight_of_an_adapter_is_lost_silently(zoo, tmp_path, change, told):
    folder = shutil.copytree(zoo / "nano-lora", tmp_path / "lora")
    edit_adapter(folder, change)
    with pytest.raises(ModelError, match=told):
        opened(f"{zoo / 'nano'}+{folder}")


def test_rank_zero_and_a_missing_file_are_refused(zoo, tmp_path):
    folder = shutil.copytree(zoo / "nano-lora", tmp_path / "lora")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**config, "r": 0}))
    with pytest.raises(ModelError, match="does not fit"):
        opened(f"{zoo / 'nano'}+{folder}")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapter_model\.bin is a pickle"):
        opened(f"{zoo / 'nano'}+{folder}")


def damaged(folder, how):
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    if how == "cut":
        weights.write_bytes(data[: len(data) // 2])
    elif how == "huge header":
        weights.write_bytes(struct.pack("<Q", 1 << 60) + data[8:])
    elif how == "pickle":
        weights.unlink()
        (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    elif how == "no config":
        (folder / "config.json").unlink()
    elif how == "own code":
        config = json.loads((folder / "config.json").read_text())
        config |= {"model_type": "own", "auto_map": {"AutoModelForImageTextToText": "evil.Evil"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "evil.py").write_text("raise SystemExit('ran')")
    elif how == "nonsense":
        (folder / "config.json").write_text('{"model_type": "llava", "text_config": 3}')
    elif how == "fewer weights":
        from safetensors.torch import load_file, save_file

        some = load_file(weights)
        del some[next(name for name in some if "mlp" in name)]
        save_file(some, weights, {"format": "pt"})


@pytest.mark.parametrize(
    "how", ["cut", "huge header", "pickle", "no config", "own code", "nonsense", "fewer weights"]
)
def test_a_damaged_or_unsafe_checkpoint_is_one_line(zoo, tmp_path, how):
    folder = shutil.copytree(zoo / "nano", tmp_path / "bad")
    damaged(folder, how)
    with pytest.raises(ModelError, match="bad"):
        opened(folder)


def test_weights_that_overflow_are_told(zoo, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(zoo / "nano", tmp_path / "bad")
    weights = load_file(folder / "model.safetensors")
    next(weight for name, weight in weights.items() if "mlp" in name)[:] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="no finite numbers"):
        opened(folder).answer(ask("center"))


def test_prompts_longer_than_the_context_are_refused(zoo):
    model = opened(zoo / "mllama")
    long = Question("center", "x" * 600, IMAGE, "", 12, "c", "axial", 3, 0)
    with pytest.raises(ModelError, match="do not fit the model's context of 512"):
        model.answer(long)


def test_device_and_precision_are_those_asked_for_or_an_error(zoo, monkeypatch):
    assert opened(zoo / "nano", precision="bf16").runtime.precision == "bf16"
    for precision in ("nf4", "tf32"):
        with pytest.raises(DeviceError, match="needs an NVIDIA GPU"):
            opened(zoo / "nano", precision=precision)
    with pytest.raises(UsageError, match="precision"):
        opened(zoo / "nano", precision="int3")
    with pytest.raises(UsageError, match="grammar"):
        opened(zoo / "nano", grammar="vllm")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        hf_vision.open(str(zoo / "nano"), device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(hf_load, "package_found", lambda name: name != "bitsandbytes")
    with pytest.raises(MissingDependencyError, match="pip install bitsandbytes"):
        hf_vision.open(str(zoo / "nano"), device="cuda", precision="nf4")


def test_without_transformers_the_pip_line(zoo, monkeypatch):
    monkeypatch.setattr(hf_load, "package_found", lambda name: name != "transformers")
    with pytest.raises(MissingDependencyError, match=r'pip install "voxzoo\[train\]"'):
        opened(zoo / "nano")


@pytest.mark.parametrize("name", ["./none", "none", "a/b/c", "nobody/has-this"])
def test_what_is_neither_here_nor_on_the_hub(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelNotFoundError, match=r"none|a/b/c|nobody"):
        hf_vision.open(name, local_files_only=True)


def test_the_hash_is_of_the_content_not_of_the_place(zoo, tmp_path):
    copied = shutil.copytree(zoo / "nano", tmp_path / "elsewhere")
    first = opened(zoo / "nano").content_hash
    assert opened(copied).content_hash == first
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps({**config, "note": 1}))
    assert opened(copied).content_hash != first


def test_a_live_run_and_its_replay_give_the_same(zoo, tmp_path):
    head = np.zeros((20, 24, 28))
    head[2:18, 2:22, 2:26] = 100 + np.arange(24)
    mask = np.zeros(head.shape, np.uint8)
    mask[6:10, 8:14, 9:11] = 2
    sources = [ArraySource(array, np.eye(4), "c0") for array in (head, mask)]
    case = Case("c0", "c0", {"flair": sources[0]}, reference=sources[1], grade="high")
    data = Dataset("toy", (case,), "CC0", "memory", "phantom")
    live = evaluate(
        opened(zoo / "nano", 0.7), data, tmp_path / "run", task="center", price_in=1.0, price_out=2.0
    )
    again = evaluate(f"replay:{tmp_path / 'run' / 'transcript.jsonl'}", data, task="center")
    assert again.scores.aggregate == live.scores.aggregate
    assert live.scores.runtime["name"] == "transformers"
    used = live.scores.details["usage"]
    assert used["cost"] == pytest.approx((used["tokens_in"] + 2 * used["tokens_out"]) / 1e6)
    assert again.scores.details["usage"]["cost"] == "not stated"


def test_the_network_is_not_touched_for_a_folder(zoo, monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert os.environ.get("HF_HUB_OFFLINE") is None
    opened(f"{zoo / 'nano'}+{zoo / 'nano-lora'}").answer(ask("center"))
