"""Tiny random models of the families that are converted, each saved as transformers does."""

from pathlib import Path

import torch

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
MARKS = ("<|begin|>", "<|end|>", "<|pad|>")
CHAT = (
    "{{ bos_token }}{% for m in messages %}{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|end|>{% endfor %}"
)
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def tokenizer(rule="llama-bpe", marks=MARKS, template=CHAT, adds=None):
    """A byte-level BPE tokenizer over a handful of words, cut by one of the rules that llama.cpp has."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, processors, trainers
    from tokenizers import pre_tokenizers as pre
    from transformers import PreTrainedTokenizerFast

    def split(pattern):
        return [pre.Split(Regex(pattern), "isolated"), pre.ByteLevel(add_prefix_space=False, use_regex=False)]

    steps = {
        "llama-bpe": split(LLAMA3),
        "dbrx": split(LLAMA3),
        "qwen2": split(LLAMA3.replace("{1,3}", "")),
        "gpt-2": [pre.ByteLevel(add_prefix_space=False)],
        "smollm": [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)],
        "unknown": split(r"\s+"),
    }[rule]
    core = Tokenizer(models.BPE(ignore_merges=rule == "llama-bpe"))
    core.pre_tokenizer = steps[0] if len(steps) == 1 else pre.Sequence(steps)
    core.decoder = decoders.ByteLevel()
    words = ["where is the tumour in this slice", "it's here: [(12, 34), (56, 127)]\n\n\nno 1234 tumours"]
    alphabet = sorted(pre.ByteLevel.alphabet())
    core.train_from_iterator(
        words * 5, trainers.BpeTrainer(vocab_size=340, initial_alphabet=alphabet, show_progress=False)
    )
    core.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    core.add_tokens([AddedToken("Choice: ", special=False, normalized=False)])
    if adds:
        numbers = [(mark, core.token_to_id(mark)) for mark in MARKS[:2]]
        core.post_processor = processors.TemplateProcessing(single=adds, special_tokens=numbers)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token=marks[0], eos_token=marks[1], pad_token=marks[2]
    )
    fast.chat_template = template
    return fast


def llama(folder: Path, rule="llama-bpe", spare=7, seed=0, **settings):
    """A LLaMA in ``folder``, its embedding ``spare`` rows longer than the tokenizer."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = tokenizer(rule)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(**{**TEXT, "vocab_size": len(tokens) + spare, **settings})).eval()
    for parameter in model.parameters():  # norms of ones and biases of zeros would hide their loss
        parameter.data += 0.1 * torch.randn_like(parameter)
    return _saved(folder, model, tokens)


def llava(folder: Path, layer=-1, strategy="full", tied=False, **vision):
    """A LLaVA with a SigLIP tower of 32 x 32 pixels in ``folder``."""
    from transformers import (
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        SiglipVisionConfig,
    )
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    tokens = tokenizer(marks=(*MARKS, "<image>"))
    config = LlavaConfig(
        vision_config=SiglipVisionConfig(**{**TOWER, "vision_use_head": False, **vision}),
        text_config=LlamaConfig(**TEXT, vocab_size=len(tokens), tie_word_embeddings=tied),
        image_token_index=tokens.convert_tokens_to_ids("<image>"),
        projector_hidden_act="gelu_pytorch_tanh",
        vision_feature_layer=layer,
        vision_feature_select_strategy=strategy,
        image_seq_length=16,
        tie_word_embeddings=tied,
    )
    torch.manual_seed(1)
    model = LlavaForConditionalGeneration(config).eval()
    images = SiglipImageProcessorPil(
        size={"height": 32, "width": 32}, image_mean=[0.5, 0.4, 0.3], image_std=[0.5] * 3
    )
    processor = LlavaProcessor(
        images, tokens, patch_size=8, vision_feature_select_strategy=strategy, chat_template=CHAT,
        num_additional_image_tokens=0,
    )  # fmt: skip
    return _saved(folder, model, processor)


def idefics3(folder: Path, longest=64, **vision):
    """An Idefics3 with tiles of 32 x 32 pixels in ``folder``."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tiles = [f"<row_{row}_col_{col}>" for row in (1, 2) for col in (1, 2)]
    tokens = tokenizer(
        "smollm",
        marks=(*MARKS, "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *tiles),
    )
    config = Idefics3Config(
        vision_config={**TOWER, **vision},
        text_config={"model_type": "llama", "vocab_size": len(tokens), **TEXT},
        image_token_id=tokens.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        tie_word_embeddings=False,
    )
    torch.manual_seed(2)
    model = Idefics3ForConditionalGeneration(config).eval()
    images = Idefics3ImageProcessorPil(size={"longest_edge": longest}, max_image_size={"longest_edge": 32})
    return _saved(folder, model, Idefics3Processor(images, tokens, image_seq_len=4, chat_template=CHAT))


def _saved(folder, model, processor):
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model
