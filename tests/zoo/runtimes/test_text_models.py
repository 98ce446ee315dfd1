"""Checkpoints that read text only: opened where nothing is shown, refused where something is."""

import numpy as np
import pytest

from voxzoo.zoo.answerer import Question
from voxzoo.zoo.errors import InputError, ModelError
from voxzoo.zoo.language import open_answerer

pytest.importorskip("transformers", reason="the runtime is not installed: pip install voxzoo[train]")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny LLaMA with random weights and a vocabulary of characters."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("text")
    marks = ["<s>", "</s>", "<unk>"]
    vocabulary = {token: n for n, token in enumerate([*marks, *map(chr, range(32, 127))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def ask(image=None):
    return Question("reason", "Why?", image, 'root ::= "{" [a-c]{3} "}"', 9, "c", "", 0, 0)


def test_it_is_asked_without_an_image(checkpoint):
    model = open_answerer(f"transformers:{checkpoint}", threads=1, device="cpu", needs_images=False)
    replied = model.answer(ask())
    text = replied.text
    assert text[0] + text[-1] == "{}"
    assert set(text[1:-1]) <= set("abc")
    assert replied.tokens_in == len("Why?")
    with pytest.raises(InputError, match="reads text only"):
        model.answer(ask(np.zeros((4, 4), np.uint8)))


def test_it_is_refused_where_images_are_shown(checkpoint):
    with pytest.raises(ModelError, match="takes no images"):
        open_answerer(f"transformers:{checkpoint}", threads=1, device="cpu")
