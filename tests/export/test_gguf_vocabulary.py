"""Tokenizers in GGUF: llama.cpp cuts text into the tokens of transformers, and marks stand where they do."""

import json
import shutil

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers", reason="builds the tokenizers")
pytest.importorskip("gguf", reason="needs the [llm] extra")
llama_cpp = pytest.importorskip("llama_cpp", reason="needs the [llm] extra")

from voxzoo.export.gguf.checkpoint import Checkpoint  # noqa: E402
from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.gguf.pretokenizers import name_of  # noqa: E402
from voxzoo.export.gguf.probe import Probe  # noqa: E402
from voxzoo.export.gguf.vocabulary import read_vocabulary  # noqa: E402
from voxzoo.zoo.errors import ModelError  # noqa: E402
from voxzoo.zoo.ggufheader import read_gguf_header  # noqa: E402
from voxzoo.zoo.runtimes.llamacpp_native import Settings  # noqa: E402

from . import gguf_models  # noqa: E402

TEXTS = [
    "where is the tumour?",
    "  three   blanks\n\n\nlines\t end ",
    "[(12, 34), (56, 127)] 1234567",
    "it's HERE, IT'S there; we'd've",
    "Größe 3,5 cm² \U0001f9e0 脑 नमस्ते",
    "Choice: 2<|end|>Choice: ",
    "",
]


@pytest.mark.parametrize("rule", ["llama-bpe", "dbrx", "qwen2", "gpt-2", "smollm"])
def test_tokens_are_those_of_transformers(tmp_path, rule):
    gguf_models.llama(tmp_path / "hf", rule)
    made = convert(tmp_path / "hf", tmp_path, "f16")
    probe, tokens = Probe(str(made.text), None, Settings()), gguf_models.tokenizer(rule)
    assert read_gguf_header(made.text).get("tokenizer.ggml.pre") == rule
    for text in TEXTS:
        ids = tokens.encode(text, add_special_tokens=False)
        assert probe.tokenize(text, special=True) == ids
        if "<" not in text:
            assert probe.text(ids) == text


def test_an_unknown_rule_is_refused(tmp_path):
    gguf_models.llama(tmp_path / "hf", "unknown")
    with pytest.raises(ModelError, match="none of llama-bpe, gpt-2, smollm, qwen2"):
        convert(tmp_path / "hf", tmp_path)


@pytest.mark.parametrize(
    "tokenizer",
    [
        {"pre_tokenizer": None},
        {"pre_tokenizer": {"type": "Metaspace"}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}},
        {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [7]}},
        {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False}, "normalizer": {"type": "NFKC"}},
    ],
)
def test_rules_that_llama_cpp_has_not_are_refused(tokenizer):
    with pytest.raises(ModelError, match="here: text is cut into words"):
        name_of({"model": {}, **tokenizer}, "here")


def vocabulary(folder, size=400, **settings):
    return read_vocabulary(Checkpoint(folder), size, settings)


def saved(folder, **options):
    """A checkpoint folder with just this tokenizer in it."""
    from safetensors.numpy import save_file

    tokens = gguf_models.tokenizer(**options)
    tokens.save_pretrained(folder)
    (folder / "config.json").write_text("{}")
    save_file({}, folder / "model.safetensors")
    return tokens


BOS_FIRST, BOTH = ["<|begin|>", "$A"], ["<|begin|>", "$A", "<|end|>"]


@pytest.mark.parametrize(
    ("adds", "template", "bos", "eos"),
    [
        (None, None, False, False),
        (BOS_FIRST, None, True, False),
        (BOTH, None, True, True),
        (BOS_FIRST, gguf_models.CHAT, False, False),  # the template writes it: twice would be one too many
        (BOS_FIRST, "<|begin|>{{ messages }}", False, False),
        (BOS_FIRST, "{{ messages }}", True, False),
    ],
)
def test_no_mark_is_added_twice(tmp_path, adds, template, bos, eos):
    saved(tmp_path, adds=adds, template=template)
    found = vocabulary(tmp_path)
    assert (found.add_bos, found.add_eos, found.chat_template) == (bos, eos, template)


