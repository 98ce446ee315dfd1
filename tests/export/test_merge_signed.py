"""A signed pair stays a signed pair through zoo-merge, and --verify proves it or says that it is none."""

import hashlib
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft", reason="makes the adapter")
gguf = pytest.importorskip("gguf", reason="needs the [llm] extra")
pytest.importorskip("llama_cpp", reason="needs the [llm] extra")

from click.testing import CliRunner  # noqa: E402

from voxzoo.export.gguf.convert import convert  # noqa: E402
from voxzoo.export.merge_cli import command  # noqa: E402
from voxzoo.zoo import gguffile  # noqa: E402
from voxzoo.zoo.errors import IntegrityError, ModelError, UsageError  # noqa: E402
from voxzoo.zoo.ggufpair import open_pair  # noqa: E402
from voxzoo.zoo.prompt_contract import MmprojSpec, PromptContract  # noqa: E402
from voxzoo.zoo.specs import LicenceSpec  # noqa: E402
from voxzoo.zoo.tasks.slices import SliceRule  # noqa: E402

from . import gguf_models  # noqa: E402


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    """A small LLaVA as a signed pair, its checkpoint, and an adapter on text, tower and projector."""
    folder = tmp_path_factory.mktemp("signed")
    model = gguf_models.llava(folder / "hf")
    made = convert(folder / "hf", folder, "f32")
    contract = PromptContract(
        name="small",
        version="1.0",
        prompts={"box": "brief"},
        image=(32, 32),
        slices=SliceRule(size=(32, 32)),
        mmproj=MmprojSpec(made.mmproj.name, sha256(made.mmproj)),
        licence=LicenceSpec("Apache-2.0", "none used", "confirmed"),
    )
    gguffile.with_contract(made.text, contract, made.text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=r".*(q_proj|v_proj|fc1|linear_1)")
        trained = peft.get_peft_model(model, config)
    torch.manual_seed(3)
    for name, parameter in trained.named_parameters():
        if "lora_B" in name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    trained.save_pretrained(folder / "adapter")
    return folder, made


def merge(signed, out, *more):
    folder, made = signed
    words = [
        "--base",
        made.text,
        "--mmproj",
        made.mmproj,
        "--adapter",
        folder / "adapter",
        "--out",
        out,
        *more,
    ]
    return CliRunner().invoke(command, [str(word) for word in words], standalone_mode=False)


def test_the_merged_pair_is_signed_anew(signed, tmp_path):
    done = merge(signed, tmp_path)
    assert done.exception is None, done.output
    (text,) = [path for path in tmp_path.iterdir() if not path.name.startswith("mmproj")]
    (eyes,) = [path for path in tmp_path.iterdir() if path.name.startswith("mmproj")]
    contract = gguffile.inspect(text).contract()
    assert contract.name == "small"
    assert contract.version.startswith("1.0+")
    assert (contract.mmproj.file, contract.mmproj.sha256) == (eyes.name, sha256(eyes))
    assert "adapter" in str(contract.training["merged"])
    pair, base = open_pair(text), open_pair(signed[1].text)
    assert pair.content_hash != base.content_hash

    raw = bytearray(eyes.read_bytes())  # the signature is over the eyes too
    raw[-1] ^= 1
    eyes.write_bytes(raw)
    with pytest.raises(IntegrityError, match="mmproj of another model, or one that was changed"):
        open_pair(text)


def test_verify_proves_the_merge(signed, tmp_path):
    done = merge(signed, tmp_path, "--verify", "--checkpoint", signed[0] / "hf")
    assert done.exception is None, done.output
    assert "image and text" in done.output


def test_verify_fails_beside_another_checkpoint(signed, tmp_path):
    other = tmp_path / "other"
    model = gguf_models.llava(other)
    with torch.no_grad():  # as if the GGUF had been made from another version of the model
        for parameter in model.parameters():
            parameter += 0.05 * torch.from_numpy(
                np.random.default_rng(0).standard_normal(parameter.shape).astype(np.float32)
            )
    model.save_pretrained(other)
    done = merge(signed, tmp_path / "out", "--verify", "--checkpoint", other)
    assert isinstance(done.exception, ModelError), done.output
    assert "does not answer as transformers does" in str(done.exception)


def test_verify_needs_a_checkpoint_that_is_there(signed, tmp_path):
    done = merge(signed, tmp_path / "out", "--verify", "--checkpoint", tmp_path / "nowhere")
    assert isinstance(done.exception, UsageError)
    assert "--checkpoint" in str(done.exception)
    assert not (tmp_path / "out").exists()
