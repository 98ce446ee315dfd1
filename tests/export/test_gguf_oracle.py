"""What llama.cpp's own converter makes of the same checkpoints: another program, the same files.

It is no dependency. ``VOXZOO_LLAMA_CPP`` names a source tree of llama.cpp (the source package of
llama-cpp-python holds one); without it these tests skip. It cannot convert LLaVA with a SigLIP tower, nor the
text of Idefics3, and it knows tokenizers by a list of hashes, where a random one is not: its recognition of
the tokenizer is replaced, nothing else.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers", reason="builds the models")
gguf = pytest.importorskip("gguf", reason="needs the [llm] extra")

from voxzoo.export.gguf.convert import convert  # noqa: E402

from . import gguf_models  # noqa: E402

TREE = os.environ.get("VOXZOO_LLAMA_CPP", "")
pytestmark = pytest.mark.skipif(not TREE, reason="VOXZOO_LLAMA_CPP names no source tree of llama.cpp")

DRIVER = """
import runpy, sys, types
tree, rule, *rest = sys.argv[1:]
sys.path[:0] = [tree, tree + "/gguf-py"]
from conversion.base import TextModel
if "sentencepiece" not in sys.modules:
    absent = types.ModuleType("sentencepiece")
    absent.SentencePieceProcessor = object
    sys.modules["sentencepiece"] = absent
TextModel.get_vocab_base_pre = lambda self, tokenizer: rule
sys.argv = ["convert", *rest]
runpy.run_path(tree + "/convert_hf_to_gguf.py", run_name="__main__")
"""
OURS_ALONE = ("voxzoo.", "general.", "split.")
"""Keys that describe the file and its author, not the model."""


def theirs(folder: Path, target: Path, *options: str) -> "gguf.GGUFReader":
    """``folder`` converted by llama.cpp in a process of its own."""
    words = [sys.executable, "-c", DRIVER, TREE, "llama-bpe", "--outtype", "f32", "--outfile", str(target)]
    done = subprocess.run([*words, *options, str(folder)], capture_output=True, text=True, timeout=300)
    if done.returncode or not target.is_file():
        raise RuntimeError(f"llama.cpp's converter: {done.stderr[-2000:]}")
    return gguf.GGUFReader(target)


def tensors(reader):
    return {t.name: np.array(t.data).reshape([int(n) for n in reversed(t.shape)]) for t in reader.tensors}


def settings(reader):
    keys = [k for k in reader.fields if not k.startswith(("GGUF.", *OURS_ALONE))]
    return {key: reader.fields[key].contents() for key in keys}


def assert_same_tensors(ours, wanted):
    mine, other = tensors(ours), tensors(wanted)
    assert sorted(mine) == sorted(other)
    for name, values in other.items():
        np.testing.assert_array_equal(mine[name], values, err_msg=name)


def assert_settings(ours, wanted, but=()):
    """Every key of theirs stands in ours with the same value, ``but`` some aside."""
    mine = settings(ours)
    for key, value in settings(wanted).items():
        if key in but:
            continue
        assert key in mine, f"{key} = {value!r} is missing"
        if isinstance(value, float) or (isinstance(value, list) and value and isinstance(value[0], float)):
            np.testing.assert_allclose(mine[key], value, rtol=1e-6, err_msg=key)
        else:
            assert mine[key] == value, key


@pytest.mark.parametrize("options", [{}, {"tie_word_embeddings": True}, {"num_key_value_heads": 1}])
def test_text_model(tmp_path, options):
    gguf_models.llama(tmp_path / "hf", **options)
    pair = convert(tmp_path / "hf", tmp_path / "ours", "f32")
    ours, wanted = gguf.GGUFReader(pair.text), theirs(tmp_path / "hf", tmp_path / "theirs.gguf")
    assert_same_tensors(ours, wanted)
    assert_settings(ours, wanted)


def test_vision_tower_of_idefics3(tmp_path):
    gguf_models.idefics3(tmp_path / "hf")
    pair = convert(tmp_path / "hf", tmp_path / "ours", "f32")
    wanted = theirs(tmp_path / "hf", tmp_path / "theirs.gguf", "--mmproj")
    ours = gguf.GGUFReader(pair.mmproj)
    assert_same_tensors(ours, wanted)
    assert_settings(ours, wanted)