def test_a_rendered_template_gets_one_mark_in_llama_cpp(tmp_path):
    gguf_models.llama(tmp_path / "hf")
    made = convert(tmp_path / "hf", tmp_path, "f16")
    model = llama_cpp.Llama(str(made.text), vocab_only=True, verbose=False)
    tokens = gguf_models.tokenizer()
    text = tokens.apply_chat_template([{"role": "user", "content": "where?"}], tokenize=False)
    ids = model.tokenize(text.encode(), add_bos=True, special=True)
    assert ids.count(tokens.bos_token_id) == 1
    assert ids == tokens.encode(text, add_special_tokens=False)
    model.close()


def test_types_and_ids_of_tokens(tmp_path):
    tokens = saved(tmp_path)
    found = vocabulary(tmp_path, len(tokens) + 2)
    kinds = dict(zip(found.pieces, found.kinds, strict=True))
    assert kinds["<|begin|>"] == 3  # control
    assert kinds["Choice: "] == 4  # user defined
    assert kinds["Ġtumour"] == 1  # normal
    assert found.pieces[-2:] == [f"[PAD{len(tokens)}]", f"[PAD{len(tokens) + 1}]"]
    assert found.kinds[-2:] == [5, 5]  # unused
    assert found.marks == {
        "bos": tokens.bos_token_id,
        "eos": tokens.eos_token_id,
        "padding": tokens.pad_token_id,
    }


def test_generation_may_end_with_more_than_one_token(tmp_path):
    tokens = saved(tmp_path)
    (tmp_path / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [tokens.eos_token_id, 7, 9]})
    )
    marks = vocabulary(tmp_path).marks
    assert (marks["eos"], marks["eot"], marks["eom"]) == (tokens.eos_token_id, 7, 9)


def test_marks_of_the_configuration_stand_in(tmp_path):
    saved(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    assert vocabulary(tmp_path, bos_token_id=5, eos_token_id=6).marks == {"bos": 5, "eos": 6}


@pytest.mark.parametrize("key", ["chat_template", None])
def test_templates_are_found_where_older_versions_kept_them(tmp_path, key):
    saved(tmp_path, template=None)
    path = tmp_path / "tokenizer_config.json"
    named = [{"name": "tools", "template": "no"}, {"name": "default", "template": "yes"}]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": "yes" if key else named}))
    assert vocabulary(tmp_path).chat_template == "yes"


def damaged(folder, change):
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["model"].update(type="Unigram"), "not a byte-level BPE"),
        (lambda t: t["model"].update(byte_fallback=True), "not a byte-level BPE"),
        (lambda t: t.update(model=None), "not a byte-level BPE"),
        (lambda t: t["model"].update(vocab=[]), "no vocabulary"),
        (lambda t: t["model"]["vocab"].update(a=10**9), "has the id 1000000000, of 400 rows"),
        (lambda t: t["model"]["vocab"].update(a=-1), "has the id -1"),
        (lambda t: t["model"]["vocab"].update(new=t["model"]["vocab"]["b"]), "share the id"),
        (lambda t: t["added_tokens"].append({"content": "x y", "id": 5}), "share the id 5"),
        (lambda t: t["added_tokens"].append("x"), "token 'None'"),
        (lambda t: t["model"].update(merges=None), "no merges"),
        (lambda t: t["model"].update(merges=[["a", "b c"]]), "not a merge"),
    ],
)
def test_broken_tokenizers_are_refused(tmp_path, change, message):
    saved(tmp_path)
    damaged(tmp_path, change)
    with pytest.raises(ModelError, match=message):
        vocabulary(tmp_path)


def test_merges_are_read_in_both_forms(tmp_path):
    saved(tmp_path)
    pairs = vocabulary(tmp_path).merges
    damaged(tmp_path, lambda t: t["model"].update(merges=[" ".join(m) for m in t["model"]["merges"]]))
    assert vocabulary(tmp_path).merges == pairs
    assert len(pairs[0].split(" ")) == 2


def test_a_folder_without_tokenizer_is_told(tmp_path):
    saved(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer.json: missing; save the tokenizer"):
        vocabulary(tmp_path)
    shutil.rmtree(tmp_path)
